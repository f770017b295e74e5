// Features of adapters: used where an adapter has them and they pass their trial, switched off and demanded by
// options, and without a trace in results. What an adapter lacks is not tried, and said to be skipped.

import { afterEach, describe, expect, it, vi } from 'vitest';
import * as tl from '../../../src/index.ts';
import { numbers } from '../../support/wgsl-check.ts';
import { webgpuAvailable, webgpuHas } from '../../support/wgsl-run.ts';

const available = await webgpuAvailable();

interface Feature {
  readonly option: 'float16' | 'subgroups';
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
  {
    option: 'subgroups',
    enables: 'enable subgroups;',
    has: await webgpuHas('subgroups', 'features.test.ts'),
  },
];

interface Ran {
  readonly results: tl.NDArray[];
  readonly shaders: string;
}

/** Runs what `build` makes of a value. */
async function run(
  options: tl.SessionOptions,
  value: tl.NDArray,
  build: (x: tl.Tensor) => tl.Tensor[],
): Promise<Ran> {
  const graph = new tl.Graph();
  const { x, fetches } = graph.asDefault(() => {
    const x = tl.placeholder(
      value.dtype,
      value.shape.map(() => null),
    );
    return { x, fetches: build(x) };
  });
  const session = new tl.Session({ graph, ...options });
  const results = await session.run(fetches, [[x, value]]);
  const shaders = session.explain(fetches, [x]);
  await session.close();
  return { results, shaders };
}

const bitsOf = ({ results }: Ran): unknown[] => results.map((r) => r.data);

/** All floats of 16 bits, and one that ends the last word early. */
const HALVES = new tl.NDArray(
  'float16',
  [65537],
  Uint16Array.from({ length: 65537 }, (_, bits) => bits),
);

/** Ops on all halves. */
function halves(x: tl.Tensor): tl.Tensor[] {
  const part = tl.slice(x, [1], [65536]);
  const sum = tl.reduceSum(tl.reshape(part, [256, 256]), { axis: 1 });
  return [tl.add(part, 0.5), tl.reshape(part, [2, -1]), tl.neg(x), sum];
}

/** Ops on rows. */
const rows = (x: tl.Tensor): tl.Tensor[] => [tl.softmax(x), tl.reduceSum(x, { axis: 1 })];

describe.skipIf(!available)('features of adapters', () => {
  afterEach(() => {
    vi.restoreAllMocks();
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
    vi.spyOn(GPUDevice.prototype, 'createComputePipelineAsync').mockRejectedValue(
      new Error('no such shader'),
    );
    // A device of its own, since no other test opens one with these options.
    const adapter = { powerPreference: 'low-power', [f.option]: true } as const;
    const session = new tl.Session({ backend: 'webgpu', adapter });
    await expect(session.ready).rejects.toThrow(new RegExp(`${f.option} is demanded`));
    await session.close();
  });

  it('float16 changes no bit', async () => {
    const { enables, has } = FEATURES[0];
    const own = await run({ backend: 'webgpu' }, HALVES, halves);
    const plain = await run({ backend: 'webgpu', adapter: { float16: false } }, HALVES, halves);
    expect(own.shaders.includes(enables)).toBe(has);
    expect(plain.shaders).not.toContain(enables);
    expect(bitsOf(own)).toEqual(bitsOf(plain));
    const cpu = await run({ backend: 'cpu', threads: 1 }, HALVES, halves);
    // Sums run in another order there.
    expect(bitsOf(own).slice(0, 3)).toEqual(bitsOf(cpu).slice(0, 3));
  });

  it.skipIf(!FEATURES[1].has)('subgroups change no bit', async () => {
    // Emulations have no teams, so the adapter has to pass for a GPU's.
    for (const name of ['vendor', 'architecture', 'device', 'description'] as const) {
      vi.spyOn(GPUAdapterInfo.prototype, name, 'get').mockReturnValue('');
    }
    vi.spyOn(GPUAdapterInfo.prototype, 'isFallbackAdapter', 'get').mockReturnValue(false);
    const value = new tl.NDArray('float32', [3, 2100], numbers(6300));
    const ran = (subgroups: boolean): Promise<Ran> => {
      const adapter = { powerPreference: 'high-performance', subgroups } as const;
      return run({ backend: 'webgpu', adapter }, value, rows);
    };
    const [own, plain] = [await ran(true), await ran(false)];
    expect(own.shaders).toContain('subgroupShuffleDown');
    expect(plain.shaders).toContain('workgroupBarrier');
    expect(plain.shaders).not.toContain('subgroup');
    expect(bitsOf(own)).toEqual(bitsOf(plain));
  });
});

it('options of adapters that there are not are refused', () => {
  const adapter = { float61: true } as tl.AdapterOptions;
  expect(() => new tl.Session({ backend: 'webgpu', adapter })).toThrow(
    /adapter: there is no option "float61".*float16/,
  );
});
