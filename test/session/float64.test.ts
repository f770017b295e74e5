// float64 from feeds to fetches: training in double precision, gradients against differences, draws.

import { describe, expect, it } from 'vitest';
import * as tl from '../../src/index.ts';

const BACKENDS = ['cpu', 'reference', ...((await tl.webgpu.available()) ? ['webgpu'] : [])];

describe.each(BACKENDS)('float64 on %s', (backend) => {
  it('keeps digits that float32 has not', async () => {
    const graph = new tl.Graph();
    const y = graph.asDefault(() => {
      const x = tl.constant([1, 2, 3], { dtype: 'float64' });
      return tl.sub(tl.add(x, 1e-12), x);
    });
    const session = new tl.Session({ graph, backend });
    const out = await session.run(y);
    expect(out.data).toBeInstanceOf(Float64Array);
    expect(out.data[0]).toBeCloseTo(1e-12, 15);
    expect(out.data[2]).toBe(3 + 1e-12 - 3);
    await session.close();
  });

  it('takes Float64Array for float64, and not for float32', async () => {
    const graph = new tl.Graph();
    const [x, y, z] = graph.asDefault(() => {
      const x = tl.placeholder('float64', [null], { name: 'x' });
      const y = tl.placeholder('float32', [null], { name: 'y' });
      return [x, y, tl.mul(x, 2)];
    });
    const session = new tl.Session({ graph, backend });
    const out = await session.run(z, [[x, Float64Array.of(0.1, 0.2)]]);
    expect(Array.from(out.data)).toEqual([0.2, 0.4]);
    await expect(session.run(y, [[y, Float64Array.of(1)]])).rejects.toThrow(
      /float64.*float32 is needed/,
    );
    await session.close();
  });

  it('differentiates to the precision of differences in float64', async () => {
    const graph = new tl.Graph();
    const { x, loss, slope } = graph.asDefault(() => {
      const x = tl.placeholder('float64', [3]);
      const w = tl.constant(
        [
          [1, -2, 0.5],
          [0.3, 0.7, -1],
          [2, 1, 1],
        ],
        { dtype: 'float64' },
      );
      const h = tl.tanh(tl.matmul(tl.reshape(x, [1, 3]), w));
      const loss = tl.add(tl.reduceSum(tl.exp(h)), tl.reduceLogSumExp(tl.sin(h)));
      return { x, loss, slope: tl.gradients([loss], [x])[0] as tl.Tensor };
    });
    const session = new tl.Session({ graph, backend });
    const at = [0.3, -0.4, 0.9];
    const got = await session.run(slope, [[x, at]]);
    const h = 1e-6;
    for (let i = 0; i < 3; i++) {
      const near = async (by: number): Promise<number> => {
        const moved = at.map((v, k) => (k === i ? v + by : v));
        return (await session.run(loss, [[x, moved]])).data[0];
      };
      expect(got.data[i]).toBeCloseTo(((await near(h)) - (await near(-h))) / (2 * h), 8);
    }
    await session.close();
  });

  it.each([
    ['gradient descent', () => new tl.GradientDescentOptimizer(0.2)],
    ['momentum', () => new tl.MomentumOptimizer(0.1, 0.5)],
    ['Adam', () => new tl.AdamOptimizer(0.1)],
  ])('trains a variable by %s', async (_, make) => {
    const graph = new tl.Graph();
    const { w, step, init } = graph.asDefault(() => {
      const w = tl.variable(tl.constant([4, -3], { dtype: 'float64' }), { name: 'w' });
      const loss = tl.reduceSum(tl.square(tl.sub(w, [1, 2])));
      const step = make().minimize(loss);
      return { w, step, init: tl.globalVariablesInitializer() };
    });
    const session = new tl.Session({ graph, backend });
    await session.run(init);
    for (let i = 0; i < 300; i++) await session.run(step);
    const out = await session.run(w);
    expect(out.dtype).toBe('float64');
    expect(out.data[0]).toBeCloseTo(1, 4);
    expect(out.data[1]).toBeCloseTo(2, 4);
    await session.close();
  });

  it('draws numbers finer than float32, alike on all backends', async () => {
    const graph = new tl.Graph();
    const { u, n } = graph.asDefault(() => ({
      u: tl.randomUniform([500], { dtype: 'float64', seed: 3 }),
      n: tl.randomNormal([500], { dtype: 'float64', seed: 4 }),
    }));
    const session = new tl.Session({ graph, backend });
    const { u: uniform, n: normal } = await session.run({ u, n });
    expect(uniform.data.every((x) => x >= 0 && x < 1)).toBe(true);
    expect(uniform.data.some((x) => Math.fround(x) !== x)).toBe(true);
    const other = new tl.Session({ graph, backend: 'reference' });
    expect((await other.run(u)).data).toEqual(uniform.data);
    const mean = Array.from(normal.data).reduce((a, b) => a + b) / 500;
    expect(Math.abs(mean)).toBeLessThan(0.15);
    await session.close();
    await other.close();
  });
});
