// Statistics and normalisations: figures that users expect, and that each is one kernel.

import { describe, expect, it } from 'vitest';
import * as tl from '../../src/index.ts';

async function run<T>(build: () => T): Promise<tl.FetchResult<T>> {
  const graph = new tl.Graph();
  const fetches = graph.asDefault(build);
  const session = new tl.Session({ graph, backend: 'cpu' });
  const out = await session.run(fetches as never);
  await session.close();
  return out as tl.FetchResult<T>;
}

const ROWS = [
  [1, 2],
  [3, 4],
  [5, 6],
];

describe('moments', () => {
  it('of int32 stay int32 and truncate; of numbers they are float32', async () => {
    const ints = await run(() => {
      const { mean, variance } = tl.nn.moments(tl.constant(ROWS, { dtype: 'int32' }), 0);
      return [mean, variance];
    });
    expect(ints.map((v) => v.dtype)).toEqual(['int32', 'int32']);
    expect(ints.map((v) => [...v.data])).toEqual([
      [3, 4],
      [2, 2],
    ]);
    const floats = await run(() => tl.nn.moments(ROWS, [0]).variance);
    expect([...floats.data].map((v) => v.toFixed(6))).toEqual(['2.666667', '2.666667']);
  });

  it('lose no digits to a large mean, and a shift changes nothing', async () => {
    const xs = [10001, 10002, 10003, 10004];
    for (const options of [{}, { shift: 10000 }, { keepDims: true }]) {
      const { mean, variance } = await run(() => tl.nn.moments(xs, 0, options));
      expect([mean.data[0], variance.data[0]]).toEqual([10002.5, 1.25]);
      expect(mean.shape).toEqual('keepDims' in options ? [1] : []);
    }
  });

  it('have a second derivative: that of the variance is 2/n minus 2/n^2', async () => {
    const hessian = await run(() => {
      const x = tl.constant([1, 2, 4, 9]);
      const [first] = tl.gradients([tl.reduceVariance(x)], [x]);
      return tl.gradients([tl.slice(first as tl.Tensor, [1], [1])], [x])[0] as tl.Tensor;
    });
    expect([...hessian.data].map((v) => v.toFixed(5))).toEqual([
      '-0.12500',
      '0.37500',
      '-0.12500',
      '-0.12500',
    ]);
  });
});

describe('fusion', () => {
  const count = (build: (x: tl.Tensor) => unknown): number => {
    const graph = new tl.Graph();
    const [x, y] = graph.asDefault(() => {
      const input = tl.placeholder('float32', [null, 64]);
      return [input, build(input)] as const;
    });
    const session = new tl.Session({ graph, backend: 'cpu' });
    session.runSync(y as tl.Tensor, [
      [x, new tl.NDArray('float32', [3, 64], new Float32Array(192))],
    ]);
    return session.stats.programs[0].perPlan[0].kernels;
  };

  it('makes one kernel of each over the last axis', () => {
    expect(count((x) => tl.nn.moments(x, -1))).toBe(1);
    expect(count((x) => tl.nn.layerNorm(x, { scale: 2, offset: 1 }))).toBe(1);
    expect(count((x) => tl.nn.l2Normalize(x))).toBe(1);
    expect(count((x) => tl.reduceLogSumExp(x, { axis: -1 }))).toBe(1);
    expect(count((x) => tl.reduceStd(x, { axis: -1 }))).toBe(1);
  });
});

describe('reduceLogSumExp', () => {
  it('takes infinities', async () => {
    const out = await run(() =>
      tl.reduceLogSumExp(
        [
          [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY],
          [Number.POSITIVE_INFINITY, 1],
          [1000, 1000],
        ],
        { axis: 1 },
      ),
    );
    expect([...out.data]).toEqual([-Infinity, Infinity, Math.fround(1000 + Math.LN2)]);
  });
});
