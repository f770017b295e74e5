// A process that measures the raw limits of one thread. The harness holds as many as it has threads and
// asks them at the same time.

import { COPIED_PER_TURN, FLOPS_PER_TURN, rawLoops } from './raw.ts';
import { serve, textOf } from './wire.ts';

export interface RawRequest {
  /** Bytes read and written by the copy. */
  readonly footprint: number;
  /** Milliseconds for each of the two loops. */
  readonly ms: number;
}

export type RawReply =
  | { readonly state: 'raw'; readonly gflops: number; readonly gbps: number }
  | { readonly state: 'failed'; readonly error: string };

const TURNS = 20_000;
/** A copy is cut so that V8 can swap its optimised code in between. */
const PIECE = 256 * 1024;
const MOST = 128 * 2 ** 20;
const LEAST = 256 * 1024;

/** Billions of `perTurn` a second. */
function rate(ms: number, perTurn: number, turn: () => void): number {
  const began = performance.now();
  let count = 0;
  let spent = 0;
  do {
    turn();
    count++;
    spent = performance.now() - began;
  } while (spent < ms);
  return (count * perTurn) / spent / 1e6;
}

let loops = rawLoops(LEAST);
let size = LEAST;

function answer({ footprint, ms }: RawRequest): RawReply {
  const half = Math.floor(Math.min(MOST, Math.max(LEAST, footprint)) / 2 / PIECE) * PIECE;
  const bytes = half || LEAST / 2;
  if (size < 2 * bytes) {
    size = 2 * bytes;
    loops = rawLoops(size);
  }
  const copyAll = (): void => {
    for (let at = 0; at < bytes; at += PIECE) {
      loops.copy(at, bytes + at, Math.min(PIECE, bytes - at) / COPIED_PER_TURN);
    }
  };
  // Touches the memory, and lets V8 optimise both loops.
  rate(ms / 4, 1, copyAll);
  rate(ms / 4, 1, () => loops.arithmetic(TURNS));
  const gflops = rate(ms, TURNS * FLOPS_PER_TURN, () => loops.arithmetic(TURNS));
  const gbps = rate(ms, 2 * bytes, copyAll);
  return { state: 'raw', gflops, gbps };
}

await serve<RawRequest, RawReply>(
  async (request) => answer(request),
  (error) => ({ state: 'failed', error: textOf(error) }),
);
process.exit(0);
