// Features of adapters: used where an adapter has them and they pass their trial, switched off and demanded by
// options, and without a trace in results. What an adapter lacks is not tried, and said to be skipped.

import { afterEach, describe, expect, it, vi } from 'vitest';
import * as tl from '../../../src/index.ts';
import { webgpuAvailable, webgpuHas } from '../../support/wgsl-run.ts';

const available = await webgpuAvailable();

interface Feature {
  readonly option: 'float16';
  /** What shaders with it say. */
  readonly enables: string;
  readonly has: boolean;
}

const FEATURES: readonly Feature[] = [
  {
    option: 'float16',
    enables: 'enable f16;',
    has: await webgpuHas('shader-f16', 'features.test.ts'),
  },
];

/** All floats of 16 bits, and one that ends the last word early. */
const HALVES = new tl.NDArray(
  'float16',
  [65537],
  Uint16Array.from({ length: 65537 }, (_, bits) => bits),
);

interface Ran {
  readonly results: tl.NDArray[];
  readonly shaders: string;
}

/** Runs ops on all halves. */
async function run(options: tl.SessionOptions): Promise<Ran> {
  const graph = new tl.Graph();
  const { x, fetches } = graph.asDefault(() => {
    const x = tl.placeholder('float16', [null]);
    const part = tl.slice(x, [1], [65536]);
    const sum = tl.reduceSum(tl.reshape(part, [256, 256]), { axis: 1 });
    return { x, fetches: [tl.add(part, 0.5), tl.reshape(part, [2, -1]), tl.neg(x), sum] };
  });
  const session = new tl.Session({ graph, ...options });
  const results = await session.run(fetches, [[x, HALVES]]);
  const shaders = session.explain(fetches, [x]);
  await session.close();
  return { results, shaders };
}

describe.skipIf(!available)('features of adapters', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it.each(FEATURES)('$option: switched off, it is in no shader', async ({ option, enables }) => {
    const { shaders } = await run({ backend: 'webgpu', adapter: { [option]: false } });
    expect(shaders).toContain('@compute');
    expect(shaders).not.toContain(enables);
  });

  it.each(FEATURES)('$option: demanded, it is there or refused', async ({ option, has }) => {
    const session = new tl.Session({ backend: 'webgpu', adapter: { [option]: true } });
    if (has) await session.ready;
    else {
      await expect(session.ready).rejects.toThrow(tl.UnsupportedError);
      await expect(session.ready).rejects.toThrow(new RegExp(`${option} is demanded`));
    }
    await session.close();
  });

  it.each(FEATURES.filter((f) => f.has))('$option: what fails its trial is not used', async (f) => {
    vi.spyOn(GPUDevice.prototype, 'createComputePipelineAsync').mockRejectedValueOnce(
      new Error('no such shader'),
    );
    // A device of its own, since no other test opens one with these options.
    const adapter = { powerPreference: 'low-power', [f.option]: true } as const;
    const session = new tl.Session({ backend: 'webgpu', adapter });
    await expect(session.ready).rejects.toThrow(new RegExp(`${f.option} is demanded`));
    await session.close();
  });

  it('float16 changes no bit', async () => {
    const float16 = await run({ backend: 'webgpu' });
    const plain = await run({ backend: 'webgpu', adapter: { float16: false } });
    expect(float16.shaders.includes('enable f16;')).toBe(FEATURES[0].has);
    expect(float16.results.map((r) => r.data)).toEqual(plain.results.map((r) => r.data));
    const cpu = await run({ backend: 'cpu', threads: 1 });
    // Sums run in another order there.
    expect(float16.results.slice(0, 3).map((r) => r.data)).toEqual(
      cpu.results.slice(0, 3).map((r) => r.data),
    );
  });
});

it('options of adapters that there are not are refused', () => {
  const adapter = { float61: true } as tl.AdapterOptions;
  expect(() => new tl.Session({ backend: 'webgpu', adapter })).toThrow(
    /adapter: there is no option "float61".*float16/,
  );
});
