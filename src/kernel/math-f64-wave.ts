// sin and cos of f64 as expressions of primitives: the polynomials of fdlibm, with arguments up to 2^20
// reduced by parts of pi/2 and larger ones by the method of Payne and Hanek in integers.
// Invariant: errors stay below 2 ulp for every argument; infinities and NaN give NaN.

import { add, binary, compare, type Expr, mul, select, sub, unary } from './expr.ts';
import {
  and,
  bitsOf,
  fromBits,
  k,
  ki,
  poly,
  round,
  SIGN,
  shl,
  shr,
  toFloat,
  upper,
} from './math-f64.ts';

// k_sin.c and k_cos.c
const SIN = [
  -1.6666666666666632e-1, 8.33333333332249e-3, -1.984126982985795e-4, 2.7557313707070068e-6,
  -2.5050760253406863e-8, 1.58969099521155e-10,
];
const COS = [
  4.16666666666666e-2, -1.388888888887411e-3, 2.480158728947673e-5, -2.7557314351390663e-7,
  2.087572321298175e-9, -1.1359647557788195e-11,
];

/** An angle next to 0 as a sum, and the number of quarter turns that were taken from it. */
interface Reduced {
  readonly hi: Expr;
  readonly lo: Expr;
  readonly quarter: Expr;
}

function sinNear({ hi, lo }: Reduced): Expr {
  const L = hi.lanes;
  const z = mul(hi, hi);
  const v = mul(z, hi);
  const r = poly(z, SIN.slice(1));
  const tail = sub(mul(z, sub(mul(k(0.5, L), lo), mul(v, r))), lo);
  return sub(hi, sub(tail, mul(v, k(SIN[0], L))));
}

function cosNear({ hi, lo }: Reduced): Expr {
  const L = hi.lanes;
  const z = mul(hi, hi);
  const r = mul(z, poly(z, COS));
  const half = mul(k(0.5, L), z);
  const w = sub(k(1, L), half);
  const lost = sub(sub(k(1, L), w), half);
  return add(w, add(lost, sub(mul(z, r), mul(hi, lo))));
}

/** The sine of the angle, or with `turn` 1 that of a quarter turn more. */
function wave(a: Reduced, turn: 0 | 1): Expr {
  const L = a.hi.lanes;
  const q = add(a.quarter, ki(turn, L));
  const odd = compare('ne', and(q, 1n), ki(0, L));
  const value = select(odd, cosNear(a), sinNear(a));
  return fromBits(binary('xor', bitsOf(value), shl(and(q, 2n), 62)));
}

// pi/2 in parts of 33 bits (e_rem_pio2.c), whose products with integers below 2^20 are exact.
const PIO2_1 = 1.5707963267341256;
const PIO2_2 = 6.077100506303966e-11;
const PIO2_3 = 2.0222662487111665e-21;
const PIO2_REST = 8.4784276603689e-32;
const LIMIT = 2 ** 20;

/** `a - b` and what its rounding lost (Knuth). */
function difference(a: Expr, b: Expr): { hi: Expr; lo: Expr } {
  const hi = sub(a, b);
  const back = sub(hi, a);
  return { hi, lo: sub(sub(a, sub(hi, back)), add(b, back)) };
}

function reduceUsual(x: Expr): Reduced {
  const L = x.lanes;
  const { n, bits } = round(mul(x, k(2 / Math.PI, L)));
  const first = sub(x, mul(n, k(PIO2_1, L)));
  const second = difference(first, mul(n, k(PIO2_2, L)));
  const third = difference(second.hi, mul(n, k(PIO2_3, L)));
  const rest = sub(add(second.lo, third.lo), mul(n, k(PIO2_REST, L)));
  const hi = add(third.hi, rest);
  return { hi, lo: add(sub(third.hi, hi), rest), quarter: bits };
}

// 2/pi as words behind the binary point, with two words of zeros before.
const DIGITS =
  '0000000000000000a2f9836e4e441529fc2757d1f534ddc0db6295993c439041fe5163abdebbc561b7246e3a424dd2e0' +
  '06492eea09d1921cfe1deb1cb129a73ee88235f52ebb4484e99c7026b45f7e413991d639835339f49c845f8bbdf9283b' +
  '1ff897ffde05980fef2f118b5a0a6d1f6d367ecf27cb09b74f463f669e5fea2d7527bac7ebe5f17b3d0739f78a5292ea' +
  '6bfb5fb11f8d5d0856033046fc7b6babf0cfbc209af4361d';

/** Word `i` and the next one, as an i64. */
const pairAt = (i: number): bigint => {
  const text = DIGITS.slice(8 * i, 8 * i + 16);
  return text === '' ? 0n : BigInt(`0x${text.padEnd(16, '0')}`);
};

/** Stretches of 192 bits, in 32-bit words. */
const WORDS = 6;

/** The six pairs of neighbouring words from word `index` on. */
function pairsFrom(index: Expr): Expr[] {
  const L = index.lanes;
  const last = 34 + WORDS;
  let row = Array.from({ length: last }, (_, i) => ki(pairAt(i), L));
  // A bit of the index after the other halves what is left to choose from.
  for (const step of [32, 16, 8, 4, 2, 1]) {
    const set = compare('ne', and(index, BigInt(step)), ki(0, L));
    const count = Math.min(row.length, step - 1 + WORDS);
    row = Array.from({ length: count }, (_, i) =>
      i + step < row.length ? select(set, row[i + step], row[i]) : row[i],
    );
  }
  return row.slice(0, WORDS);
}

/** The angle of an argument from 2^20 on, whose sign is left out. */
function reduceHuge(x: Expr): Reduced {
  const L = x.lanes;
  const word = (e: Expr): Expr => and(e, 0xffffffffn);
  const high = (e: Expr): Expr => binary('shru', e, ki(32, L));
  const bits = bitsOf(x);
  // x = mantissa * 2^e. Bits of 2/pi that give multiples of 4 do not count.
  const mantissa = binary('or', and(bits, 0xfffffffffffffn), ki(1n << 52n, L));
  const at = sub(and(binary('shru', bits, ki(52, L)), 0x7ffn), ki(1075 - 62, L));
  const shift = binary('shl', ki(1, L), and(at, 31n));
  const v = pairsFrom(shr(at, 5))
    .map((pair) => high(mul(pair, shift)))
    .reverse();
  const [m0, m1] = [word(mantissa), high(mantissa)];
  const low = v.map((w) => mul(m0, w));
  const up = v.map((w) => mul(m1, w));
  let carry = ki(0, L);
  const r = v.map((_, c) => {
    let sum = add(carry, word(low[c]));
    if (c > 0) sum = add(sum, add(high(low[c - 1]), word(up[c - 1])));
    if (c > 1) sum = add(sum, high(up[c - 2]));
    carry = high(sum);
    return word(sum);
  });
  const join = (a: Expr, b: Expr): Expr => binary('or', shl(a, 32), b);
  const [top, next] = [join(r[5], r[4]), join(r[3], r[2])];
  // The first two bits count quarter turns; the rest is a signed part of one.
  const part = binary('or', shl(top, 2), binary('shru', next, ki(62, L)));
  const below = binary('or', shl(next, 2), binary('shru', r[1], ki(30, L)));
  const negative = shr(part, 63);
  const quarter = sub(binary('shru', top, ki(62, L)), negative);
  const [p, q] = [binary('xor', part, negative), binary('xor', below, negative)];
  const scaled = (e: Expr, power: number): Expr => mul(toFloat(e), k(2 ** power, L));
  const a = scaled(high(p), -32);
  const b = scaled(word(p), -64);
  const sum = add(a, b);
  const tail = add(sub(b, sub(sum, a)), add(scaled(high(q), -96), scaled(word(q), -128)));
  const hi = add(sum, tail);
  const lo = sub(tail, sub(hi, sum));
  // Times pi/2, in two parts.
  const [h1, c1] = [upper(hi), upper(k(Math.PI / 2, L))];
  const [h2, c2] = [sub(hi, h1), sub(k(Math.PI / 2, L), c1)];
  const product = mul(hi, k(Math.PI / 2, L));
  const cross = add(mul(h1, c2), mul(h2, c1));
  const lost = add(mul(h2, c2), add(cross, sub(mul(h1, c1), product)));
  const more = add(mul(hi, k(6.123233995736766e-17, L)), mul(lo, k(Math.PI / 2, L)));
  const sign = and(negative, SIGN);
  const signed = (e: Expr): Expr => fromBits(binary('xor', bitsOf(e), sign));
  return { hi: signed(product), lo: signed(add(lost, more)), quarter };
}

const isHuge = (x: Expr): Expr => unary('not', compare('le', unary('abs', x), k(LIMIT, x.lanes)));

/** Infinity minus itself is NaN. */
const finite = (value: Expr, x: Expr): Expr => add(value, sub(x, x));

export function sin(x: Expr): Expr {
  const sign = and(bitsOf(x), SIGN);
  const huge = fromBits(binary('xor', bitsOf(wave(reduceHuge(x), 0)), sign));
  const tiny = compare('lt', unary('abs', x), k(2 ** -27, x.lanes));
  const usual = select(tiny, x, wave(reduceUsual(x), 0));
  return select(isHuge(x), finite(huge, x), usual, true);
}

export function cos(x: Expr): Expr {
  const usual = wave(reduceUsual(x), 1);
  return select(isHuge(x), finite(wave(reduceHuge(x), 1), x), usual, true);
}
