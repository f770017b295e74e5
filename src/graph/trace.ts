// Functions traced from callbacks: bodies of loops and branches, and their copies back into a graph.
// A body's parameters are its own, then the tensors it captured from around it.

import type { TensorType } from '../core/type.ts';
import { rejectAsync, withGraph } from './current.ts';
import type { Attrs, Func, Node } from './func.ts';
import { Graph, getDefaultGraph } from './graph.ts';
import { bodiesFor } from './infer.ts';
import { opRecord } from './op.ts';
import type { Operation, Tensor } from './tensor.ts';
import { refKey, visit } from './walk.ts';

/** A traced body and the tensors of the enclosing graph that its trailing params stand for. */
export interface Traced {
  readonly func: Func;
  readonly captured: readonly Tensor[];
}

/**
 * Traces `fn` (synchronous) with fresh parameters of the given types. What it writes or checks
 * happens each time the body runs.
 */
export function traceBody(
  name: string,
  params: readonly TensorType[],
  fn: (...params: Tensor[]) => readonly Tensor[],
): Traced {
  const body = new Graph({ parent: getDefaultGraph(), scope: name });
  const own = params.map((type, i) => body.param(type, `arg${i}`));
  return withGraph(body, () => {
    const results = rejectAsync(name, fn(...own)).map((t) =>
      t.graph === body ? t : body.capture(t),
    );
    const func: Func = Object.freeze({
      name,
      params: Object.freeze([...body.params]),
      captured: body.captured.length,
      nodes: Object.freeze([...body.nodes]),
      results: Object.freeze(results.map((t) => t.ref)),
      effects: Object.freeze(body.nodes.filter(hasOwnEffect).map((n) => n.id)),
    });
    return { func, captured: body.captured };
  });
}

function hasOwnEffect(node: Node): boolean {
  const { effect } = opRecord(node.op);
  return effect === 'write' || effect === 'check' || effect === 'host';
}

/** Gives several bodies of one node the union of their captures as trailing params. */
export function alignCaptures(traced: readonly Traced[]): { funcs: Func[]; captured: Tensor[] } {
  const captured: Tensor[] = [];
  const at = new Map<string, number>();
  for (const { captured: list } of traced) {
    for (const t of list) {
      const key = refKey(t.ref);
      if (at.has(key)) continue;
      at.set(key, captured.length);
      captured.push(t);
    }
  }
  const funcs = traced.map(({ func, captured: own }) => {
    const keys = new Map(own.map((t, i) => [refKey(t.ref), i]));
    const count = func.params.length - own.length;
    const nodes = [...func.nodes];
    const params = func.params.slice(0, count);
    captured.forEach((t, i) => {
      const index = count + i;
      const old = keys.get(refKey(t.ref));
      if (old !== undefined) {
        const id = func.params[count + old];
        nodes[id] = Object.freeze({ ...nodes[id], attrs: { ...nodes[id].attrs, index } });
        params.push(id);
        return;
      }
      const id = nodes.length;
      nodes.push(paramNode(id, `${func.name}/unused${i}`, index, t));
      params.push(id);
    });
    return Object.freeze({ ...func, nodes, params, captured: captured.length });
  });
  return { funcs, captured };
}

function paramNode(id: number, name: string, index: number, t: Tensor): Node {
  return Object.freeze({
    id,
    op: 'param',
    name,
    inputs: [],
    controls: [],
    attrs: { index, type: t.type, value: t.value } as unknown as Attrs,
    types: [t.type],
    values: [t.value],
    constraints: [],
  });
}

/**
 * Copies the nodes of a function that its results need into the current graph, inferred anew for
 * `args`, and returns the results. Effects are not repeated. `given` holds values (by `node:port`)
 * that are known already and so are not computed again.
 */
export function inlineFunc(
  func: Func,
  args: readonly Tensor[],
  given: ReadonlyMap<string, Tensor> = new Map(),
): Tensor[] {
  const graph = getDefaultGraph();
  const copies = new Map<number, Operation | Tensor>();
  func.params.forEach((id, i) => copies.set(id, args[i]));
  const outputOf = (ref: { node: number; port: number }): Tensor => {
    const known = given.get(refKey(ref));
    if (known) return known;
    const copy = copies.get(ref.node) as Operation | Tensor;
    return 'output' in copy ? copy.output(ref.port) : copy;
  };
  const replaced = new Set([...given.keys()].map((k) => Number(k.slice(0, k.indexOf(':')))));
  const whole = (id: number): boolean =>
    replaced.has(id) && func.nodes[id].types.every((_, port) => given.has(`${id}:${port}`));
  const nodes = func.nodes.map((n) => (whole(n.id) ? { ...n, inputs: [], controls: [] } : n));
  const roots = func.results.map((r) => r.node);
  for (const id of visit(nodes, roots)) {
    if (copies.has(id) || whole(id)) continue;
    const node = func.nodes[id];
    const inputs = node.inputs.map(outputOf);
    const controls = node.controls
      .map((c) => copies.get(c))
      .filter((c) => c !== undefined)
      .map((c) => ('output' in c ? c : c.op));
    const known = inputs.map((t) => ({ type: t.type, value: t.value }));
    const name = node.name.slice(node.name.lastIndexOf('/') + 1);
    copies.set(id, graph.add(node.op, inputs, bodiesFor(node, known), { name, controls }));
  }
  return func.results.map(outputOf);
}
