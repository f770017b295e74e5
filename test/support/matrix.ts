// The configurations that cases run in. `npm test` runs every case on the reference and on the cpu with
// one thread, and of all other pairs of case and configuration a tenth that a hash chooses; with
// TENSORLOOM_MATRIX=all (`npm run test:all`) every pair runs.

import { relaxedSimdSupported } from '../../src/codegen/wasm/probe.ts';
import { hash } from '../../src/conformance/run.ts';
import { type SessionOptions, webgpu } from '../../src/index.ts';

/** A configuration that must agree with the truth. */
export interface Contender {
  readonly name: string;
  readonly options: SessionOptions;
  /** Whether every case runs in it, whatever the hash says. */
  readonly always?: boolean;
  /** The configuration whose bits it must give. */
  readonly sameBitsAs?: string;
}

const UNOPTIMISED: SessionOptions = {
  backend: 'cpu',
  threads: 1,
  fuse: false,
  disablePasses: ['stabilise', 'fold', 'simplify', 'cse', 'hoist', 'prune'],
};

/** The compiled configurations. */
export const CPU_CONTENDERS: readonly Contender[] = [
  { name: 'cpu', options: { backend: 'cpu', threads: 1, verify: true }, always: true },
  { name: 'cpu, unoptimised', options: UNOPTIMISED },
  { name: 'cpu, 2 threads', options: { backend: 'cpu', threads: 2 }, sameBitsAs: 'cpu' },
  { name: 'cpu, 3 threads', options: { backend: 'cpu', threads: 3 }, sameBitsAs: 'cpu' },
  ...(relaxedSimdSupported()
    ? [{ name: 'cpu, plain simd', options: { backend: 'cpu', threads: 1, relaxedSimd: false } }]
    : []),
];

/** All of them. */
export const CONTENDERS: readonly Contender[] = [
  { name: 'reference', options: { backend: 'reference' }, always: true },
  ...CPU_CONTENDERS,
  ...((await webgpu.available()) ? [{ name: 'webgpu', options: { backend: 'webgpu' } }] : []),
];

/** Whether every case runs in every configuration. */
export const ALL = process.env.TENSORLOOM_MATRIX === 'all';

/** The contenders that a case of such a name meets. */
export function contendersOf(
  key: string,
  contenders: readonly Contender[] = CONTENDERS,
): readonly Contender[] {
  return contenders.filter((c) => ALL || c.always || hash(`${key}/${c.name}`) % 10 === 0);
}
