// The f64 functions exp, expm1, log, log1p, tanh and erf as expressions of primitives, by the methods and
// coefficients of fdlibm (Sun Microsystems, 1993; freely distributable), without its branches where a
// select does. Waves and powers are in `math-f64-wave.ts` and `math-f64-pow.ts`.
// Invariant: errors stay below 2 ulp for every argument; NaN and signed zeros come out as C says.

import {
  add,
  binary,
  bitcast,
  compare,
  constant,
  div,
  type Expr,
  type Lanes,
  mul,
  select,
  sub,
  unary,
} from './expr.ts';

export const k = (value: number, lanes: Lanes): Expr => constant('f64', value, lanes);
export const ki = (value: number | bigint, lanes: Lanes): Expr => constant('i64', value, lanes);
export const bitsOf = (x: Expr): Expr => bitcast('i64', x);
export const fromBits = (x: Expr): Expr => bitcast('f64', x);
export const and = (x: Expr, mask: bigint): Expr => binary('and', x, ki(mask, x.lanes));
export const shl = (x: Expr, n: number): Expr => binary('shl', x, ki(n, x.lanes));
export const shr = (x: Expr, n: number): Expr => binary('shr', x, ki(n, x.lanes));
export const SIGN = -(2n ** 63n);
const signBit = (x: Expr): Expr => and(bitsOf(x), SIGN);
/** `a`, which is not negative, with the sign of `x`. */
export const withSign = (a: Expr, x: Expr): Expr => fromBits(binary('or', bitsOf(a), signBit(x)));
/** The number without the lower half of its bits. */
export const upper = (x: Expr): Expr => fromBits(and(bitsOf(x), -(2n ** 32n)));

/** `c[0] + c[1] * x + …` by Horner's rule. */
export function poly(x: Expr, coefs: readonly number[]): Expr {
  return coefs
    .slice(0, -1)
    .reduceRight<Expr>(
      (sum, c) => add(mul(sum, x), k(c, x.lanes)),
      k(coefs[coefs.length - 1], x.lanes),
    );
}

// Added to an integer below 2^51, 1.5 * 2^52 leaves it in the low bits of the sum.
const MAGIC = 6755399441055744;

/** The nearest integer of a number below 2^51, as f64 and as a word whose low 51 bits are the integer. */
export function round(x: Expr): { n: Expr; bits: Expr } {
  const n = unary('nearest', x);
  return { n, bits: bitsOf(add(n, k(MAGIC, x.lanes))) };
}

/** An i64 below 2^51 as f64. */
export function toFloat(n: Expr): Expr {
  return sub(fromBits(add(n, bitsOf(k(MAGIC, n.lanes)))), k(MAGIC, n.lanes));
}

/** `2^n` from a word with `n`, in -1022 .. 1023, in its low 12 bits. */
export const pow2 = (bits: Expr): Expr =>
  fromBits(add(shl(bits, 52), ki(0x3ff0000000000000n, bits.lanes)));

/** `y * 2^n` rounded once, for an integer n in about -1100 .. 1100 where `y` is near 1. */
export function scale(y: Expr, bits: Expr): Expr {
  const word = shr(shl(bits, 13), 13);
  const half = shr(word, 1);
  return mul(mul(y, pow2(half)), pow2(sub(word, half)));
}

const LN2_HIGH = 6.931471803691238e-1;
const LN2_LOW = 1.9082149292705877e-10;

// e_exp.c: r - r^2 * poly(r^2) approximates r (exp(r) + 1) / (exp(r) - 1).
const EXP = [
  1.6666666666666602e-1, -2.7777777777015593e-3, 6.613756321437934e-5, -1.6533902205465252e-6,
  4.1381367970572385e-8,
];

/** `x = n ln 2 + hi - lo`. */
function reduced(x: Expr): { bits: Expr; hi: Expr; lo: Expr } {
  const L = x.lanes;
  const { n, bits } = round(mul(x, k(Math.LOG2E, L)));
  return { bits, hi: sub(x, mul(n, k(LN2_HIGH, L))), lo: mul(n, k(LN2_LOW, L)) };
}

/** `exp(hi - lo)` for |hi| < 0.35. */
function expNear(hi: Expr, lo: Expr): Expr {
  const L = hi.lanes;
  const r = sub(hi, lo);
  const t = mul(r, r);
  const c = sub(r, mul(t, poly(t, EXP)));
  const quotient = div(mul(r, c), sub(k(2, L), c));
  return sub(k(1, L), sub(sub(lo, quotient), hi));
}

/** A number held within limits; NaN stays. */
const limited = (x: Expr, low: number, high: number): Expr =>
  binary('max', binary('min', x, k(high, x.lanes)), k(low, x.lanes));

export function exp(x: Expr): Expr {
  // Beyond these limits the result is 0 or infinity anyway.
  const { bits, hi, lo } = reduced(limited(x, -750, 711));
  return scale(expNear(hi, lo), bits);
}

// s_expm1.c
const EXPM1 = [
  1, -3.333333333333313e-2, 1.5873015872548146e-3, -7.93650757867488e-5, 4.008217827329362e-6,
  -2.0109921818362437e-7,
];

export function expm1(x: Expr): Expr {
  const L = x.lanes;
  const [one, half] = [k(1, L), k(0.5, L)];
  const { bits, hi, lo } = reduced(limited(x, -50, 711));
  const r = sub(hi, lo);
  const lost = sub(sub(hi, r), lo);
  const hfx = mul(r, half);
  const hxs = mul(r, hfx);
  const r1 = poly(hxs, EXPM1);
  const t = sub(k(3, L), mul(r1, hfx));
  const e = mul(hxs, div(sub(r1, t), sub(k(6, L), mul(r, t))));
  const d = sub(sub(mul(r, sub(e, lost)), lost), hxs);
  // 2^n (1 + r - d) - 1 with the 1 subtracted before the scaling: 1 - 2^-n is exact where it counts.
  const n = shr(shl(bits, 13), 13);
  const inner = sub(one, fromBits(shl(sub(ki(1023, L), binary('min', n, ki(100, L))), 52)));
  // A negative r with n = 1 cancels: its sum with 1/2 is exact.
  const cancels = binary('and', compare('eq', n, ki(1, L)), compare('lt', r, k(-0.25, L)));
  const y = select(cancels, sub(add(r, half), d), sub(inner, sub(d, r)));
  const tiny = compare('lt', unary('abs', x), k(2 ** -54, L));
  return select(tiny, x, scale(y, bits));
}

// e_log.c
const LOG = [
  6.666666666666735e-1, 3.999999999940942e-1, 2.857142874366239e-1, 2.2222198432149784e-1,
  1.818357216161805e-1, 1.5313837699209373e-1, 1.4798198605116586e-1,
];

/** `x = m * 2^e` with `m` from sqrt(1/2) to sqrt(2), for normal `x`; `e` as i64. */
export function logParts(x: Expr): { m: Expr; e: Expr } {
  const L = x.lanes;
  const bits = bitsOf(x);
  const shifted = sub(bits, ki(0x3fe6a09e00000000n, L));
  const e = shr(shifted, 52);
  return { m: fromBits(sub(bits, shl(e, 52))), e };
}

/** `log(1 + f) + e ln 2`, where `f` lacks `lost`. */
function logOf(f: Expr, e: Expr, lost?: Expr): Expr {
  const L = f.lanes;
  const s = div(f, add(k(2, L), f));
  const z = mul(s, s);
  const hfsq = mul(mul(k(0.5, L), f), f);
  const r = mul(z, poly(z, LOG));
  const low = mul(e, k(LN2_LOW, L));
  const tail = add(mul(s, add(hfsq, r)), lost ? add(low, lost) : low);
  return add(add(sub(tail, hfsq), f), mul(e, k(LN2_HIGH, L)));
}

export function log(x: Expr): Expr {
  const L = x.lanes;
  const small = compare('lt', x, k(2 ** -1022, L));
  const { m, e } = logParts(select(small, mul(x, k(2 ** 54, L)), x));
  const exponent = sub(toFloat(e), select(small, k(54, L), k(0, L)));
  const usual = logOf(sub(m, k(1, L)), exponent);
  const zero = compare('eq', x, k(0, L));
  // What is left is infinite, negative or NaN.
  const top = select(compare('gt', x, k(0, L)), x, k(Number.NaN, L));
  const normal = binary('and', compare('gt', x, k(0, L)), compare('lt', x, k(Infinity, L)));
  return select(normal, usual, select(zero, k(-Infinity, L), top));
}

export function log1p(x: Expr): Expr {
  const L = x.lanes;
  const one = k(1, L);
  const u = add(x, one);
  const { m, e } = logParts(u);
  const rest = select(compare('gt', e, ki(1, L)), sub(one, sub(u, x)), sub(x, sub(u, one)));
  const counts = compare('lt', e, ki(54, L));
  const lost = select(counts, div(rest, u), k(0, L));
  // Near 0 the argument itself is the fraction.
  const near = binary('and', compare('gt', x, k(-0.29, L)), compare('lt', x, k(0.41, L)));
  const [f, c] = [select(near, x, sub(m, one)), select(near, k(0, L), lost)];
  const usual = logOf(f, select(near, k(0, L), toFloat(e)), c);
  const finite = select(compare('lt', unary('abs', x), k(2 ** -54, L)), x, usual);
  const top = select(compare('gt', x, k(-1, L)), x, k(Number.NaN, L));
  const special = select(compare('eq', x, k(-1, L)), k(-Infinity, L), top);
  const normal = binary('and', compare('gt', x, k(-1, L)), compare('lt', x, k(Infinity, L)));
  return select(normal, finite, special);
}

/** tanh(a) = t / (t + 2) with t = expm1(2a), and from 1 on 1 - 2 / (t + 2). */
export function tanh(x: Expr): Expr {
  const L = x.lanes;
  const a = unary('abs', x);
  const bounded = binary('min', a, k(22, L));
  const t = expm1(add(bounded, bounded));
  const far = compare('ge', a, k(1, L));
  const q = div(select(far, k(2, L), t), add(t, k(2, L)));
  return withSign(select(far, sub(k(1, L), q), q), x);
}

// s_erf.c: erf(x) = x + x * PP(x^2) / QQ(x^2) up to 0.84375, then ERX + PA(x - 1) / QA(x - 1) up to 1.25,
// then 1 - exp(-x^2 - 0.5625 + R(1/x^2) / S(1/x^2)) / x, with RA and SA up to 1/0.35, RB and SB beyond.
const PP = [
  1.2837916709551256e-1, -3.250421072470015e-1, -2.848174957559851e-2, -5.770270296489442e-3,
  -2.3763016656650163e-5,
];
const QQ = [
  1, 3.9791722395915535e-1, 6.50222499887673e-2, 5.081306281875766e-3, 1.3249473800432164e-4,
  -3.960228278775368e-6,
];
const ERX = 8.450629115104675e-1;
const PA = [
  -2.3621185607526594e-3, 4.1485611868374833e-1, -3.722078760357013e-1, 3.1834661990116175e-1,
  -1.1089469428239668e-1, 3.5478304325618236e-2, -2.166375594868791e-3,
];
const QA = [
  1, 1.0642088040084423e-1, 5.40397917702171e-1, 7.182865441419627e-2, 1.2617121980876164e-1,
  1.363708391202905e-2, 1.1984499846799107e-2,
];
const RA = [
  -9.864944034847148e-3, -6.938585727071818e-1, -1.0558626225323291e1, -6.2375332450326006e1,
  -1.6239666946257347e2, -1.8460509290671104e2, -8.12874355063066e1, -9.814329344169145,
];
const SA = [
  1, 1.9651271667439257e1, 1.3765775414351904e2, 4.3456587747522923e2, 6.453872717332679e2,
  4.2900814002756783e2, 1.0863500554177944e2, 6.570249770319282, -6.04244152148581e-2,
];
const RB = [
  -9.8649429247001e-3, -7.99283237680523e-1, -1.7757954917754752e1, -1.6063638485582192e2,
  -6.375664433683896e2, -1.0250951316110772e3, -4.835191916086514e2,
];
const SB = [
  1, 3.033806074348246e1, 3.257925129965739e2, 1.536729586084437e3, 3.1998582195085955e3,
  2.5530504064331644e3, 4.7452854120695537e2, -2.244095244658582e1,
];

export function erf(x: Expr): Expr {
  const L = x.lanes;
  const a = unary('abs', x);
  const z = mul(x, x);
  const near = add(a, mul(a, div(poly(z, PP), poly(z, QQ))));
  const s = sub(a, k(1, L));
  const middle = add(k(ERX, L), div(poly(s, PA), poly(s, QA)));
  // From 6 on the result rounds to 1.
  const b = binary('min', a, k(6, L));
  const w = div(k(1, L), mul(b, b));
  const wide = compare('lt', b, k(1 / 0.35, L));
  const ratio = div(select(wide, poly(w, RA), poly(w, RB)), select(wide, poly(w, SA), poly(w, SB)));
  const tail = div(exp(sub(sub(ratio, k(0.5625, L)), mul(b, b))), b);
  const far = sub(k(1, L), tail);
  const inner = select(compare('lt', a, k(0.84375, L)), near, middle);
  return withSign(select(compare('ge', a, k(1.25, L)), far, inner, true), x);
}
