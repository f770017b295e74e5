// Lanes taken from four vectors, as in the transposition of a 4x4 block: how `pack(a[l], b[l], c[l],
// d[l])` becomes shuffles of pairs. Invariant: lanes are moved whole, whatever their type.

import type { Expr, ExtractExpr } from '../../kernel/expr.ts';

/** Four vectors and the lane that is taken of each. */
export interface LaneOfFour {
  readonly vectors: readonly [Expr, Expr, Expr, Expr];
  readonly lane: number;
}

/** The vectors and the lane, if an expression packs one lane of four vectors. */
export function laneOfFour(e: Expr): LaneOfFour | undefined {
  if (e.op !== 'pack') return undefined;
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
export const INTERLEAVED = { low: lanes(0, 4, 1, 5), high: lanes(2, 6, 3, 7) } as const;

/** The low halves of two vectors, and the high ones. */
export const HALVES = { low: lanes(0, 1, 4, 5), high: lanes(2, 3, 6, 7) } as const;
