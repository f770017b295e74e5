// Statistics over axes that are compositions of reductions: fusion makes one kernel of each where the
// reduced axes are the last ones. Owns no records.

import type { Tensor } from '../graph/tensor.ts';
import { stopGradient } from '../ops/basic.ts';
import { select } from '../ops/compare.ts';
import { inGraphOf, type OpOptions, type TensorLike, toTensor } from '../ops/convert.ts';
import { add, exp, log, sqrt, sub } from '../ops/math.ts';
import { isFinite as finite } from '../ops/math-float.ts';
import { type ReduceOptions, reduceMax, reduceMean, reduceSum } from '../ops/reduce.ts';
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
  return inGraphOf([x], () => {
    const t = toTensor(x);
    const { keepDims = false, name } = options;
    const named = (part: string): OpOptions =>
      name === undefined ? {} : { name: `${name}/${part}` };
    return {
      mean: reduceMean(t, { axis: axes, keepDims, ...named('mean') }),
      variance: reduceVariance(t, { axis: axes, keepDims, ...named('variance') }),
    };
  });
}

/** The standard deviation over axes (all by default): the root of the biased variance. */
export function reduceStd(x: TensorLike, options: ReduceOptions = {}): Tensor {
  const { name, ...reduce } = options;
  return inGraphOf([x], () => sqrt(reduceVariance(x, reduce), name === undefined ? {} : { name }));
}

/** The logarithm of the sum of exponentials over axes (all by default), without overflow. */
export function reduceLogSumExp(x: TensorLike, options: ReduceOptions = {}): Tensor {
  return inGraphOf([x], () => {
    const t = toTensor(x);
    const { axis = null, keepDims = false, name } = options;
    const top = reduceMax(t, { axis, keepDims: true });
    // Infinite elements are no distance from which to count, and the shift is no part of the slope.
    const shift = stopGradient(select(finite(top), top, 0));
    const sums = reduceSum(exp(sub(t, shift)), { axis, keepDims: true });
    const out = add(log(sums), shift);
    const named = name === undefined ? {} : { name };
    if (keepDims) return add(out, 0, named);
    const axes = axis === null ? {} : { axis };
    return squeeze(out, { ...(axis === null ? allAxes(t) : axes), ...named });
  });
}

function allAxes(t: Tensor): { axis: number[] } {
  return { axis: Array.from({ length: t.rank as number }, (_, i) => i) };
}
