// Random graphs, forward and gradient: the reference in float64 against the cpu backend in its configurations.
// Programs that the feeds make impossible (sizes that do not broadcast) must be refused by all alike.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { compare, sameBits } from '../../src/conformance/compare.ts';
import { BATCHES, buildProgram, type Program } from '../../src/conformance/random-graph.ts';
import type { NDArray } from '../../src/core/ndarray.ts';
import * as tl from '../../src/index.ts';

import { ALL, CPU_CONTENDERS, contendersOf } from '../support/matrix.ts';

const program: fc.Arbitrary<Program> = fc.record({
  batch: fc.constantFrom(...BATCHES),
  seed: fc.nat(1e6),
  steps: fc.array(fc.record({ op: fc.nat(999), a: fc.nat(99), b: fc.nat(99), k: fc.nat(99) }), {
    minLength: 1,
    maxLength: 14,
  }),
});

const RUNS = ALL ? 2000 : 600;

async function attempt(
  options: tl.SessionOptions,
  p: ReturnType<typeof buildProgram>,
): Promise<NDArray[] | string> {
  const session = new tl.Session({ ...options, graph: p.graph });
  try {
    return (await session.run(p.fetches, p.feeds)) as NDArray[];
  } catch (e) {
    if (!(e instanceof tl.TensorloomError) || e instanceof tl.InternalError) throw e;
    return e.constructor.name;
  } finally {
    await session.close();
  }
}

it(`${RUNS} random graphs agree`, { timeout: 1_800_000 }, async () => {
  let refused = 0;
  let turn = 0;
  await fc.assert(
    fc.asyncProperty(program, async (p) => {
      const built = buildProgram(p);
      const truth = await attempt({ backend: 'reference', exact: true }, built);
      if (typeof truth === 'string') refused++;
      const results = new Map<string, NDArray[]>();
      for (const { name, options, sameBitsAs } of contendersOf(String(turn++), CPU_CONTENDERS)) {
        const got = await attempt(options, built);
        if (typeof truth === 'string') {
          expect(got, name).toBe(truth);
          continue;
        }
        if (typeof got === 'string') expect.fail(`${name}: refused with ${got}`);
        results.set(name, got);
        const twin = sameBitsAs === undefined ? undefined : results.get(sameBitsAs);
        got.forEach((g, i) => {
          compare(g, truth[i], 2e-4, `${name} ${built.fetches[i]}`);
          if (twin) sameBits(g, twin[i], `${name} ${built.fetches[i]}`);
        });
      }
    }),
    { numRuns: RUNS, seed: 20260101 },
  );
  // Most programs must be runnable, or the test says little.
  expect(refused).toBeLessThan(RUNS / 2);
});
