// pow for floats and for integers as expressions of primitives. The logarithm of an f32 is computed in pairs of f32
// (a value and what its rounding lost), since its error is multiplied by up to 150 in the result.
// Invariant: at most 2 ulp, and the special cases are those of C99 (Annex F.9.4.4).

import {
  add,
  binary,
  bitcast,
  cast,
  compare,
  constant,
  div,
  type Expr,
  mul,
  select,
  sub,
  unary,
} from './expr.ts';
import { exp2Sum, logParts } from './math-f32.ts';
import { powPositive as powPositive64 } from './math-f64-pow.ts';
import { isWideType } from './scalar.ts';

/** The unevaluated sum of a number and a much smaller one. */
interface Pair {
  readonly hi: Expr;
  readonly lo: Expr;
}

const k = (value: number, like: Expr): Expr => constant('f32', value, like.lanes);

/** The upper 12 bits of the mantissa: products of two such numbers are exact. */
const upper = (x: Expr): Expr =>
  bitcast('f32', binary('and', bitcast('i32', x), constant('i32', -4096, x.lanes)));

/** `a + b` exactly, where a is 0 or no smaller than b. */
function fastSum(a: Expr, b: Expr): Pair {
  const hi = add(a, b);
  return { hi, lo: sub(b, sub(hi, a)) };
}

/** `a * b` exactly (Dekker). */
function product(a: Expr, b: Expr): Pair {
  const hi = mul(a, b);
  const [a1, b1] = [upper(a), upper(b)];
  const [a2, b2] = [sub(a, a1), sub(b, b1)];
  const cross = add(mul(a1, b2), mul(a2, b1));
  return { hi, lo: add(mul(a2, b2), add(cross, sub(mul(a1, b1), hi))) };
}

/** The product of two pairs, to about twice the precision of one number. */
function times(a: Pair, b: Pair): Pair {
  const p = product(a.hi, b.hi);
  const lo = add(p.lo, add(mul(a.hi, b.lo), mul(a.lo, b.hi)));
  return fastSum(p.hi, lo);
}

const pairOf = (hi: number, lo: number, like: Expr): Pair => ({ hi: k(hi, like), lo: k(lo, like) });

// Own minimax fit: atanh(q) = q + q^3/3 + q^5 * poly(q^2) for |q| < 0.172.
const ATANH_POLY = [1.170990935e-1, 1.427354188e-1, 2.000007632e-1];

/** The logarithm to base 2 of a positive finite number. */
function log2(x: Expr): Pair {
  const L = x.lanes;
  // The bits of a subnormal number count 2^-149; arithmetic on it may be arithmetic on 0 on a GPU.
  const bits = bitcast('i32', x);
  const small = compare('lt', bits, constant('i32', 0x00800000, L));
  const parts = logParts(select(small, cast('f32', bits), x));
  const { m } = parts;
  const exponent = cast('f32', binary('shr', parts.e, constant('i32', 23, L)));
  const e = sub(exponent, select(small, k(149, x), k(0, x)));
  // log2(m) = 2 / ln 2 * atanh(q) with q = (m - 1) / (m + 1).
  const f = sub(m, k(1, x));
  const d = add(m, k(1, x));
  const dLost = sub(m, sub(d, k(1, x)));
  const q1 = div(f, d);
  const back = product(q1, d);
  const rest = sub(sub(sub(f, back.hi), back.lo), mul(q1, dLost));
  const q: Pair = { hi: q1, lo: div(rest, d) };
  const z = times(q, q);
  const third = times(z, pairOf(0.3333333433, -9.934107759e-9, x));
  const zz = mul(z.hi, z.hi);
  const poly = ATANH_POLY.slice(1).reduce(
    (sum, c) => add(mul(sum, z.hi), k(c, x)),
    k(ATANH_POLY[0], x),
  );
  const w = fastSum(k(1, x), third.hi);
  const sum: Pair = { hi: w.hi, lo: add(w.lo, add(third.lo, mul(zz, poly))) };
  const log = times(times(q, sum), pairOf(2.885390043, 3.851926067e-8, x));
  const all = fastSum(e, log.hi);
  return { hi: all.hi, lo: add(all.lo, log.lo) };
}

/** `x ** y` of a positive finite x. */
function powPositive(a: Expr, y: Expr): Expr {
  const log = log2(a);
  // Beyond 2^32 the result is 0, 1 or infinity anyway, and nothing overflows on the way.
  const limit = 2 ** 32;
  const exponent = binary('max', binary('min', y, k(limit, y)), k(-limit, y));
  const p = product(exponent, log.hi);
  return exp2Sum(p.hi, add(p.lo, mul(exponent, log.lo)));
}

/** The words of floats: their type, the sign, and the bits of infinity. */
const WORDS = {
  f32: { type: 'i32', sign: -0x80000000, infinity: 0x7f800000 },
  f64: { type: 'i64', sign: -(2n ** 63n), infinity: 0x7ff0000000000000n },
} as const;

/** `x ** y` of floats as C's pow. */
export function pow(x: Expr, y: Expr): Expr {
  const float = x.type as 'f32' | 'f64';
  const words = WORDS[float];
  const c = (value: number): Expr => constant(float, value, x.lanes);
  const integer = (value: number | bigint): Expr => constant(words.type, value, x.lanes);
  const bitsOf = (e: Expr): Expr => bitcast(words.type, e);
  const a = unary('abs', x);
  const usual = float === 'f32' ? powPositive(a, y) : powPositive64(a, y);
  // Signs, zeros, infinities and NaN are looked at only where there are any.
  const [zero, one, inf] = [c(0), c(1), c(Infinity)];
  const and = (p: Expr, q: Expr): Expr => binary('and', p, q);
  const not = (p: Expr): Expr => unary('not', p);
  // By the bits, as a GPU may take subnormal numbers for zeros.
  const bits = bitsOf(x);
  const normal = and(compare('gt', bits, integer(0)), compare('lt', bits, integer(words.infinity)));
  const rare = not(and(normal, compare('eq', y, y)));
  const isZero = compare('eq', binary('shl', bits, integer(1)), integer(0));
  const extreme = binary('or', isZero, compare('eq', a, inf));
  const vanishes = binary('xor', isZero, compare('lt', y, zero));
  const size = select(extreme, select(vanishes, zero, inf), usual);
  const half = mul(y, c(0.5));
  const whole = compare('eq', unary('floor', y), y);
  // Not for an infinite y, which is its own half.
  const odd = and(whole, compare('ne', unary('floor', half), half));
  const sign = select(odd, binary('and', bits, integer(words.sign)), integer(0));
  const signed = bitcast(float, binary('xor', bitsOf(size), sign));
  const nan = c(Number.NaN);
  const finite = and(compare('lt', bits, integer(0)), not(extreme));
  const real = select(and(finite, not(whole)), nan, signed);
  const known = and(compare('eq', x, x), compare('eq', y, y));
  const unit = binary('or', compare('eq', y, zero), compare('eq', x, one));
  const special = select(unit, one, select(known, real, nan));
  return select(binary('or', rare, compare('eq', y, zero)), special, usual, true);
}

/** `x ** y` of integers, wrapping around; a negative y gives the quotient 1 / x ** -y, which truncates. */
export function powInt(x: Expr, y: Expr): Expr {
  const c = (value: number): Expr => constant(x.type, value, x.lanes);
  const is = (e: Expr, value: number): Expr => compare('eq', e, c(value));
  let power = x;
  let out = c(1);
  for (let bit = 0; bit < (isWideType(x.type) ? 63 : 31); bit++) {
    const taken = compare('ne', binary('and', y, c(2 ** bit)), c(0));
    out = select(taken, mul(out, power), out);
    power = mul(power, power);
  }
  const odd = compare('ne', binary('and', y, c(1)), c(0));
  const unit = select(is(x, -1), select(odd, c(-1), c(1)), c(0));
  return select(compare('lt', y, c(0)), select(is(x, 1), c(1), unit), out);
}
