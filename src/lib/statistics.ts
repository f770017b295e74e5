// Statistics over axes that are compositions of reductions: fusion makes one kernel of each where the
// reduced axes are the last ones. Owns no records.

import { checkList, checkOptions, isRecord } from '../core/options.ts';
import type { Tensor } from '../graph/tensor.ts';
import { stopGradient } from '../ops/basic.ts';
import { select } from '../ops/compare.ts';
import { inGraphOf, named, type OpOptions, type TensorLike, toTensor } from '../ops/convert.ts';
import { add, exp, log, sqrt, sub } from '../ops/math.ts';
import { isFinite as finite } from '../ops/math-float.ts';
import {
  REDUCE_OPTIONS,
  type ReduceOptions,
  reduceMax,
  reduceMean,
  reduceSum,
} from '../ops/reduce.ts';
import { squeeze } from '../ops/shape.ts';
import { reduceVariance } from '../ops/variance.ts';

/** Mean and variance of the same elements. */
export interface Moments {
  readonly mean: Tensor;
  readonly variance: Tensor;
}

/** Options of `moments`. */
export interface MomentsOptions extends OpOptions {
  /** Keep the reduced axes with size 1. */
  readonly keepDims?: boolean;
  /** Accepted for TensorFlow's sake: two passes need no shift, so it changes no result. */
  readonly shift?: TensorLike | null;
}

const MOMENTS_OPTIONS: readonly (keyof MomentsOptions)[] = ['keepDims', 'shift', 'name'];

/**
 * The mean and the biased variance of x over `axes` (a number, several, or null for all), in two
 * passes. Of int32 both stay int32, and their divisions truncate toward zero.
 *
 * @example
 * const { mean, variance } = tl.nn.moments([[1, 2], [3, 4], [5, 6]], 0); // [3, 4], [2.6667, 2.6667]
 */
export function moments(
  x: TensorLike,
  axes: number | readonly number[] | null,
  options: MomentsOptions = {},
): Moments {
  checkOptions('moments', options, MOMENTS_OPTIONS);
  if (isRecord(axes)) checkList('moments: axes', axes);
  return inGraphOf([x], () => {
    const t = toTensor(x);
    const { keepDims = false, name } = options;
    const part = (of: string): OpOptions => (name === undefined ? {} : { name: `${name}/${of}` });
    return {
      mean: reduceMean(t, { axis: axes, keepDims, ...part('mean') }),
      variance: reduceVariance(t, { axis: axes, keepDims, ...part('variance') }),
    };
  });
}

/** The standard deviation over axes (all by default): the root of the biased variance. */
export function reduceStd(x: TensorLike, options: ReduceOptions = {}): Tensor {
  checkOptions('reduceStd', options, REDUCE_OPTIONS);
  const { name, ...over } = options;
  return inGraphOf([x], () => sqrt(reduceVariance(x, over), named(options)));
}

/** The logarithm of the sum of exponentials over axes (all by default), without overflow. */
export function reduceLogSumExp(x: TensorLike, options: ReduceOptions = {}): Tensor {
  checkOptions('reduceLogSumExp', options, REDUCE_OPTIONS);
  return inGraphOf([x], () => {
    const t = toTensor(x);
    const { axis = null, keepDims = false } = options;
    const top = reduceMax(t, { axis, keepDims: true });
    // Infinite elements are no distance from which to count, and the shift is no part of the slope.
    const shift = stopGradient(select(finite(top), top, 0));
    const sums = reduceSum(exp(sub(t, shift)), { axis, keepDims: true });
    const out = add(log(sums), shift);
    if (keepDims) return add(out, 0, named(options));
    const axes = axis === null ? {} : { axis };
    return squeeze(out, { ...(axis === null ? allAxes(t) : axes), ...named(options) });
  });
}

function allAxes(t: Tensor): { axis: number[] } {
  return { axis: Array.from({ length: t.rank as number }, (_, i) => i) };
}
