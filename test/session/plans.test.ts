// How many plans there are, what they hold, and what memory they take.

import { describe, expect, it } from 'vitest';
import { generator } from '../../src/conformance/draw.ts';
import * as tl from '../../src/index.ts';
import { buildMlp } from '../support/mlp.ts';

describe('plans of a training step', () => {
  it('are one segment of at most 14 kernels, as explain shows', async () => {
    const mlp = buildMlp([784, 256, 128, 10], 128);
    const session = new tl.Session({ graph: mlp.graph });
    const text = session.explain([mlp.loss, mlp.train]);
    const [, kernels, segments] = /# plan: (\d+) kernels in (\d+) segment/.exec(
      text,
    ) as RegExpExecArray;
    expect(Number(segments)).toBe(1);
    expect(Number(kernels)).toBeLessThanOrEqual(14);
    expect(text).toContain('(func $');
    await session.run(mlp.init);
    const before = (await session.run([mlp.loss, mlp.train], mlp.feeds))[0].item();
    for (let i = 0; i < 20; i++) await session.run(mlp.train, mlp.feeds);
    const after = (await session.run(mlp.loss, mlp.feeds)).item();
    expect(after).toBeLessThan(before);
    await session.close();
  });

  it('serve all batch sizes, 1 to 50 in random order, with an arena for the largest', async () => {
    const largest = 50;
    const order = Array.from({ length: largest }, (_, i) => i + 1);
    const next = generator(3);
    for (let i = order.length - 1; i > 0; i--) {
      const j = Math.floor(next() * (i + 1));
      [order[i], order[j]] = [order[j], order[i]];
    }
    const mlp = buildMlp([20, 16, 12, 10], largest);
    const feedsOf = (n: number) => ({
      x: new tl.NDArray('float32', [n, 20], (mlp.feeds.x.data as Float32Array).slice(0, 20 * n)),
      labels: new tl.NDArray('int32', [n], (mlp.feeds.labels.data as Int32Array).slice(0, n)),
    });
    const session = new tl.Session({ graph: mlp.graph });
    const alone = new tl.Session({ graph: mlp.graph });
    for (const s of [session, alone]) await s.run(mlp.init);
    for (const n of order) {
      await session.run([mlp.loss, mlp.train], feedsOf(n));
      await session.run(mlp.loss, feedsOf(n));
    }
    await alone.run([mlp.loss, mlp.train], feedsOf(largest));
    const training = session.stats.programs.find(
      (p) => p.fetches.length > 1 && p.fetches.includes('Mean'),
    );
    const single = alone.stats.programs.find((p) => p.fetches.includes('Mean'));
    for (const p of session.stats.programs) expect(p.plans).toBeLessThanOrEqual(3);
    const arena = Math.max(...(training?.perPlan.map((p) => p.arenaBytes) ?? [Number.NaN]));
    const needed = Math.max(...(single?.perPlan.map((p) => p.arenaBytes) ?? [Number.NaN]));
    expect(arena).toBeLessThanOrEqual(needed);
    expect(needed).toBeLessThanOrEqual(
      1.25 * Math.max(...(single?.perPlan.map((p) => p.arenaLowerBound) ?? [0])),
    );
    for (const s of [session, alone]) await s.close();
  });

  it('go by shape class where sizes may broadcast, and end in the generic plan', async () => {
    const graph = new tl.Graph();
    const y = graph.asDefault(() => {
      const xs = Array.from({ length: 4 }, (_, i) =>
        tl.placeholder('float32', [null], { name: `x${i}` }),
      );
      return xs.reduce<tl.Tensor>((a, b) => tl.add(tl.mul(a, 2), b), tl.constant(0));
    });
    const session = new tl.Session({ graph });
    const reference = new tl.Session({ graph, backend: 'reference' });
    for (let mask = 0; mask < 16; mask++) {
      const feeds = Object.fromEntries(
        [0, 1, 2, 3].map((i) => [`x${i}`, (mask >> i) & 1 ? [1, 2, 3].map((v) => v + i) : [i + 1]]),
      );
      const want = await reference.run(y, feeds);
      expect((await session.run(y, feeds)).toArray()).toEqual(want.toArray());
    }
    // Eight classes at most, then one plan for all the others.
    expect(session.stats.plans).toBeLessThanOrEqual(9);
    expect(session.stats.hits).toBeGreaterThan(0);
    for (const s of [session, reference]) await s.close();
  });

  it('are made with a callable, where they do not depend on what it is fed', async () => {
    const graph = new tl.Graph();
    const { x, y, sum } = graph.asDefault(() => {
      const x = tl.placeholder('float32', [null, 3], { name: 'x' });
      const y = tl.placeholder('float32', [null, 3], { name: 'y' });
      return { x, y, sum: tl.add(x, y) };
    });
    const session = new tl.Session({ graph });
    const twice = session.makeCallable({ feeds: { x }, fetches: tl.mul(x, 2) });
    expect(session.stats.plans).toBe(1);
    const counts = session.stats.device;
    for (const rows of [1, 5]) {
      const fed = Array.from({ length: rows }, (_, i) => [i, 1, 2]);
      expect((await twice({ x: fed })).toArray()).toEqual(fed.map((r) => r.map((v) => 2 * v)));
    }
    expect(session.stats.plans).toBe(1);
    expect(session.stats.device?.kernelsCompiled).toBe(counts?.kernelsCompiled);
    // Which of two sizes broadcasts is known with the feeds.
    session.makeCallable({ feeds: { x, y }, fetches: sum });
    expect(session.stats.plans).toBe(1);
    await session.close();
  });
});
