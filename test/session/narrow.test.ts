// Floats of 16 bits to the last bit, and integers that wrap around: on the reference, which rounds in plain
// JavaScript, and on the cpu, whose kernels do so in primitives.

import { describe, expect, it } from 'vitest';
import { type DType, dtypeInfo } from '../../src/core/dtype.ts';
import { NDArray } from '../../src/core/ndarray.ts';
import * as tl from '../../src/index.ts';

const HALVES = ['float16', 'bfloat16'] as const;
const BACKENDS = ['cpu', 'reference'] as const;

async function cast(from: NDArray, to: DType, backend: string): Promise<NDArray> {
  const graph = new tl.Graph();
  const [x, y] = graph.asDefault(() => {
    const x = tl.placeholder(from.dtype, [null]);
    return [x, tl.cast(x, to)] as const;
  });
  const session = new tl.Session({ graph, backend });
  const out = await session.run(y, [[x, from]]);
  await session.close();
  return out;
}

/** All numbers of a 16-bit float, by their bits. */
const ALL = Uint16Array.from({ length: 65536 }, (_, i) => i);

/** Doubles next to the numbers of a 16-bit float and to the middles between them. */
function between(half: NonNullable<ReturnType<typeof dtypeInfo>['half']>): Float64Array {
  const out: number[] = [0, -0, Infinity, -Infinity, 1e300, -1e-320, 65519.99, 65520, 3.4e38];
  for (let i = 0; i < 0x7f00; i += 7) {
    const [a, b] = [half.value(i), half.value(i + 1)];
    if (!Number.isFinite(b)) continue;
    const middle = (a + b) / 2;
    for (const x of [middle, middle * (1 + 2 ** -50), middle * (1 - 2 ** -50), a]) out.push(x, -x);
  }
  return Float64Array.from(out);
}

describe.each(HALVES)('%s', (dtype) => {
  const half = dtypeInfo(dtype).half as NonNullable<ReturnType<typeof dtypeInfo>['half']>;

  it('rounds to the nearest, of two the even one', () => {
    for (let i = 1; i < 0x7f00; i += 3) {
      const [a, b] = [half.value(i), half.value(i + 1)];
      if (!Number.isFinite(b)) break;
      expect(half.bits(a)).toBe(i);
      expect(half.bits((a + b) / 2)).toBe(i % 2 ? i + 1 : i);
      expect(half.bits(a + (b - a) * 0.49)).toBe(i);
      expect(half.bits(-(a + (b - a) * 0.51))).toBe(0x8000 + i + 1);
    }
  });

  it.each(BACKENDS)('is widened and stored without change on %s', async (backend) => {
    const all = new NDArray(dtype, [65536], ALL);
    const wide = await cast(all, 'float32', backend);
    ALL.forEach((b, i) => {
      const want = half.value(b);
      if (!Object.is(wide.data[i], want)) expect(wide.data[i], `bits ${b}`).toBe(want);
    });
    const back = await cast(wide, dtype, backend);
    ALL.forEach((b, i) => {
      const nan = Number.isNaN(half.value(b));
      if (nan) expect(half.value(back.data[i])).toBeNaN();
      else if (back.data[i] !== b) expect(back.data[i]).toBe(b);
    });
  });

  it('is rounded once from float64, float32 and int32 on the cpu', async () => {
    const doubles = between(half);
    const singles = Float32Array.from(doubles);
    const ints = Int32Array.from(doubles, (_, i) => Math.imul(i, 2654435761) >> (i % 29));
    const inputs = [
      new NDArray('float64', [doubles.length], doubles),
      new NDArray('float32', [singles.length], singles),
      new NDArray('int32', [ints.length], ints),
    ];
    for (const x of inputs) {
      const out = await cast(x, dtype, 'cpu');
      (x.data as Float64Array).forEach((v, i) => {
        if (out.data[i] !== half.bits(v)) {
          expect(out.data[i], `${x.dtype} ${v}`).toBe(half.bits(v));
        }
      });
    }
  });

  it.each(BACKENDS)('shows numbers, and trains a variable on %s', async (backend) => {
    const graph = new tl.Graph();
    const { w, step, init } = graph.asDefault(() => {
      const w = tl.variable(tl.constant([4, -3], { dtype }), { name: 'w' });
      const loss = tl.reduceSum(tl.square(tl.sub(w, [1, 2])));
      const step = new tl.GradientDescentOptimizer(0.25).minimize(loss);
      return { w, step, init: tl.globalVariablesInitializer() };
    });
    const session = new tl.Session({ graph, backend });
    await session.run(init);
    for (let i = 0; i < 30; i++) await session.run(step);
    const out = await session.run(w);
    expect(out.data).toBeInstanceOf(Uint16Array);
    expect(out.toArray()).toEqual([1, 2]);
    await session.close();
  });
});

describe.each(BACKENDS)('integers on %s', (backend) => {
  const run = async (build: (x: tl.Tensor) => tl.Tensor, dtype: DType, x: number[]) => {
    const graph = new tl.Graph();
    const [input, y] = graph.asDefault(() => {
      const input = tl.placeholder(dtype, [null]);
      return [input, build(input)] as const;
    });
    const session = new tl.Session({ graph, backend });
    const out = await session.run(y, [[input, x]]);
    await session.close();
    return out.toArray();
  };

  it('wrap around at every step', async () => {
    expect(await run((x) => tl.add(x, x), 'uint8', [200, 100])).toEqual([144, 200]);
    expect(await run((x) => tl.less(tl.add(x, x), x), 'uint8', [200, 100])).toEqual([true, false]);
    expect(await run((x) => tl.mul(x, x), 'int8', [16, 12])).toEqual([0, -112]);
    expect(await run((x) => tl.div(tl.add(x, x), 2), 'int16', [30000])).toEqual([-2768]);
    expect(await run((x) => tl.sub(x, 1), 'uint32', [0, 4294967295])).toEqual([
      4294967295, 4294967294,
    ]);
    expect(await run((x) => tl.div(x, 3), 'uint32', [4294967295])).toEqual([1431655765]);
    expect(await run((x) => tl.reduceMax(x), 'uint32', [1, 4000000000])).toEqual(4000000000);
    expect(await run((x) => tl.less(x, 5), 'uint32', [4000000000, 3])).toEqual([false, true]);
  });

  it('wrap around in conversions, floats saturate', async () => {
    expect(await run((x) => tl.cast(x, 'uint8'), 'int32', [-1, 256, 300])).toEqual([255, 0, 44]);
    expect(await run((x) => tl.cast(x, 'int8'), 'uint8', [200])).toEqual([-56]);
    expect(await run((x) => tl.cast(x, 'uint8'), 'float32', [-3, 300, 7.9])).toEqual([0, 255, 7]);
    expect(await run((x) => tl.cast(x, 'uint32'), 'float64', [-3, 5e9])).toEqual([0, 4294967295]);
    expect(await run((x) => tl.cast(x, 'float64'), 'uint32', [4294967295])).toEqual([4294967295]);
  });

  it('of 64 bits are bigints', async () => {
    const big = 2n ** 62n + 3n;
    const graph = new tl.Graph();
    const { x, out } = graph.asDefault(() => {
      const x = tl.placeholder('int64', [null]);
      const out = {
        twice: tl.add(x, x),
        square: tl.mul(x, x),
        third: tl.div(x, -3),
        floor: tl.floorDiv(x, -3),
        rest: tl.mod(x, 7),
        largest: tl.reduceMax(x),
        sum: tl.reduceSum(tl.maximum(x, 1)),
        less: tl.less(x, 5),
        dot: tl.matmul(tl.reshape(x, [1, -1]), tl.reshape(x, [-1, 1])),
        float: tl.cast(x, 'float64'),
        low: tl.cast(x, 'int32'),
        back: tl.cast(tl.cast(x, 'float64'), 'int64'),
      };
      return { x, out };
    });
    const session = new tl.Session({ graph, backend });
    const values = [big, -big, 7n, -8n, 0n];
    const got = await session.run(out, [[x, BigInt64Array.from(values)]]);
    const wrap = (v: bigint): bigint => BigInt.asIntN(64, v);
    expect(got.twice.toArray()).toEqual(values.map((v) => wrap(v + v)));
    expect(got.square.toArray()).toEqual(values.map((v) => wrap(v * v)));
    expect(got.third.toArray()).toEqual(values.map((v) => v / -3n));
    expect(got.floor.toArray()).toEqual(
      values.map((v) => (v > 0n && v % 3n !== 0n ? v / -3n - 1n : v / -3n)),
    );
    expect(got.rest.toArray()).toEqual(values.map((v) => ((v % 7n) + 7n) % 7n));
    expect(got.largest.toArray()).toBe(big);
    expect(got.sum.toArray()).toBe(big + 1n + 7n + 1n + 1n);
    expect(got.less.toArray()).toEqual([false, true, false, true, true]);
    expect(got.dot.toArray()).toEqual([[wrap(2n * big * big + 49n + 64n)]]);
    expect(got.float.toArray()).toEqual(values.map(Number));
    expect(got.low.toArray()).toEqual(values.map((v) => Number(BigInt.asIntN(32, v))));
    expect(got.back.toArray()).toEqual(values.map((v) => BigInt(Number(v))));
    const item = await session.run(graph.asDefault(() => tl.constant(5n)));
    expect(item.dtype).toBe('int64');
    expect(String(item)).toContain('int64');
    await session.close();
  });

  it('of 64 bits count in variables', async () => {
    const graph = new tl.Graph();
    const { v, init, up, down } = graph.asDefault(() => {
      const v = tl.variable(tl.constant([2n ** 63n - 1n, 5n]), { name: 'v' });
      const init = tl.globalVariablesInitializer();
      return { v, init, up: v.assignAdd([1n, 2n]), down: v.assignSub([3n, 3n]) };
    });
    const session = new tl.Session({ graph, backend });
    await session.run(init);
    expect((await session.run(up)).toArray()).toEqual([-(2n ** 63n), 7n]);
    expect((await session.run(down)).toArray()).toEqual([2n ** 63n - 3n, 4n]);
    expect((await session.run(v)).toArray()).toEqual([2n ** 63n - 3n, 4n]);
    await session.close();
  });

  it('refuse numbers that do not fit', async () => {
    expect(() => tl.constant([256], { dtype: 'uint8' })).toThrow(/uint8/);
    expect(() => tl.constant([1.5], { dtype: 'int16' })).toThrow(/int16/);
  });
});
