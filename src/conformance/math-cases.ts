// Conformance cases of elementary functions, activations, statistics and normalisations.

import type { Tensor } from '../graph/tensor.ts';
import * as tl from '../index.ts';
import { type OpCase, shapesOf } from './case.ts';
import { binary, FLOAT, MATRICES, NO_ZERO, NUMBER, positive, unary } from './cases.ts';

const { sets, open } = shapesOf;
const away = { low: 0.3, high: 3 };
const below = { low: -3, high: -0.3 };

const FUNCTIONS: readonly OpCase[] = [
  binary('pow', tl.pow, FLOAT, { draws: [positive, {}] }),
  binary('pow of negatives', (x, y) => tl.pow(x, tl.round(y)), FLOAT, {
    draws: [below, { low: 1.6, high: 3.4 }],
    tolerance: 4e-6,
  }),
  binary('pow of integers', tl.pow, ['int32'], {
    draws: [
      { low: -4, high: 4 },
      { low: -3, high: 35 },
    ],
    gradient: false,
  }),
  binary('squaredDifference', tl.squaredDifference, NUMBER),
  unary('log1p', tl.log1p, FLOAT, { draws: [{ low: -0.8, high: 3 }] }),
  unary('expm1', tl.expm1, FLOAT),
  unary('erf', tl.erf, FLOAT),
  unary('rsqrt', tl.rsqrt, FLOAT, { draws: [positive] }),
  unary('reciprocal', tl.reciprocal, FLOAT, { draws: [positive] }),
  unary('floor', tl.floor, FLOAT, { gradient: false }),
  unary('ceil', tl.ceil, FLOAT, { gradient: false }),
  unary('round', tl.round, FLOAT, { gradient: false }),
  unary('round of halves', (x) => tl.round(tl.div(tl.round(tl.mul(x, 4)), 2)), FLOAT, {
    gradient: false,
  }),
  ...([tl.isNan, tl.isInf, tl.isFinite] as const).map((fn, i) =>
    unary(
      ['isNan', 'isInf', 'isFinite'][i],
      // Roots of negatives are NaN, and 1 over what rounds to zero is infinite.
      (x) => [fn(tl.sqrt(x)), fn(tl.div(1, tl.round(x)))],
      FLOAT,
      { gradient: false },
    ),
  ),
  unary('clipByValue', (x) => tl.clipByValue(x, -0.5, 0.75), FLOAT, {
    draws: [{ low: 0.8, high: 2 }],
  }),
  unary('clipByValue within', (x) => tl.clipByValue(x, -1, 3), NUMBER, {
    draws: [{ low: -0.9, high: 2.9 }],
  }),
  unary('sigmoid far out', (x) => tl.sigmoid(tl.mul(x, 40)), FLOAT),
  unary('sin and cos far out', (x) => [tl.sin(x), tl.cos(x)], FLOAT, {
    draws: [{ low: 1e6, high: 1e7 }],
    gradient: false,
  }),
];

const ACTIVATIONS: readonly OpCase[] = [
  unary('softplus', tl.softplus, FLOAT),
  unary('softplus far out', (x) => tl.softplus(tl.mul(x, 50)), FLOAT),
  unary('elu', tl.elu, FLOAT, { draws: [away] }),
  unary('elu of negatives', tl.elu, FLOAT, { draws: [below] }),
  unary('relu6', tl.relu6, NUMBER, { draws: [{ low: 0.5, high: 5.5 }] }),
  unary('relu6 beyond', tl.relu6, NUMBER, { draws: [{ low: 6.5, high: 9 }] }),
  unary('leakyRelu', (x) => tl.leakyRelu(x, { alpha: 0.1 }), FLOAT, { draws: [away] }),
  unary('leakyRelu of negatives', (x) => tl.leakyRelu(x), FLOAT, { draws: [below] }),
  unary('gelu', (x) => tl.nn.gelu(x), FLOAT),
  unary('gelu, approximate', (x) => tl.nn.gelu(x, { approximate: true }), FLOAT),
];

function moments(x: Tensor, axes: number | number[] | null, keepDims: boolean): Tensor[] {
  const { mean, variance } = tl.nn.moments(x, axes, { keepDims });
  return [mean, variance];
}

const SOLID = NO_ZERO.filter((s) => s.inputs[0].length === 2 || s.inputs[0].length === 3);

const STATISTICS: readonly OpCase[] = [
  unary('moments over the last axis', (x) => moments(x, -1, false), NUMBER, {
    shapes: SOLID,
    tolerance: 1e-5,
  }),
  unary('moments over the first axis', (x) => moments(x, 0, true), NUMBER, {
    shapes: SOLID,
    tolerance: 1e-5,
  }),
  unary('moments of all', (x) => moments(x, null, false), FLOAT, {
    shapes: SOLID,
    tolerance: 1e-5,
  }),
  unary('reduceVariance', (x) => tl.reduceVariance(x, { axis: [0, 1] }), FLOAT, {
    shapes: SOLID,
    tolerance: 1e-5,
  }),
  unary('reduceStd', (x) => tl.reduceStd(x, { axis: -1 }), FLOAT, {
    shapes: [sets('static', [2, 3]), open('dynamic', [5, 4])],
    draws: [{ distinct: true }],
    tolerance: 1e-5,
  }),
  unary('reduceLogSumExp', (x) => tl.reduceLogSumExp(x, { axis: -1 }), FLOAT, {
    shapes: MATRICES,
    tolerance: 1e-5,
  }),
  unary('reduceLogSumExp of all', (x) => tl.reduceLogSumExp(x), FLOAT, { tolerance: 1e-5 }),
  unary(
    'reduceLogSumExp, far',
    (x) => tl.reduceLogSumExp(tl.mul(x, 200), { axis: 0, keepDims: true }),
    FLOAT,
    {
      shapes: MATRICES,
      tolerance: 1e-5,
    },
  ),
  {
    name: 'layerNorm',
    dtypes: FLOAT,
    tolerance: 2e-5,
    shapes: [
      sets('static', [4, 6], [6], [6]),
      open('dynamic', [5, 7], [7], [7]),
      sets('odd', [3, 5, 9], [9], [9]),
      sets('zero', [0, 3], [3], [3]),
    ],
    build: ([x, scale, offset]) => tl.nn.layerNorm(x, { scale, offset }),
  },
  unary(
    'layerNorm over two axes',
    (x) => tl.nn.layerNorm(x, { axis: [1, 2], epsilon: 1e-3 }),
    FLOAT,
    {
      shapes: [sets('odd', [3, 5, 2]), open('dynamic', [2, 3, 4])],
      tolerance: 2e-5,
    },
  ),
  unary('l2Normalize', (x) => tl.nn.l2Normalize(x), FLOAT, { shapes: MATRICES, tolerance: 1e-5 }),
];

export const MATH_CASES: readonly OpCase[] = [...FUNCTIONS, ...ACTIVATIONS, ...STATISTICS];
