// Elementary functions as primitives: replaces exp, log, tanh, sin … of a kernel by polynomials, so
// that every backend computes the same bits from the same few instructions.
// Invariant: the result holds no such call and uses no fused multiply-add.

import {
  type BinaryExpr,
  compare,
  type Expr,
  type ScalarType,
  type UnaryExpr,
  type UnaryOp,
} from './expr.ts';
import type { Kernel, TiledKernel } from './ir.ts';
import * as single from './math-f32.ts';
import * as double from './math-f64.ts';
import * as wave from './math-f64-wave.ts';
import { pow, powInt } from './math-pow.ts';
import {
  exprsOf,
  mapExpr,
  mapStmtExprs,
  mapStmts,
  rebuild,
  walkExprs,
  walkStmts,
} from './rewrite.ts';
import { isFloatType } from './scalar.ts';

type Table = { readonly [fn in UnaryOp]?: (x: Expr) => Expr };

const SINGLE: Table = {
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

const DOUBLE: Table = {
  exp: double.exp,
  expm1: double.expm1,
  log: double.log,
  log1p: double.log1p,
  tanh: double.tanh,
  erf: double.erf,
  sin: wave.sin,
  cos: wave.cos,
  isnan: (x) => compare('ne', x, x),
};

/** The functions of one operand of each type that has any. */
const UNARY: { readonly [type in ScalarType]?: Table } = { f32: SINGLE, f64: DOUBLE };

/** A call of an elementary function, which takes many primitives. */
export type ElementaryCall = UnaryExpr | BinaryExpr;

/** Whether an expression is a call of an elementary function. */
export function isElementary(e: Expr): e is ElementaryCall {
  if (e.op === 'binary') return e.fn === 'pow';
  return e.op === 'unary' && e.type !== 'bool' && e.fn in (UNARY[e.type] ?? {});
}

/** What a call of an elementary function computes, in primitives of the operands given. */
export function expandCall(e: ElementaryCall, [x, y]: readonly Expr[]): Expr | undefined {
  if (e.op === 'binary') {
    if (e.fn !== 'pow') return undefined;
    return isFloatType(e.type) ? pow(x, y) : powInt(x, y);
  }
  return UNARY[x.type]?.[e.fn]?.(x);
}

/**
 * Rewrites the elementary functions of a kernel into primitives, but for calls that `keep` accepts.
 *
 * Errors against the exact result are at most 2 ulp for every argument, results that are subnormal
 * included. NaN gives NaN, `exp` over- and underflows to infinity and 0, `log(0) = -Infinity`, `log`
 * of less is NaN, and sin and cos of infinity are NaN. Sources of the coefficients stand beside them.
 */
export function expandMath<K extends Kernel | TiledKernel>(
  kernel: K,
  keep: (call: ElementaryCall) => boolean = () => false,
): K {
  if (!hasCalls(kernel)) return kernel;
  const memo = new Map<Expr, Expr>();
  const expand = (e: Expr): Expr =>
    mapExpr(
      e,
      (x, args) => {
        const call = (x.op === 'unary' || x.op === 'binary') && !keep(x) ? x : undefined;
        return (call && expandCall(call, args)) ?? rebuild(x, args);
      },
      memo,
    );
  return { ...kernel, body: mapStmts(kernel.body, (s) => mapStmtExprs(s, expand)) };
}

/** Whether there is anything to expand in a kernel: most have nothing. */
function hasCalls(kernel: Kernel | TiledKernel): boolean {
  let found = false;
  const seen = new Set<Expr>();
  const look = (e: Expr): void => {
    if (e.op === 'binary') found ||= e.fn === 'pow';
    else if (e.op === 'unary') found ||= UNARY[e.args[0].type]?.[e.fn] !== undefined;
  };
  walkStmts(kernel.body, (s) => {
    if (!found) walkExprs(exprsOf(s), look, seen);
  });
  return found;
}
