// Arguments at the edges: NaN, infinities, zeros, numbers near the ends of the range, integers that
// overflow, divisions by zero. Subnormal numbers are left out: devices may take them for zero.

import type { Tensor } from '../graph/tensor.ts';
import * as tl from '../index.ts';

/** Ops of one or two inputs, and the pairs of arguments they are given. */
export interface SpecialCase {
  readonly op: string;
  readonly dtype: 'float32' | 'int32';
  /** Relative tolerance of finite results; exact where 0. */
  readonly tolerance: number;
  readonly build: (x: Tensor, y: Tensor) => Tensor;
}

const { NaN: nan, POSITIVE_INFINITY: inf } = Number;

/** The floats; ops of two take them in all pairs. */
export const SPECIAL_FLOATS: readonly number[] = [
  nan,
  inf,
  -inf,
  0,
  -0,
  0.5,
  -0.5,
  1,
  -1,
  2.5,
  -3,
  20,
  -20,
  89,
  -89,
  1e5,
  -1e5,
  16777216,
  2147483648,
  -3e9,
  1e30,
  -1e30,
  3.4028234663852886e38,
  -3.4028234663852886e38,
  1e-30,
  -1e-30,
];

/** The integers. */
export const SPECIAL_INTS: readonly number[] = [
  0,
  1,
  -1,
  2,
  -7,
  46341,
  -46341,
  65536,
  1 << 30,
  2147483647,
  -2147483648,
  -2147483647,
];

const float = (
  op: string,
  build: (x: Tensor, y: Tensor) => Tensor,
  tolerance = 4e-6,
): SpecialCase => ({ op, dtype: 'float32', tolerance, build });
const int = (op: string, build: (x: Tensor, y: Tensor) => Tensor): SpecialCase => ({
  op,
  dtype: 'int32',
  tolerance: 0,
  build,
});

/** All of them. */
export const SPECIAL_CASES: readonly SpecialCase[] = [
  float('add', tl.add, 0),
  float('sub', tl.sub, 0),
  float('mul', tl.mul, 0),
  float('div', tl.div, 0),
  float('maximum', tl.maximum, 0),
  float('minimum', tl.minimum, 0),
  float('equal', tl.equal, 0),
  float('notEqual', tl.notEqual, 0),
  float('less', tl.less, 0),
  float('lessEqual', tl.lessEqual, 0),
  float('greater', tl.greater, 0),
  float('greaterEqual', tl.greaterEqual, 0),
  float('pow', tl.pow),
  float('neg', (x) => tl.neg(x), 0),
  float('abs', (x) => tl.abs(x), 0),
  float('sign', (x) => tl.sign(x), 0),
  float('square', (x) => tl.square(x), 0),
  float('sqrt', (x) => tl.sqrt(x)),
  float('rsqrt', (x) => tl.rsqrt(x)),
  float('reciprocal', (x) => tl.reciprocal(x), 0),
  float('exp', (x) => tl.exp(x)),
  float('expm1', (x) => tl.expm1(x)),
  float('log', (x) => tl.log(x)),
  float('log1p', (x) => tl.log1p(x)),
  float('tanh', (x) => tl.tanh(x)),
  float('sigmoid', (x) => tl.sigmoid(x)),
  float('sin', (x) => tl.sin(x)),
  float('cos', (x) => tl.cos(x)),
  float('erf', (x) => tl.erf(x)),
  float('relu', (x) => tl.relu(x), 0),
  float('floor', (x) => tl.floor(x), 0),
  float('ceil', (x) => tl.ceil(x), 0),
  float('round', (x) => tl.round(x), 0),
  float('isNan', (x) => tl.isNan(x), 0),
  float('isInf', (x) => tl.isInf(x), 0),
  float('isFinite', (x) => tl.isFinite(x), 0),
  float('cast', (x) => tl.cast(x, 'int32'), 0),
  float('reduceMax', (x) => tl.reduceMax(tl.stack([x, tl.neg(x)]), { axis: 0 }), 0),
  float('reduceMin', (x) => tl.reduceMin(tl.stack([x, tl.neg(x)]), { axis: 0 }), 0),
  int('add', tl.add),
  int('sub', tl.sub),
  int('mul', tl.mul),
  int('div', tl.div),
  int('floorDiv', tl.floorDiv),
  int('mod', tl.mod),
  int('maximum', tl.maximum),
  int('minimum', tl.minimum),
  int('less', tl.less),
  int('equal', tl.equal),
  int('neg', (x) => tl.neg(x)),
  int('abs', (x) => tl.abs(x)),
  int('sign', (x) => tl.sign(x)),
  int('square', (x) => tl.square(x)),
  int('cast', (x) => tl.cast(x, 'float32')),
];
