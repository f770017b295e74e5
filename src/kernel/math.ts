// Elementary functions as primitives: replaces exp, log, tanh, sin … of a kernel by polynomials, so
// that every backend computes the same bits from the same few instructions.
// Invariant: the result holds no such call and uses no fused multiply-add.

import { compare, type Expr, type UnaryOp } from './expr.ts';
import type { Kernel, TiledKernel } from './ir.ts';
import * as single from './math-f32.ts';
import { pow, powInt } from './math-pow.ts';
import { mapExpr, mapStmtExprs, mapStmts, rebuild } from './rewrite.ts';

const UNARY: { readonly [fn in UnaryOp]?: (x: Expr) => Expr } = {
  exp: single.exp,
  expm1: single.expm1,
  log: single.log,
  log1p: single.log1p,
  tanh: single.tanh,
  erf: single.erf,
  sin: single.sin,
  cos: single.cos,
  isnan: (x) => compare('ne', x, x),
};

/** The expansion of one call, or undefined if it is primitive. */
function expandCall(e: Expr, [x, y]: readonly Expr[], keep: ReadonlySet<string>): Expr | undefined {
  if (e.op === 'binary' && e.fn === 'pow') return e.type === 'f32' ? pow(x, y) : powInt(x, y);
  if (e.op !== 'unary' || x.type !== 'f32' || keep.has(e.fn)) return undefined;
  return UNARY[e.fn]?.(x);
}

const NONE: ReadonlySet<string> = new Set();

/**
 * Rewrites the elementary functions of a kernel into primitives, but for those in `keep`.
 *
 * Errors against the exact result are at most 2 ulp for every argument, results that are subnormal
 * included. NaN gives NaN, `exp` over- and underflows to infinity and 0, `log(0) = -Infinity`, `log`
 * of less is NaN, and sin and cos of infinity are NaN. Sources of the coefficients stand beside them.
 */
export function expandMath<K extends Kernel | TiledKernel>(
  kernel: K,
  keep: ReadonlySet<string> = NONE,
): K {
  const memo = new Map<Expr, Expr>();
  const expand = (e: Expr): Expr =>
    mapExpr(e, (x, args) => expandCall(x, args, keep) ?? rebuild(x, args), memo);
  return { ...kernel, body: mapStmts(kernel.body, (s) => mapStmtExprs(s, expand)) };
}
