// The Tensorloom that is measured: the sources, or the built package where TENSORLOOM_BENCH_DIST is set.

import { NotBuiltError } from './types.ts';

const fromDist = process.env.TENSORLOOM_BENCH_DIST !== undefined;
const path = fromDist ? '../dist/index.js' : '../src/index.ts';

export const tl = (await import(path)) as typeof import('../src/index.ts');

/** A function that may not exist yet, by module and name. Throws NotBuiltError where it does not. */
export function planned<F>(module: object, name: string): F {
  const found: unknown = (module as Record<string, unknown>)[name];
  if (typeof found !== 'function') throw new NotBuiltError(name);
  return found as F;
}
