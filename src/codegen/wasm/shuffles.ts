// Lanes taken from four vectors, as in the transposition of a 4x4 block: how `pack(a[l], b[l], c[l],
// d[l])` becomes shuffles of pairs. Invariant: lanes are moved whole, whatever their type.

import type { Expr, ExtractExpr, Lanes } from '../../kernel/expr.ts';
import type { FunctionBuilder } from './assembler.ts';

/** Four vectors and the lane that is taken of each. */
export interface LaneOfFour {
  readonly vectors: readonly [Expr, Expr, Expr, Expr];
  readonly lane: number;
}

/** The vectors and the lane, if an expression packs one lane of four vectors. */
export function laneOfFour(e: Expr): LaneOfFour | undefined {
  if (e.op !== 'pack' || e.lanes !== 4) return undefined;
  const [a, b, c, d] = e.args;
  const same = (x: Expr): x is ExtractExpr =>
    x.op === 'extract' && a.op === 'extract' && x.lane === a.lane;
  if (!same(a) || !same(b) || !same(c) || !same(d)) return undefined;
  return { vectors: [a.args[0], b.args[0], c.args[0], d.args[0]], lane: a.lane };
}

/** The bytes of i32 lanes 0..7 of two vectors. */
const lanes = (...of: number[]): number[] =>
  of.flatMap((l) => [4 * l, 4 * l + 1, 4 * l + 2, 4 * l + 3]);

/** `a0 b0 a1 b1` of two vectors, or `a2 b2 a3 b3`. */
const INTERLEAVED = { low: lanes(0, 4, 1, 5), high: lanes(2, 6, 3, 7) } as const;

/** The low halves of two vectors, and the high ones. */
export const HALVES = { low: lanes(0, 1, 4, 5), high: lanes(2, 3, 6, 7) } as const;

/** Pushes the value of an expression. */
type PushExpr = (e: Expr) => void;

/**
 * Pushes one lane of each of four vectors as a vector. `pairs` holds the locals of interleaved halves,
 * which two lanes of a block share.
 */
export function emitLaneOfFour(
  f: FunctionBuilder,
  { vectors: [a, b, c, d], lane }: LaneOfFour,
  push: PushExpr,
  pairs: Map<string, number>,
): void {
  const half = lane < 2 ? 'low' : 'high';
  emitInterleaved(f, [a, b], half, push, pairs);
  emitInterleaved(f, [c, d], half, push, pairs);
  f.op('i8x16.shuffle', [...HALVES[lane % 2 === 0 ? 'low' : 'high']]);
}

function emitInterleaved(
  f: FunctionBuilder,
  [a, b]: readonly [Expr, Expr],
  half: 'low' | 'high',
  push: PushExpr,
  pairs: Map<string, number>,
): void {
  const key = `${a.id},${b.id},${half}`;
  const known = pairs.get(key);
  if (known !== undefined) {
    f.op('local.get', known);
    return;
  }
  push(a);
  push(b);
  f.op('i8x16.shuffle', [...INTERLEAVED[half]]);
  // Only what a let holds is surely the same later in the block.
  if (a.op !== 'let' || b.op !== 'let') return;
  const local = f.local('v128', 'pair');
  f.op('local.tee', local);
  pairs.set(key, local);
}

/** Pushes a scalar as it stands in one of so many lanes: bools as masks. */
export function emitLane(f: FunctionBuilder, e: Expr, lanes: Lanes, push: PushExpr): void {
  if (e.type !== 'bool') {
    push(e);
    return;
  }
  f.op('i32.const', 0);
  push(e);
  f.op('i32.sub');
  if (lanes === 2) f.op('i64.extend_i32_s');
}
