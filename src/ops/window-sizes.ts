// The arithmetic of windows: how many fit, and what padding they ask for. One set of formulas serves
// inference (on dims) and composition (on numbers and int32 scalars, which fold where they are known).

import { addDim, type Dim, floorDiv as floorDivDim, maxDim, mulDim } from '../core/dim.ts';
import { ShapeError } from '../core/error.ts';
import { getDefaultGraph } from '../graph/graph.ts';
import type { Tensor } from '../graph/tensor.ts';
import { constantOf, toTensor } from './convert.ts';
import { add, maximum, mul } from './math.ts';
import { shape as shapeOf, size as sizeAlong, squeeze } from './shape.ts';
import { asSize, shapeTensor } from './sizes.ts';
import { padTo, slice } from './slicing.ts';

/** A size in a composition: a number, or an int32 scalar. */
export type Size = number | Tensor;

/** What is added around each spatial axis: as TensorFlow names it, or [before, after] per axis. */
export type Padding = 'SAME' | 'VALID' | readonly (readonly [number, number])[];

/** Windows along the spatial axes: their steps, the steps within them, and the padding around. */
export type Steps = {
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly padding: Padding;
};

/** Integers of some representation. */
interface Algebra<T> {
  add(a: T, b: T): T;
  mul(a: T, b: T): T;
  /** Floor division. */
  div(a: T, b: T): T;
  max(a: T, b: T): T;
  of(n: number): T;
}

export const DIMS: Algebra<Dim> = {
  add: addDim,
  mul: mulDim,
  div: floorDivDim,
  max: maxDim,
  of: (n) => n,
};

/** A scalar as a number where its contents are one. */
function settle(t: Tensor): Size {
  const v = t.value?.[0];
  return typeof v === 'number' ? v : t;
}

function onSizes(op: (a: Tensor, b: Tensor) => Tensor, fold: (a: number, b: number) => number) {
  return (a: Size, b: Size): Size =>
    typeof a === 'number' && typeof b === 'number'
      ? fold(a, b)
      : settle(op(toTensor(a, 'int32'), toTensor(b, 'int32')));
}

const divide = (a: Tensor, b: Tensor): Tensor =>
  getDefaultGraph().add('floorDiv', [a, b], {}).output();

export const SIZES: Algebra<Size> = {
  add: onSizes(add, (a, b) => a + b),
  mul: onSizes(mul, (a, b) => a * b),
  div: onSizes(divide, (a, b) => Math.floor(a / b)),
  max: onSizes(maximum, Math.max),
  of: (n) => n,
};

function sub<T>(al: Algebra<T>, a: T, b: T): T {
  return al.add(a, al.mul(b, al.of(-1)));
}

/** How many elements a window spans. */
export function spanOf<T>(al: Algebra<T>, window: T, dilation: number): T {
  return al.add(al.mul(sub(al, window, al.of(1)), al.of(dilation)), al.of(1));
}

/** The number of windows along spatial axis `i`. */
export function countAlong<T>(al: Algebra<T>, input: T, window: T, steps: Steps, i: number): T {
  const stride = steps.strides[i];
  if (steps.padding === 'SAME') {
    return al.div(al.add(input, al.of(stride - 1)), al.of(stride));
  }
  const extra = steps.padding === 'VALID' ? 0 : steps.padding[i][0] + steps.padding[i][1];
  const room = sub(al, al.add(input, al.of(extra)), spanOf(al, window, steps.dilations[i]));
  return al.max(al.add(al.div(room, al.of(stride)), al.of(1)), al.of(0));
}

/** What is added before and after spatial axis `i`: TensorFlow's rule, what is odd at the end. */
export function paddingAlong<T>(
  al: Algebra<T>,
  input: T,
  window: T,
  steps: Steps,
  i: number,
): { readonly before: T; readonly after: T } {
  if (steps.padding === 'VALID') return { before: al.of(0), after: al.of(0) };
  if (steps.padding !== 'SAME') {
    return { before: al.of(steps.padding[i][0]), after: al.of(steps.padding[i][1]) };
  }
  const stride = steps.strides[i];
  const span = spanOf(al, window, steps.dilations[i]);
  let total: T;
  if (stride === 1) total = sub(al, span, al.of(1));
  else {
    const last = al.add(countAlong(al, input, window, steps, i), al.of(-1));
    total = al.max(sub(al, al.add(al.mul(last, al.of(stride)), span), input), al.of(0));
  }
  const before = al.div(total, al.of(2));
  return { before, after: sub(al, total, before) };
}

/** The number of windows for inference; throws where a known input has room for less than none. */
export function inferCount(input: Dim, window: Dim, steps: Steps, i: number): Dim {
  if (window === 0) {
    throw new ShapeError(
      'shape/window',
      `the window has no elements along spatial axis ${i}. Give it at least one.`,
    );
  }
  if (steps.padding !== 'SAME' && typeof input === 'number' && typeof window === 'number') {
    const extra = steps.padding === 'VALID' ? 0 : steps.padding[i][0] + steps.padding[i][1];
    const span = (window - 1) * steps.dilations[i] + 1;
    if (Math.trunc((input + extra - span + steps.strides[i]) / steps.strides[i]) < 0) {
      throw new ShapeError(
        'shape/window',
        `a window that spans ${span} elements does not fit into ` +
          `${input + extra} along spatial axis ${i}. Use a smaller window, or padding 'SAME'.`,
      );
    }
  }
  return countAlong(DIMS, input, window, steps, i);
}

/** The size of x along an axis, as a number where it is known. */
export function sizeAt(x: Tensor, axis: number): Size {
  const d = x.shape?.[axis];
  return typeof d === 'number' ? d : settle(sizeAlong(x, { axis }));
}

/** The sizes of x along some axes. */
export function sizesAt(x: Tensor, axes: readonly number[]): Size[] {
  return axes.map((a) => sizeAt(x, a));
}

/** All sizes of x, whose rank is known. */
export function sizesOf(x: Tensor): Size[] {
  return sizesAt(
    x,
    Array.from({ length: x.rank as number }, (_, i) => i),
  );
}

/** The elements of an int32 vector of known length. */
export function elementsOf(vector: Tensor): Size[] {
  return Array.from({ length: vector.shape?.[0] as number }, (_, i) => {
    const v = vector.value?.[i];
    if (typeof v === 'number') return v;
    return asSize(squeeze(slice(vector, [i], [1]), { axis: 0 }));
  });
}

/** Sizes as an int32 vector. */
export function vectorOf(sizes: readonly Size[]): Tensor {
  return sizes.every((s) => typeof s === 'number')
    ? constantOf(Int32Array.from(sizes as number[]), 'int32')
    : shapeTensor(sizes);
}

/** A vector with an entry for each axis of a tensor of `rank`: `values` on some axes, else 0. */
function onAxes(rank: number, axes: readonly number[], values: readonly Size[]): Tensor {
  const all = new Array<Size>(rank).fill(0);
  axes.forEach((a, i) => {
    all[a] = values[i];
  });
  return vectorOf(all);
}

/**
 * x with `before` and `after` more elements of `value` along some axes; negative counts take elements
 * away. x itself where all are known to be 0.
 */
export function padAxes(
  x: Tensor,
  rank: number,
  axes: readonly number[],
  before: readonly Size[],
  after: readonly Size[],
  value = 0,
): Tensor {
  if ([...before, ...after].every((n) => n === 0)) return x;
  const grow = before.map((b, i) => SIZES.add(b, after[i]));
  const shape = add(shapeOf(x), onAxes(rank, axes, grow));
  return padTo(x, onAxes(rank, axes, before), shape, value);
}

/** The part of x from `before` along some axes that has the shape of `like`. */
export function cropAxes(
  x: Tensor,
  rank: number,
  axes: readonly number[],
  before: readonly Size[],
  shape: Tensor,
): Tensor {
  return slice(x, onAxes(rank, axes, before), shape);
}
