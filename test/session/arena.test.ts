// The arena of a convolutional net in training: little more than what is alive at once, and results in the
// place of inputs that nothing else reads.

import { expect, it } from 'vitest';
import * as tl from '../../src/index.ts';

/** A net of residual blocks with normalisation, on images of 16 by 16, in training. */
function residualNet(batch: number | null) {
  const images = tl.placeholder('float32', [batch, 16, 16, 3], { name: 'images' });
  const labels = tl.placeholder('int32', [batch], { name: 'labels' });
  const conv = (h: tl.Tensor, from: number, to: number, stride: number, size = 3): tl.Tensor => {
    const filter = tl.variable(tl.mul(tl.randomNormal([size, size, from, to], { seed: 3 }), 0.1));
    return tl.nn.conv2d(h, filter, { strides: [stride, stride], padding: 'SAME' });
  };
  const norm = (h: tl.Tensor): tl.Tensor => {
    const { mean, variance } = tl.nn.moments(h, [0, 1, 2]);
    return tl.div(tl.sub(h, mean), tl.sqrt(tl.add(variance, 1e-5)));
  };
  let h = tl.relu(norm(conv(images, 3, 8, 1)));
  let width = 8;
  for (const [to, stride] of [
    [8, 1],
    [16, 2],
    [32, 2],
  ]) {
    const inner = norm(conv(tl.relu(norm(conv(h, width, to, stride))), to, to, 1));
    const skip = to === width ? h : conv(h, width, to, stride, 1);
    h = tl.relu(tl.add(inner, skip));
    width = to;
  }
  const pooled = tl.reduceMean(h, { axis: [1, 2] });
  const weights = tl.variable(tl.mul(tl.randomNormal([width, 10], { seed: 4 }), 0.1));
  const logits = tl.matmul(pooled, weights);
  const loss = tl.reduceMean(tl.sparseSoftmaxCrossEntropyWithLogits(labels, logits));
  return { images, labels, loss, train: new tl.GradientDescentOptimizer(0.05).minimize(loss) };
}

it.each([8, null])('a residual net in training of batch %s', async (batch) => {
  const graph = new tl.Graph();
  const { images, labels, loss, train, init } = graph.asDefault(() => ({
    ...residualNet(batch),
    init: tl.globalVariablesInitializer(),
  }));
  const session = new tl.Session({ graph });
  await session.run(init);
  const data = new Float32Array(8 * 16 * 16 * 3).map((_, i) => Math.sin(i * 12.9898));
  const feeds = new Map<tl.Tensor, unknown>([
    [images, new tl.NDArray('float32', [8, 16, 16, 3], data)],
    [labels, Int32Array.from({ length: 8 }, (_, i) => i)],
  ]);
  const [first] = await session.run([loss, train], feeds as never);
  for (let i = 0; i < 20; i++) await session.run([loss, train], feeds as never);
  const [last] = await session.run([loss, train], feeds as never);
  expect(last.item()).toBeLessThan(0.9 * first.item());
  const plans = session.stats.programs.flatMap((p) => p.perPlan);
  const largest = plans.reduce((a, b) => (a.arenaBytes > b.arenaBytes ? a : b));
  expect(largest.arenaBytes).toBeLessThanOrEqual(1.3 * largest.arenaLowerBound);
  await session.close();
});

it('chains of maps that are fetched on the way give the same in place', async () => {
  const run = async (fuse: boolean) => {
    const graph = new tl.Graph();
    const { x, values } = graph.asDefault(() => {
      const x = tl.placeholder('float32', [null, 3]);
      const a = tl.square(
        tl.matmul(
          x,
          tl.constant([
            [1, 2, 0],
            [0, 1, 1],
            [1, 0, 1],
          ]),
        ),
      );
      const b = tl.add(a, tl.reverse(a, [0]));
      const c = tl.mul(b, a);
      return { x, values: [b, tl.sub(c, tl.reduceMean(c)), tl.add(c, 1)] };
    });
    const session = new tl.Session({ graph, fuse });
    const out = await session.run(
      values,
      [[x, Float32Array.from({ length: 30 }, (_, i) => i % 7)]].map(
        ([t, v]) =>
          [t, new tl.NDArray('float32', [10, 3], v as Float32Array<ArrayBuffer>)] as never,
      ),
    );
    await session.close();
    return out.map((v) => Array.from(v.data));
  };
  const plain = await run(false);
  const fused = await run(true);
  plain.forEach((v, i) => {
    v.forEach((y, k) => {
      expect(fused[i][k]).toBeCloseTo(y, 2);
    });
  });
});
