// What a GPU can't compute in is placed on the CPU: the same numbers, state and errors as there, in few
// regions, and visibly.

import { describe, expect, it } from 'vitest';
import * as tl from '../../../src/index.ts';
import { webgpuAvailable } from '../../support/wgsl-run.ts';

const available = await webgpuAvailable();

type Fetch = tl.Tensor | tl.Operation | { asTensor(): tl.Tensor };
type FeedList = readonly (readonly [tl.Tensor, unknown])[];
type Runs = readonly (readonly [readonly Fetch[], FeedList])[];

const text = (v: tl.HostTensor | undefined): string =>
  v === undefined ? '' : `${v.dtype}[${v.shape}] ${Array.from(v.data as Iterable<unknown>).join()}`;

/** What some runs give on a backend, one after the other in a session. */
async function results(graph: tl.Graph, backend: string, runs: Runs): Promise<string[][]> {
  const session = new tl.Session({ graph, backend });
  const out: string[][] = [];
  for (const [fetches, feeds] of runs) {
    out.push(((await session.run(fetches, feeds)) as (tl.NDArray | undefined)[]).map(text));
  }
  await session.close();
  return out;
}

/** The same on both backends, bit for bit. */
async function same(graph: tl.Graph, runs: Runs): Promise<string[][]> {
  const wanted = await results(graph, 'cpu', runs);
  expect(await results(graph, 'webgpu', runs)).toEqual(wanted);
  return wanted;
}

const doubles = (n: number, columns: number): tl.NDArray =>
  tl.toNDArray(
    Float64Array.from({ length: n * columns }, (_, k) => Math.sin(k + n) * 9),
    undefined,
    [n, columns],
  );

const floats = (n: number, columns: number): tl.NDArray =>
  tl.toNDArray(
    Float32Array.from({ length: n * columns }, (_, k) => Math.sin(k + n)),
    undefined,
    [n, columns],
  );

const longs = (values: readonly bigint[]): BigInt64Array => BigInt64Array.from(values);

function statsOf(session: tl.Session) {
  const { programs } = session.stats;
  return programs[programs.length - 1].perPlan[0];
}

describe.skipIf(!available)('64 bits on WebGPU', () => {
  it('are computed as on the CPU', async () => {
    const graph = new tl.Graph();
    const { x, i, out } = graph.asDefault(() => {
      const x = tl.placeholder('float64', ['n', 3], { name: 'x' });
      const i = tl.placeholder('int64', [null], { name: 'i' });
      const w = tl.constant([[0.1, 0.2, 0.3]], { dtype: 'float64' });
      const out = [
        tl.add(x, w),
        tl.matmul(x, x, { transposeB: true }),
        tl.reduceSum(i),
        tl.mul(i, 1_000_003),
        tl.cast(i, 'float64'),
        tl.cast(x, 'int64'),
        tl.transpose(x),
        tl.shape(x),
        tl.less(x, 0.5),
        tl.constant([1, 2], { dtype: 'int64' }),
        x,
        x,
      ];
      return { x, i, out };
    });
    const big = longs([2n ** 62n + 1n, -3n, 2n ** 53n + 1n, 0n]);
    await same(
      graph,
      [2, 5, 1, 0].map((n) => [
        out,
        [
          [x, doubles(n, 3)],
          [i, big],
        ],
      ]),
    );
  });

  it('may be in the middle of a graph, gradients included', async () => {
    const graph = new tl.Graph();
    const { x, loss, slope } = graph.asDefault(() => {
      const x = tl.placeholder('float32', ['n', 4], { name: 'x' });
      const h = tl.tanh(tl.matmul(x, tl.mul(tl.ones([4, 4]), 0.1)));
      const exact = tl.exp(tl.mul(tl.cast(h, 'float64'), 0.5));
      const back = tl.cast(tl.reduceSum(exact, { axis: 0 }), 'float32');
      const loss = tl.reduceSum(tl.square(tl.matmul(tl.expandDims(back, 0), tl.ones([4, 2]))));
      return { x, loss, slope: tl.gradients(loss, [x])[0] as tl.Tensor };
    });
    const [gpu, cpu] = ['webgpu', 'cpu'].map((backend) => new tl.Session({ graph, backend }));
    for (const n of [3, 1, 7]) {
      const [a, b] = [
        await gpu.run([loss, slope], [[x, floats(n, 4)]]),
        await cpu.run([loss, slope], [[x, floats(n, 4)]]),
      ];
      a.forEach((v, k) => {
        expect(v.shape).toEqual(b[k].shape);
        v.data.forEach((got, at) => {
          const want = b[k].data[at] as number;
          expect(Math.abs((got as number) - want)).toBeLessThan(2e-5 * Math.max(1, Math.abs(want)));
        });
      });
    }
    // One plan for all batch sizes: the device, the CPU, the device; and the same on the way back.
    const { plans } = gpu.stats;
    expect(plans).toBe(1);
    expect(statsOf(gpu)).toMatchObject({ segments: 5, placed: { segments: 2 } });
    expect(statsOf(cpu).placed).toBeUndefined();
    await gpu.close();
    await cpu.close();
  });

  it('train a model to the same bits', async () => {
    const graph = new tl.Graph();
    const { x, y, init, train, loss, vars } = graph.asDefault(() => {
      tl.setRandomSeed(7);
      const x = tl.placeholder('float64', ['n', 3], { name: 'x' });
      const y = tl.placeholder('float64', ['n', 1], { name: 'y' });
      const w = tl.variable(tl.randomUniform([3, 4], { dtype: 'float64' }), { name: 'w' });
      const v = tl.variable(tl.randomUniform([4, 1], { dtype: 'float64' }), { name: 'v' });
      const out = tl.matmul(tl.tanh(tl.matmul(x, w)), v);
      const loss = tl.reduceMean(tl.square(tl.sub(out, y)));
      const train = new tl.AdamOptimizer(0.05).minimize(loss);
      return { x, y, train, loss, vars: [w, v], init: tl.globalVariablesInitializer() };
    });
    const step = (n: number) =>
      [
        [loss, train],
        [
          [x, doubles(n, 3)],
          [y, doubles(n, 1)],
        ],
      ] as const;
    const runs: Runs = [[[init], []], ...[8, 3, 8, 5].map(step), [vars, []]];
    await same(graph, runs);
  });

  it('run in loops and branches, whole', async () => {
    const graph = new tl.Graph();
    const { x, init, out, steps } = graph.asDefault(() => {
      const x = tl.placeholder('float32', ['n'], { name: 'x' });
      const steps = tl.variable(tl.zeros([]), { name: 'steps' });
      const total = tl.scan((sum, v) => tl.add(sum, tl.cast(v, 'float64')), x, {
        initializer: tl.constant(0, { dtype: 'float64' }),
      });
      // A bool, a float32 and an int64 in one loop, which writes a variable of the GPU.
      const { n, s } = tl.whileLoop(
        ({ n }) => tl.less(n, 5),
        ({ n, s }) => {
          const write = steps.assignAdd(1);
          return { n: tl.add(n, 1), s: tl.add(s, tl.mul(write, 2)) };
        },
        { n: tl.constant(0, { dtype: 'int64' }), s: tl.reduceSum(x) },
      );
      const branch = tl.cond(
        tl.greater(tl.reduceSum(x), 1),
        () => tl.cast(x, 'float64'),
        () => tl.cast(tl.mul(x, 3), 'float64'),
      );
      const out = [total, n, tl.mul(s, 2), branch, tl.reduceSum(branch)];
      return { x, out, steps, init: tl.globalVariablesInitializer() };
    });
    const feed = (v: number[]): FeedList => [[x, v]];
    const got = await same(graph, [
      [[init], []],
      [out, feed([1, 2, 3])],
      [out, feed([0, 0.5])],
      [[steps], []],
    ]);
    expect(got[3]).toEqual(['float32[] 10']);
  });

  it('find sizes, which the GPU then knows; and the other way round', async () => {
    const graph = new tl.Graph();
    const { x, out } = graph.asDefault(() => {
      const x = tl.placeholder('float32', ['n'], { name: 'x' });
      const long = tl.cast(tl.mul(x, 10), 'int64');
      const rows = (of: tl.Tensor) => tl.reshape(tl.where(of), [-1]);
      // Found on the CPU, used on the GPU.
      const odd = tl.notEqual(tl.mod(long, 2), 0);
      const here = tl.gather(x, tl.reshape(tl.cast(tl.cast(rows(odd), 'int64'), 'int32'), [-1]));
      // Found on the GPU, used on the CPU, and back.
      const big = tl.gather(tl.mul(x, 2), rows(tl.greater(x, 0.3)));
      const there = tl.add(tl.cast(big, 'float64'), tl.cast(tl.size(big), 'float64'));
      const back = tl.matmul(
        tl.reshape(tl.cast(there, 'float32'), [1, -1]),
        tl.fill([tl.size(big), 2], 1),
      );
      return { x, out: [here, tl.exp(here), tl.shape(here), there, back, tl.reduceSum(back)] };
    });
    await same(
      graph,
      [[0.1, 0.2, 0.7, 0.5, 0.9], [0.3], [0.9, 0.9, 0.9], []].map((v) => [out, [[x, v]]]),
    );
  });

  it('cross with sizes that nothing bounds', async () => {
    const graph = new tl.Graph();
    const { x, fetches } = graph.asDefault(() => {
      const x = tl.placeholder('float64', [2], { name: 'x' });
      // Its gradient keeps each turn, however many there are, while the GPU does something else.
      const { v } = tl.whileLoop(
        ({ v }) => tl.less(tl.reduceMax(v), 50),
        ({ v }) => ({ v: tl.mul(v, tl.add(tl.sin(v), 2.5)) }),
        { v: x },
      );
      const h = tl.matmul(tl.reshape(tl.cast(v, 'float32'), [1, 2]), tl.ones([2, 2]));
      return { x, fetches: [h, v, ...tl.gradients(h, [x])] as tl.Tensor[] };
    });
    await same(
      graph,
      [
        [1, 2],
        [0.01, 0.02],
        [60, 1],
      ].map((v) => [fetches, [[x, v]]]),
    );
  });

  it('are joined by what stands between, but for what is work', async () => {
    const graph = new tl.Graph();
    const { x, light, heavy } = graph.asDefault(() => {
      const x = tl.placeholder('float64', [4, 4], { name: 'x' });
      const single = tl.cast(x, 'float32');
      const light = tl.cast(tl.relu(tl.transpose(tl.add(single, 1))), 'float64');
      const heavy = tl.cast(tl.relu(tl.matmul(single, single)), 'float64');
      return { x, light, heavy };
    });
    const session = new tl.Session({ graph, backend: 'webgpu' });
    await session.run(light, [[x, doubles(4, 4)]]);
    expect(statsOf(session)).toMatchObject({ kernels: 0, segments: 1, placed: { segments: 1 } });
    await session.run(heavy, [[x, doubles(4, 4)]]);
    expect(statsOf(session)).toMatchObject({ segments: 3, placed: { segments: 2, nodes: 2 } });
    await session.close();
  });

  it('call functions of the user', async () => {
    const graph = new tl.Graph();
    const { x, fetches } = graph.asDefault(() => {
      const x = tl.placeholder('float32', [3], { name: 'x' });
      const [long, half] = tl.hostCall(
        async (v: tl.NDArray) => [
          BigInt64Array.from(v.data as never, (n: number) => BigInt(n) ** 9n),
          [0.5, 0.25, 1],
        ],
        [tl.mul(x, 2)],
        [
          { dtype: 'int64', shape: [3] },
          { dtype: 'float32', shape: [3] },
        ],
      );
      return { x, fetches: [tl.add(long, 1), tl.exp(half), half] };
    });
    const got = await same(graph, [[fetches, [[x, [1, 2, 3]]]]]);
    expect(got[0][0]).toBe(`int64[3] ${2n ** 9n + 1n},${4n ** 9n + 1n},${6n ** 9n + 1n}`);
  });

  it('show in explain and stats, with the reason', async () => {
    const graph = new tl.Graph();
    const { x, init, y } = graph.asDefault(() => {
      const x = tl.placeholder('float32', ['n', 2], { name: 'x' });
      const scale = tl.variable(tl.constant(3, { dtype: 'float64' }), { name: 'scale' });
      const wide = tl.mul(tl.cast(tl.matmul(x, tl.ones([2, 2])), 'float64'), scale, {
        name: 'wide',
      });
      const y = tl.exp(tl.cast(tl.reduceSum(wide), 'float32', { name: 'narrow' }));
      return { x, y, init: tl.globalVariablesInitializer() };
    });
    const session = new tl.Session({ graph, backend: 'webgpu' });
    const shown = session.explain(y);
    expect(shown).toContain('segment 0 (device)');
    const [, placed] =
      /segment 1 \(placed on the cpu\)\n([\s\S]*?)segment 2 \(device\)/.exec(shown) ?? [];
    expect(placed).toContain('  wide: float64\n');
    expect(placed).toContain('  narrow: float64\n');
    expect(placed).toMatch(/ {2}from @\d+ to @\d+\n/);
    expect(placed).toContain('  | # plan: 1 kernels in 1 segment, 1 distinct\n');
    expect(placed).toContain('variable float64[1]  // scale');
    await session.run(init);
    await session.run(y, [[x, floats(2, 2)]]);
    expect(statsOf(session)).toMatchObject({ segments: 3, placed: { segments: 1, nodes: 4 } });
    await session.close();
    const cpu = new tl.Session({ graph, backend: 'cpu' });
    expect(cpu.explain(y)).not.toContain('placed');
    await cpu.close();
  });
});
