// Normalisations and activations that are compositions of ops. Owns no records; fusion makes one
// kernel of a normalisation over the last axes.

import type { Tensor } from '../graph/tensor.ts';
import { inGraphOf, type OpOptions, type TensorLike, toTensor } from '../ops/convert.ts';
import { add, maximum, mul, square, sub, tanh } from '../ops/math.ts';
import { erf, rsqrt } from '../ops/math-float.ts';
import { reduceSum } from '../ops/reduce.ts';
import { moments } from './statistics.ts';

/** Options of `layerNorm`. */
export interface LayerNormOptions extends OpOptions {
  /** What the normalised value is multiplied by; broadcasts to x. */
  readonly scale?: TensorLike;
  /** What is added at last; broadcasts to x. */
  readonly offset?: TensorLike;
  /** The axes that are normalised together; the last by default. */
  readonly axis?: number | readonly number[];
  /** Added to the variance (1e-5). */
  readonly epsilon?: number;
}

/** x minus its mean over the deviation, along the last axis or others, then scaled and offset. */
export function layerNorm(x: TensorLike, options: LayerNormOptions = {}): Tensor {
  const { scale, offset, axis = -1, epsilon = 1e-5, name } = options;
  return inGraphOf([x, scale, offset], () => {
    const t = toTensor(x);
    const named = name === undefined ? {} : { name };
    const { mean, variance } = moments(t, axis, { keepDims: true });
    const inverse = rsqrt(add(variance, epsilon));
    const centred = sub(t, mean);
    if (scale === undefined && offset === undefined) return mul(centred, inverse, named);
    const unit = mul(centred, inverse);
    if (offset === undefined) return mul(unit, scale as TensorLike, named);
    return add(scale === undefined ? unit : mul(unit, scale), offset, named);
  });
}

/** x over its Euclidean length along axes (the last by default), which counts as at least `epsilon`'s root. */
export function l2Normalize(
  x: TensorLike,
  options: OpOptions & {
    readonly axis?: number | readonly number[] | null;
    readonly epsilon?: number;
  } = {},
): Tensor {
  const { axis = -1, epsilon = 1e-12, name } = options;
  return inGraphOf([x], () => {
    const t = toTensor(x);
    const squares = reduceSum(square(t), { axis, keepDims: true });
    return mul(t, rsqrt(maximum(squares, epsilon)), name === undefined ? {} : { name });
  });
}

/**
 * The Gaussian error linear unit: x times the probability that a normal variate lies below it.
 * `approximate` takes the form with tanh instead of the error function.
 */
export function gelu(
  x: TensorLike,
  options: OpOptions & { readonly approximate?: boolean } = {},
): Tensor {
  const { approximate = false, name } = options;
  return inGraphOf([x], () => {
    const t = toTensor(x);
    const named = name === undefined ? {} : { name };
    const half = mul(t, 0.5);
    if (!approximate) return mul(half, add(erf(mul(t, Math.SQRT1_2)), 1), named);
    const inner = mul(add(mul(mul(square(t), t), 0.044715), t), Math.sqrt(2 / Math.PI));
    return mul(half, add(tanh(inner), 1), named);
  });
}
