// Kernels are compiled once per process: a second session, or another graph with equal kernels, finds
// them, whatever else stands in its module; and the results are the same.

import { expect, it } from 'vitest';
import * as tl from '../../src/index.ts';

function build(extra: boolean) {
  const graph = new tl.Graph();
  return graph.asDefault(() => {
    const x = tl.placeholder('float32', [null, 3, null], { name: 'x' });
    const i = tl.placeholder('int32', [null], { name: 'i' });
    // Its sizes need helpers of the module, and the gather notes a failed check.
    const y = tl.gather(tl.reshape(tl.transpose(x, [2, 0, 1]), [-1]), i);
    const before = tl.mul(tl.softmax(tl.reshape(x, [-1, 3])), 3);
    return { graph, y, before: extra ? before : y };
  });
}

const x = new tl.NDArray(
  'float32',
  [2, 3, 5],
  Float32Array.from({ length: 30 }, (_, k) => k * k),
);

it('sessions share the kernels of a process', async () => {
  const first = build(false);
  const a = new tl.Session({ graph: first.graph });
  const want = await a.run(first.y, { x, i: [0, 7, 29] });
  const own = a.stats.device as tl.DeviceStats;
  expect(own.kernelsCompiled).toBeGreaterThan(0);

  const again = new tl.Session({ graph: build(false).graph });
  const same = await again.run('GatherV2:0', { x, i: [0, 7, 29] });
  expect(again.stats.device).toMatchObject({
    kernelsCompiled: 0,
    kernelsShared: own.kernelsCompiled + own.kernelsShared,
  });
  expect(same.data).toEqual(want.data);

  // Beside other kernels, whose helpers and functions have other indices.
  const other = build(true);
  const b = new tl.Session({ graph: other.graph });
  const [, beside] = await b.run([other.before, other.y], { x, i: [0, 7, 29] });
  expect((b.stats.device as tl.DeviceStats).kernelsShared).toBeGreaterThan(0);
  expect(beside.data).toEqual(want.data);
  await expect(b.run(other.y, { x, i: [30] })).rejects.toThrow(/CheckIndices/);
  for (const s of [a, again, b]) await s.close();
});

it('contractions share the loop that multiplies, in other modules too', async () => {
  const matrices = (extra: boolean) => {
    const graph = new tl.Graph();
    return graph.asDefault(() => {
      const u = tl.placeholder('float32', [null, 24], { name: 'u' });
      const v = tl.placeholder('float32', [24, null], { name: 'v' });
      const y = tl.matmul(u, v);
      // Another kernel before it gives its function another index.
      const all = extra ? [tl.softmax(tl.matmul(u, u, { transposeB: true })), y] : [y];
      return { graph, all };
    });
  };
  const values = (rows: number, cols: number) =>
    new tl.NDArray(
      'float32',
      [rows, cols],
      Float32Array.from({ length: rows * cols }, (_, k) => (k % 13) - 6),
    );
  const feeds = { u: values(9, 24), v: values(24, 37) };
  const first = matrices(false);
  const a = new tl.Session({ graph: first.graph });
  const [want] = await a.run(first.all, feeds);
  const text = a.explain(first.all);
  expect(text).toMatch(/call \$multiply_2x4_f32_4/);
  const second = matrices(true);
  const b = new tl.Session({ graph: second.graph });
  const [, got] = await b.run(second.all, feeds);
  expect((b.stats.device as tl.DeviceStats).kernelsShared).toBeGreaterThan(0);
  expect(got.data).toEqual(want.data);
  const plain = new tl.Session({ graph: first.graph, backend: 'reference' });
  const [truth] = await plain.run(first.all, feeds);
  expect(got.data).toEqual(truth.data);
  for (const s of [a, b, plain]) await s.close();
});
