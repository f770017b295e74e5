// Algebraic simplification and numerical stabilisation: rules by root op, each with its equation,
// driven to a fixpoint within a budget. No rule changes a result beyond rounding or turns a defined
// result into NaN.

import { type Dim, dimEquals } from '../core/dim.ts';
import { type TypedArray, toNumbers } from '../core/dtype.ts';
import { shapeEquals } from '../core/type.ts';
import { FuncEdit } from '../graph/edit.ts';
import type { Func, Node, Ref } from '../graph/func.ts';
import { opRecord } from '../graph/op.ts';
import type { Tensor } from '../graph/tensor.ts';
import { liveNodes } from '../graph/walk.ts';
import { logSoftmax } from '../ops/nn.ts';
import { reshape, transpose } from '../ops/shape.ts';
import { eachBody } from './bodies.ts';
import { buildInto } from './build.ts';
import type { Pass } from './pass.ts';

/** What a rule sees of the function. */
interface View {
  node(ref: Ref): Node;
  /** The number that all elements of a constant equal, if they do. */
  splat(ref: Ref): number | undefined;
  sameType(a: Ref, b: Node): boolean;
}

/** What a node becomes: another value, or new nodes made from values. */
type Replacement =
  | Ref
  | { readonly inputs: readonly Ref[]; make(inputs: readonly Tensor[]): Tensor };

interface Rule {
  readonly name: string;
  readonly op: string;
  apply(node: Node, view: View): Replacement | undefined;
}

/** A rule `op(x, c) → x` for a neutral constant on the right, or on either side. */
function neutral(op: string, value: number, sides: 'right' | 'both'): Rule {
  return {
    // op(x, value) → x
    name: `${op}(x, ${value}) → x`,
    op,
    apply: (node, view) => {
      const [x, y] = node.inputs;
      if (view.splat(y) === value && view.sameType(x, node)) return x;
      if (sides === 'both' && view.splat(x) === value && view.sameType(y, node)) return y;
      return undefined;
    },
  };
}

/** A rule for ops that do nothing where the type stays the same. */
function noChange(op: string): Rule {
  return {
    // op(x) of x's own type → x
    name: `${op}(x) → x`,
    op,
    apply: (node, view) => (view.sameType(node.inputs[0], node) ? node.inputs[0] : undefined),
  };
}

const RULES: readonly Rule[] = [
  // x + -0 → x (x + 0 would turn -0 into 0, which is within rounding of nothing that divides by it)
  neutral('add', 0, 'both'),
  neutral('sub', 0, 'right'),
  neutral('mul', 1, 'both'),
  neutral('div', 1, 'right'),
  noChange('reshape'),
  noChange('broadcastTo'),
  noChange('unbroadcast'),
  noChange('cast'),
  {
    // neg(neg(x)) → x
    name: 'neg(neg(x)) → x',
    op: 'neg',
    apply: (node, view) => {
      const inner = view.node(node.inputs[0]);
      return inner.op === 'neg' ? inner.inputs[0] : undefined;
    },
  },
  {
    // logicalNot(logicalNot(x)) → x
    name: 'not(not(x)) → x',
    op: 'logicalNot',
    apply: (node, view) => {
      const inner = view.node(node.inputs[0]);
      return inner.op === 'logicalNot' ? inner.inputs[0] : undefined;
    },
  },
  {
    // select(true, x, y) → x; select(false, x, y) → y
    name: 'select(const, x, y)',
    op: 'select',
    apply: (node, view) => {
      const c = view.splat(node.inputs[0]);
      const to = c === undefined ? undefined : node.inputs[c !== 0 ? 1 : 2];
      return to && view.sameType(to, node) ? to : undefined;
    },
  },
  {
    // transpose(x, identity) → x; transpose(transpose(x, p), q) → transpose(x, p∘q)
    name: 'transpose',
    op: 'transpose',
    apply: (node, view) => {
      const [x] = node.inputs;
      const inner = view.node(x);
      const perm = permOf(node);
      if (perm.every((p, i) => p === i)) return x;
      if (inner.op !== 'transpose') return undefined;
      const before = permOf(inner);
      return {
        inputs: [inner.inputs[0]],
        make: ([t]) =>
          transpose(
            t,
            perm.map((p) => before[p]),
          ),
      };
    },
  },
  {
    // reshape(reshape(x, s), t) → reshape(x, t)
    name: 'reshape(reshape(x))',
    op: 'reshape',
    apply: (node, view) => {
      const inner = view.node(node.inputs[0]);
      if (inner.op !== 'reshape') return undefined;
      const source = view.node(inner.inputs[0]).types[inner.inputs[0].port];
      if (shapeEquals(source.shape, node.types[0].shape)) return inner.inputs[0];
      if (!node.values[0] && !view.node(node.inputs[1]).values[node.inputs[1].port])
        return undefined;
      return { inputs: [inner.inputs[0], node.inputs[1]], make: ([x, s]) => reshape(x, s) };
    },
  },
  {
    // sum(x, no axes) → x
    name: 'sum(x, []) → x',
    op: 'sum',
    apply: (node, view) =>
      Array.isArray(node.attrs.axes) &&
      node.attrs.axes.length === 0 &&
      view.sameType(node.inputs[0], node)
        ? node.inputs[0]
        : undefined,
  },
  {
    // log(softmax(x)) → logSoftmax(x): finite where the softmax underflows
    name: 'log(softmax(x)) → logSoftmax(x)',
    op: 'log',
    apply: (node, view) => {
      const inner = view.node(node.inputs[0]);
      if (inner.op !== 'softmax') return undefined;
      const axis = inner.attrs.axis as number;
      return { inputs: inner.inputs, make: ([x]) => logSoftmax(x, { axis }) };
    },
  },
];

function permOf(node: Node): number[] {
  const rank = (node.types[0].shape as readonly Dim[]).length;
  const perm = node.attrs.perm as readonly number[] | null;
  if (perm === null) return Array.from({ length: rank }, (_, i) => rank - 1 - i);
  return perm.map((p) => (p < 0 ? p + rank : p));
}

const BY_OP = new Map<string, Rule[]>();
for (const rule of RULES) BY_OP.set(rule.op, [...(BY_OP.get(rule.op) ?? []), rule]);

/** Sweeps over a function before the rules are taken to run in circles. */
const MAX_SWEEPS = 16;

export const simplifyPass: Pass = {
  name: 'simplify',
  doc: 'Applies algebraic rules and numerical stabilisations to a fixpoint.',
  run: (func) => {
    let out = func;
    for (let i = 0; i < MAX_SWEEPS; i++) {
      const next = sweep(out, i);
      if (next === out) break;
      out = next;
    }
    return eachBody(out, (body) => simplifyPass.run(body));
  },
};

function sweep(func: Func, turn: number): Func {
  const edit = new FuncEdit(func);
  const view: View = {
    node: (ref) => func.nodes[edit.resolve(ref).node] ?? edit.node(edit.resolve(ref).node),
    splat: (ref) =>
      splatOf(edit.node(edit.resolve(ref).node), (r) => edit.node(edit.resolve(r).node)),
    sameType: (ref, node) => {
      const r = edit.resolve(ref);
      const t = edit.node(r.node).types[r.port];
      const own = node.types[0];
      return (
        t.dtype === own.dtype &&
        t.shape !== null &&
        own.shape !== null &&
        t.shape.length === own.shape.length &&
        t.shape.every((d, i) => dimEquals(d, (own.shape as readonly Dim[])[i]))
      );
    },
  };
  for (const id of liveNodes(func)) {
    const node = func.nodes[id];
    if (node.controls.length > 0 || (opRecord(node.op).effect ?? 'none') !== 'none') continue;
    for (const rule of BY_OP.get(node.op) ?? []) {
      const to = rule.apply(node, view);
      if (!to) continue;
      if ('node' in to) edit.redirect({ node: id, port: 0 }, edit.resolve(to));
      else {
        const scope = `${node.name}/s${turn}`;
        const [made] = buildInto(
          edit,
          scope,
          to.inputs.map((r) => edit.resolve(r)),
          node,
          (inputs) => [to.make(inputs)],
        );
        edit.redirect({ node: id, port: 0 }, made);
      }
      break;
    }
  }
  return edit.apply().func;
}

/** The number that all elements equal, through views. */
function splatOf(node: Node, at: (ref: Ref) => Node): number | undefined {
  let n = node;
  while (opRecord(n.op).form.kind === 'view') n = at(n.inputs[0]);
  if (n.op !== 'const') return undefined;
  const data = n.attrs.data as TypedArray;
  if (data.length === 0) return undefined;
  for (let i = 1; i < data.length; i++) if (data[i] !== data[0]) return undefined;
  return toNumbers(n.types[0].dtype, data.subarray(0, 1))[0];
}
