// Which instructions compute an expression from operands on the stack, for one lane and for four. Lanes
// of bools are masks of i32 lanes; a scalar bool is 0 or 1. What needs several uses of an operand takes
// scratch locals from the caller.

import { InternalError } from '../../core/error.ts';
import type {
  BinaryExpr,
  BinaryOp,
  CompareOp,
  Lanes,
  ScalarType,
  UnaryOp,
} from '../../kernel/expr.ts';
import type { FunctionBuilder, ValType } from './assembler.ts';
import { emitIntDivision } from './int-division.ts';

/** The machine type of a value. */
export function valType(type: ScalarType, lanes: Lanes): ValType {
  if (lanes === 4) return 'v128';
  return type === 'f32' ? 'f32' : 'i32';
}

/** Gives a scratch local of a type; it may be given again after the current instruction. */
export type Scratch = (type: ValType, slot: number) => number;

const F32_UNARY: Partial<Record<UnaryOp, string>> = {
  neg: 'neg',
  abs: 'abs',
  sqrt: 'sqrt',
  floor: 'floor',
  ceil: 'ceil',
  trunc: 'trunc',
  nearest: 'nearest',
};

/** A unary operation on the value on top of the stack. */
export function emitUnary(
  f: FunctionBuilder,
  fn: UnaryOp,
  type: ScalarType,
  lanes: Lanes,
  scratch: Scratch,
): void {
  const float = F32_UNARY[fn];
  if (type === 'f32' && float) {
    f.op(lanes === 4 ? `f32x4.${float}` : `f32.${float}`);
  } else if (fn === 'not') {
    f.op(lanes === 4 ? 'v128.not' : 'i32.eqz');
  } else if (type === 'i32' && lanes === 4 && (fn === 'neg' || fn === 'abs')) {
    f.op(`i32x4.${fn}`);
  } else if (type === 'i32' && fn === 'neg') {
    const x = scratch('i32', 0);
    f.op('local.set', x).op('i32.const', 0).op('local.get', x).op('i32.sub');
  } else if (type === 'i32' && fn === 'abs') {
    // (x ^ s) - s with s = x >> 31
    const x = scratch('i32', 0);
    f.op('local.tee', x).op('local.get', x).op('i32.const', 31).op('i32.shr_s').op('i32.xor');
    f.op('local.get', x).op('i32.const', 31).op('i32.shr_s').op('i32.sub');
  } else {
    throw new InternalError(`no instruction for ${fn} of ${type}`);
  }
}

const SHIFTS: Partial<Record<BinaryOp, string>> = {
  shl: 'i32x4.shl',
  shr: 'i32x4.shr_s',
  shru: 'i32x4.shr_u',
};

/** A vector shift by a constant of what is on the stack, if `e` is one; by a vector none exists. */
export function emitShift(f: FunctionBuilder, e: BinaryExpr): boolean {
  const [, right] = e.args;
  const op = SHIFTS[e.fn];
  if (e.lanes !== 4 || right.op !== 'const' || !op) return false;
  f.op('i32.const', right.value & 31).op(op);
  return true;
}

/**
 * A bound of a vector by a constant that is neither zero nor NaN, if `e` is one, of what is on the
 * stack: one machine instruction then gives what `min` and `max` give in many.
 */
export function emitBound(f: FunctionBuilder, e: BinaryExpr): boolean {
  const [, right] = e.args;
  if (e.lanes !== 4 || e.type !== 'f32' || (e.fn !== 'min' && e.fn !== 'max')) return false;
  if (right.op !== 'const' || !(Math.abs(right.value) > 0)) return false;
  f.op(`f32x4.p${e.fn}`);
  return true;
}

const INT: Partial<Record<BinaryOp, string>> = {
  add: 'add',
  sub: 'sub',
  mul: 'mul',
  and: 'and',
  or: 'or',
  xor: 'xor',
};

const BITWISE = new Set<BinaryOp>(['and', 'or', 'xor']);

/** A binary operation on the two values on top of the stack. */
export function emitBinary(
  f: FunctionBuilder,
  fn: BinaryOp,
  type: ScalarType,
  lanes: Lanes,
  scratch: Scratch,
): void {
  if (type === 'f32') emitFloatBinary(f, fn, lanes, scratch);
  else if (lanes === 4) emitIntVector(f, fn, scratch);
  else emitIntScalar(f, fn, scratch);
}

function emitFloatBinary(f: FunctionBuilder, fn: BinaryOp, lanes: Lanes, scratch: Scratch): void {
  if (fn === 'rem') {
    if (lanes === 4) {
      byLanes(f, scratch, 'f32', () => emitFloatBinary(f, 'rem', 1, scratch));
      return;
    }
    // x - y * trunc(x / y)
    const [x, y] = [scratch('f32', 0), scratch('f32', 1)];
    f.op('local.set', y).op('local.tee', x);
    f.op('local.get', y).op('local.get', x).op('local.get', y).op('f32.div').op('f32.trunc');
    f.op('f32.mul').op('f32.sub');
    return;
  }
  if (!['add', 'sub', 'mul', 'div', 'min', 'max'].includes(fn)) {
    throw new InternalError(`no instruction for ${fn} of f32`);
  }
  f.op(lanes === 4 ? `f32x4.${fn}` : `f32.${fn}`);
}

function emitIntScalar(f: FunctionBuilder, fn: BinaryOp, scratch: Scratch): void {
  const simple = INT[fn];
  if (simple) {
    f.op(`i32.${simple}`);
    return;
  }
  const y = scratch('i32', 1);
  switch (fn) {
    case 'shl':
      f.op('i32.shl');
      return;
    case 'shr':
      f.op('i32.shr_s');
      return;
    case 'shru':
      f.op('i32.shr_u');
      return;
    case 'min':
    case 'max': {
      const x = scratch('i32', 0);
      f.op('local.set', y).op('local.tee', x).op('local.get', y);
      f.op('local.get', x)
        .op('local.get', y)
        .op(fn === 'min' ? 'i32.lt_s' : 'i32.gt_s');
      f.op('select');
      return;
    }
    case 'mulhiu':
      f.op('i64.extend_i32_u').op('local.set', scratch('i64', 0));
      f.op('i64.extend_i32_u').op('local.get', scratch('i64', 0)).op('i64.mul');
      f.op('i64.const', 32n).op('i64.shr_u').op('i32.wrap_i64');
      return;
    case 'div':
      // 64 bits hold 2^31, so that -2^31 / -1 wraps and never traps; a divisor of 0 becomes 1.
      f.op('local.set', y).op('i64.extend_i32_s').op('local.get', y);
      f.op('local.get', y).op('i32.eqz').op('i32.add').op('i64.extend_i32_s');
      f.op('i64.div_s').op('i32.wrap_i64').op('i32.const', 0).op('local.get', y).op('select');
      return;
    case 'rem':
      f.op('local.tee', y).op('local.get', y).op('i32.eqz').op('i32.add').op('i32.rem_s');
      f.op('i32.const', 0).op('local.get', y).op('select');
      return;
    default:
      throw new InternalError(`no instruction for ${fn} of i32`);
  }
}

/** Bytes of the odd i32 lanes of two vectors: the high words of four 64-bit products. */
const HIGH_WORDS = [4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31];

function emitIntVector(f: FunctionBuilder, fn: BinaryOp, scratch: Scratch): void {
  if (BITWISE.has(fn)) f.op(`v128.${fn}`);
  else if (INT[fn]) f.op(`i32x4.${fn}`);
  else if (fn === 'min' || fn === 'max') f.op(`i32x4.${fn}_s`);
  else if (fn === 'mulhiu') {
    const [x, y] = [scratch('v128', 0), scratch('v128', 1)];
    f.op('local.set', y).op('local.tee', x).op('local.get', y).op('i64x2.extmul_low_i32x4_u');
    f.op('local.get', x).op('local.get', y).op('i64x2.extmul_high_i32x4_u');
    f.op('i8x16.shuffle', HIGH_WORDS);
  } else if (fn === 'div' || fn === 'rem') {
    emitIntDivision(f, fn, [scratch('v128', 2), scratch('v128', 3), scratch('v128', 4)]);
  } else byLanes(f, scratch, 'i32', () => emitIntScalar(f, fn, scratch));
}

/** A vector operation lane by lane, where there is no instruction for it. */
function byLanes(f: FunctionBuilder, scratch: Scratch, type: 'f32' | 'i32', op: () => void): void {
  const [a, b, out] = [scratch('v128', 2), scratch('v128', 3), scratch('v128', 4)];
  f.op('local.set', b).op('local.set', a);
  for (let lane = 0; lane < 4; lane++) {
    if (lane > 0) f.op('local.get', out);
    f.op('local.get', a).op(`${type}x4.extract_lane`, lane);
    f.op('local.get', b).op(`${type}x4.extract_lane`, lane);
    op();
    f.op(lane === 0 ? `${type}x4.splat` : `${type}x4.replace_lane`, ...(lane === 0 ? [] : [lane]));
    f.op('local.set', out);
  }
  f.op('local.get', out);
}

/** A comparison of the two values on top of the stack. */
export function emitCompare(
  f: FunctionBuilder,
  fn: CompareOp,
  type: ScalarType,
  lanes: Lanes,
): void {
  const signed = fn === 'eq' || fn === 'ne' ? fn : `${fn}_s`;
  if (type === 'f32') f.op(lanes === 4 ? `f32x4.${fn}` : `f32.${fn}`);
  else f.op(lanes === 4 ? `i32x4.${signed}` : `i32.${signed}`);
}

/** 1.0 as bits: a mask ANDed with it is 0.0 or 1.0. */
const ONE = [0, 0, 128, 63, 0, 0, 128, 63, 0, 0, 128, 63, 0, 0, 128, 63];
const ONES = [1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0];
const ZERO = new Array<number>(16).fill(0);

/** A conversion by value. */
export function emitCast(f: FunctionBuilder, from: ScalarType, to: ScalarType, lanes: Lanes): void {
  const v = lanes === 4;
  if (from === 'f32' && to === 'i32') f.op(v ? 'i32x4.trunc_sat_f32x4_s' : 'i32.trunc_sat_f32_s');
  else if (from === 'i32' && to === 'f32') f.op(v ? 'f32x4.convert_i32x4_s' : 'f32.convert_i32_s');
  else if (from === 'bool' && to === 'f32') {
    if (v) f.op('v128.const', ONE).op('v128.and');
    else f.op('f32.convert_i32_u');
  } else if (from === 'bool' && to === 'i32') {
    if (v) f.op('v128.const', ONES).op('v128.and');
  } else if (from === 'f32') {
    if (v) f.op('v128.const', ZERO).op('f32x4.ne');
    else f.op('f32.const', 0).op('f32.ne');
  } else if (v) f.op('v128.const', ZERO).op('i32x4.ne');
  else f.op('i32.const', 0).op('i32.ne');
}

/** The 16 bytes of four equal lanes. */
export function splatBytes(type: ScalarType, value: number): number[] {
  const bytes = new DataView(new ArrayBuffer(16));
  for (let i = 0; i < 4; i++) {
    if (type === 'f32') bytes.setFloat32(4 * i, value, true);
    else bytes.setInt32(4 * i, type === 'bool' ? -value : value, true);
  }
  return Array.from(new Uint8Array(bytes.buffer));
}

/** Loads from the address on the stack. */
export function emitLoad(f: FunctionBuilder, type: ScalarType, lanes: Lanes, offset: number): void {
  if (lanes === 1) {
    f.op(type === 'f32' ? 'f32.load' : type === 'i32' ? 'i32.load' : 'i32.load8_u', offset);
    return;
  }
  if (type !== 'bool') {
    f.op('v128.load', offset, 4);
    return;
  }
  f.op('v128.load32_zero', offset, 1);
  f.op('i16x8.extend_low_i8x16_u').op('i32x4.extend_low_i16x8_u');
  f.op('v128.const', ZERO).op('i32x4.ne');
}

/** Stores the value on the stack to the address below it. */
export function emitStore(
  f: FunctionBuilder,
  type: ScalarType,
  lanes: Lanes,
  offset: number,
  scratch: Scratch,
): void {
  if (lanes === 1) {
    f.op(type === 'f32' ? 'f32.store' : type === 'i32' ? 'i32.store' : 'i32.store8', offset);
    return;
  }
  if (type !== 'bool') {
    f.op('v128.store', offset, 4);
    return;
  }
  const mask = scratch('v128', 0);
  f.op('v128.const', ONES).op('v128.and').op('local.tee', mask).op('local.get', mask);
  f.op('i16x8.narrow_i32x4_u').op('local.tee', mask).op('local.get', mask);
  f.op('i8x16.narrow_i16x8_u').op('v128.store32_lane', offset, 0, 1);
}
