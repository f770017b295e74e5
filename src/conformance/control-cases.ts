// Conformance cases of control flow, state, host calls and gradients of one's own.

import type { Tensor } from '../graph/tensor.ts';
import * as tl from '../index.ts';
import { type OpCase, shapesOf } from './case.ts';

const { sets, open } = shapesOf;
const LENGTHS = [
  sets('static', [4, 3], [3]),
  open('dynamic', [5, 2], [2]),
  sets('one', [1, 3], [3]),
  open('odd', [7, 5], [5]),
];
const WITH_ZERO = [...LENGTHS, sets('zero', [0, 3], [3]), open('zero dynamic', [0, 2], [2])];

export const CONTROL_CASES: readonly OpCase[] = [
  {
    name: 'scan with an initializer',
    dtypes: ['float32'],
    tolerance: 1e-5,
    shapes: WITH_ZERO,
    build: ([xs, h]) =>
      tl.scan((acc, x) => tl.tanh(tl.add(tl.mul(acc, 0.7), x)), xs, { initializer: h }),
  },
  {
    name: 'scan of integers',
    dtypes: ['int32'],
    shapes: WITH_ZERO,
    build: ([xs, h]) => tl.scan((acc, x) => tl.add(acc, tl.mul(x, 2)), xs, { initializer: h }),
  },
  {
    name: 'scan without an initializer',
    dtypes: ['float32'],
    tolerance: 1e-5,
    shapes: [sets('static', [4, 3]), open('dynamic', [5, 2]), sets('one', [1, 3])],
    build: ([xs]) => [
      tl.scan((a, x) => tl.mul(a, x), xs),
      tl.scan((a, x) => tl.add(tl.mul(a, 0.5), x), xs, { reverse: true }),
    ],
  },
  {
    name: 'scan in reverse, with captured values',
    dtypes: ['float32'],
    tolerance: 1e-5,
    shapes: WITH_ZERO,
    build: ([xs, h]) =>
      tl.scan((acc, x) => tl.add(tl.mul(tl.tanh(acc), h), x), xs, {
        initializer: tl.mul(h, 0.5),
        reverse: true,
      }),
  },
  {
    name: 'scan of a recurrent layer',
    dtypes: ['float32'],
    tolerance: 1e-5,
    shapes: [sets('static', [6, 2, 3], [3, 3]), open('dynamic', [3, 1, 4], [4, 4])],
    build: ([xs, w]) =>
      tl.scan((h, x) => tl.tanh(tl.add(tl.matmul(h, tl.mul(w, 0.3)), x)), xs, {
        initializer: tl.zerosLike(tl.gather(xs, 0)),
      }),
  },
  {
    name: 'mapFn',
    dtypes: ['float32', 'int32'],
    shapes: WITH_ZERO,
    build: ([xs, h]) => tl.mapFn((x) => tl.mul(x, h), xs) as Tensor,
  },
  {
    name: 'foldl and foldr',
    dtypes: ['float32'],
    tolerance: 1e-5,
    shapes: LENGTHS,
    build: ([xs, h]) => [
      tl.foldl((a, x) => tl.add(tl.mul(a, 0.5), x), xs, { initializer: h }),
      tl.foldr((a, x) => tl.add(tl.mul(a, 0.5), x), xs, { initializer: h }),
    ],
  },
  {
    name: 'whileLoop of an unknown number of turns',
    dtypes: ['float32'],
    tolerance: 1e-5,
    draws: [{ low: 1, high: 2 }],
    shapes: [sets('static', [3]), open('dynamic', [5]), sets('one', [1]), sets('scalar', [])],
    build: ([x]) => {
      const [i, y] = tl.whileLoop(
        ([, v]) => tl.less(tl.reduceSum(tl.square(v)), 100),
        ([n, v]) => [tl.add(n, 1), tl.mul(v, tl.add(tl.tanh(v), 1))],
        [tl.constant(0, { dtype: 'int32' }), x] as const,
      );
      return [y, i];
    },
  },
  {
    name: 'whileLoop of no turns and limited turns',
    dtypes: ['float32', 'int32'],
    shapes: [sets('static', [3]), open('dynamic', [2, 2])],
    build: ([x]) => [
      tl.whileLoop(
        (v) => tl.greater(tl.reduceSum(tl.sub(v, v)), 0),
        (v) => tl.add(v, v),
        x,
      ),
      tl.whileLoop(
        (v) => tl.equal(tl.reduceSum(tl.sub(v, v)), 0),
        (v) => tl.add(v, v),
        x,
        { maximumIterations: 3 },
      ),
    ],
  },
  {
    name: 'nested loops',
    op: 'whileLoop',
    dtypes: ['float32'],
    tolerance: 1e-5,
    shapes: [sets('static', [3, 2, 2]), open('dynamic', [2, 3, 2])],
    build: ([xs]) =>
      tl.scan(
        (acc, rows) =>
          tl.foldl((a, row) => tl.add(tl.mul(a, 0.5), tl.tanh(row)), rows, { initializer: acc }),
        xs,
        { initializer: tl.zeros([2]) },
      ),
  },
  {
    name: 'cond',
    dtypes: ['float32', 'int32'],
    draws: [{ dtype: 'bool' }, {}, {}],
    shapes: [
      sets('static', [], [2, 3], [2, 3]),
      open('dynamic', [], [4], [4]),
      sets('zero', [], [0], [0]),
    ],
    build: ([p, x, y]) => [
      tl.cond(
        p,
        () => tl.mul(x, x),
        () => tl.add(x, y),
      ),
      tl.cond(
        tl.logicalNot(p),
        () => tl.mul(x, x),
        () => tl.add(x, y),
      ),
    ],
  },
  {
    name: 'switchCase',
    dtypes: ['float32'],
    draws: [{ dtype: 'int32', low: 0, high: 4 }, {}],
    shapes: [sets('static', [], [3]), open('dynamic', [], [2, 2])],
    build: ([i, x]) => tl.switchCase(i, [() => tl.neg(x), () => tl.square(x), () => tl.mul(x, 3)]),
  },
  {
    name: 'cond in a loop',
    dtypes: ['float32'],
    tolerance: 1e-5,
    shapes: LENGTHS,
    build: ([xs, h]) =>
      tl.scan(
        (acc, x) =>
          tl.cond(
            tl.greater(tl.reduceSum(x), 0),
            () => tl.add(acc, tl.mul(x, h)),
            () => tl.mul(acc, 0.5),
          ),
        xs,
        { initializer: h },
      ),
  },
  {
    name: 'draws in a loop',
    op: 'scan',
    fresh: true,
    dtypes: ['float32'],
    tolerance: 2e-5,
    shapes: [sets('static', [4, 3], [3]), open('dynamic', [5, 2], [2])],
    build: ([xs, h]) =>
      tl.scan((acc, x) => tl.mul(tl.add(acc, x), tl.randomUniform(tl.shape(x), { seed: 3 })), xs, {
        initializer: h,
      }),
  },
  {
    name: 'customGradient',
    dtypes: ['float32'],
    shapes: LENGTHS,
    build: ([xs, h]) =>
      // The derivative of the softplus, written by hand.
      tl.customGradient(
        (x, y) => {
          const e = tl.exp(x);
          return {
            value: tl.mul(tl.log(tl.add(e, 1)), y),
            gradient: (dy) => [
              tl.mul(tl.mul(dy, y), tl.sigmoid(x)),
              tl.reduceSum(tl.mul(dy, tl.log(tl.add(e, 1))), { axis: 0 }),
            ],
          };
        },
        [xs, h],
      ),
  },
  {
    name: 'variables',
    op: 'variable',
    dtypes: ['float32', 'int32'],
    shapes: [sets('static', [2, 3])],
    gradient: false,
    build: ([x]) => {
      const v = tl.variable(tl.zeros([2, 3], { dtype: x.dtype }), { name: 'v' });
      const set = tl.controlDependencies([v.initializer], () => v.assign(tl.add(x, 1)));
      const more = tl.controlDependencies([set], () => v.assignAdd(x));
      const less = tl.controlDependencies([more], () => v.assignSub(tl.mul(x, 3)));
      return [
        set,
        more,
        less,
        tl.controlDependencies([less, tl.group([more])], () => tl.identity(v)),
      ];
    },
  },
  {
    name: 'hostCall',
    dtypes: ['float32', 'int32'],
    shapes: [sets('static', [2, 3]), sets('zero', [0, 2]), sets('scalar', [])],
    gradient: false,
    build: ([x]) => {
      const [y] = tl.hostCall(
        (v) => new tl.NDArray(v.dtype, v.shape, twice(v)),
        [tl.add(x, 1)],
        [{ dtype: x.dtype, shape: x.shape as number[] }],
      );
      return tl.mul(y, 3);
    },
  },
  {
    name: 'a size computed in mid-run',
    op: 'where',
    dtypes: ['float32'],
    shapes: [sets('static', [6, 3], [3, 2]), open('dynamic', [9, 4], [4, 5])],
    tolerance: 1e-5,
    build: ([x, w]) => {
      const rows = tl.squeeze(tl.where(tl.greater(tl.reduceSum(x, { axis: 1 }), 0)), { axis: 1 });
      return tl.matmul(tl.gather(x, rows), w);
    },
  },
];

/** The elements doubled, in the storage of their dtype: the truth computes on float64. */
function twice({ dtype, data }: tl.NDArray): Float32Array | Float64Array | Int32Array {
  const doubled = Array.from(data as Float32Array, (e) => 2 * e);
  if (dtype === 'float64') return Float64Array.from(doubled);
  return dtype === 'int32' ? Int32Array.from(doubled) : Float32Array.from(doubled);
}
