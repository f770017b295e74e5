// Functions of numbers that JavaScript lacks or defines otherwise than C, for references and the
// interpreter. In double precision, accurate to a few ulp; no approximation is meant for speed.

/** The error function: `2/sqrt(pi)` times the integral of `exp(-t^2)` from 0 to x. Odd; NaN for NaN. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (!(a > 0)) return x;
  if (a > 6) return Math.sign(x);
  return a < 2.5 ? series(x) : Math.sign(x) * (1 - tail(a));
}

const TWO_OVER_ROOT_PI = 2 / Math.sqrt(Math.PI);

/** `x exp(-x^2) sum (2 x^2)^n / (1 * 3 * … * (2n+1))`: all terms of one sign, so nothing cancels. */
function series(x: number): number {
  const z = x * x;
  let term = 1;
  let sum = 1;
  for (let n = 1; term > sum * 1e-17; n++) {
    term *= (2 * z) / (2 * n + 1);
    sum += term;
  }
  return TWO_OVER_ROOT_PI * x * Math.exp(-z) * sum;
}

/** `1 - erf(a)` by its continued fraction (Abramowitz and Stegun 7.1.14), from below. */
function tail(a: number): number {
  let f = a;
  for (let n = 60; n > 0; n--) f = a + n / 2 / f;
  return Math.exp(-a * a) / (Math.sqrt(Math.PI) * f);
}

/** `x ** y` as C has it: unlike JavaScript's, 1 to any power is 1, and so is -1 to an infinite one. */
export function powFloat(x: number, y: number): number {
  return x === 1 || (x === -1 && Math.abs(y) === Infinity) ? 1 : x ** y;
}

/** `x ** y` of int32, wrapping around; a negative y gives `1 / x ** -y` truncated, and 0 for x = 0. */
export function powInt(x: number, y: number): number {
  if (y < 0) return x === 1 ? 1 : x === -1 ? (y % 2 === 0 ? 1 : -1) : 0;
  let out = 1;
  let power = x;
  for (let rest = y; rest > 0; rest >>= 1) {
    if (rest & 1) out = Math.imul(out, power);
    power = Math.imul(power, power);
  }
  return out;
}

/** The larger of two bigints, which `Math.max` does not take. */
export function largest(a: bigint, b: bigint): bigint {
  if (b > a) return b;
  return a;
}

/** `x ** y` of int64, as {@link powInt}. */
export function powBig(x: bigint, y: bigint): bigint {
  if (y < 0n) return x === 1n ? 1n : x === -1n ? (y % 2n === 0n ? 1n : -1n) : 0n;
  let out = 1n;
  let power = x;
  for (let rest = y; rest > 0n; rest >>= 1n) {
    if (rest & 1n) out = BigInt.asIntN(64, out * power);
    power = BigInt.asIntN(64, power * power);
  }
  return out;
}

/** The integer nearest to x, the even one of two; the sign of zero stays. */
export function roundHalfEven(x: number): number {
  const low = Math.floor(x);
  const rest = x - low;
  // `x` is an integer, infinite or NaN: nothing to round.
  if (!(rest > 0)) return x;
  const up = rest > 0.5 || (rest === 0.5 && low % 2 !== 0);
  const out = up ? low + 1 : low;
  return out === 0 && x < 0 ? -0 : out;
}
