// The type of a tensor: dtype and shape. A shape is a list of dims, or null where not even the rank
// is known. Row-major contiguous layout is the only layout a materialised tensor has.

import { addDim, type Dim, dimEquals, mulDim } from './dim.ts';
import { dimToString, sizeToString } from './dim-text.ts';
import type { DType } from './dtype.ts';
import { ShapeError } from './error.ts';

/** A list of dims, outermost first. */
export type Dims = readonly Dim[];

/** What is known of a tensor before it is computed. */
export interface TensorType {
  readonly dtype: DType;
  /** `null` where the rank is unknown. */
  readonly shape: Dims | null;
}

/** Makes a frozen tensor type. */
export function tensorType(dtype: DType, shape: Dims | null): TensorType {
  return Object.freeze({ dtype, shape: shape === null ? null : Object.freeze([...shape]) });
}

/** Whether two shapes are equal for all values of their symbols. */
export function shapeEquals(a: Dims | null, b: Dims | null): boolean {
  if (a === null || b === null) return a === b;
  return a.length === b.length && a.every((d, i) => dimEquals(d, b[i]));
}

/** Whether two tensor types are equal. */
export function typeEquals(a: TensorType, b: TensorType): boolean {
  return a.dtype === b.dtype && shapeEquals(a.shape, b.shape);
}

/** `(?, 10)`, or `<unknown>` for an unknown rank. */
export function shapeToString(shape: Dims | null): string {
  return shape === null ? '<unknown>' : `(${shape.map(sizeToString).join(', ')})`;
}

/** `float32[batch, 64]`, the form used in errors and dumps. */
export function typeToString(type: TensorType): string {
  const dims = type.shape === null ? '...' : type.shape.map(dimToString).join(', ');
  return `${type.dtype}[${dims}]`;
}

/** Row-major strides of a shape, in elements. */
export function rowMajorStrides(shape: Dims): Dim[] {
  const out: Dim[] = new Array(shape.length);
  let stride: Dim = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    out[i] = stride;
    stride = mulDim(stride, shape[i]);
  }
  return out;
}

/** The row-major linear index of a position. */
export function linearIndex(index: readonly Dim[], shape: Dims): Dim {
  const strides = rowMajorStrides(shape);
  return index.reduce<Dim>((sum, x, i) => addDim(sum, mulDim(x, strides[i])), 0);
}

/** Resolves a possibly negative axis against a rank. */
export function resolveAxis(axis: number, rank: number, what = 'axis'): number {
  const out = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || out < 0 || out >= rank) {
    throw new ShapeError(
      'shape/axis',
      `${what} ${axis} does not exist in a tensor of rank ${rank}. ` +
        `Use an integer from ${-rank} to ${rank - 1}.`,
    );
  }
  return out;
}

/** Resolves a list of axes, sorted ascending; `null` means all. Duplicates are an error. */
export function resolveAxes(axes: readonly number[] | null, rank: number): number[] {
  if (axes === null) return Array.from({ length: rank }, (_, i) => i);
  const out = axes.map((a) => resolveAxis(a, rank)).sort((a, b) => a - b);
  if (new Set(out).size !== out.length) {
    throw new ShapeError('shape/axis', `axes [${axes}] name one axis twice. Name each once.`);
  }
  return out;
}
