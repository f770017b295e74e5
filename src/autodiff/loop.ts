// The gradient of a loop: the loop again with what each turn started from stacked besides, and a loop
// in the other direction over that, whose turns compute the forward turn anew and differentiate it.
// Random draws are stacked: another loop would draw anew.

import { symsOf } from '../core/dim-syms.ts';
import { isFloat } from '../core/dtype.ts';
import { UnsupportedError } from '../core/error.ts';
import type { TensorType } from '../core/type.ts';
import type { Attrs, Func, Node, Ref } from '../graph/func.ts';
import { getDefaultGraph } from '../graph/graph.ts';
import { opRecord } from '../graph/op.ts';
import type { Operation, Tensor } from '../graph/tensor.ts';
import { inlineFunc } from '../graph/trace.ts';
import { bodies, liveNodes, refKey } from '../graph/walk.ts';
import { identity } from '../ops/basic.ts';
import { loopNode } from '../ops/control-nodes.ts';
import { add } from '../ops/math.ts';
import { zeros, zerosLike } from '../ops/shape.ts';
import {
  type BodyGradient,
  type Differentiate,
  differentiateHere,
  type ReadInside,
} from './branch.ts';
import { checkReplay, variablesWritten } from './replay.ts';

/** The gradients of a loop node, by its inputs and by variables that its body reads. */
export function loopGradient(
  op: Operation,
  grads: readonly (Tensor | null)[],
  wanted: readonly boolean[],
  variables: readonly ReadInside[],
  differentiate: Differentiate,
): BodyGradient {
  const { attrs } = op.node;
  const body = attrs.body as Func;
  const nc = attrs.carries as number;
  const nx = attrs.xs as number;
  const carries = op.inputs.slice(0, nc);
  const xs = op.inputs.slice(nc, nc + nx);
  const captured = op.inputs.slice(nc + nx);
  const saved = valuesToSave(op.node, body, nc);
  const stacked = savingLoop(op, body, saved);

  const floatCarries = carries.flatMap((c, i) => (isFloat(c.dtype) ? [i] : []));
  const floatXs = xs.flatMap((x, i) => (isFloat(x.dtype) && wanted[nc + i] ? [i] : []));
  const targets = captured.flatMap((t, i) => (wanted[nc + nx + i] ? [{ t, at: nc + nx + i }] : []));
  const yGrads = grads.slice(nc).flatMap((g, i) => (g ? [{ g, i }] : []));

  const starts = [
    ...floatCarries.map((i) => grads[i] ?? zerosLike(carries[i])),
    ...targets.map(({ t }) => zerosLike(t)),
    ...variables.map((v) => zeros(v.shape)),
  ];
  const out = loopNode(
    'while_grad',
    { carries: starts, xs: [...stacked, ...xs, ...yGrads.map((y) => y.g)] },
    (t, held, slices) => {
      const heldSaved = slices.slice(0, saved.length);
      const heldXs = slices.slice(saved.length, saved.length + nx);
      const heldYs = slices.slice(saved.length + nx);
      const turn = heldSaved.slice(0, nc).map((c) => identity(c));
      const inputs = heldXs.map((x) => identity(x));
      // Captured values get a name of this turn's own, to differentiate by.
      const outer = captured.map((c) => identity(c));
      const given = new Map(saved.slice(nc).map((r, i) => [refKey(r), heldSaved[nc + i]]));
      const values = inlineFunc(body, [t, ...turn, ...inputs, ...outer], given);
      const pairs = values.flatMap((v, i) => {
        if (!isFloat(v.dtype)) return [];
        if (i < nc) return [{ v, g: held[floatCarries.indexOf(i)] }];
        const at = yGrads.findIndex((y) => y.i === i - nc);
        return at < 0 ? [] : [{ v, g: heldYs[at] }];
      });
      const by = [
        ...floatCarries.map((i) => turn[i]),
        ...targets.map(({ at }) => outer[at - nc - nx]),
        ...variables.map((v) => v.variable),
        ...floatXs.map((i) => inputs[i]),
      ];
      const made = differentiateHere(pairs, by, differentiate);
      const next = floatCarries.map((i, k) => made[k] ?? zerosLike(turn[i]));
      const sums = [...targets, ...variables].map((_, k) => {
        const g = made[floatCarries.length + k];
        const old = held[floatCarries.length + k];
        return g ? add(old, g) : old;
      });
      const ys = floatXs.map(
        (i, k) => made[floatCarries.length + sums.length + k] ?? zerosLike(inputs[i]),
      );
      return { carries: [...next, ...sums], ys };
    },
    { reverse: !(attrs.reverse as boolean) },
  );
  const result: (Tensor | null)[] = op.inputs.map(() => null);
  floatCarries.forEach((i, k) => {
    result[i] = out.carries[k];
  });
  targets.forEach(({ at }, k) => {
    result[at] = out.carries[floatCarries.length + k];
  });
  floatXs.forEach((i, k) => {
    result[nc + i] = out.ys[k];
  });
  return { inputs: result, variables: out.carries.slice(floatCarries.length + targets.length) };
}

/** What a turn must remember: its carries, its random draws, and variables that it writes. */
function valuesToSave(loop: Node, body: Func, carries: number): readonly Ref[] {
  const written = variablesWritten(body);
  const changes = (n: Node): boolean =>
    opRecord(n.op).form.kind === 'readVariable' && written.has(n.attrs.variable as string);
  checkReplay(loop, body, (n) => body.nodes[n.id] === n && changes(n));
  const refs: Ref[] = body.params.slice(1, 1 + carries).map((node) => ({ node, port: 0 }));
  for (const id of liveNodes(body)) {
    const node = body.nodes[id];
    const { effect } = opRecord(node.op);
    if (bodies(node).some(hasDraws)) {
      throw new UnsupportedError(
        'gradients/nested-random',
        `"${node.name}" draws random numbers in a loop or branch inside a loop, whose gradient would draw anew. ` +
          'Draw them outside and pass them in.',
        { node: node.name },
      );
    }
    if (effect !== 'random' && effect !== 'host' && !changes(node)) continue;
    node.types.forEach((type, port) => {
      if (isFixed(type, body)) refs.push({ node: id, port });
    });
  }
  return refs;
}

function hasDraws(f: Func): boolean {
  return f.nodes.some((n) => opRecord(n.op).effect === 'random' || bodies(n).some(hasDraws));
}

/** Whether a type's sizes are the same in all turns: none is made by a node of the body. */
function isFixed(type: TensorType, body: Func): boolean {
  if (type.shape === null) return false;
  const names = new Set(body.nodes.map((n) => n.name));
  return type.shape.every((d) =>
    [...symsOf(d).keys()].every((id) => !names.has(id.slice(0, id.lastIndexOf(':')))),
  );
}

/** The loop with further values of its turns stacked; returns the stacks. */
function savingLoop(op: Operation, body: Func, refs: readonly Ref[]): Tensor[] {
  const saving: Func = Object.freeze({ ...body, results: [...body.results, ...refs], effects: [] });
  const attrs = { ...op.node.attrs, body: saving } as Attrs;
  const made = getDefaultGraph().add('loop', op.inputs, attrs, {
    name: 'saved',
    controls: op.controlInputs,
  });
  return made.outputs.slice(body.results.length);
}
