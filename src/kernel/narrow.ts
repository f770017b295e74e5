// Values of dtypes that fill less than the machine type that computes them: how they are brought back to what
// the dtype can hold, and how floats of 16 bits become words and numbers again. In primitives, so that
// every backend gives the same bits.

import { type DType, dtypeInfo, type HalfFloat, isFloat, type StorageType } from '../core/dtype.ts';
import {
  add,
  binary,
  bitcast,
  cast,
  compare,
  constant,
  type Expr,
  mul,
  type ScalarType,
  select,
  sub,
  unary,
} from './expr.ts';
import { isFloatType } from './scalar.ts';

const c = (value: number, like: Expr): Expr => constant(like.type, value, like.lanes);
const and = (x: Expr, mask: number): Expr => binary('and', x, c(mask | 0, x));
const shl = (x: Expr, n: number): Expr => binary('shl', x, c(n, x));
const shru = (x: Expr, n: number): Expr => binary('shru', x, c(n, x));
const bitsOf = (x: Expr): Expr => bitcast('i32', x);
const fromBits = (x: Expr): Expr => bitcast('f32', x);

/** Wraps an i32 around to the integers of a storage type. */
const WRAP: { readonly [type in StorageType]?: (x: Expr) => Expr } = {
  i8: (x) => binary('shr', shl(x, 24), c(24, x)),
  u8: (x) => and(x, 0xff),
  i16: (x) => binary('shr', shl(x, 16), c(16, x)),
  u16: (x) => and(x, 0xffff),
};

/**
 * A value as its dtype holds it: integers wrap around, floats of 16 bits round to the nearest, of two
 * the even one. `known` are values of the dtype already.
 */
export function rounded(dtype: DType, x: Expr, known: readonly Expr[] = []): Expr {
  const { scalar, storage, half } = dtypeInfo(dtype);
  if (scalar === storage || known.includes(x)) return x;
  const chosen = x.op === 'select' ? x.args.slice(1) : undefined;
  if (chosen?.every((e) => known.includes(e))) return x;
  if (x.op === 'binary' && (x.fn === 'min' || x.fn === 'max')) {
    if (x.args.every((e) => known.includes(e))) return x;
  }
  if (half) return roundHalf(x, half);
  const wrap = WRAP[storage];
  return wrap ? wrap(x) : x;
}

function roundHalf(x: Expr, half: HalfFloat): Expr {
  const b = bitsOf(x);
  const drop = 23 - half.mantissa;
  const even = and(shru(b, drop), 1);
  const up = add(add(b, c(2 ** (drop - 1) - 1, b)), even);
  const near = fromBits(and(up, -(2 ** drop)));
  let out = near;
  if (half.exponent === 5) {
    const a = unary('abs', x);
    const sign = and(b, -0x80000000);
    const signed = (size: Expr): Expr => fromBits(binary('or', bitsOf(size), sign));
    // Below 2^-14 the last place is 2^-24, and from 65520 on infinity is nearer than the largest.
    const small = mul(unary('nearest', mul(a, c(2 ** 24, a))), c(2 ** -24, a));
    out = select(compare('lt', a, c(2 ** -14, a)), signed(small), out);
    out = select(compare('ge', a, c(65520, a)), signed(c(Infinity, a)), out);
  }
  return select(compare('eq', x, x), out, c(Number.NaN, x));
}

/** The number of a float of 16 bits from its bits, or any other value as it was loaded. */
export function widened(dtype: DType, loaded: Expr): Expr {
  const { half } = dtypeInfo(dtype);
  if (!half) return loaded;
  if (half.exponent === 8) return fromBits(shl(loaded, 16));
  const sign = shl(and(loaded, 0x8000), 16);
  const size = and(loaded, 0x7fff);
  const normal = add(shl(size, 13), c(112 << 23, size));
  // Infinity and NaN keep an exponent of ones.
  const top = compare('ge', size, c(0x7c00, size));
  const large = fromBits(select(top, binary('or', normal, c(0x7f800000, size)), normal));
  const small = mul(cast('f32', size), constant('f32', 2 ** -24, size.lanes));
  const a = select(compare('lt', size, c(0x400, size)), small, large);
  return fromBits(binary('or', bitsOf(a), sign));
}

/** What is stored of a value of its dtype: the bits of a float of 16. */
export function stored(dtype: DType, x: Expr): Expr {
  const { half } = dtypeInfo(dtype);
  if (!half) return x;
  const b = bitsOf(x);
  if (half.exponent === 8) return shru(b, 16);
  const sign = and(shru(b, 16), 0x8000);
  const a = unary('abs', x);
  const normal = sub(shru(bitsOf(a), 13), c(112 << 10, b));
  const small = cast('i32', mul(a, c(2 ** 24, a)));
  let size = select(compare('lt', a, c(2 ** -14, a)), small, normal);
  size = select(compare('eq', a, c(Infinity, a)), c(0x7c00, size), size);
  size = select(compare('eq', x, x), size, c(0x7e00, size));
  return binary('or', size, sign);
}

/** Integers beyond 24 bits keep in one bit whether anything stands below the upper 23. */
function sticky(x: Expr): Expr {
  const low = compare('ne', and(x, 0x1ff), c(0, x));
  const shortened = binary('or', and(x, ~0x1ff), select(low, c(0x100, x), c(0, x)));
  return select(compare('ge', unary('abs', x), c(2 ** 24, x)), shortened, x);
}

/** An f64 as an f32 that rounds to fewer bits as the f64 would: what is inexact ends in a one. */
function roundToOdd(x: Expr): Expr {
  const near = cast('f32', x);
  const back = cast('f64', near);
  const b = bitsOf(near);
  const wrong = compare('ne', back, x);
  const even = compare('eq', and(b, 1), c(0, b));
  const beyond = compare('gt', unary('abs', back), unary('abs', x));
  const step = select(beyond, c(-1, b), c(1, b));
  return fromBits(select(binary('and', wrong, even), add(b, step), b));
}

/**
 * A conversion by value to what computes a dtype, before it is {@link rounded}. Floats to integers
 * truncate, saturate at the dtype's limits, and give 0 for NaN; integers are yet to wrap around.
 */
export function converted(dtype: DType, x: Expr): Expr {
  const { scalar, storage, half, min, max } = dtypeInfo(dtype);
  if (half) {
    const wide: { readonly [type in ScalarType]?: (x: Expr) => Expr } = {
      f64: roundToOdd,
      i32: sticky,
      u32: sticky,
      i64: (e) => roundToOdd(cast('f64', e)),
    };
    return cast('f32', wide[x.type]?.(x) ?? x);
  }
  const y = cast(scalar, x);
  if (!isFloatType(x.type) || isFloat(dtype) || scalar === storage) return y;
  return binary('max', binary('min', y, c(Number(max), y)), c(Number(min), y));
}
