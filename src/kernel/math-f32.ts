// The f32 functions exp, expm1, log, log1p, tanh, erf, sin and cos as expressions of primitives.
// Invariant: errors stay below 2 ulp for every argument, NaN and signed zeros come out as C says.
// What only rare arguments need stands in lazy selects, which vectors skip where no lane wants them.

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
  select,
  sub,
  unary,
} from './expr.ts';

const k = (value: number, lanes: Lanes): Expr => constant('f32', value, lanes);
const ki = (value: number, lanes: Lanes): Expr => constant('i32', value, lanes);
const bitsOf = (x: Expr): Expr => bitcast('i32', x);
const fromBits = (x: Expr): Expr => bitcast('f32', x);
const shl = (x: Expr, n: number): Expr => binary('shl', x, ki(n, x.lanes));
const shru = (x: Expr, n: number): Expr => binary('shru', x, ki(n, x.lanes));
const and = (x: Expr, mask: number): Expr => binary('and', x, ki(mask, x.lanes));

/** `c[0] * x^n + … + c[n]` by Horner's rule. */
function poly(x: Expr, coefs: readonly number[]): Expr {
  const [first, ...rest] = coefs;
  return rest.reduce<Expr>((sum, c) => add(mul(sum, x), k(c, x.lanes)), k(first, x.lanes));
}

/** `a` with the sign bit inverted where the top bit of the i32 `sign` is set. */
const flipSign = (a: Expr, sign: Expr): Expr => fromBits(binary('xor', bitsOf(a), sign));
const signBit = (x: Expr): Expr => and(bitsOf(x), -0x80000000);
/** `|a|` with the sign of `x`. */
const withSign = (a: Expr, x: Expr): Expr =>
  fromBits(binary('or', bitsOf(unary('abs', a)), signBit(x)));

// Added to an integer below 2^22, 1.5 * 2^23 leaves it in the low bits of the sum. It could round as
// well, but compilers for GPUs take `(x + c) - c` for `x`.
const MAGIC = 12582912;

/** The nearest integer of a small number, as f32 and as a word whose low 22 bits are the integer. */
function round(x: Expr): { n: Expr; bits: Expr } {
  const n = unary('nearest', x);
  return { n, bits: bitsOf(add(n, k(MAGIC, x.lanes))) };
}

/** `2^n` from a word with `n`, in -126 .. 127, in its low 9 bits. */
const pow2 = (bits: Expr): Expr => fromBits(add(shl(bits, 23), ki(0x3f800000, bits.lanes)));

/** `p * 2^n` where both p and the result are normal, from a word with n in its low 9 bits. */
const scaled = (p: Expr, bits: Expr): Expr => fromBits(add(bitsOf(p), shl(bits, 23)));

// Own minimax fit: exp(r) = 1 + r + r^2 * poly(r) for |r| < 0.347, to a relative 3.1e-9.
const EXP_POLY = [
  1.38144669515e-3, 8.36878041594e-3, 4.16683942137e-2, 1.66665201078e-1, 4.99999934125e-1,
];

// ln 2 as a part of 9 bits, whose products with exponents are exact, and the rest.
const LN2_HIGH = 0.693359375;
const LN2_LOW = -2.1219444e-4;

/** `exp(x) = (1 + tail) * 2^n` for `|x| < 2^21`, with the tail between -0.3 and 0.42. */
function expParts(x: Expr): { tail: Expr; bits: Expr } {
  const L = x.lanes;
  const { n, bits } = round(mul(x, k(Math.LOG2E, L)));
  const r = sub(sub(x, mul(n, k(LN2_HIGH, L))), mul(n, k(LN2_LOW, L)));
  return { tail: add(mul(poly(r, EXP_POLY), mul(r, r)), r), bits };
}

export function exp(x: Expr): Expr {
  const L = x.lanes;
  // Beyond these limits the result is 0 or infinity anyway, and the exponent stays in range.
  const limited = binary('max', binary('min', x, k(89, L)), k(-104, L));
  const { tail, bits } = expParts(limited);
  return scaledTwice(add(tail, k(1, L)), bits);
}

/** `p * 2^n` in two steps: 2^n may overflow or be subnormal although the result is not. */
function scaledTwice(p: Expr, bits: Expr): Expr {
  const half = binary('shr', bits, ki(1, p.lanes));
  // Only the second step rounds.
  return mul(scaled(p, half), pow2(sub(bits, half)));
}

/** `2 ** (hi + lo)`, for a `lo` that is small where the result is neither 0 nor infinite. */
export function exp2Sum(hi: Expr, lo: Expr): Expr {
  const L = hi.lanes;
  const limited = binary('max', binary('min', hi, k(130, L)), k(-152, L));
  const { n, bits } = round(limited);
  const f = add(sub(limited, n), lo);
  // Where the limit holds, what is lost of the exponent must not come back.
  const r = mul(binary('max', binary('min', f, k(1, L)), k(-1, L)), k(Math.LN2, L));
  const tail = add(mul(poly(r, EXP_POLY), mul(r, r)), r);
  return scaledTwice(add(tail, k(1, L)), bits);
}

export function expm1(x: Expr): Expr {
  const L = x.lanes;
  const limited = binary('max', binary('min', x, k(89, L)), k(-18, L));
  const { tail, bits } = expParts(limited);
  // Half of the power, so that 2^128 is no infinity from which to subtract.
  const half = pow2(sub(bits, ki(1, L)));
  const sum = add(mul(half, tail), sub(half, k(0.5, L)));
  const tiny = compare('lt', unary('abs', x), k(2 ** -25, L));
  return select(tiny, x, add(sum, sum));
}

// Minimax polynomial of Cephes' logf: log(1 + f) = f - f^2/2 + f^3 * poly(f), sqrt(.5) <= 1 + f < sqrt(2).
const LOG_POLY = [
  7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1,
  -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
];
const SQRT_HALF_BITS = 0x3f3504f3;

/** `x = m * 2^e` with `m` from sqrt(1/2) to sqrt(2), for normal `x`; the exponent is shifted by 23. */
export function logParts(x: Expr): { m: Expr; e: Expr } {
  const bits = bitsOf(x);
  const e = and(sub(bits, ki(SQRT_HALF_BITS, x.lanes)), 0xff800000 | 0);
  return { m: fromBits(sub(bits, e)), e };
}

/** `log(1 + f) + e * ln 2`. */
function logOf(f: Expr, e: Expr): Expr {
  const L = f.lanes;
  const z = mul(f, f);
  const head = mul(mul(poly(f, LOG_POLY), f), z);
  const tail = sub(add(head, mul(e, k(LN2_LOW, L))), mul(z, k(0.5, L)));
  return add(add(f, tail), mul(e, k(LN2_HIGH, L)));
}

function logOfNormal(x: Expr, lower: number): Expr {
  const { m, e } = logParts(x);
  const exponent = cast('f32', binary('shr', e, ki(23, x.lanes)));
  return logOf(sub(m, k(1, x.lanes)), lower === 0 ? exponent : sub(exponent, k(lower, x.lanes)));
}

export function log(x: Expr): Expr {
  const L = x.lanes;
  // As integers, zeros, subnormals and negatives lie below the normal numbers, infinity and NaN above.
  const bits = bitsOf(x);
  const shifted = sub(bits, ki(0x00800000, L));
  const unsigned = binary('xor', shifted, ki(-0x80000000, L));
  const rare = compare('ge', unsigned, ki((0x7f000000 ^ -0x80000000) | 0, L));
  // The bits of a subnormal number count 2^-149; arithmetic on it may be arithmetic on 0 on a GPU.
  const subnormal = logOfNormal(cast('f32', bits), 149);
  const inf = ki(0x7f800000, L);
  const above = select(compare('eq', bits, inf), x, subnormal);
  const positive = binary('and', compare('ge', bits, ki(0, L)), compare('le', bits, inf));
  const nonzero = select(positive, above, k(Number.NaN, L));
  const zero = compare('eq', shl(bits, 1), ki(0, L));
  const special = select(zero, k(-Infinity, L), nonzero);
  return select(rare, special, logOfNormal(x, 0), true);
}

export function log1p(x: Expr): Expr {
  const L = x.lanes;
  const u = add(x, k(1, L));
  const { m, e } = logParts(u);
  // What the sum rounded away, x - (u - 1), scaled like the mantissa. In this form no compiler for
  // GPUs takes it for zero. Where nothing is lost the scale may not be a number of this type.
  const scale = fromBits(sub(ki(0x3f800000, L), e));
  const lost = sub(mul(x, scale), sub(m, scale));
  const f = add(sub(m, k(1, L)), select(compare('lt', x, k(2 ** 25, L)), lost, k(0, L)));
  const y = logOf(f, cast('f32', binary('shr', e, ki(23, L))));
  const finite = select(compare('lt', unary('abs', x), k(2 ** -24, L)), x, y);
  // -1 gives -Infinity, less or NaN gives NaN, infinity itself.
  const top = select(compare('gt', x, k(-1, L)), x, k(Number.NaN, L));
  const special = select(compare('eq', x, k(-1, L)), k(-Infinity, L), top);
  const usual = binary('and', compare('gt', x, k(-1, L)), compare('lt', x, k(Infinity, L)));
  return select(usual, finite, special);
}

// Minimax polynomial of Cephes' tanhf: tanh(x) = x + x^3 * poly(x^2) for |x| < 0.625.
const TANH_POLY = [
  -5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1,
];

export function tanh(x: Expr): Expr {
  const L = x.lanes;
  const a = unary('abs', x);
  const z = mul(a, a);
  const near = add(a, mul(mul(poly(z, TANH_POLY), z), a));
  // From 9.1 on the result rounds to 1, so that a larger argument need not be looked at.
  const { tail, bits } = expParts(binary('min', add(a, a), k(18.4, L)));
  const e = scaled(add(tail, k(1, L)), bits);
  const far = sub(k(1, L), div(k(2, L), add(e, k(1, L))));
  return flipSign(select(compare('lt', a, k(0.625, L)), near, far), signBit(x));
}

// Own minimax fits (Remez): erf(x) = x + x * poly(x^2) up to 0.9, and log(1 - erf(x)) = x * poly(x)
// from there to 4, where the error counts by its share in erf.
const ERF_NEAR = [
  -6.090359967e-4, 5.011962829e-3, -2.677890893e-2, 1.128214081e-1, -3.761252328e-1, 1.283791538e-1,
];
const ERF_FAR = [
  -1.076315234e-5, 3.180594668e-4, -3.622917835e-3, 2.372018401e-2, -1.061876084e-1,
  -6.351814996e-1, -1.128640963,
];

export function erf(x: Expr): Expr {
  const L = x.lanes;
  const a = unary('abs', x);
  const near = add(mul(poly(mul(x, x), ERF_NEAR), x), x);
  const t = binary('min', a, k(4, L));
  const { tail, bits } = expParts(mul(poly(t, ERF_FAR), t));
  const far = sub(k(1, L), scaled(add(tail, k(1, L)), bits));
  return select(compare('lt', a, k(0.9, L)), near, withSign(far, x));
}

// Own minimax fit for |r| <= pi/2, the first coefficient exact: sin(r) = r + r^3 * poly(r^2).
const SIN_POLY = [2.606095904e-6, -1.98097768589e-4, 8.33306927234e-3, -1.66666597128e-1];
// Minimax polynomial of Cephes' cosf: cos(r) = 1 - r^2/2 + r^4 * poly(r^2) for |r| <= pi/4.
const COS_POLY = [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2];

// pi in four parts; products of the first three with numbers of 11 bits are exact, so that the
// reduced argument keeps its relative precision even next to a zero.
const PI_PARTS = [3.14111328125, 4.7934055328369e-4, 3.1781382858753e-8, 5.126688303189e-12];
const HALF_PI_PARTS = PI_PARTS.map((part) => part / 2);
const WAVE_LIMIT = 2000;

const reduce = (x: Expr, n: Expr, parts: readonly number[]): Expr =>
  parts.reduce<Expr>((rest, part) => sub(rest, mul(n, k(part, x.lanes))), x);

const sinPoly = (r: Expr): Expr => {
  const z = mul(r, r);
  return add(r, mul(poly(z, SIN_POLY), mul(z, r)));
};

const isHuge = (x: Expr): Expr =>
  unary('not', compare('le', unary('abs', x), k(WAVE_LIMIT, x.lanes)));

/** A whole number of half turns is taken from x; each changes the sign. */
export function sin(x: Expr): Expr {
  const a = unary('abs', x);
  const { n, bits } = round(mul(a, k(1 / Math.PI, x.lanes)));
  const sign = binary('xor', shl(bits, 31), signBit(x));
  const usual = flipSign(sinPoly(reduce(a, n, PI_PARTS)), sign);
  return select(isHuge(x), hugeWave(x, false), usual, true);
}

/** By quarter turns: reduced by half turns to next to pi/2, small arguments would lose digits. */
export function cos(x: Expr): Expr {
  const L = x.lanes;
  const { n, bits } = round(mul(x, k(2 / Math.PI, L)));
  const r = reduce(x, n, HALF_PI_PARTS);
  const z = mul(r, r);
  const even = add(sub(mul(mul(poly(z, COS_POLY), z), z), mul(z, k(0.5, L))), k(1, L));
  const odd = compare('ne', and(bits, 1), ki(0, L));
  const sign = shl(and(add(bits, ki(1, L)), 2), 30);
  const usual = flipSign(select(odd, sinPoly(r), even), sign);
  return select(isHuge(x), hugeWave(x, true), usual, true);
}

// 1/pi as words after the binary point, with a word of zeros before.
const INVERSE_PI = [
  0, 0x517cc1b7, 0x27220a94, 0xfe13abe8, 0xfa9a6ee0, 0x6db14acc, 0x9e21c820, 0xff28b1d5,
];

/** Whether `a < b` as unsigned words. */
const below = (a: Expr, b: Expr): Expr => {
  const flip = ki(-0x80000000, a.lanes);
  return compare('lt', binary('xor', a, flip), binary('xor', b, flip));
};
const bit = (c: Expr): Expr => cast('i32', c);

/**
 * sin(x), or with `half` cos(x), for large arguments by the method of Payne and Hanek: of x/pi, the product of a
 * 24-bit mantissa and the bits of 1/pi that matter, only the last whole bit and 63 bits behind the
 * point are computed, in integers.
 */
function hugeWave(x: Expr, half: boolean): Expr {
  const L = x.lanes;
  const xb = bitsOf(x);
  const mantissa = binary('or', and(xb, 0x7fffff), ki(0x800000, L));
  // x = mantissa * 2^(exponent - 150), so those from 2^(150 - exponent) on, 96 of them, matter.
  const at = sub(and(shru(xb, 23), 255), ki(119, L));
  const word = binary('shr', at, ki(5, L));
  const pick = (i: number): Expr =>
    [3, 2, 1, 0].reduce<Expr>(
      (e, w) => select(compare('eq', word, ki(w, L)), ki(INVERSE_PI[i + w] | 0, L), e),
      ki((INVERSE_PI[i + 4] ?? 0) | 0, L),
    );
  const [w0, w1, w2, w3] = [pick(0), pick(1), pick(2), pick(3)];
  const scale = binary('shl', ki(1, L), and(at, 31));
  const shifted = (a: Expr, b: Expr): Expr =>
    binary('or', mul(a, scale), binary('mulhiu', b, scale));
  const [a, b, c] = [shifted(w0, w1), shifted(w1, w2), shifted(w2, w3)];
  const mid = mul(mantissa, b);
  const low = add(mid, binary('mulhiu', mantissa, c));
  const high = add(add(mul(mantissa, a), binary('mulhiu', mantissa, b)), bit(below(low, mid)));
  // The top bit of `high` has the weight of one half turn.
  const from = half ? sub(high, ki(0x40000000, L)) : high;
  const turn = and(add(from, ki(0x40000000, L)), -0x80000000);
  // The fraction as a sign and 64 bits of its size, so that its parts don't cancel.
  const signed = binary('or', shl(from, 1), shru(low, 31));
  const negative = binary('shr', signed, ki(31, L));
  const fraction = binary('xor', signed, negative);
  const behind = binary('xor', shl(low, 1), negative);
  // Radians: the upper half of the fraction is exact in 16 bits, and so is its product with the
  // first 8 bits of pi.
  const pi = 3.140625;
  const upper = mul(cast('f32', and(fraction, 0xffff0000 | 0)), k(2 ** -32, L));
  const rest = mul(cast('f32', shru(behind, 8)), k(2 ** -24, L));
  const lower = mul(add(cast('f32', and(fraction, 0xffff)), rest), k(2 ** -32, L));
  const small = add(mul(upper, k(Math.PI - pi, L)), mul(lower, k(Math.PI, L)));
  const r = add(mul(upper, k(pi, L)), small);
  // Infinity minus itself is NaN.
  const y = add(sinPoly(r), sub(x, x));
  const sign = half ? add(turn, ki(-0x80000000, L)) : binary('xor', turn, signBit(x));
  return flipSign(y, binary('xor', sign, and(negative, -0x80000000)));
}
