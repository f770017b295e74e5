// pow of positive f64 numbers as an expression of primitives, by the method and coefficients of fdlibm's
// e_pow.c (Sun Microsystems, 2004; freely distributable): a logarithm in two parts, and its power of 2.
// Invariant: errors stay below 2 ulp. Signs, zeros, infinities and NaN are looked at in `math-pow.ts`.

import { add, binary, compare, div, type Expr, mul, select, sub } from './expr.ts';
import {
  bitsOf,
  fromBits,
  k,
  ki,
  poly,
  round,
  scale,
  shl,
  shr,
  toFloat,
  upper,
} from './math-f64.ts';

const LOG = [
  5.999999999999946e-1, 4.285714285785502e-1, 3.3333332981837743e-1, 2.72728123808534e-1,
  2.3066074577556175e-1, 2.0697501780033842e-1,
];
const EXP = [
  1.6666666666666602e-1, -2.7777777777015593e-3, 6.613756321437934e-5, -1.6533902205465252e-6,
  4.1381367970572385e-8,
];
// 2 / (3 ln 2), log2(1.5) and ln 2 as a part of few bits and the rest.
const CP = 9.617966939259756e-1;
const CP_HIGH = 9.617967009544373e-1;
const CP_LOW = -7.028461650952758e-9;
const LOG2_HIGH = 5.849624872207642e-1;
const LOG2_LOW = 1.350039202129749e-8;
const LN2 = 6.931471805599453e-1;
const LN2_HIGH = 6.931471824645996e-1;
const LN2_LOW = -1.904654299957768e-9;

/** The logarithm to base 2 of a positive finite number: 32 bits, and the rest. */
function log2(x: Expr): { hi: Expr; lo: Expr } {
  const L = x.lanes;
  const small = compare('lt', x, k(2 ** -1022, L));
  const bits = bitsOf(select(small, mul(x, k(2 ** 54, L)), x));
  // x = m * 2^n with m from sqrt(3/4) to sqrt(3); from sqrt(3/2) on it is compared with 1.5.
  const n = shr(sub(bits, ki(0x3febb67a00000000n, L)), 52);
  const m = fromBits(sub(bits, shl(n, 52)));
  const wide = compare('ge', m, k(1.224744871391589, L));
  const base = select(wide, k(1.5, L), k(1, L));
  const u = sub(m, base);
  const v = div(k(1, L), add(m, base));
  const s = mul(u, v);
  const sHigh = upper(s);
  const sum = upper(add(m, base));
  const sumLow = sub(m, sub(sum, base));
  const sLow = mul(v, sub(sub(u, mul(sHigh, sum)), mul(sHigh, sumLow)));
  const s2 = mul(s, s);
  const r = add(mul(mul(s2, s2), poly(s2, LOG)), mul(sLow, add(sHigh, s)));
  const square = mul(sHigh, sHigh);
  const three = upper(add(add(k(3, L), square), r));
  const threeLow = sub(r, sub(sub(three, k(3, L)), square));
  const a = mul(sHigh, three);
  const b = add(mul(sLow, three), mul(threeLow, s));
  const p = upper(add(a, b));
  const pLow = sub(b, sub(p, a));
  const z = mul(k(CP_HIGH, L), p);
  const baseHigh = select(wide, k(LOG2_HIGH, L), k(0, L));
  const baseLow = select(wide, k(LOG2_LOW, L), k(0, L));
  const zLow = add(add(mul(k(CP_LOW, L), p), mul(pLow, k(CP, L))), baseLow);
  const e = sub(toFloat(n), select(small, k(54, L), k(0, L)));
  const hi = upper(add(add(add(z, zLow), baseHigh), e));
  return { hi, lo: sub(zLow, sub(sub(sub(hi, e), baseHigh), z)) };
}

/** `x ** y` for a positive finite x; `y` is not NaN. */
export function powPositive(x: Expr, y: Expr): Expr {
  const L = x.lanes;
  const log = log2(x);
  // Beyond 2^65 the result is 0, 1 or infinity anyway, and nothing overflows on the way.
  const held = binary('max', binary('min', y, k(2 ** 65, L)), k(-(2 ** 65), L));
  const high = upper(held);
  const low = add(mul(sub(held, high), log.hi), mul(held, log.lo));
  const main = mul(high, log.hi);
  const sum = add(main, low);
  const within = compare('lt', mul(sum, sum), k(1150 ** 2, L));
  // Out of range the rest does not count, and must not come back.
  const end = select(compare('gt', sum, k(0, L)), k(1150, L), k(-1150, L));
  const [h, l] = [select(within, main, end), select(within, low, k(0, L))];
  const { n, bits } = round(add(h, l));
  const whole = sub(h, n);
  const t = upper(add(l, whole));
  const a = mul(t, k(LN2_HIGH, L));
  const b = add(mul(sub(l, sub(t, whole)), k(LN2, L)), mul(t, k(LN2_LOW, L)));
  const z = add(a, b);
  const w = sub(b, sub(z, a));
  const zz = mul(z, z);
  const c = sub(z, mul(zz, poly(zz, EXP)));
  const r = sub(div(mul(z, c), sub(c, k(2, L))), add(w, mul(z, w)));
  return scale(sub(k(1, L), sub(r, z)), bits);
}
