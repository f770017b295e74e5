// What ops share whose output elements are input elements: their reference follows from where each
// element comes from, and so do the symbolic contents of small tensors of sizes.

import type { Dim } from '../core/dim.ts';
import type { HostTensor } from '../core/ndarray.ts';
import { sizeOf } from '../core/ndarray.ts';
import type { InferContext, ReferenceContext } from '../graph/op.ts';
import { forEachIndex, linear, staticShape, tracksValues } from './rules.ts';

/** The host value whose element at each index is `x` at `source(index)`. */
export function moveHost(
  ctx: ReferenceContext,
  x: HostTensor,
  shape: readonly number[],
  source: (index: readonly number[]) => readonly number[],
): HostTensor {
  const data = ctx.alloc(x.dtype, sizeOf(shape));
  forEachIndex(shape, (index, i) => {
    data[i] = x.data[linear(source(index), x.shape)];
  });
  return { dtype: x.dtype, shape, data };
}

/** Symbolic contents that are those of input 0 in another order; null where they are unknown. */
export function moveValues(
  ctx: InferContext,
  shape: readonly Dim[],
  source: (index: readonly number[]) => readonly number[],
): readonly Dim[] | null {
  const [value] = ctx.values;
  const out = staticShape(shape);
  const from = staticShape(ctx.types[0].shape);
  if (value === null || !out || !from || !tracksValues({ dtype: 'int32', shape: out })) return null;
  const result: Dim[] = new Array(sizeOf(out));
  forEachIndex(out, (index, i) => {
    result[i] = value[linear(source(index), from)];
  });
  return result;
}
