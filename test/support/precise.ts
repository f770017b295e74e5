// Elementary functions of doubles to far more digits than a double has, in integers with a binary point:
// what functions of float64 are judged by. Plain series, for moderate arguments only.

const BITS = 1200n;
const ONE = 1n << BITS;

/** A double as an integer with the binary point; exact where it is no smaller than 2^-1100. */
function fixed(x: number): bigint {
  let m = x;
  let e = 0n;
  for (; !Number.isInteger(m); m *= 2) e++;
  return (BigInt(m) << BITS) >> e;
}

const mul = (a: bigint, b: bigint): bigint => (a * b) >> BITS;
const div = (a: bigint, b: bigint): bigint => (a << BITS) / b;
const tiny = (a: bigint): boolean => a >= -1n && a <= 1n;

/** The sum of terms, each made from the one before, until they vanish. */
function series(first: bigint, next: (term: bigint, n: bigint) => bigint): bigint {
  let sum = first;
  let term = first;
  for (let n = 1n; !tiny(term); n++) {
    term = next(term, n);
    sum += term;
  }
  return sum;
}

/** `x ± x^3/3 + x^5/5 ± …` */
function inverseTangent(x: bigint, sign: 1n | -1n): bigint {
  const square = sign * mul(x, x);
  let power = x;
  let sum = x;
  for (let k = 3n; !tiny(power); k += 2n) {
    power = mul(power, square);
    sum += power / k;
  }
  return sum;
}

const LN2 = 2n * inverseTangent(ONE / 3n, 1n);
const PI = 4n * (4n * inverseTangent(ONE / 5n, -1n) - inverseTangent(ONE / 239n, -1n));

/** `e ** x` as a number from 0.7 to 1.5 and a power of 2. */
function expParts(x: bigint): { m: bigint; e: bigint } {
  const half = x < 0n ? -LN2 / 2n : LN2 / 2n;
  const e = (x + half) / LN2;
  const r = x - e * LN2;
  return { m: series(ONE, (t, n) => mul(t, r) / n), e };
}

const shift = (a: bigint, by: bigint): bigint => (by < 0n ? a >> -by : a << by);

function expOf(x: bigint): bigint {
  const { m, e } = expParts(x);
  return shift(m, e);
}

function logOf(x: bigint): bigint {
  const e = BigInt(x.toString(2).length - 1) - BITS;
  const m = shift(x, -e);
  return 2n * inverseTangent(div(m - ONE, m + ONE), 1n) + e * LN2;
}

/** sin, or with `first` 1 cos, by the Taylor series of what is left of whole turns. */
function wave(x: bigint, first: 0n | 1n): bigint {
  const turn = 2n * PI;
  const r = x % turn;
  const square = mul(r, r);
  return series(
    first ? ONE : r,
    (t, n) => -mul(t, square) / ((2n * n - first) * (2n * n + 1n - first)),
  );
}

function squareRoot(x: bigint): bigint {
  let y = ONE;
  for (let i = 0; i < 20; i++) y = (y + div(x, y)) / 2n;
  return y;
}

/** `2 / sqrt(pi) * (x - x^3/3 + x^5/10 - …)`, right to many digits up to 6. */
function erfOf(x: bigint): bigint {
  const square = mul(x, x);
  let power = x;
  let sum = x;
  for (let n = 1n; !tiny(power); n++) {
    power = -mul(power, square) / n;
    sum += power / (2n * n + 1n);
  }
  return div(2n * sum, squareRoot(PI));
}

/** The functions, as integers that count 2^-1200. */
export const PRECISE: Readonly<Record<string, (x: number, y?: number) => bigint>> = {
  exp: (x) => expOf(fixed(x)),
  expm1: (x) => expOf(fixed(x)) - ONE,
  log: (x) => logOf(fixed(x)),
  log1p: (x) => logOf(ONE + fixed(x)),
  tanh: (x) => {
    const e = expOf(2n * fixed(x));
    return div(e - ONE, e + ONE);
  },
  erf: (x) => erfOf(fixed(x)),
  sin: (x) => wave(fixed(x), 0n),
  cos: (x) => wave(fixed(x), 1n),
  pow: (x, y = 1) => expOf(mul(fixed(y), logOf(fixed(x)))),
};

/** The error of a double in units of its last place, if `exact` counts 2^-400. */
export function ulpError(got: number, exact: bigint): number {
  const a = Math.abs(got);
  if (a === 0) return exact === 0n ? 0 : Infinity;
  let e = Math.max(-1022, Math.floor(Math.log2(a)));
  if (2 ** e > a) e = Math.max(-1022, e - 1);
  const ulp = shift(ONE, BigInt(e - 52));
  const off = fixed(got) - exact;
  return Number(((off < 0n ? -off : off) * 10000n) / ulp) / 10000;
}
