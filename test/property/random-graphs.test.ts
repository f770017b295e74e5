// Random graphs, forward and gradient: the reference in float64, the cpu backend optimised and not.
// Programs that the feeds make impossible (sizes that do not broadcast) must be refused by all alike.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { NDArray } from '../../src/core/ndarray.ts';
import * as tl from '../../src/index.ts';
import { compare } from '../conformance/run.ts';
import { buildProgram, program } from './program.ts';

const RUNS = 600;

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

it(`${RUNS} random graphs agree`, { timeout: 300_000 }, async () => {
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(program, async (p) => {
      const built = buildProgram(p);
      const truth = await attempt({ backend: 'reference', exact: true }, built);
      const fast = await attempt({ backend: 'cpu', verify: true }, built);
      const plain = await attempt(
        {
          backend: 'cpu',
          fuse: false,
          disablePasses: ['stabilise', 'fold', 'simplify', 'cse', 'hoist', 'prune'],
        },
        built,
      );
      if (typeof truth === 'string') {
        refused++;
        expect(fast).toBe(truth);
        expect(plain).toBe(truth);
        return;
      }
      for (const [name, got] of [
        ['optimised', fast],
        ['plain', plain],
      ] as const) {
        expect(got, `${name} was refused`).not.toBeTypeOf('string');
        (got as NDArray[]).forEach((g, i) => {
          compare(g, truth[i], 2e-4, `${name} ${built.fetches[i]}`);
        });
      }
    }),
    { numRuns: RUNS, seed: 20260101 },
  );
  // Most programs must be runnable, or the test says little.
  expect(refused).toBeLessThan(RUNS / 2);
});
