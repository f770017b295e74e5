// Kernels with more buffers than a GPU binds.

import { describe, expect, it } from 'vitest';
import { bindKernel } from '../../../src/backends/webgpu/bound-kernel.ts';
import * as tl from '../../../src/index.ts';
import { webgpuAvailable } from '../../support/wgsl-run.ts';

const available = await webgpuAvailable();

describe.skipIf(!available)('kernels with many buffers', () => {
  it('read more than can be bound', async () => {
    const graph = new tl.Graph();
    const { xs, joined, mixed } = graph.asDefault(() => {
      const xs = Array.from({ length: 70 }, (_, i) =>
        tl.placeholder(i % 2 ? 'float32' : 'int32', [null], { name: `x${i}` }),
      );
      const floats = xs.map((x) => tl.cast(x, 'float32'));
      return {
        xs,
        joined: tl.concat(floats, 0),
        mixed: floats.reduce<tl.Tensor>((a, b) => tl.add(tl.mul(a, 0.5), b), floats[0]),
      };
    });
    const feeds = xs.map((x, i) => [x, [i, i + 1]] as const);
    const session = new tl.Session({ graph, backend: 'webgpu' });
    const cpu = new tl.Session({ graph, threads: 1 });
    for (const fetch of [joined, mixed]) {
      const got = await session.run(fetch, feeds);
      expect(got.toArray()).toEqual((await cpu.run(fetch, feeds)).toArray());
    }
    await session.close();
    await cpu.close();
  });

  it('write more than can be bound', async () => {
    const graph = new tl.Graph();
    const { vs, step, init } = graph.asDefault(() => {
      const vs = Array.from({ length: 70 }, (_, i) =>
        tl.variable(tl.fill([3], i), { name: `v${i}` }),
      );
      const step = tl.group(vs.map((v) => v.assign(tl.add(tl.mul(v, 2), 1))));
      return { vs, step, init: tl.globalVariablesInitializer() };
    });
    const session = new tl.Session({ graph, backend: 'webgpu' });
    await session.run(init);
    await session.run(step);
    const got = await session.run(vs);
    got.forEach((v, i) => {
      expect(v.toArray()).toEqual([2 * i + 1, 2 * i + 1, 2 * i + 1]);
    });
    await session.close();
  });
});

describe('binding', () => {
  it('leaves a kernel with few buffers alone', () => {
    const kernel = { name: 'k', buffers: [], params: [], body: [], flops: 0, bytes: 0 };
    const bound = bindKernel(kernel as never, [], [], 8);
    expect(bound.kernel).toBe(kernel);
  });
});
