// Proof (c), the speed: two threads are worth it. Runs when no other test does.

import { availableParallelism } from 'node:os';
import { expect, it } from 'vitest';
import { drawValue, generator } from '../../src/conformance/draw.ts';
import * as tl from '../../src/index.ts';

function product(n: number): { graph: tl.Graph; y: tl.Tensor; feeds: Record<string, tl.NDArray> } {
  const graph = new tl.Graph();
  const next = generator(5);
  const y = graph.asDefault(() => {
    const a = tl.placeholder('float32', [null, n], { name: 'a' });
    const b = tl.placeholder('float32', [n, null], { name: 'b' });
    return tl.matmul(a, b);
  });
  const feeds = {
    a: drawValue([n, n], 'float32', {}, next),
    b: drawValue([n, n], 'float32', {}, next),
  };
  return { graph, y, feeds };
}

it.skipIf(availableParallelism() < 2)(
  'two threads are at least 1.5 times as fast on a product of 1024',
  async () => {
    const { graph, y, feeds } = product(1024);
    const sessions = [new tl.Session({ graph, threads: 1 }), new tl.Session({ graph, threads: 2 })];
    const best = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
    const once = async (i: number): Promise<void> => {
      const t = performance.now();
      await sessions[i].run(y, feeds);
      best[i] = Math.min(best[i], performance.now() - t);
    };
    for (let i = 0; i < 4; i++) for (const s of [0, 1]) await once(s);
    best.fill(Number.POSITIVE_INFINITY);
    // The best of interleaved runs: what the machine can do, whatever else it does.
    for (let i = 0; i < 40 && !(best[0] / best[1] >= 1.5); i++)
      for (const s of [0, 1]) await once(s);
    for (const s of sessions) await s.close();
    expect(best[0] / best[1]).toBeGreaterThanOrEqual(1.5);
  },
);
