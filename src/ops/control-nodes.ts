// Builds the nodes of control flow: traces callbacks to functions and adds a loop or branch over them.
// What users write, and gradients of loops and branches, both come through here.

import type { TensorType } from '../core/type.ts';
import type { Attrs } from '../graph/func.ts';
import { getDefaultGraph } from '../graph/graph.ts';
import type { Tensor } from '../graph/tensor.ts';
import { alignCaptures, traceBody } from '../graph/trace.ts';

/** Adds a loop node over traced functions. */
export function loopNode(
  name: string,
  inputs: { readonly carries: readonly Tensor[]; readonly xs: readonly Tensor[] },
  body: (
    t: Tensor,
    carries: readonly Tensor[],
    xs: readonly Tensor[],
  ) => { carries: readonly Tensor[]; ys: readonly Tensor[] },
  options: {
    readonly cond?: (t: Tensor, carries: readonly Tensor[]) => Tensor;
    readonly maxTrip?: number | null;
    readonly reverse?: boolean;
  } = {},
): { carries: Tensor[]; ys: Tensor[] } {
  const graph = getDefaultGraph();
  const { carries, xs } = inputs;
  const scope = graph.uniqueName(graph.scopedName(`${name}/body`));
  const position: TensorType = { dtype: 'int32', shape: [] };
  const held = carries.map((c) => c.type);
  const slices = xs.map((x): TensorType => ({ dtype: x.dtype, shape: x.shape?.slice(1) ?? null }));
  const traced = [
    traceBody(scope, [position, ...held, ...slices], (t, ...rest) => {
      const out = body(t, rest.slice(0, carries.length), rest.slice(carries.length));
      return [...out.carries, ...out.ys];
    }),
  ];
  const { cond } = options;
  if (cond) {
    const condScope = graph.uniqueName(graph.scopedName(`${name}/cond`));
    traced.push(traceBody(condScope, [position, ...held], (t, ...rest) => [cond(t, rest)]));
  }
  const { funcs, captured } = alignCaptures(traced);
  const attrs = {
    carries: carries.length,
    xs: xs.length,
    captured: captured.length,
    body: funcs[0],
    cond: funcs[1] ?? null,
    maxTrip: options.maxTrip ?? null,
    reverse: options.reverse ?? false,
  } as unknown as Attrs;
  const op = graph.add('loop', [...carries, ...xs, ...captured], attrs, { name });
  const outputs = op.outputs;
  return { carries: outputs.slice(0, carries.length), ys: outputs.slice(carries.length) };
}

/** Adds a branch node over traced functions. */
export function branchNode(
  name: string,
  selector: Tensor,
  branches: readonly (() => readonly Tensor[])[],
): Tensor[] {
  const graph = getDefaultGraph();
  const traced = branches.map((fn, i) => {
    const scope = graph.uniqueName(graph.scopedName(`${name}/branch${i}`));
    return traceBody(scope, [], fn);
  });
  const { funcs, captured } = alignCaptures(traced);
  const attrs = { branches: funcs } as unknown as Attrs;
  return graph.add('cond', [selector, ...captured], attrs, { name }).outputs;
}
