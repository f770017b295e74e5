// Elementary functions as polynomials: replaces exp, log, tanh, sin, cos and isnan by primitive
// operations, so that every backend computes the same bits from the same few instructions.
// Invariant: the result holds no such call, uses no fused multiply-add, and NaN and signed zeros
// come out as IEEE 754 and C say. Polynomials are those of the Cephes library (single precision).

import {
  add,
  binary,
  bitcast,
  cast,
  compare,
  constant,
  div,
  type Expr,
  type Lanes,
  mul,
  type ScalarType,
  select,
  sub,
  unary,
} from './expr.ts';
import type { Kernel, TiledKernel } from './ir.ts';
import { mapExpr, mapStmtExprs, mapStmts, rebuild } from './rewrite.ts';

/** A constant in all lanes. */
const k = (value: number, lanes: Lanes, type: ScalarType = 'f32'): Expr =>
  constant(type, value, lanes);
const ki = (value: number, lanes: Lanes): Expr => k(value, lanes, 'i32');

/** `c[0] * x^n + … + c[n]` by Horner's rule. */
function poly(x: Expr, coefs: readonly number[]): Expr {
  const [first, ...rest] = coefs;
  return rest.reduce<Expr>((sum, c) => add(mul(sum, x), k(c, x.lanes)), k(first, x.lanes));
}

/** `2^n` for an i32 `n` in -126 .. 127, made of its bits. */
const pow2 = (n: Expr): Expr =>
  bitcast('f32', binary('shl', add(n, ki(127, n.lanes)), ki(23, n.lanes)));

/** `a` with the sign bit inverted where the top bit of the i32 `sign` is set. */
const flipSign = (a: Expr, sign: Expr): Expr =>
  bitcast('f32', binary('xor', bitcast('i32', a), sign));

const signBit = (x: Expr): Expr => binary('and', bitcast('i32', x), ki(-0x80000000, x.lanes));

const EXP_POLY = [
  1.98756915e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1,
  5.0000001201e-1,
];

// ln 2 as a part of 9 bits, whose products with exponents are exact, and the rest.
const LN2_HIGH = 0.693359375;
const LN2_LOW = -2.1219444e-4;

/** `exp(x) = p * 2^n`, with `p` between 0.7 and 1.5, for `|x| < 2^22`. */
function expParts(x: Expr): { p: Expr; n: Expr } {
  const L = x.lanes;
  const n = unary('nearest', mul(x, k(Math.LOG2E, L)));
  const r = sub(sub(x, mul(n, k(LN2_HIGH, L))), mul(n, k(LN2_LOW, L)));
  const tail = add(mul(poly(r, EXP_POLY), mul(r, r)), r);
  return { p: add(tail, k(1, L)), n: cast('i32', n) };
}

function expandExp(x: Expr): Expr {
  const L = x.lanes;
  // Beyond these limits the result is 0 or infinity anyway, and the exponent stays in range.
  const limited = binary('max', binary('min', x, k(89, L)), k(-104, L));
  const { p, n } = expParts(limited);
  // 2^n itself may overflow or be subnormal although the result is not, so it comes in halves;
  // only the second product rounds.
  const half = binary('shr', n, ki(1, L));
  return mul(mul(p, pow2(half)), pow2(sub(n, half)));
}

const LOG_POLY = [
  7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1,
  -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
];

function expandLog(x: Expr): Expr {
  const L = x.lanes;
  const small = compare('lt', x, k(2 ** -126, L));
  const bits = bitcast('i32', select(small, mul(x, k(2 ** 23, L)), x));
  const exponent = sub(binary('shr', bits, ki(23, L)), select(small, ki(126 + 23, L), ki(126, L)));
  // x = m * 2^e with m in sqrt(1/2) .. sqrt(2).
  const mantissa = binary('or', binary('and', bits, ki(0x7fffff, L)), ki(0x3f000000, L));
  const half = bitcast('f32', mantissa);
  const low = compare('lt', half, k(Math.SQRT1_2, L));
  const m = select(low, add(half, half), half);
  const e = cast('f32', select(low, sub(exponent, ki(1, L)), exponent));
  const f = sub(m, k(1, L));
  const z = mul(f, f);
  const head = mul(mul(poly(f, LOG_POLY), f), z);
  const tail = sub(add(head, mul(e, k(LN2_LOW, L))), mul(z, k(0.5, L)));
  const finite = add(add(f, tail), mul(e, k(LN2_HIGH, L)));
  const top = select(compare('eq', x, k(Infinity, L)), x, finite);
  const above = select(compare('eq', x, k(0, L)), k(-Infinity, L), top);
  return select(compare('ge', x, k(0, L)), above, k(Number.NaN, L));
}

const TANH_POLY = [
  -5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1,
];

function expandTanh(x: Expr): Expr {
  const L = x.lanes;
  const a = unary('abs', x);
  const z = mul(a, a);
  const near = add(a, mul(mul(poly(z, TANH_POLY), z), a));
  // From 9.1 on the result rounds to 1, so that a larger argument need not be looked at.
  const { p, n } = expParts(mul(binary('min', a, k(9.2, L)), k(2, L)));
  const e = mul(p, pow2(n));
  const far = sub(k(1, L), div(k(2, L), add(e, k(1, L))));
  return flipSign(select(compare('lt', a, k(0.625, L)), near, far), signBit(x));
}

// pi/2 in four parts; products of the first three with quadrants below 2^13 are exact, so that the
// argument keeps its relative precision even next to a zero.
const HALF_PI = [1.5703125, 4.837512969970703e-4, 7.549533620476723e-8, 2.56334406825709e-12];
const SIN_POLY = [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1];
const COS_POLY = [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2];

/** `sin(|x| + shift * pi/2)`, with its sign inverted where the top bit of `sign` is set. */
function expandWave(x: Expr, shift: 0 | 1, sign: Expr | undefined): Expr {
  const L = x.lanes;
  const a = unary('abs', x);
  const n = unary('nearest', mul(a, k(2 / Math.PI, L)));
  const reduced = HALF_PI.reduce<Expr>((r, part) => sub(r, mul(n, k(part, L))), a);
  // Only for huge arguments is there anything to limit: the result is then meaningless, but small.
  const limit = 0.79;
  const r = binary('max', binary('min', reduced, k(limit, L)), k(-limit, L));
  const z = mul(r, r);
  const sin = add(r, mul(mul(poly(z, SIN_POLY), z), r));
  const cos = add(sub(mul(mul(poly(z, COS_POLY), z), z), mul(z, k(0.5, L))), k(1, L));
  const quadrant = add(cast('i32', n), ki(shift, L));
  const odd = compare('ne', binary('and', quadrant, ki(1, L)), ki(0, L));
  const lower = binary('shl', binary('and', quadrant, ki(2, L)), ki(30, L));
  return flipSign(select(odd, cos, sin), sign ? binary('xor', lower, sign) : lower);
}

/** The expansion of one call, or undefined if it is primitive. */
function expandCall(e: Expr, x: Expr): Expr | undefined {
  if (e.op !== 'unary' || x.type !== 'f32') return undefined;
  switch (e.fn) {
    case 'exp':
      return expandExp(x);
    case 'log':
      return expandLog(x);
    case 'tanh':
      return expandTanh(x);
    case 'sin':
      return expandWave(x, 0, signBit(x));
    case 'cos':
      return expandWave(x, 1, undefined);
    case 'isnan':
      return compare('ne', x, x);
    default:
      return undefined;
  }
}

/**
 * Rewrites the f32 functions exp, log, tanh, sin, cos and isnan of a kernel into primitives.
 *
 * Errors against the exact result: exp (also where the result is subnormal) and log at most 2 ulp;
 * tanh at most 4 ulp; sin and cos at most 2 ulp for `|x| <= 100` and 1.2e-7 absolute up to
 * 8000. sin and cos are meant for `|x| < 8000`: beyond, they lose accuracy until they are any
 * number between -1 and 1. NaN gives NaN, `exp` over- and underflows to infinity and 0,
 * `log(0) = -Infinity`, `log` of less is NaN, and sin and cos of infinity are NaN.
 */
export function expandMath<K extends Kernel | TiledKernel>(kernel: K): K {
  const memo = new Map<Expr, Expr>();
  const expand = (e: Expr): Expr =>
    mapExpr(e, (x, args) => expandCall(x, args[0]) ?? rebuild(x, args), memo);
  return { ...kernel, body: mapStmts(kernel.body, (s) => mapStmtExprs(s, expand)) };
}
