// The peers by name, each loaded in its own process only.

import type { Maker, Peer } from '../types.ts';

/** Tensorloom, and with two threads in all also on one. */
export const OURS = 'tensorloom';
export const OURS_ON_ONE = 'tensorloom-1t';
/** For scale, in Python; not a peer to be measured by. */
export const NUMPY = 'numpy';
export const JAVASCRIPT_PEERS: readonly string[] = ['tfjs-wasm', 'ort-web', 'jax-js'];

const LOADERS: Readonly<Record<string, () => Promise<{ readonly peer: Peer }>>> = {
  [OURS]: () => import('./tensorloom.ts'),
  [OURS_ON_ONE]: () => import('./tensorloom.ts'),
  'tfjs-wasm': () => import('./tfjs-wasm.ts'),
  'ort-web': () => import('./ort-web.ts'),
  'jax-js': () => import('./jax-js.ts'),
};

/** The peer's implementation of a workload; undefined where it has none. */
export async function makerOf(
  peer: string,
  workload: string,
  threads: number,
): Promise<Maker | undefined> {
  const load = LOADERS[peer];
  if (load === undefined) throw new RangeError(`no peer "${peer}"`);
  const makers = await (await load()).peer.open(peer === OURS_ON_ONE ? 1 : threads);
  return makers[workload];
}
