// Proof (d): the kernels of a training step (fused elementwise, row kernel, contraction, reduction) are
// generated as WGSL too, and each launch of the step gives on the GPU what the interpreter gives.

import { afterAll, describe, expect, it } from 'vitest';
import type { TypedArray } from '../../src/core/dtype.ts';
import * as tl from '../../src/index.ts';
import type { Kernel } from '../../src/kernel/ir.ts';
import { launchRecorder } from '../support/interpreter.ts';
import { buildMlp } from '../support/mlp.ts';
import { disposeWebgpu, runWgsl, webgpuAvailable } from '../support/wgsl-run.ts';

interface Launch {
  readonly kernel: Kernel;
  readonly before: readonly TypedArray[];
  readonly after: readonly TypedArray[];
  readonly params: readonly number[];
}

const available = await webgpuAvailable();

describe.skipIf(!available)('kernels of mlp training as WGSL', () => {
  afterAll(() => disposeWebgpu());

  it('give what the interpreter gives', async () => {
    const mlp = buildMlp([20, 16, 12, 10], 9);
    const launches: Launch[] = [];
    tl.registerBackend('recorder', () =>
      launchRecorder((kernel, buffers, params, run) => {
        const before = buffers.map((b) => b.slice());
        run();
        launches.push({ kernel, before, after: buffers.map((b) => b.slice()), params });
      }),
    );
    const session = new tl.Session({ graph: mlp.graph, backend: 'recorder' });
    await session.run(mlp.init);
    launches.length = 0;
    await session.run([mlp.train, mlp.loss], mlp.feeds);
    expect(launches.length).toBeGreaterThan(5);
    const texts = launches.map((l) => JSON.stringify(l.kernel.body));
    expect(
      texts.some((t) => t.includes('"lane"')),
      'a row kernel',
    ).toBe(true);
    expect(
      texts.some((t) => t.includes('"reduce"')),
      'a contraction or reduction',
    ).toBe(true);
    for (const { kernel, before, after, params } of launches) {
      const got = before.map((b) => b.slice());
      await runWgsl(kernel, got as Float32Array[], [...params]);
      got.forEach((g, i) => {
        for (let j = 0; j < g.length; j++) {
          const want = after[i][j];
          if (Number.isNaN(want) && Number.isNaN(g[j])) continue;
          const allowed = 2e-5 * Math.max(1, Math.abs(want));
          expect(
            Math.abs(g[j] - want),
            `${kernel.name} buffer ${i} element ${j}`,
          ).toBeLessThanOrEqual(allowed);
        }
      });
    }
    await session.close();
  });
});
