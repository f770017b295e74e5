// Normalisations and activations that are compositions of ops. Owns no records; fusion makes one
// kernel of a normalisation over the last axes.

import { checkOptions } from '../core/options.ts';
import type { Tensor } from '../graph/tensor.ts';
import { inGraphOf, named, type OpOptions, type TensorLike, toTensor } from '../ops/convert.ts';
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

const LAYER_NORM_OPTIONS: readonly (keyof LayerNormOptions)[] = [
  'scale',
  'offset',
  'axis',
  'epsilon',
  'name',
];

/** x minus its mean over the deviation, along the last axis or others, then scaled and offset. */
export function layerNorm(x: TensorLike, options: LayerNormOptions = {}): Tensor {
  checkOptions('layerNorm', options, LAYER_NORM_OPTIONS);
  const { scale, offset, axis = -1, epsilon = 1e-5 } = options;
  return inGraphOf([x, scale, offset], () => {
    const t = toTensor(x);
    const { mean, variance } = moments(t, axis, { keepDims: true });
    const inverse = rsqrt(add(variance, epsilon));
    const centred = sub(t, mean);
    if (scale === undefined && offset === undefined) return mul(centred, inverse, named(options));
    const unit = mul(centred, inverse);
    if (offset === undefined) return mul(unit, scale as TensorLike, named(options));
    return add(scale === undefined ? unit : mul(unit, scale), offset, named(options));
  });
}

/** Options of `l2Normalize`. */
export interface L2NormalizeOptions extends OpOptions {
  /** The axes of a vector; the last by default, null for all. */
  readonly axis?: number | readonly number[] | null;
  /** The least that the sum of squares counts as (1e-12). */
  readonly epsilon?: number;
}

const L2_OPTIONS: readonly (keyof L2NormalizeOptions)[] = ['axis', 'epsilon', 'name'];

/** x over its Euclidean length along axes (the last by default), which counts as at least `epsilon`'s root. */
export function l2Normalize(x: TensorLike, options: L2NormalizeOptions = {}): Tensor {
  checkOptions('l2Normalize', options, L2_OPTIONS);
  const { axis = -1, epsilon = 1e-12 } = options;
  return inGraphOf([x], () => {
    const t = toTensor(x);
    const squares = reduceSum(square(t), { axis, keepDims: true });
    return mul(t, rsqrt(maximum(squares, epsilon)), named(options));
  });
}

/** Options of `gelu`. */
export interface GeluOptions extends OpOptions {
  readonly approximate?: boolean;
}

const GELU_OPTIONS: readonly (keyof GeluOptions)[] = ['approximate', 'name'];

/**
 * The Gaussian error linear unit: x times the probability that a normal variate lies below it.
 * `approximate` takes the form with tanh instead of the error function.
 */
export function gelu(x: TensorLike, options: GeluOptions = {}): Tensor {
  checkOptions('gelu', options, GELU_OPTIONS);
  const { approximate = false } = options;
  return inGraphOf([x], () => {
    const t = toTensor(x);
    const half = mul(t, 0.5);
    if (!approximate) return mul(half, add(erf(mul(t, Math.SQRT1_2)), 1), named(options));
    const inner = mul(add(mul(mul(square(t), t), 0.044715), t), Math.sqrt(2 / Math.PI));
    return mul(half, add(tanh(inner), 1), named(options));
  });
}
