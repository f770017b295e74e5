// Dtypes of less than a word on the GPU: elements are parts of words, wherever they begin and end.

import { describe, expect, it } from 'vitest';
import * as tl from '../../../src/index.ts';
import { webgpuAvailable } from '../../support/wgsl-run.ts';

const DTYPES = ['int8', 'uint8', 'int16', 'uint16', 'float16', 'bfloat16'] as const;

type Feed = [tl.Tensor, unknown];

/** Runs fetches over feeds on webgpu; what they hold as plain numbers. */
async function run(
  build: () => { feeds: Feed[]; fetches: tl.Tensor[] },
  backend: string,
  keep = false,
): Promise<number[][]> {
  const graph = new tl.Graph();
  const { feeds, fetches } = graph.asDefault(build);
  const session = new tl.Session({ graph, backend });
  const read = async (): Promise<tl.NDArray[]> => {
    if (!keep) return session.run(fetches, feeds as never);
    const kept = await session.run(fetches, feeds as never, { keep: true });
    const values = await Promise.all(kept.map((k) => k.read()));
    for (const k of kept) k.dispose();
    return values;
  };
  const values = await read();
  await session.close();
  return values.map((v) => [v.toArray()].flat(9) as number[]);
}

const feed = (dtype: tl.DType, shape: readonly number[], from = 0): Feed => {
  const n = shape.reduce((a, b) => a * b, 1);
  const flat = Array.from({ length: n }, (_, i) => ((i + from) * 7) % 101);
  const [rows, columns] = shape;
  const data =
    columns === undefined
      ? flat
      : Array.from({ length: rows }, (_, i) => flat.slice(i * columns, (i + 1) * columns));
  return [tl.placeholder(dtype, shape), data];
};

describe.skipIf(!(await webgpuAvailable()))('parts of words', () => {
  const agree = async (build: Parameters<typeof run>[0], keep = false): Promise<void> => {
    expect(await run(build, 'webgpu', keep)).toEqual(await run(build, 'reference'));
  };

  describe.each(DTYPES)('of %s', (dtype) => {
    it.each([1, 2, 3, 4, 5, 255, 257])('maps of %i elements', (n) =>
      agree(() => {
        const x = feed(dtype, [n]);
        return {
          feeds: [x],
          fetches: [tl.add(x[0], x[0]), tl.reduceSum(tl.cast(x[0], 'float32'))],
        };
      }),
    );

    it('results that lie in another order than the points', () =>
      agree(() => {
        const x = feed(dtype, [5, 7]);
        return { feeds: [x], fetches: [tl.add(tl.transpose(x[0]), 1), tl.reverse(x[0], [0, 1])] };
      }));

    it.each([false, true])('values that begin inside a word, kept: %s', (keep) =>
      agree(() => {
        const x = feed(dtype, [9]);
        const whole = tl.add(x[0], 3);
        return {
          feeds: [x],
          fetches: [tl.slice(whole, [1], [5]), tl.slice(whole, [3], [6]), whole],
        };
      }, keep),
    );

    it.each([false, true])('loops in steps of odd lengths, kept: %s', (keep) =>
      agree(() => {
        const x = feed(dtype, [5, 3]);
        const rows = tl.scan((sum, row) => tl.add(sum, row), x[0], {
          initializer: tl.zeros([3], { dtype }),
        });
        const [, last] = tl.whileLoop(
          ([n]) => tl.less(n, 3),
          ([n, v]) => [tl.add(n, 1), tl.add(v, v)],
          [tl.constant(0, 'int32'), tl.gather(x[0], tl.constant(1, 'int32'))],
        );
        return { feeds: [x], fetches: [rows, last] };
      }, keep),
    );

    it('many inputs of odd lengths, which are packed', () =>
      agree(() => {
        const parts = Array.from({ length: 20 }, (_, i) => feed(dtype, [2 * i + 1], i));
        return {
          feeds: parts,
          fetches: [
            tl.concat(
              parts.map(([t]) => t),
              0,
            ),
          ],
        };
      }));
  });

  it('take a quarter of the memory of words', async () => {
    const graph = new tl.Graph();
    const session = new tl.Session({ graph, backend: 'webgpu' });
    const used = async (dtype: tl.DType): Promise<number> => {
      const before = session.stats.device?.usedBytes ?? 0;
      const value = await session.put(new Array(4096).fill(1), { dtype });
      const after = session.stats.device?.usedBytes ?? 0;
      value.dispose();
      return after - before;
    };
    await session.ready;
    expect(await used('int32')).toBe(16384);
    expect(await used('uint8')).toBe(4096);
    expect(await used('float16')).toBe(8192);
    await session.close();
  });

  it('keep what variables hold beside what is written', async () => {
    const graph = new tl.Graph();
    const { v, init, step } = graph.asDefault(() => {
      const v = tl.variable(tl.constant([1, 2, 3, 4, 5], 'uint8'), { name: 'v' });
      return {
        v,
        init: tl.globalVariablesInitializer(),
        step: v.assignAdd(tl.constant([1, 0, 1, 0, 250], 'uint8')),
      };
    });
    const session = new tl.Session({ graph, backend: 'webgpu' });
    await session.run(init);
    await session.run(step);
    await session.run(step);
    expect((await session.run(v)).toArray()).toEqual([3, 2, 5, 4, 249]);
    await session.close();
  });
});
