// Timing of several peers in one process, in turns, so that a slow moment of the machine meets them all.

import type { Peer } from './data.ts';

export interface Plan {
  /** Steps of each peer before the clock runs. */
  readonly warmUp: number;
  readonly rounds: number;
  /** Steps in a row that a peer takes in a round. */
  readonly perRound: number;
}

export interface Timing {
  readonly name: string;
  /** The losses of the steps that warm up, the first step's first. */
  readonly losses: readonly number[];
  /** Milliseconds of each timed step. */
  readonly times: readonly number[];
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const mid = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[mid] : (sorted[mid - 1] + sorted[mid]) / 2;
}

/** Warms all peers up, lets `check` look at their losses (it may throw), then times them in rounds. */
export async function timePeers(
  peers: readonly Peer[],
  plan: Plan,
  check: (warm: readonly Timing[]) => void,
): Promise<Timing[]> {
  const timings = peers.map(({ name }) => ({
    name,
    losses: [] as number[],
    times: [] as number[],
  }));
  for (const [p, peer] of peers.entries()) {
    for (let i = 0; i < plan.warmUp; i++) timings[p].losses.push(await peer.step());
  }
  check(timings);
  for (let round = 0; round < plan.rounds; round++) {
    for (let turn = 0; turn < peers.length; turn++) {
      // Each round begins with another peer: none always follows the same one.
      const p = (turn + round) % peers.length;
      for (let i = 0; i < plan.perRound; i++) {
        const began = performance.now();
        await peers[p].step();
        timings[p].times.push(performance.now() - began);
      }
    }
  }
  return timings;
}
