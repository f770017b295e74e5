// Fusion that stops where a device binds no more buffers: what is computed stays the same, few kernels more
// compute it.

import { describe, expect, it } from 'vitest';
import type { Backend } from '../../src/backends/backend.ts';
import { runConformance } from '../../src/conformance/run.ts';
import * as tl from '../../src/index.ts';
import { interpreterBackend, launchRecorder } from '../support/interpreter.ts';

const limited = (backend: Backend, maxBuffers: number): Backend => ({
  ...backend,
  capabilities: { ...backend.capabilities, maxBuffers },
});

/** How many buffers each kernel of a run binds, after others that prepare it. */
async function buffersOf(
  maxBuffers: number,
  build: () => { init: tl.Operation; step: tl.Operation; fetch: readonly tl.Variable[] },
): Promise<{ counts: number[]; values: unknown[] }> {
  const counts: number[] = [];
  const record = launchRecorder((kernel, _, __, run) => {
    counts.push(kernel.buffers.length);
    run();
  });
  tl.registerBackend('limited', () => limited(record, maxBuffers));
  const graph = new tl.Graph();
  const { init, step, fetch } = graph.asDefault(build);
  const session = new tl.Session({ graph, backend: 'limited' });
  await session.run(init);
  counts.length = 0;
  await session.run(step);
  const own = [...counts];
  const values = (await session.run([...fetch])).map((v) => v.toArray());
  await session.close();
  return { counts: own, values };
}

describe('groups with more buffers than can be bound', () => {
  /** Updates of twelve variables that share an input. */
  const scaled = () => {
    const scale = tl.variable(tl.fill([5], 0.5), { name: 'scale' });
    const vs = Array.from({ length: 12 }, (_, i) =>
      tl.variable(tl.fill([5], 0.1 * i), { name: `v${i}` }),
    );
    const step = tl.group(vs.map((v, i) => v.assign(tl.sub(v, tl.mul(scale, i)))));
    return { init: tl.globalVariablesInitializer(), step, fetch: vs };
  };
  const trained = () => {
    const vs = Array.from({ length: 12 }, (_, i) =>
      tl.variable(tl.fill([5], 0.1 * i), { name: `v${i}` }),
    );
    const losses = vs.map((v, i) => tl.reduceSum(tl.square(tl.sub(v, i))));
    const step = new tl.AdamOptimizer(0.1).minimize(losses.reduce((a, b) => tl.add(a, b)));
    return { init: tl.globalVariablesInitializer(), step, fetch: vs };
  };

  // A kernel has room for seven variables beside the scale, or for two with what Adam keeps of them.
  it.each([
    ['by one scale', scaled, 1],
    ['by Adam', trained, 10],
  ] as const)('update many variables %s in few kernels', async (_, build, more) => {
    const whole = await buffersOf(Number.POSITIVE_INFINITY, build);
    const split = await buffersOf(8, build);
    expect(Math.max(...whole.counts)).toBeGreaterThan(8);
    expect(Math.max(...split.counts)).toBeLessThanOrEqual(8);
    expect(split.counts.length - whole.counts.length).toBeLessThanOrEqual(more);
    expect(split.values).toEqual(whole.values);
  });

  it('are cut between reductions and what comes after them', async () => {
    const build = () => {
      const x = tl.variable(tl.reshape(tl.range(12), [3, 4]), { name: 'x' });
      const more = Array.from({ length: 9 }, (_, i) =>
        tl.variable(tl.fill([3, 4], i + 1), { name: `m${i}` }),
      );
      const f = tl.cast(x, 'float32');
      const soft = tl.softmax(more.reduce<tl.Tensor>((a, b) => tl.add(tl.mul(a, 0.5), b), f));
      const outs = more.map((m) => m.assign(tl.mul(m, soft)));
      return { init: tl.globalVariablesInitializer(), step: tl.group(outs), fetch: more };
    };
    const whole = await buffersOf(Number.POSITIVE_INFINITY, build);
    const split = await buffersOf(8, build);
    expect(Math.max(...whole.counts)).toBeGreaterThan(8);
    expect(Math.max(...split.counts)).toBeLessThanOrEqual(10);
    expect(split.values).toEqual(whole.values);
  });

  it('give what the kit says, however few buffers there are', async () => {
    for (const maxBuffers of [2, 3]) {
      const report = await runConformance(() => limited(interpreterBackend(), maxBuffers), {
        sample: 0.05,
        randomGraphs: 40,
      });
      const ops = Object.values(report.ops);
      expect(ops.flatMap((op) => (op.failed > 0 ? op.reasons : []))).toEqual([]);
      expect(ops.reduce((sum, op) => sum + op.passed, 0)).toBeGreaterThan(100);
    }
  }, 120_000);
});
