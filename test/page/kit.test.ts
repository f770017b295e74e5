// The conformance kit in Chromium, by vitest's browser mode, on both backends that a page has: a tenth of
// it, or all of it with the full matrix.

import { describe, expect, inject, it } from 'vitest';
import { describeConformance } from '../../src/conformance/describe.ts';
import { webgpu } from '../../src/index.ts';

declare module 'vitest' {
  interface ProvidedContext {
    readonly kit: { readonly sample: number; readonly needsGpu: boolean };
  }
}

const { sample, needsGpu } = inject('kit');
const hasGpu = await webgpu.available();
if (!hasGpu) console.warn('the kit is not run on webgpu: Chromium has no adapter');

it('has what it needs', () => {
  expect(globalThis.crossOriginIsolated).toBe(true);
  if (needsGpu) expect(hasGpu, 'Chromium has no WebGPU adapter').toBe(true);
});

for (const backend of ['webgpu', 'cpu']) {
  describe.skipIf(backend === 'webgpu' && !hasGpu)(backend, () => {
    let passed = 0;
    describeConformance(backend, {
      sample,
      runner: {
        describe,
        it: (name, test) =>
          it(name, async () => {
            // What a GPU has no arithmetic for runs on the CPU beside it: nothing may be refused.
            await test({ skip: (why) => expect.unreachable(why) });
            passed++;
          }),
      },
    });
    it('says something', () => {
      expect(passed).toBeGreaterThan(150);
    });
  });
}
