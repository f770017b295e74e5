// The choice of a backend by what there is.

import { describe, expect, it } from 'vitest';
import * as tl from '../../src/index.ts';
import { webgpuAvailable } from '../support/wgsl-run.ts';

describe('backend auto', () => {
  it('takes the CPU where there is no GPU or an emulated one, and says so', async () => {
    await webgpuAvailable();
    const graph = new tl.Graph();
    const { x, y } = graph.asDefault(() => {
      const x = tl.placeholder('float32', [2], { name: 'x' });
      return { x, y: tl.mul(x, 2) };
    });
    const feeds = [[x, [1, 2]]] as const;
    const session = new tl.Session({ graph, backend: 'auto' });
    expect(session.backend).toBe('auto');
    expect(() => session.explain(y)).toThrow(/Await session.ready/);
    await session.ready;
    expect(['cpu', 'webgpu']).toContain(session.backend);
    expect((await session.run(y, feeds)).toArray()).toEqual([2, 4]);
    if (session.backend === 'cpu') expect(session.runSync(y, feeds).toArray()).toEqual([2, 4]);
    expect(session.explain(y)).toContain('# kernel 0');
    await session.close();
  });

  it('closes before the choice is made', async () => {
    const session = new tl.Session({ graph: new tl.Graph(), backend: 'auto' });
    await session.close();
    await session.ready;
  });
});

describe('webgpu.available', () => {
  it('agrees with what there is', async () => {
    expect(await tl.webgpu.available()).toBe(await webgpuAvailable());
  });
});
