// What a run costs on the GPU: submits, dispatches and what is made anew, as the session counts them.

import { describe, expect, it } from 'vitest';
import { drawValue, generator } from '../../../src/conformance/draw.ts';
import * as tl from '../../../src/index.ts';
import { buildMlp } from '../../support/mlp.ts';
import { webgpuAvailable } from '../../support/wgsl-run.ts';

const available = await webgpuAvailable();

function counts(session: tl.Session) {
  const gpu = session.stats.device?.gpu;
  if (!gpu) throw new Error('no counts');
  return gpu;
}

describe.skipIf(!available)('runs on the GPU', () => {
  it('train in one submit and few dispatches, on new batch sizes without making anything', async () => {
    const { graph, init, train, loss } = buildMlp([784, 256, 128, 10], 1);
    const session = new tl.Session({ graph, backend: 'webgpu' });
    const next = generator(3);
    const step = (batch: number) =>
      session.run([train, loss], {
        x: drawValue([batch, 784], 'float32', { low: -1, high: 1 }, next),
        labels: drawValue([batch], 'int32', { low: 0, high: 9 }, next),
      });
    await session.run(init);
    for (const batch of [64, 7, 1, 33]) await step(batch);
    const before = counts(session);
    for (let batch = 1; batch <= 50; batch++) await step(batch);
    const after = counts(session);
    expect(after.pipelines).toBe(before.pipelines);
    expect(after.buffers).toBe(before.buffers);
    expect(after.bindGroups).toBe(before.bindGroups);
    expect(after.submits - before.submits).toBe(50);
    expect((after.dispatches - before.dispatches) / 50).toBeLessThanOrEqual(14);
    await session.close();
  });

  it('scan 1,000 steps in one submit', async () => {
    const graph = new tl.Graph();
    const { x, sum } = graph.asDefault(() => {
      const x = tl.placeholder('float32', [1000, 4], { name: 'x' });
      const sum = tl.scan((c, row) => tl.add(tl.mul(c, 0.5), row), x, {
        initializer: tl.zeros([4]),
      });
      return { x, sum };
    });
    const value = drawValue([1000, 4], 'float32', { low: -1, high: 1 }, generator(5));
    const session = new tl.Session({ graph, backend: 'webgpu' });
    const cpu = new tl.Session({ graph, threads: 1 });
    await session.ready;
    const before = counts(session).submits;
    const got = await session.run(sum, [[x, value]]);
    expect(counts(session).submits - before).toBe(1);
    const wanted = await cpu.run(sum, [[x, value]]);
    expect(got.shape).toEqual([1000, 4]);
    got.data.forEach((v, i) => {
      expect(Math.abs((v as number) - (wanted.data[i] as number))).toBeLessThan(1e-5);
    });
    await session.close();
    await cpu.close();
  });

  it('keep values on the device and take them as feeds', async () => {
    const graph = new tl.Graph();
    const { x, y } = graph.asDefault(() => {
      const x = tl.placeholder('float32', [null], { name: 'x' });
      return { x, y: tl.mul(x, 2) };
    });
    const session = new tl.Session({ graph, backend: 'webgpu' });
    const put = await session.put([1, 2, 3]);
    const kept = await session.run(y, [[x, put]], { keep: true });
    const twice = await session.run(y, [[x, kept]]);
    expect(twice.toArray()).toEqual([4, 8, 12]);
    expect((await kept.read()).toArray()).toEqual([2, 4, 6]);
    kept.dispose();
    put.dispose();
    await session.close();
  });

  it('give new variables what the CPU gives them, bit for bit', async () => {
    const make = () => {
      const graph = new tl.Graph();
      return graph.asDefault(() => {
        const w = tl.variable(tl.randomNormal([65, 33], { seed: 7 }), { name: 'w' });
        return { graph, w, init: tl.globalVariablesInitializer() };
      });
    };
    const values: Float32Array[] = [];
    for (const backend of ['cpu', 'webgpu']) {
      const { graph, w, init } = make();
      const session = new tl.Session({ graph, backend });
      await session.run(init);
      values.push((await session.run(w)).data as Float32Array);
      await session.close();
    }
    expect(new Uint32Array(values[1].buffer)).toEqual(new Uint32Array(values[0].buffer));
  });

  it('explain their shaders before and after the device is open', async () => {
    const graph = new tl.Graph();
    const y = graph.asDefault(() => tl.exp(tl.placeholder('float32', [null], { name: 'x' })));
    const session = new tl.Session({ graph, backend: 'webgpu' });
    expect(session.explain(y)).toContain('@compute');
    await session.ready;
    expect(session.explain(y)).toContain('@compute');
    await session.close();
  });

  it('refuse what must happen at once, with a way out', async () => {
    const { graph, init, loss, feeds } = buildMlp([4, 3], 2);
    const session = new tl.Session({ graph, backend: 'webgpu' });
    await session.run(init);
    expect(() => session.runSync(loss, feeds)).toThrow(
      /"webgpu" has no synchronous runs. Use await/,
    );
    expect(() => session.variableValue({ name: 'w0' })).toThrow(/await session.run/);
    await session.close();
  });
});

describe.skipIf(!available)('runs that fail on the GPU', () => {
  it('leave variables as they were', async () => {
    const graph = new tl.Graph();
    const { x, v, init, step } = graph.asDefault(() => {
      const x = tl.placeholder('float32', [null], { name: 'x' });
      const v = tl.variable(tl.zeros([2]), { name: 'v' });
      const more = v.assignAdd(tl.ones([2]));
      const forever = tl.whileLoop(
        ([n]) => tl.greater(tl.add(tl.reduceSum(x), 1), tl.mul(n, 0)),
        ([n]) => [tl.add(n, 1)],
        [tl.constant(0)],
      );
      return { x, v, init: tl.globalVariablesInitializer(), step: [more, forever[0]] };
    });
    const session = new tl.Session({ graph, backend: 'webgpu' });
    await session.run(init);
    await expect(session.run(step, [[x, [1]]], { timeoutMs: 200 })).rejects.toThrow(
      expect.objectContaining({ code: 'run/timeout' }),
    );
    expect((await session.run(v)).toArray()).toEqual([0, 0]);
    await session.close();
  });

  it('say which check failed', async () => {
    const graph = new tl.Graph();
    const { i, row } = graph.asDefault(() => {
      const i = tl.placeholder('int32', [null], { name: 'i' });
      return { i, row: tl.gather(tl.constant([1, 2, 3]), i, { name: 'pick' }) };
    });
    const session = new tl.Session({ graph, backend: 'webgpu' });
    await expect(session.run(row, [[i, [0, 5]]])).rejects.toThrow(
      expect.objectContaining({ code: 'run/check' }),
    );
    expect((await session.run(row, [[i, [2, 0]]])).toArray()).toEqual([3, 1]);
    await session.close();
  });

  it('name a tensor that is larger than a buffer may be, and how large that is', async () => {
    const graph = new tl.Graph();
    const { n, sum } = graph.asDefault(() => {
      const n = tl.placeholder('int32', [], { name: 'n' });
      const big = tl.fill([n, 1 << 20], 1, { name: 'big' });
      return { n, sum: tl.reduceSum(tl.softmax(big, { axis: 0 })) };
    });
    const session = new tl.Session({ graph, backend: 'webgpu' });
    await expect(session.run(sum, [[n, 4096]])).rejects.toThrow(
      expect.objectContaining({ code: 'memory/binding' }),
    );
    expect((await session.run(sum, [[n, 1]])).item()).toBeCloseTo(1 << 20, -2);
    await session.close();
  });

  it('name the limit of the session', async () => {
    const graph = new tl.Graph();
    const x = graph.asDefault(() => tl.placeholder('float32', [null], { name: 'x' }));
    const session = new tl.Session({ graph, backend: 'webgpu', memoryLimit: 1 << 20 });
    await expect(session.put(new Float32Array(1 << 20))).rejects.toThrow(
      expect.objectContaining({ code: 'memory/limit' }),
    );
    expect((await session.run(tl.identity(x), [[x, [1]]])).toArray()).toEqual([1]);
    await session.close();
  });
});
