// What plans must do on any backend, whatever its kernels: sizes that change, variables, order, loops,
// branches, memory that is used again, runs that fail. Each is a small program whose results are known
// or compared with the reference backend's.

import type { NDArray } from '../core/ndarray.ts';
import type { Tensor } from '../graph/tensor.ts';
import * as tl from '../index.ts';
import type { SessionOptions } from '../session/options.ts';
import type { Session } from '../session/session.ts';
import { ConformanceError, compare } from './compare.ts';
import { drawValue, generator } from './draw.ts';

/** One behaviour; `open` makes sessions on the backend in question. */
export interface Behaviour {
  readonly name: string;
  readonly check: (open: (graph: tl.Graph) => Session) => Promise<void>;
}

type Fetched = readonly NDArray[];

/** Demands nested values. */
function expectValue(got: NDArray, want: unknown, what: string): void {
  const [a, b] = [JSON.stringify(got.toArray()), JSON.stringify(want)];
  if (a !== b) throw new ConformanceError(`${what} is ${a}, should be ${b}`);
}

/** Demands that a run fails with an error of a code. */
async function expectError(run: Promise<unknown>, code: string): Promise<void> {
  const failed: unknown = await run.then(
    () => undefined,
    (e: unknown) => e,
  );
  const got = (failed as { code?: unknown } | undefined)?.code;
  if (got === code) return;
  const shown = failed === undefined ? 'no error' : String(failed);
  throw new ConformanceError(`the run gave ${shown}, should fail with ${code}`);
}

/** Runs the same on the backend in question and on the reference, and compares. */
async function agree(
  open: (graph: tl.Graph) => Session,
  graph: tl.Graph,
  tolerance: number,
  runs: (session: Session) => Promise<Fetched[]>,
): Promise<void> {
  const options: SessionOptions = { graph, backend: 'reference' };
  const reference = new tl.Session(options);
  const want = await runs(reference);
  await reference.close();
  const session = open(graph);
  try {
    const got = await runs(session);
    got.forEach((values, i) => {
      values.forEach((v, k) => {
        compare(v, want[i][k], tolerance, `run ${i}, value ${k}`);
      });
    });
  } finally {
    await session.close();
  }
}

/** Gives a session to a check, and closes it. */
async function within(session: Session, check: (s: Session) => Promise<void>): Promise<void> {
  try {
    await check(session);
  } finally {
    await session.close();
  }
}

const batches: Behaviour = {
  name: 'batch sizes change from run to run',
  check: async (open) => {
    const graph = new tl.Graph();
    const { x, fetches } = graph.asDefault(() => {
      const next = generator(1);
      const x = tl.placeholder('float32', [null, 6], { name: 'x' });
      const w = tl.constant(drawValue([6, 5], 'float32', {}, next));
      const h = tl.softmax(tl.matmul(tl.tanh(x), w));
      return { x, fetches: [h, tl.reduceSum(h, { axis: 0 }), tl.reduceMax(x)] };
    });
    const next = generator(2);
    const feeds = [3, 1, 8, 8, 2, 17, 1, 5, 64, 3].map((n) =>
      drawValue([n, 6], 'float32', {}, next),
    );
    await agree(open, graph, 1e-5, async (s) => {
      const out: Fetched[] = [];
      for (const value of feeds) out.push(await s.run(fetches, [[x, value]]));
      return out;
    });
  },
};

const empty: Behaviour = {
  name: 'batches may be empty',
  check: async (open) => {
    const graph = new tl.Graph();
    const { x, fetches } = graph.asDefault(() => {
      const x = tl.placeholder('float32', [null, 2], { name: 'x' });
      const y = tl.matmul(x, [
        [1, 2],
        [3, 4],
      ]);
      return { x, fetches: [y, tl.reduceSum(y), tl.reduceSum(y, { axis: 0 })] };
    });
    await within(open(graph), async (s) => {
      for (const rows of [0, 2, 0]) {
        const [y, all, columns] = await s.run(fetches, [
          [x, new tl.NDArray('float32', [rows, 2], new Float32Array(2 * rows).fill(1))],
        ]);
        expectValue(y, new Array(rows).fill([4, 6]), 'the product');
        expectValue(all, 10 * rows, 'the sum');
        expectValue(columns, [4 * rows, 6 * rows], 'the sum of columns');
      }
    });
  },
};

const variables: Behaviour = {
  name: 'variables keep their values, and runs read what was written before',
  check: async (open) => {
    const graph = new tl.Graph();
    const { v, by, init, add, twice, both } = graph.asDefault(() => {
      const by = tl.placeholder('float32', [], { name: 'by' });
      const v = tl.variable(tl.zeros([2]), { name: 'v' });
      const add = v.assignAdd(tl.mul(tl.ones([2]), by));
      const before = tl.identity(v.read());
      const both = tl.controlDependencies([before], () => v.assign(tl.mul(before, -1)));
      const twice = tl.mul(v, 2);
      return { v, by, init: tl.globalVariablesInitializer(), add, twice, both: { before, both } };
    });
    await within(open(graph), async (s) => {
      await expectError(s.run(v), 'variable/uninitialized');
      await s.run(init);
      await s.run(add, [[by, 1]]);
      await s.run(add, [[by, 2]]);
      expectValue(await s.run(twice), [6, 6], 'twice the variable');
      const { before } = await s.run(both);
      expectValue(before, [3, 3], 'the value before the write');
      expectValue(await s.run(v), [-3, -3], 'the value after it');
      s.setVariable(v, [5, 7]);
      expectValue(await s.run(twice), [10, 14], 'twice the value set');
      await s.run(init);
      expectValue(await s.run(v), [0, 0], 'the value after another start');
    });
  },
};

const order: Behaviour = {
  name: 'control dependencies order writes',
  check: async (open) => {
    const graph = new tl.Graph();
    const { v, init, chain, reads } = graph.asDefault(() => {
      const v = tl.variable(tl.constant(1), { name: 'v' });
      const first = v.assign(tl.mul(v.read(), 10));
      const second = tl.controlDependencies([first], () => v.assign(tl.add(v.read(), 1)));
      const reads = tl.controlDependencies([second], () => tl.mul(v.read(), 2));
      return { v, init: tl.globalVariablesInitializer(), chain: second, reads };
    });
    await within(open(graph), async (s) => {
      await s.run(init);
      expectValue(await s.run(reads), 22, 'the value read after both writes');
      await s.run(chain);
      expectValue(await s.run(v), 111, 'the value after four writes');
    });
  },
};

const training: Behaviour = {
  name: 'training goes the same way',
  check: async (open) => {
    const graph = new tl.Graph();
    const made = graph.asDefault(() => {
      const next = generator(4);
      const x = tl.placeholder('float32', [null, 5], { name: 'x' });
      const labels = tl.placeholder('int32', [null], { name: 'labels' });
      const w1 = tl.variable(drawValue([5, 8], 'float32', {}, next), { name: 'w1' });
      const b1 = tl.variable(tl.zeros([8]), { name: 'b1' });
      const w2 = tl.variable(drawValue([8, 3], 'float32', {}, next), { name: 'w2' });
      const logits = tl.matmul(tl.relu(tl.add(tl.matmul(x, w1), b1)), w2);
      const loss = tl.reduceMean(tl.sparseSoftmaxCrossEntropyWithLogits(labels, logits));
      const train = new tl.AdamOptimizer(0.01).minimize(loss);
      return { x, labels, loss, train, w1, init: tl.globalVariablesInitializer() };
    });
    const { x, labels, loss, train, w1, init } = made;
    const next = generator(5);
    const steps = [4, 7, 4, 1, 9, 4, 16, 4].map((n) => [
      drawValue([n, 5], 'float32', {}, next),
      drawValue([n], 'int32', { low: 0, high: 2 }, next),
    ]);
    await agree(open, graph, 1e-4, async (s) => {
      await s.run(init);
      const out: Fetched[] = [];
      for (const [images, answers] of steps) {
        const fed = [
          [x, images],
          [labels, answers],
        ] as const;
        out.push([(await s.run({ loss, train }, fed)).loss]);
      }
      out.push([await s.run(w1)]);
      return out;
    });
  },
};

const loops: Behaviour = {
  name: 'loops run as often as values say',
  check: async (open) => {
    const graph = new tl.Graph();
    const { n, rows, count, sums, slope } = graph.asDefault(() => {
      const n = tl.placeholder('int32', [], { name: 'n' });
      const rows = tl.placeholder('float32', [null, 3], { name: 'rows' });
      const [, count] = tl.whileLoop(
        ([left]) => tl.greater(left, 0),
        ([left, turns]) => [tl.floorDiv(left, 2), tl.add(turns, 1)],
        [n, tl.constant(0, { dtype: 'int32' })],
      );
      const sums = tl.scan((c, row) => tl.add(tl.mul(c, 0.5), row), rows, {
        initializer: tl.zeros([3]),
      });
      const [slope] = tl.gradients([tl.reduceSum(sums)], [rows]);
      return { n, rows, count, sums, slope: slope as Tensor };
    });
    await within(open(graph), async (s) => {
      for (const [value, turns] of [
        [0, 0],
        [1, 1],
        [1000, 10],
      ]) {
        expectValue(await s.run(count, [[n, value]]), turns, `the turns for ${value}`);
      }
      const fed = [
        [
          rows,
          [
            [1, 2, 3],
            [4, 5, 6],
            [0, 0, 0],
          ],
        ],
      ] as const;
      expectValue(
        await s.run(sums, fed),
        [
          [1, 2, 3],
          [4.5, 6, 7.5],
          [2.25, 3, 3.75],
        ],
        'the sums',
      );
      const per = [1.75, 1.5, 1].map((g) => [g, g, g]);
      expectValue(await s.run(slope, fed), per, 'the gradient');
      expectValue(
        await s.run(
          sums,
          [[rows, new Float32Array(3)]].map(
            ([t]) => [t as Tensor, new tl.NDArray('float32', [0, 3], new Float32Array(0))] as const,
          ),
        ),
        [],
        'the sums of no rows',
      );
    });
  },
};

const branches: Behaviour = {
  name: 'only the branch taken runs',
  check: async (open) => {
    const graph = new tl.Graph();
    const { p, x, y, v, init } = graph.asDefault(() => {
      const p = tl.placeholder('bool', [], { name: 'p' });
      const x = tl.placeholder('float32', [null], { name: 'x' });
      const v = tl.variable(tl.constant(0), { name: 'v' });
      const y = tl.cond(
        p,
        () => {
          const wrote = v.assignAdd(1);
          return tl.controlDependencies([wrote], () => tl.mul(x, 2));
        },
        () => tl.neg(x),
      );
      return { p, x, y, v, init: tl.globalVariablesInitializer() };
    });
    await within(open(graph), async (s) => {
      await s.run(init);
      const run = (flag: boolean) =>
        s.run(y, [
          [p, flag],
          [x, [1, 2]],
        ]);
      expectValue(await run(true), [2, 4], 'the first branch');
      expectValue(await run(false), [-1, -2], 'the second branch');
      expectValue(await s.run(v), 1, 'the number of writes');
    });
  },
};

const memory: Behaviour = {
  name: 'memory used again holds no old values',
  check: async (open) => {
    const graph = new tl.Graph();
    const { x, fetches } = graph.asDefault(() => {
      const x = tl.placeholder('float32', [null, 4], { name: 'x' });
      let h: Tensor = x;
      const fetched: Tensor[] = [];
      for (let i = 0; i < 12; i++) {
        const sum = tl.reduceSum(h, { axis: 1, keepDims: true });
        const square = tl.matmul(h, tl.transpose(h));
        h = tl.tanh(tl.add(tl.matmul(square, h), tl.div(h, tl.add(tl.abs(sum), 1))));
        if (i % 4 === 3) fetched.push(h);
      }
      return { x, fetches: fetched };
    });
    const next = generator(6);
    const feeds = [9, 2, 9, 1, 5, 9, 3].map((n) =>
      drawValue([n, 4], 'float32', { low: -0.5, high: 0.5 }, next),
    );
    await agree(open, graph, 1e-4, async (s) => {
      const out: Fetched[] = [];
      for (const value of feeds) out.push(await s.run(fetches, [[x, value]]));
      return out;
    });
  },
};

const failures: Behaviour = {
  name: 'a run that fails leaves variables and session as they were',
  check: async (open) => {
    const graph = new tl.Graph();
    const { at, v, init, step } = graph.asDefault(() => {
      const at = tl.placeholder('int32', [null], { name: 'at' });
      const v = tl.variable(tl.constant([1, 2, 3]), { name: 'v' });
      const add = v.assignAdd([1, 1, 1]);
      const picked = tl.controlDependencies([add], () => tl.gather(v.read(), at));
      return { at, v, init: tl.globalVariablesInitializer(), step: picked };
    });
    await within(open(graph), async (s) => {
      await s.run(init);
      await expectError(s.run(step, [[at, [0, 3]]]), 'run/check');
      expectValue(await s.run(v), [1, 2, 3], 'the variable after the failure');
      expectValue(await s.run(step, [[at, [2]]]), [4], 'what a good run gives');
    });
  },
};

const feeding: Behaviour = {
  name: 'any tensor may be fed or fetched, and fetched twice',
  check: async (open) => {
    const graph = new tl.Graph();
    const { x, middle, y } = graph.asDefault(() => {
      const x = tl.placeholder('float32', [null], { name: 'x' });
      const middle = tl.mul(x, 2);
      return { x, middle, y: tl.add(middle, 1) };
    });
    await within(open(graph), async (s) => {
      const [a, b, c] = await s.run([y, x, y], [[x, [1, 2]]]);
      expectValue(a, [3, 5], 'the result');
      expectValue(b, [1, 2], 'the feed');
      expectValue(c, [3, 5], 'the result again');
      expectValue(await s.run(y, [[middle, [10]]]), [11], 'the result of a fed tensor');
    });
  },
};

const kept: Behaviour = {
  name: 'values stay on the device and feed other runs',
  check: async (open) => {
    const graph = new tl.Graph();
    const { x, y } = graph.asDefault(() => {
      const x = tl.placeholder('float32', [null], { name: 'x' });
      return { x, y: tl.add(tl.mul(x, 2), 1) };
    });
    await within(open(graph), async (s) => {
      const put = await s.put([1, 2]);
      let value = await s.run(y, [[x, put]], { keep: true });
      for (let i = 0; i < 3; i++) {
        const next = await s.run(y, [[x, value]], { keep: true });
        value.dispose();
        value = next;
      }
      expectValue(await value.read(), [31, 47], 'the value after four runs');
      expectValue(await put.read(), [1, 2], 'the value that was put');
      value.dispose();
      put.dispose();
    });
  },
};

const host: Behaviour = {
  name: 'calls of the host stand between kernels',
  check: async (open) => {
    const graph = new tl.Graph();
    const { x, y } = graph.asDefault(() => {
      const x = tl.placeholder('float32', ['n'], { name: 'x' });
      const [mid] = tl.hostCall(
        (a: NDArray) => Float32Array.from(a.data as Float32Array, (v) => v + 100),
        [tl.mul(x, 2)],
        [{ dtype: 'float32', shape: ['n'] }],
      );
      return { x, y: tl.neg(mid) };
    });
    await within(open(graph), async (s) => {
      expectValue(await s.run(y, [[x, [1, 2]]]), [-102, -104], 'the result');
      expectValue(await s.run(y, [[x, [3]]]), [-106], 'the result of another size');
    });
  },
};

const found: Behaviour = {
  name: 'sizes may come from values',
  check: async (open) => {
    const graph = new tl.Graph();
    const { x, y } = graph.asDefault(() => {
      const x = tl.placeholder('float32', [null], { name: 'x' });
      const at = tl.squeeze(tl.where(tl.greater(x, 0)), { axis: [1] });
      const picked = tl.gather(x, at);
      return { x, y: [picked, tl.reduceSum(picked), tl.size(picked)] };
    });
    await within(open(graph), async (s) => {
      for (const [fed, want] of [
        [
          [1, -1, 2],
          [1, 2],
        ],
        [[-1], []],
        [
          [4, 5, 6, -7],
          [4, 5, 6],
        ],
      ]) {
        const [picked, sum, size] = await s.run(y, [[x, fed]]);
        expectValue(picked, want, 'what is above 0');
        expectValue(
          sum,
          want.reduce((a, b) => a + b, 0),
          'its sum',
        );
        expectValue(size, want.length, 'its size');
      }
    });
  },
};

const branchSizes: Behaviour = {
  name: 'branches may give different sizes',
  check: async (open) => {
    const graph = new tl.Graph();
    const { p, x, h, y } = graph.asDefault(() => {
      const p = tl.placeholder('bool', [], { name: 'p' });
      const x = tl.placeholder('float32', [null], { name: 'x' });
      const h = tl.placeholder('float32', [null], { name: 'h' });
      const made = tl.cond(
        p,
        () => tl.gather(x, tl.squeeze(tl.where(tl.greater(x, 0)), { axis: [1] })),
        () => tl.concat([h, h], 0),
      );
      // As long as a value says, so that its size has no bound known before the run.
      const long = tl.range(tl.cast(tl.reduceSum(tl.mul(h, 3)), 'int32'));
      const ints = tl.cond(
        p,
        () => tl.add(long, 1),
        () => tl.constant([7], { dtype: 'int32' }),
      );
      const loss = tl.reduceSum(tl.mul(made, made));
      return { p, x, h, y: [made, tl.size(made), ints, ...tl.gradients([loss], [x, h])] };
    });
    await within(open(graph), async (s) => {
      const run = (flag: boolean, xs: number[], hs: number[]) =>
        s.run(y as Tensor[], [
          [p, flag],
          [x, xs],
          [h, hs],
        ]);
      const check = (got: readonly NDArray[], want: readonly unknown[]): void => {
        const names = ['the result', 'its size', 'the integers', 'the gradient of x', 'that of h'];
        for (const [i, what] of names.entries()) expectValue(got[i], want[i], what);
      };
      check(await run(true, [1, -1, 2], [1]), [[1, 2], 2, [1, 2, 3], [2, 0, 4], [0]]);
      check(await run(false, [1], [2, 3]), [[2, 3, 2, 3], 4, [7], [0], [8, 12]]);
      check(await run(true, [-1], [2]), [[], 0, [1, 2, 3, 4, 5, 6], [0], [0]]);
    });
  },
};

/** All of them. */
export const BEHAVIOURS: readonly Behaviour[] = [
  batches,
  empty,
  variables,
  order,
  training,
  loops,
  branches,
  memory,
  failures,
  feeding,
  kept,
  host,
  found,
  branchSizes,
];
