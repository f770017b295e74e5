// The conformance cases: one entry per op, and a few for compositions that meet in practice.

import type { DType } from '../core/dtype.ts';
import type { Tensor } from '../graph/tensor.ts';
import * as tl from '../index.ts';
import {
  BINARY_SHAPES,
  type Draw,
  type OpCase,
  type Shapes,
  shapesOf,
  UNARY_SHAPES,
} from './case.ts';

const { sets, open } = shapesOf;
export const FLOAT: readonly DType[] = ['float32'];
export const NUMBER: readonly DType[] = ['float32', 'int32'];
const ALL: readonly DType[] = ['float32', 'int32', 'bool'];

export type Extra = Partial<Omit<OpCase, 'name' | 'build'>>;

export function unary(
  name: string,
  fn: (x: Tensor) => Tensor | readonly Tensor[],
  dtypes: readonly DType[],
  extra: Extra = {},
): OpCase {
  return { name, dtypes, shapes: UNARY_SHAPES, build: ([x]) => fn(x), ...extra };
}

export function binary(
  name: string,
  fn: (x: Tensor, y: Tensor) => Tensor,
  dtypes: readonly DType[],
  extra: Extra = {},
): OpCase {
  return { name, dtypes, shapes: BINARY_SHAPES, build: ([x, y]) => fn(x, y), ...extra };
}

export const positive: Draw = { low: 0.2, high: 3 };
const apart: Draw = { distinct: true };

const ELEMENTWISE: readonly OpCase[] = [
  binary('add', tl.add, NUMBER),
  binary('sub', tl.sub, NUMBER),
  binary('mul', tl.mul, NUMBER),
  binary('div', tl.div, FLOAT, { draws: [{}, positive] }),
  binary('div of integers', tl.div, ['int32'], {
    draws: [
      { low: -9, high: 9 },
      { low: -3, high: 3 },
    ],
    gradient: false,
  }),
  binary('floorDiv', tl.floorDiv, FLOAT, { draws: [{}, positive], gradient: false }),
  binary('floorDiv of integers', tl.floorDiv, ['int32'], {
    draws: [
      { low: -9, high: 9 },
      { low: -3, high: 3 },
    ],
    gradient: false,
  }),
  binary('mod of integers', tl.mod, ['int32'], {
    draws: [
      { low: -9, high: 9 },
      { low: -3, high: 3 },
    ],
    gradient: false,
  }),
  binary('mod', tl.mod, FLOAT, {
    draws: [
      { low: 0.1, high: 0.9 },
      { low: 2, high: 3 },
    ],
  }),
  binary('maximum', tl.maximum, NUMBER, {
    draws: [
      { low: -2, high: -0.1 },
      { low: 0.1, high: 2 },
    ],
  }),
  binary('minimum', tl.minimum, NUMBER, {
    draws: [
      { low: -2, high: -0.1 },
      { low: 0.1, high: 2 },
    ],
  }),
  unary('neg', tl.neg, NUMBER),
  unary('abs', tl.abs, NUMBER, { draws: [{ low: 0.1, high: 3 }] }),
  unary('abs of negatives', tl.abs, NUMBER, { draws: [{ low: -3, high: -0.1 }] }),
  unary('sign', tl.sign, NUMBER, { gradient: false }),
  unary('square', tl.square, NUMBER),
  unary('exp', tl.exp, FLOAT),
  unary('log', tl.log, FLOAT, { draws: [positive] }),
  unary('tanh', tl.tanh, FLOAT),
  unary('sigmoid', tl.sigmoid, FLOAT),
  unary('sin', tl.sin, FLOAT),
  unary('cos', tl.cos, FLOAT),
  unary('sqrt', tl.sqrt, FLOAT, { draws: [positive] }),
  unary('relu', tl.relu, NUMBER, { draws: [{ low: 0.1, high: 3 }] }),
  unary('relu of negatives', tl.relu, NUMBER, { draws: [{ low: -3, high: -0.1 }] }),
  binary('equal', tl.equal, ALL, { gradient: false }),
  binary('notEqual', tl.notEqual, ALL, { gradient: false }),
  binary('less', tl.less, NUMBER, { gradient: false }),
  binary('lessEqual', tl.lessEqual, NUMBER, { gradient: false }),
  binary('greater', tl.greater, NUMBER, { gradient: false }),
  binary('greaterEqual', tl.greaterEqual, NUMBER, { gradient: false }),
  binary('logicalAnd', tl.logicalAnd, ['bool'], { gradient: false }),
  binary('logicalOr', tl.logicalOr, ['bool'], { gradient: false }),
  unary('logicalNot', tl.logicalNot, ['bool'], { gradient: false }),
  {
    name: 'select',
    dtypes: ALL,
    draws: [{ dtype: 'bool' }, {}, {}],
    shapes: [
      sets('static', [2, 3], [2, 3], [2, 3]),
      open('dynamic', [5, 4], [5, 4], [5, 4]),
      sets('zero', [0, 2], [0, 2], [0, 2]),
      sets('broadcast', [4, 1], [3], [2, 1, 1]),
      open('broadcast dynamic', [4, 1], [1, 3], [4, 3]),
      sets('scalar', [], [], []),
    ],
    build: ([c, x, y]) => tl.select(c, x, y),
  },
  unary('cast to float32', (x) => tl.cast(x, 'float32'), ALL),
  unary('cast to int32', (x) => tl.cast(x, 'int32'), ALL, { gradient: false }),
  unary('cast to bool', (x) => tl.cast(x, 'bool'), ALL, { gradient: false }),
  unary('identity', tl.identity, ALL),
  unary('stopGradient', (x) => tl.add(tl.stopGradient(x), 0), FLOAT, { gradient: false }),
  unary('placeholderWithDefault', (x) => tl.placeholderWithDefault(x, null), ALL),
];

export const MATRICES: readonly Shapes[] = UNARY_SHAPES.filter((s) => s.inputs[0].length >= 2);

function reduction(
  name: string,
  fn: (x: Tensor, options?: { axis?: number | number[]; keepDims?: boolean }) => Tensor,
  dtypes: readonly DType[],
  extra: Extra = {},
): OpCase[] {
  const rest = { tolerance: 1e-5, ...extra };
  return [
    unary(`${name} of all`, (x) => fn(x), dtypes, rest),
    unary(`${name} over the last axis`, (x) => fn(x, { axis: -1 }), dtypes, {
      shapes: MATRICES,
      ...rest,
    }),
    unary(`${name} over the first axis`, (x) => fn(x, { axis: 0, keepDims: true }), dtypes, {
      shapes: MATRICES,
      ...rest,
    }),
    unary(`${name} over two axes`, (x) => fn(x, { axis: [0, 2] }), dtypes, {
      ...rest,
      shapes: [sets('odd', [3, 5, 2]), open('dynamic', [2, 3, 4])],
    }),
  ];
}

export const NO_ZERO = UNARY_SHAPES.filter(
  (s) => !s.inputs[0].includes(0) && s.inputs[0].length >= 2,
);

const REDUCTIONS: readonly OpCase[] = [
  ...reduction('reduceSum', tl.reduceSum, NUMBER),
  ...reduction('reduceMean', tl.reduceMean, FLOAT, { shapes: undefined } as Extra).map((c) => ({
    ...c,
    shapes: (c.shapes ?? (c.name.includes('all') ? UNARY_SHAPES : MATRICES)).filter(
      (s) => !s.inputs[0].includes(0),
    ),
  })),
  ...reduction('reduceProd', tl.reduceProd, NUMBER, { draws: [{ low: 0.5, high: 1.5 }] }),
  ...reduction('reduceMax', tl.reduceMax, NUMBER, { draws: [apart] }),
  ...reduction('reduceMin', tl.reduceMin, NUMBER, { draws: [apart] }),
  ...reduction('reduceAll', tl.reduceAll, ['bool'], { gradient: false }),
  ...reduction('reduceAny', tl.reduceAny, ['bool'], { gradient: false }),
  unary('argMax', (x) => tl.argMax(x, { axis: -1 }), NUMBER, { shapes: NO_ZERO, gradient: false }),
  unary('argMin', (x) => tl.argMin(x, { axis: 0 }), NUMBER, { shapes: NO_ZERO, gradient: false }),
  unary('softmax', (x) => tl.softmax(x), FLOAT, { shapes: MATRICES, tolerance: 1e-5 }),
  unary('softmax over the first axis', (x) => tl.softmax(x, { axis: 0 }), FLOAT, {
    shapes: MATRICES,
    tolerance: 1e-5,
  }),
  unary('softmax averaged', (x) => tl.reduceMean(tl.mul(tl.softmax(x), x)), FLOAT, {
    shapes: [
      sets('odd', [3, 5]),
      sets('a column', [4, 1]),
      sets('a row', [1, 4]),
      open('dynamic', [3, 1]),
    ],
    tolerance: 1e-5,
  }),
  unary('logSoftmax', (x) => tl.logSoftmax(x), FLOAT, { shapes: MATRICES, tolerance: 1e-5 }),
  unary('log of softmax', (x) => tl.log(tl.softmax(x)), FLOAT, {
    shapes: MATRICES,
    tolerance: 1e-5,
  }),
  {
    name: 'softmaxCrossEntropyWithLogits',
    dtypes: FLOAT,
    draws: [{ low: 0, high: 1 }, {}],
    tolerance: 1e-5,
    shapes: [
      sets('static', [4, 3], [4, 3]),
      open('dynamic', [5, 7], [5, 7]),
      sets('zero', [0, 3], [0, 3]),
      sets('one', [1, 1], [1, 1]),
      sets('odd', [2, 3, 5], [2, 3, 5]),
    ],
    build: ([labels, logits]) => tl.softmaxCrossEntropyWithLogits(labels, logits),
  },
  {
    name: 'sparseSoftmaxCrossEntropyWithLogits',
    dtypes: FLOAT,
    draws: [{ dtype: 'int32', low: 0, high: 2 }, {}],
    tolerance: 1e-5,
    shapes: [
      sets('static', [4], [4, 3]),
      open('dynamic', [5], [5, 7]),
      sets('zero', [0], [0, 3]),
      sets('one', [1], [1, 3]),
      sets('odd', [2, 3], [2, 3, 5]),
    ],
    build: ([labels, logits]) => tl.sparseSoftmaxCrossEntropyWithLogits(labels, logits),
  },
];

const SHAPING: readonly OpCase[] = [
  unary('reshape', (x) => tl.reshape(x, [-1]), ALL, {
    shapes: UNARY_SHAPES,
  }),
  unary('reshape by shape', (x) => tl.reshape(x, [tl.size(x, { axis: 1 }), -1, 1] as never), ALL, {
    shapes: NO_ZERO,
  }),
  unary('transpose', (x) => tl.transpose(x), ALL),
  unary('transpose by perm', (x) => tl.transpose(x, [1, 2, 0]), ALL, {
    shapes: [sets('odd', [3, 5, 2]), open('dynamic', [2, 3, 4]), sets('zero', [2, 0, 3])],
  }),
  unary('broadcastTo', (x) => tl.broadcastTo(x, [3, 2, 4]), ALL, {
    shapes: [
      sets('rows', [4]),
      sets('columns', [2, 1]),
      sets('scalar', []),
      sets('same', [3, 2, 4]),
      open('dynamic', [1, 4]),
    ],
  }),
  unary('fill', (x) => tl.fill([2, 3], x), ALL, { shapes: [sets('scalar', [])] }),
  unary('expandDims', (x) => tl.expandDims(x, -1), ALL),
  unary('squeeze', (x) => tl.squeeze(tl.expandDims(x, 0), { axis: 0 }), ALL),
  unary('shape', (x) => tl.shape(x), ALL, { gradient: false }),
  unary('size', (x) => tl.size(x), ALL, { gradient: false }),
  unary('zerosLike', (x) => tl.zerosLike(x), ALL, { gradient: false }),
  unary('onesLike', (x) => tl.onesLike(x), ALL, { gradient: false }),
  unary('slice', (x) => tl.slice(x, [1, 0], [-1, 2]), ALL, {
    shapes: MATRICES.filter(
      (s) => s.inputs[0].length === 2 && s.inputs[0][1] > 1 && s.inputs[0][0] > 0,
    ),
  }),
  {
    name: 'slice at a computed begin',
    dtypes: ALL,
    draws: [{}, { dtype: 'int32', low: -1, high: 4 }],
    shapes: [sets('static', [5, 4], [2]), open('dynamic', [6, 3], [2])],
    build: ([x, begin]) => tl.slice(x, begin, [2, 3]),
  },
  binary('concat', (x, y) => tl.concat([x, y, x], 0), ALL, {
    shapes: [
      sets('static', [2, 3], [4, 3]),
      open('dynamic', [5, 4], [2, 4]),
      sets('zero', [0, 3], [2, 3]),
      sets('odd', [1, 7], [3, 7]),
    ],
  }),
  binary('concat along the last axis', (x, y) => tl.concat([x, y], -1), ALL, {
    shapes: [
      sets('static', [2, 3], [2, 5]),
      open('dynamic', [5, 4], [5, 1]),
      sets('zero', [2, 0], [2, 3]),
    ],
  }),
  binary('stack', (x, y) => tl.stack([x, y], { axis: 1 }), ALL, {
    shapes: [
      sets('static', [2, 3], [2, 3]),
      open('dynamic', [5, 4], [5, 4]),
      sets('zero', [0, 3], [0, 3]),
    ],
  }),
  unary(
    'pad',
    (x) =>
      tl.pad(x, [
        [1, 2],
        [0, 3],
      ]),
    ALL,
    { shapes: MATRICES.filter((s) => s.inputs[0].length === 2) },
  ),
  unary('reverse', (x) => tl.reverse(x, [0]), ALL, { shapes: MATRICES }),
  unary('range', (x) => tl.add(tl.range(tl.size(x, { axis: 0 })), 0), FLOAT, {
    shapes: MATRICES,
    gradient: false,
  }),
  {
    name: 'range of a fed limit',
    dtypes: ['int32'],
    draws: [{ low: 0, high: 9 }],
    shapes: [sets('scalar', [])],
    gradient: false,
    build: ([n]) => tl.range(1, n, { delta: 2 }),
  },
  {
    name: 'gather',
    dtypes: ALL,
    draws: [{}, { dtype: 'int32', low: 0, high: 2 }],
    shapes: [
      sets('static', [3, 4], [5]),
      open('dynamic', [6, 3], [4]),
      sets('zero', [3, 2], [0]),
      sets('one', [3], [1]),
      sets('odd', [5, 3, 2], [2, 3]),
      sets('scalar index', [3, 2], []),
    ],
    build: ([x, i]) => tl.gather(x, i),
  },
  {
    name: 'gather along an inner axis',
    dtypes: ALL,
    draws: [{}, { dtype: 'int32', low: 0, high: 2 }],
    shapes: [sets('static', [2, 3, 4], [5]), open('dynamic', [2, 6, 3], [4, 2])],
    build: ([x, i]) => tl.gather(x, i, { axis: 1 }),
  },
  {
    name: 'oneHot',
    dtypes: ['int32'],
    draws: [{ low: -1, high: 4 }],
    shapes: UNARY_SHAPES,
    gradient: false,
    build: ([i]) => [
      tl.oneHot(i, 4),
      tl.oneHot(i, 3, { axis: 0, onValue: 5, offValue: -1, dtype: 'int32' }),
      tl.oneHot(i, 4, { dtype: 'bool' }),
    ],
  },
  unary('where', (x) => tl.where(x), ['bool'], { gradient: false }),
];

const LINEAR: readonly OpCase[] = [
  binary('matmul', (a, b) => tl.matmul(a, b), NUMBER, {
    tolerance: 1e-5,
    draws: [
      { low: -3, high: 3 },
      { low: -3, high: 3 },
    ],
    shapes: [
      sets('static', [4, 3], [3, 5]),
      open('dynamic', [5, 4], [4, 6]),
      sets('zero rows', [0, 3], [3, 2]),
      sets('zero inner', [2, 0], [0, 3]),
      sets('one', [1, 1], [1, 1]),
      sets('odd', [9, 17], [17, 11]),
      sets('batch', [2, 3, 4], [2, 4, 5]),
      open('batch dynamic', [3, 2, 4], [3, 4, 5]),
      sets('batch broadcast', [2, 1, 3, 4], [5, 4, 2]),
      sets('shared right', [2, 3, 4], [4, 5]),
      sets('shared left', [3, 4], [2, 4, 5]),
      sets('wide', [33, 20], [20, 40]),
    ],
  }),
  binary(
    'matmul of transposes',
    (a, b) => tl.matmul(a, b, { transposeA: true, transposeB: true }),
    NUMBER,
    {
      tolerance: 1e-5,
      draws: [
        { low: -3, high: 3 },
        { low: -3, high: 3 },
      ],
      shapes: [
        sets('static', [3, 4], [5, 3]),
        open('dynamic', [4, 5], [6, 4]),
        sets('odd', [17, 9], [11, 17]),
        sets('batch', [2, 4, 3], [2, 5, 4]),
      ],
    },
  ),
  binary('dense layer', (a, b) => tl.relu(tl.add(tl.matmul(a, b), 3)), FLOAT, {
    tolerance: 1e-5,
    draws: [
      { low: 0, high: 1 },
      { low: 0, high: 1 },
    ],
    shapes: [sets('static', [4, 3], [3, 5]), open('dynamic', [13, 9], [9, 10])],
  }),
  {
    name: 'dotGeneral',
    dtypes: FLOAT,
    tolerance: 1e-5,
    shapes: [
      sets('static', [2, 3, 4, 5], [4, 2, 3, 6]),
      open('dynamic', [1, 2, 3, 4], [3, 1, 2, 5]),
    ],
    build: ([x, y]) =>
      tl.dotGeneral(x, y, {
        lhsBatch: [0],
        rhsBatch: [1],
        lhsContract: [1, 2],
        rhsContract: [2, 0],
      }),
  },
];

/** Fixed draws make random ops comparable between backends. */
const RANDOM: readonly OpCase[] = [
  {
    name: 'randomUniform',
    dtypes: FLOAT,
    gradient: false,
    tolerance: 0,
    shapes: [
      sets('static', [7, 3]),
      open('dynamic', [5, 4]),
      sets('zero', [0, 3]),
      sets('one', [1]),
      sets('scalar', []),
    ],
    build: ([x]) => [
      tl.randomUniform(tl.shape(x), { seed: 5 }),
      tl.randomUniform(tl.shape(x), { seed: 6, minval: -3, maxval: 9, dtype: 'int32' }),
    ],
  },
  {
    name: 'randomNormal',
    dtypes: FLOAT,
    gradient: false,
    tolerance: 2e-5,
    shapes: [sets('static', [7, 3]), open('dynamic', [5, 4])],
    build: ([x]) => tl.randomNormal(tl.shape(x), { seed: 7, mean: 1, stddev: 2 }),
  },
];

export const CASES: readonly OpCase[] = [
  ...ELEMENTWISE,
  ...REDUCTIONS,
  ...SHAPING,
  ...LINEAR,
  ...RANDOM,
];
