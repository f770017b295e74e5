// Short programs with a plain answer, where fusion and the reuse of buffers meet their corner cases.

import { describe, expect, it } from 'vitest';
import * as tl from '../../src/index.ts';
import { webgpuAvailable } from '../support/wgsl-run.ts';

const available = await webgpuAvailable();

type Values = readonly number[];

interface Program {
  readonly name: string;
  /** What is fetched, and what it must give. */
  build(): { fetches: tl.Tensor[]; feeds?: tl.Feeds; want: Values[] };
}

const column = (): tl.Tensor => tl.placeholder('float32', [4, 1], { name: 'q' });
const COLUMN: tl.Feeds = { q: [[1], [2], [3], [4]] };

/** A variable of these values, and what it holds after `change`. */
function changed(
  values: number[] | number[][],
  change: (v: tl.Variable) => tl.Tensor,
  want: Values,
): ReturnType<Program['build']> {
  const v = tl.variable(values, { name: 'v', trainable: false });
  const after = tl.controlDependencies([change(v)], () => v.read());
  return { fetches: [after], want: [want] };
}

const MATRIX = [
  [1, 2],
  [3, 4],
];

const programs: readonly Program[] = [
  {
    name: 'the mean of a softmax over an axis of size 1',
    build: () => ({
      fetches: [tl.reduceMean(tl.softmax(column()))],
      feeds: COLUMN,
      want: [[1]],
    }),
  },
  {
    name: 'a sum of products with sums over an axis of size 1',
    build: () => {
      const q = column();
      const sums = tl.reduceSum(q, { axis: 1, keepDims: true });
      return { fetches: [tl.reduceSum(tl.mul(q, sums))], feeds: COLUMN, want: [[30]] };
    },
  },
  {
    name: 'a reduction over no axis beside one over some',
    build: () => {
      const w = tl.placeholder('float32', ['n', 4], { name: 'w' });
      const fetches = [tl.reduceMin(w, { axis: [] }), tl.reduceSum(w, { axis: 1 })];
      return { fetches, feeds: { w: [[1, 2, 3, 4]] }, want: [[1, 2, 3, 4], [10]] };
    },
  },
  {
    name: 'the variance of a batch of one',
    build: () => {
      const x = tl.placeholder('float32', [null, 2], { name: 'x' });
      const centred = tl.sub(x, tl.reduceMean(x, { axis: 0 }));
      const sum = tl.reduceSum(tl.square(centred));
      const other = tl.add(MATRIX, x);
      return { fetches: [sum, other], feeds: { x: [[3, 5]] }, want: [[0], [4, 7, 6, 9]] };
    },
  },
  {
    name: 'a variable reversed in place',
    build: () => changed([1, 2, 3, 4], (v) => v.assign(tl.reverse(v, [0])), [4, 3, 2, 1]),
  },
  {
    name: 'a variable transposed in place',
    build: () => changed(MATRIX, (v) => v.assign(tl.transpose(v)), [1, 3, 2, 4]),
  },
  {
    name: 'the transpose of a variable added to it',
    build: () => changed(MATRIX, (v) => v.assignAdd(tl.transpose(v)), [2, 5, 5, 8]),
  },
  {
    name: 'the transpose of a variable taken from it, by einsum',
    build: () => changed(MATRIX, (v) => v.assignSub(tl.einsum('ij->ji', v)), [0, -1, 1, 0]),
  },
  {
    name: 'a variable reversed twice in one run',
    build: () => {
      const v = tl.variable([1, 2, 3], { name: 'v', trainable: false });
      const once = v.assign(tl.reverse(v, [0]));
      const twice = tl.controlDependencies([once], () => v.assign(tl.reverse(once, [0])));
      const [first, last] = [tl.identity(once), tl.identity(twice)];
      return {
        fetches: [first, last],
        want: [
          [3, 2, 1],
          [1, 2, 3],
        ],
      };
    },
  },
  {
    name: 'a loop whose results nobody reads, waited for',
    build: () => {
      const x = tl.placeholder('float32', [3], { name: 'x' });
      const v = tl.variable(1, { name: 'v', trainable: false });
      const sums = tl.scan((a: tl.Tensor, e: tl.Tensor) => tl.add(a, e), x, { initializer: 0 });
      const after = tl.controlDependencies([sums], () => v.assignAdd(1));
      return { fetches: [after], feeds: { x: [1, 2, 3] }, want: [[2]] };
    },
  },
  {
    name: 'a loop with a variable that its condition does not need, waited for',
    build: () => {
      const v = tl.variable(1, { name: 'v', trainable: false });
      const out = tl.whileLoop(
        ({ i }) => tl.less(i, 3),
        ({ i, s }) => ({ i: tl.add(i, 1), s: tl.add(s, 2) }),
        { i: tl.constant(0, { dtype: 'int32' }), s: tl.constant(0) },
      );
      const after = tl.controlDependencies([out.s.op], () => v.assignAdd(1));
      return { fetches: [after], want: [[2]] };
    },
  },
  {
    name: 'a scan with invariant work, differentiated twice',
    build: () => {
      const x = tl.placeholder('float32', [3], { name: 'x' });
      const w = tl.placeholder('float32', [], { name: 'w' });
      const turn = (a: tl.Tensor, e: tl.Tensor) => tl.add(tl.mul(a, tl.square(tl.exp(w))), e);
      const y = tl.reduceSum(tl.square(tl.scan(turn, x, { initializer: 0 })));
      const [first] = tl.gradients(y, w) as tl.Tensor[];
      const [second] = tl.gradients(first, w) as tl.Tensor[];
      // With c = exp(2w): 1 + (c + 1)² + (c² + c + 1)², and c' = 2c; at c = 1.
      return {
        fetches: [y, first, second],
        feeds: { x: [1, 1, 1], w: 0 },
        want: [[14], [44], [216]],
      };
    },
  },
  {
    name: 'views of views whose indices run backward',
    build: () => {
      const x = tl.reshape(tl.placeholder('float32', [12], { name: 'x' }), [2, 3, 2]);
      const cut = tl.reverse(tl.slice(tl.reshape(x, [12]), [0], [7]), [0]);
      const turned = tl.reshape(tl.transpose(x, [1, 0, 2]), [3, 4]);
      const framed = tl.pad(turned, [
        [1, 1],
        [1, 1],
      ]);
      const behind = tl.pad(tl.reverse(tl.reshape(x, [12]), [0]), [[1, 0]]);
      return {
        fetches: [cut, framed, behind],
        feeds: { x: Array.from({ length: 12 }, (_, i) => i) },
        want: [
          [6, 5, 4, 3, 2, 1, 0],
          [0, 0, 0, 0, 0, 0, 0, 0, 1, 6, 7, 0, 0, 2, 3, 8, 9, 0].concat([
            0, 4, 5, 10, 11, 0, 0, 0, 0, 0, 0, 0,
          ]),
          [0, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
        ],
      };
    },
  },
  {
    name: 'a size that would be negative but for a maximum',
    build: () => {
      const x = tl.placeholder('float32', [null], { name: 'x' });
      const n = tl.maximum(tl.floorDiv(tl.sub(2, tl.size(x)), 2), 0);
      return { fetches: [tl.zeros([n])], feeds: { x: [1, 2, 3, 4, 5] }, want: [[]] };
    },
  },
  {
    name: 'one random number for all elements',
    build: () => {
      const x = tl.placeholder('float32', [4], { name: 'x' });
      const r = tl.randomNormal([], { seed: 1 });
      const y = tl.add(x, tl.mul(r, tl.mul(tl.reduceMin(x), 0)));
      return { fetches: [y], feeds: { x: [1, 2, 3, 4] }, want: [[1, 2, 3, 4]] };
    },
  },
  {
    name: 'elements of a variable that the body writes',
    build: () => {
      const w = tl.variable([1, 2, 3], { name: 'w', trainable: false });
      const twice = tl.mapFn(
        (e) => tl.controlDependencies([w.assign([0, 0, 0])], () => tl.mul(e, 2)),
        w.read(),
      );
      return { fetches: [twice], want: [[2, 4, 6]] };
    },
  },
  {
    name: 'a variable from before a loop that writes it',
    build: () => {
      const w = tl.variable([1, 2, 3], { name: 'w', trainable: false });
      const old = w.read();
      const out = tl.whileLoop(
        ({ i }) => tl.less(i, 2),
        ({ i, v }) =>
          tl.controlDependencies([w.assign(v)], () => ({ i: tl.add(i, 1), v: tl.add(v, old) })),
        { i: tl.constant(0, 'int32'), v: tl.zeros([3]) },
      );
      return { fetches: [out.v], want: [[2, 4, 6]] };
    },
  },
  {
    name: 'a variable from before a branch that writes it',
    build: () => {
      const w = tl.variable([1, 2, 3], { name: 'w', trainable: false });
      const old = w.read();
      const y = tl.cond(
        tl.greater(tl.reduceSum(old), 0),
        () => tl.controlDependencies([w.assign([0, 0, 0])], () => tl.mul(old, 2)),
        () => old,
      );
      return { fetches: [y], want: [[2, 4, 6]] };
    },
  },
  {
    name: 'sums of rows of a variable as it is updated',
    build: () => {
      const x = tl.placeholder('float32', [2, 3], { name: 'x' });
      const w = tl.variable(
        [
          [10, 20, 30],
          [1, 2, 3],
        ],
        { name: 'w', trainable: false },
      );
      const t = w.assignAdd(tl.sub(x, tl.reduceMax(x, { axis: 1, keepDims: true })));
      const sums = tl.reduceSum(t, { axis: 1 });
      const after = tl.controlDependencies([sums], () => w.read());
      const rows = [
        [1, 2, 3],
        [1, 2, 3],
      ];
      return {
        fetches: [sums, after],
        feeds: { x: rows },
        want: [
          [57, 3],
          [8, 19, 30, -1, 1, 3],
        ],
      };
    },
  },
  {
    name: 'the last of branches for numbers that have none',
    build: () => {
      const i = tl.placeholder('int32', [3], { name: 'i' });
      const fetches = [0, 1, 2].map((at) => {
        const which = tl.squeeze(tl.slice(i, [at], [1]));
        return tl.switchCase(which, [() => tl.constant(10), () => tl.constant(20)]);
      });
      return { fetches, feeds: { i: [-1, 0, 2] }, want: [[20], [10], [20]] };
    },
  },
  {
    name: 'padding and one-hot vectors of int64',
    build: () => {
      const x = tl.placeholder('int64', [2], { name: 'x' });
      const padded = tl.cast(tl.pad(x, [[1, 1]], { value: 7 }), 'int32');
      const hot = tl.oneHot([1, 0], 2, { dtype: 'int64' });
      return {
        fetches: [padded, tl.cast(hot, 'int32')],
        feeds: { x: [1, 2] },
        want: [
          [7, 1, 2, 7],
          [0, 1, 1, 0],
        ],
      };
    },
  },
  ...(['float16', 'bfloat16'] as const).map((dtype) => ({
    name: `rows of ${dtype}`,
    build: () => {
      const h = tl.placeholder(dtype, [null, 3], { name: 'h' });
      const sums = tl.reduceSum(tl.abs(h), { axis: 1, keepDims: true });
      const parts = tl.mul(tl.exp(tl.sub(h, h)), tl.div(tl.mul(h, 8), sums));
      return { fetches: [parts], feeds: { h: [[1, 2, 1]] }, want: [[2, 4, 2]] };
    },
  })),
  {
    name: 'rows of int8 by way of int32',
    build: () => {
      const x = tl.placeholder('int8', [null, 4], { name: 'x' });
      const xi = tl.cast(x, 'int32');
      const e = tl.floorDiv(tl.mul(xi, 12345), tl.add(tl.abs(xi), 1));
      const sums = tl.reduceSum(e, { axis: 1, keepDims: true });
      const y = tl.cast(tl.add(tl.floorDiv(e, 1000), tl.floorDiv(sums, 1000)), 'int8');
      // 6172, 8230, 9258, 9876 and their sum 33536.
      return { fetches: [y], feeds: { x: [[1, 2, 3, 4]] }, want: [[39, 41, 42, 42]] };
    },
  },
];

const CONFIGURATIONS: readonly (readonly [string, Omit<tl.SessionOptions, 'graph'>])[] = [
  ['reference', { backend: 'reference' }],
  ['cpu', { backend: 'cpu', threads: 1, verify: true }],
  ['cpu without fusion', { backend: 'cpu', threads: 1, fuse: false }],
  ['webgpu', { backend: 'webgpu' }],
];

describe.each(CONFIGURATIONS)('on %s', (name, options) => {
  it.skipIf(name === 'webgpu' && !available).each(programs)('$name', async ({ build }) => {
    const graph = new tl.Graph();
    const made = graph.asDefault(() => ({ ...build(), init: tl.globalVariablesInitializer() }));
    const session = new tl.Session({ ...options, graph });
    await session.run(made.init);
    const got = await session.run(made.fetches, made.feeds, { timeoutMs: 20_000 });
    expect(got.map((value) => [value.toArray()].flat(9))).toEqual(made.want);
    await session.close();
  });
});
