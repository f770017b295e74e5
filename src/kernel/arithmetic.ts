// Arithmetic of the interpreter: each operation of the kernel IR on plain numbers, rounded or wrapped as
// the machine types have it. An i64 is a bigint that passes under the type of a number: whoever calls
// these functions only carries values from one to the next.

import { InternalError } from '../core/error.ts';
import { erf, largest, powBig, powFloat, powInt, roundHalfEven } from '../util/numeric.ts';
import type { BinaryOp, CompareOp, ScalarType, UnaryOp } from './expr.ts';
import { isFloatType } from './scalar.ts';

/** A function of one number. */
export type Fn1 = (a: number) => number;
/** A function of two numbers. */
export type Fn2 = (a: number, b: number) => number;

const { fround } = Math;
const wrap = (a: bigint): bigint => BigInt.asIntN(64, a);
const big1 = (f: (a: bigint) => bigint | number): Fn1 => f as unknown as Fn1;
const big2 = (f: (a: bigint, b: bigint) => bigint): Fn2 => f as unknown as Fn2;

function mulHighUnsigned(a: number, b: number): number {
  const [al, ah, bl, bh] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16];
  const mid = ah * bl + ((al * bl) >>> 16);
  const mid2 = al * bh + (mid % 0x10000);
  return (ah * bh + Math.floor(mid / 0x10000) + Math.floor(mid2 / 0x10000)) | 0;
}

export const unsupported = (what: string): never => {
  throw new InternalError(`the interpreter has no ${what}`);
};

const same: Fn1 = (a) => a;

const I32_UNARY: Partial<Record<UnaryOp, Fn1>> = {
  neg: (a) => -a | 0,
  abs: (a) => (a < 0 ? -a | 0 : a),
  floor: same,
  ceil: same,
  trunc: same,
  nearest: same,
};

const I64_UNARY: Partial<Record<UnaryOp, Fn1>> = {
  neg: big1((a) => wrap(-a)),
  abs: big1((a) => (a < 0n ? wrap(-a) : a)),
  floor: same,
  ceil: same,
  trunc: same,
  nearest: same,
};

const U32_UNARY: Partial<Record<UnaryOp, Fn1>> = {
  ...I32_UNARY,
  neg: (a) => -a >>> 0,
  abs: same,
};

const FLOAT_UNARY: Partial<Record<UnaryOp, Fn1>> = {
  neg: (a) => -a,
  abs: Math.abs,
  floor: Math.floor,
  ceil: Math.ceil,
  trunc: Math.trunc,
  nearest: roundHalfEven,
  sqrt: Math.sqrt,
  exp: Math.exp,
  expm1: Math.expm1,
  log: Math.log,
  log1p: Math.log1p,
  erf,
  tanh: Math.tanh,
  sin: Math.sin,
  cos: Math.cos,
};

export function unaryFn(fn: UnaryOp, type: ScalarType): Fn1 {
  if (fn === 'not') return (a) => (a === 0 ? 1 : 0);
  if (fn === 'isnan') return (a) => (Number.isNaN(a) ? 1 : 0);
  const table = {
    f32: FLOAT_UNARY,
    f64: FLOAT_UNARY,
    i32: I32_UNARY,
    u32: U32_UNARY,
    i64: I64_UNARY,
    bool: {},
  };
  const f: Fn1 | undefined = (table[type] as Partial<Record<UnaryOp, Fn1>>)[fn];
  if (!f) return unsupported(`${fn} of ${type}`);
  return type === 'f32' ? (a) => fround(f(a)) : f;
}

const FLOAT_BINARY: Partial<Record<BinaryOp, Fn2>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  rem: (a, b) => a % b,
  pow: powFloat,
  min: Math.min,
  max: Math.max,
};

const BOOL_BINARY: Partial<Record<BinaryOp, Fn2>> = {
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
};

const I32_BINARY: Readonly<Record<BinaryOp, Fn2>> = {
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  add: (a, b) => (a + b) | 0,
  sub: (a, b) => (a - b) | 0,
  mul: Math.imul,
  div: (a, b) => (b === 0 ? 0 : (a / b) | 0),
  rem: (a, b) => (b === 0 ? 0 : (a % b) | 0),
  pow: powInt,
  min: Math.min,
  max: Math.max,
  shl: (a, b) => a << b,
  shr: (a, b) => a >> b,
  shru: (a, b) => (a >>> b) | 0,
  mulhiu: mulHighUnsigned,
};

/** What i32 does, its result without a sign; and what differs. */
const U32_BINARY: Partial<Record<BinaryOp, Fn2>> = {
  ...Object.fromEntries(
    Object.entries(I32_BINARY).map(([fn, f]): [string, Fn2] => [fn, (a, b) => f(a, b) >>> 0]),
  ),
  div: (a, b) => (b === 0 ? 0 : Math.floor(a / b)),
  rem: (a, b) => (b === 0 ? 0 : a % b),
  shr: (a, b) => a >>> b,
  pow: (a, b) => powUnsigned(a, b),
};

function powUnsigned(a: number, b: number): number {
  let [out, power] = [1, a];
  for (let rest = b; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) out = Math.imul(out, power);
    power = Math.imul(power, power);
  }
  return out >>> 0;
}

const I64_BINARY: Partial<Record<BinaryOp, Fn2>> = {
  and: big2((a, b) => a & b),
  or: big2((a, b) => a | b),
  xor: big2((a, b) => a ^ b),
  add: big2((a, b) => wrap(a + b)),
  sub: big2((a, b) => wrap(a - b)),
  mul: big2((a, b) => wrap(a * b)),
  div: big2((a, b) => (b === 0n ? 0n : wrap(a / b))),
  rem: big2((a, b) => (b === 0n ? 0n : a % b)),
  pow: big2(powBig),
  min: big2((a, b) => -largest(-a, -b)),
  max: big2(largest),
  shl: big2((a, b) => wrap(a << (b & 63n))),
  shr: big2((a, b) => a >> (b & 63n)),
  shru: big2((a, b) => wrap(BigInt.asUintN(64, a) >> (b & 63n))),
};

export function binaryFn(fn: BinaryOp, type: ScalarType): Fn2 {
  const table: Partial<Record<BinaryOp, Fn2>> = {
    f32: FLOAT_BINARY,
    f64: FLOAT_BINARY,
    i32: I32_BINARY,
    u32: U32_BINARY,
    i64: I64_BINARY,
    bool: BOOL_BINARY,
  }[type];
  const f = table[fn];
  if (!f) return unsupported(`${fn} of ${type}`);
  const rounds = type === 'f32' && fn !== 'min' && fn !== 'max';
  return rounds ? (a, b) => fround(f(a, b)) : f;
}

const COMPARE: Readonly<Record<CompareOp, Fn2>> = {
  eq: (a, b) => (a === b ? 1 : 0),
  ne: (a, b) => (a !== b ? 1 : 0),
  lt: (a, b) => (a < b ? 1 : 0),
  le: (a, b) => (a <= b ? 1 : 0),
  gt: (a, b) => (a > b ? 1 : 0),
  ge: (a, b) => (a >= b ? 1 : 0),
};

export function compareFn(fn: CompareOp): Fn2 {
  return COMPARE[fn];
}

const I64_MIN = -(2n ** 63n);
const I64_MAX = 2n ** 63n - 1n;

function saturate64(a: number): bigint {
  if (Number.isNaN(a)) return 0n;
  if (a >= 2 ** 63) return I64_MAX;
  return a <= -(2 ** 63) ? I64_MIN : BigInt(Math.trunc(a));
}

/** The float32 nearest to an integer, rounded once. */
function nearestSingle(a: bigint): number {
  const size = a < 0n ? -a : a;
  const drop = BigInt(Math.max(0, size.toString(2).length - 30));
  // What is dropped only matters as being something: a sticky bit.
  const kept = size >> drop;
  const sticky = drop > 0n && kept << drop !== size ? 1n : 0n;
  const near = fround(Number((kept << 1n) | sticky)) * 2 ** (Number(drop) - 1);
  return a < 0n ? -near : near;
}

export function castFn(to: ScalarType, from: ScalarType): Fn1 {
  if (from === 'i64') {
    const casts: Record<ScalarType, Fn1> = {
      bool: big1((a) => (a !== 0n ? 1 : 0)),
      f32: big1(nearestSingle),
      f64: big1(Number),
      i32: big1((a) => Number(BigInt.asIntN(32, a))),
      u32: big1((a) => Number(BigInt.asUintN(32, a))),
      i64: same,
    };
    return casts[to];
  }
  if (to === 'bool') return (a) => (a !== 0 ? 1 : 0);
  if (to === 'f32') return fround;
  if (to === 'f64') return same;
  const wide = to === 'i64';
  const unsigned = to === 'u32';
  if (!isFloatType(from)) {
    if (wide) return BigInt as unknown as Fn1;
    return unsigned ? (a) => a >>> 0 : (a) => a | 0;
  }
  if (wide) return saturate64 as unknown as Fn1;
  return (a) => {
    if (Number.isNaN(a)) return 0;
    if (unsigned) return Math.trunc(Math.max(0, Math.min(0xffffffff, a)));
    return Math.max(-0x80000000, Math.min(0x7fffffff, a)) | 0;
  };
}

const bits = new DataView(new ArrayBuffer(8));

export function bitcastFn(to: ScalarType): Fn1 {
  switch (to) {
    case 'u32':
      return (a) => a >>> 0;
    case 'i32':
      return (a) => {
        bits.setFloat32(0, a);
        return bits.getInt32(0);
      };
    case 'f32':
      return (a) => {
        bits.setInt32(0, a);
        return bits.getFloat32(0);
      };
    case 'i64':
      return ((a: number) => {
        bits.setFloat64(0, a);
        return bits.getBigInt64(0);
      }) as unknown as Fn1;
    case 'f64':
      return big1((a) => {
        bits.setBigInt64(0, a);
        return bits.getFloat64(0);
      });
    default:
      return unsupported(`bitcast to ${to}`);
  }
}
