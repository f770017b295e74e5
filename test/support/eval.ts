// Evaluates tensors of a graph straight from its nodes, by the references of their records and with
// floats in float64, so that finite differences are exact enough to judge gradients by. It goes
// through no pass, plan or backend; effects (writes, host calls) are none of its business.

import { dtypeInfo, isFloat } from '../../src/core/dtype.ts';
import { type HostTensor, sizeOf } from '../../src/core/ndarray.ts';
import type { Func, Node, Ref } from '../../src/graph/func.ts';
import { Graph } from '../../src/graph/graph.ts';
import { opRecord, type ReferenceContext } from '../../src/graph/op.ts';
import type { Tensor } from '../../src/graph/tensor.ts';
import { refKey, visit } from '../../src/graph/walk.ts';

/** The values of `fetches`, of one graph. A feed replaces a tensor, whatever computes it. */
export function evalTensors(
  fetches: readonly Tensor[],
  feeds: ReadonlyMap<Tensor, HostTensor> = new Map(),
  variables: ReadonlyMap<string, HostTensor> = new Map(),
): HostTensor[] {
  const given = new Map([...feeds].map(([t, v]) => [refKey(t.ref), exact(v)]));
  const { nodes } = fetches[0].graph;
  return evalNodes(
    nodes,
    fetches.map((t) => t.ref),
    given,
    { variables, iteration: 0 },
  );
}

/** A float32 value with float64 storage. */
export function host(values: readonly number[], shape: readonly number[] = []): HostTensor {
  return { dtype: 'float32', shape, data: Float64Array.from(values) };
}

interface Place {
  readonly variables: ReadonlyMap<string, HostTensor>;
  readonly iteration: number;
}

function exact(v: HostTensor): HostTensor {
  return isFloat(v.dtype) ? { ...v, data: Float64Array.from(v.data) } : v;
}

function alloc(dtype: HostTensor['dtype'], size: number): HostTensor['data'] {
  return isFloat(dtype) ? new Float64Array(size) : dtypeInfo(dtype).alloc(size);
}

function evalNodes(
  nodes: readonly Node[],
  results: readonly Ref[],
  values: Map<string, HostTensor>,
  place: Place,
): HostTensor[] {
  const open = nodes.map((n) =>
    n.types.length > 0 && n.types.every((_, port) => values.has(`${n.id}:${port}`))
      ? { ...n, inputs: [], controls: [] }
      : n,
  );
  const take = (r: Ref): HostTensor => {
    const v = values.get(refKey(r));
    if (!v) throw new Error(`"${nodes[r.node].name}:${r.port}" has no value: feed it`);
    return v;
  };
  const order = visit(
    open,
    results.map((r) => r.node),
  );
  for (const id of order) {
    const node = open[id];
    if (node.types.every((_, port) => values.has(`${id}:${port}`))) continue;
    evalNode(node, node.inputs.map(take), place).forEach((v, port) => {
      const key = `${id}:${port}`;
      if (!values.has(key)) values.set(key, v);
    });
  }
  return results.map(take);
}

function evalFunc(func: Func, args: readonly HostTensor[], place: Place): HostTensor[] {
  const given = new Map(func.params.map((id, i) => [`${id}:0`, args[i]]));
  return evalNodes(func.nodes, func.results, given, place);
}

function evalNode(node: Node, inputs: readonly HostTensor[], place: Place): readonly HostTensor[] {
  const record = opRecord(node.op);
  const { form } = record;
  if (form.kind === 'loop') return evalLoop(node, inputs, place);
  if (form.kind === 'branch') return evalBranch(node, inputs, place);
  if (form.kind === 'readVariable') {
    const v = place.variables.get(node.attrs.variable as string);
    if (!v) throw new Error(`the variable "${node.attrs.variable}" has no value`);
    return [exact(v)];
  }
  if (record.reference) {
    const context: ReferenceContext = { alloc, run: 0, iteration: place.iteration };
    return record.reference(context, inputs, node.attrs).map(exact);
  }
  if (form.kind !== 'expand') throw new Error(`"${node.name}" (${node.op}) can not be evaluated`);
  // The composition is made in a graph of its own, for the sizes at hand.
  const graph = new Graph();
  const params = inputs.map((v, i) =>
    graph.param(
      { dtype: v.dtype, shape: v.shape },
      `arg${i}`,
      v.dtype === 'int32' && v.data.length <= 64 ? Array.from(v.data) : null,
    ),
  );
  const made = graph.asDefault(() => form.expand(params, node.attrs));
  const given = new Map(params.map((p, i) => [refKey(p.ref), inputs[i]]));
  const refs = made.map((t) => t.ref);
  return evalNodes(graph.nodes, refs, given, place);
}

function evalBranch(node: Node, [selector, ...captured]: readonly HostTensor[], place: Place) {
  const branches = node.attrs.branches as readonly Func[];
  const v = selector.data[0];
  const at = selector.dtype === 'bool' ? (v !== 0 ? 0 : 1) : v;
  return evalFunc(branches[at] ?? branches[branches.length - 1], captured, place);
}

function evalLoop(node: Node, inputs: readonly HostTensor[], place: Place): HostTensor[] {
  const nc = node.attrs.carries as number;
  const nx = node.attrs.xs as number;
  const body = node.attrs.body as Func;
  const cond = node.attrs.cond as Func | null;
  let carries = inputs.slice(0, nc);
  const xs = inputs.slice(nc, nc + nx);
  const captured = inputs.slice(nc + nx);
  const most = (node.attrs.maxTrip as number | null) ?? Number.POSITIVE_INFINITY;
  const limit = Math.min(most, ...xs.map((x) => x.shape[0]));
  const turns: (readonly HostTensor[])[] = [];
  for (let k = 0; k < limit; k++) {
    const position = node.attrs.reverse ? limit - 1 - k : k;
    const t: HostTensor = { dtype: 'int32', shape: [], data: Int32Array.of(position) };
    const inside = { ...place, iteration: k };
    if (cond && evalFunc(cond, [t, ...carries, ...captured], inside)[0].data[0] === 0) break;
    const slices = xs.map((x) => sliceAt(x, position));
    const out = evalFunc(body, [t, ...carries, ...slices, ...captured], inside);
    carries = out.slice(0, nc);
    turns.push(out.slice(nc));
  }
  if (node.attrs.reverse) turns.reverse();
  const ys = node.types.slice(nc).map((type, i): HostTensor => {
    const record = turns[0]?.[i].shape ?? (type.shape as readonly number[]).slice(1);
    const size = sizeOf(record);
    const data = alloc(type.dtype, turns.length * size);
    turns.forEach((turn, k) => data.set(turn[i].data, k * size));
    return { dtype: type.dtype, shape: [turns.length, ...record], data };
  });
  return [...carries, ...ys];
}

function sliceAt(x: HostTensor, at: number): HostTensor {
  const shape = x.shape.slice(1);
  const size = sizeOf(shape);
  return { dtype: x.dtype, shape, data: x.data.slice(at * size, (at + 1) * size) };
}

/** The derivative of the sum of `y` by each element of `x`, by central differences. */
export function numericGradient(
  y: Tensor,
  x: Tensor,
  feeds: ReadonlyMap<Tensor, HostTensor>,
  step = 1e-5,
): number[] {
  const base = feeds.get(x) as HostTensor;
  const at = (i: number, by: number): number => {
    const data = Float64Array.from(base.data);
    data[i] += by;
    const moved = new Map(feeds).set(x, { ...base, data: data });
    const [v] = evalTensors([y], moved);
    return Array.from(v.data).reduce((a, b) => a + b, 0);
  };
  return Array.from(base.data, (_, i) => (at(i, step) - at(i, -step)) / (2 * step));
}
