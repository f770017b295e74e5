// Which instructions compute an expression from operands on the stack, for one lane and for vectors. Lanes
// of bools are masks as wide as a lane; a scalar bool is 0 or 1. Of two lanes of 32 bits the upper half of
// the register is anything. What needs several uses of an operand takes scratch locals from the caller.

import type { StorageType } from '../../core/dtype.ts';
import { InternalError } from '../../core/error.ts';
import type {
  BinaryExpr,
  BinaryOp,
  CompareOp,
  ConstExpr,
  Expr,
  Lanes,
  ScalarType,
  SelectExpr,
  UnaryOp,
} from '../../kernel/expr.ts';
import {
  isFloatType,
  isUnsigned,
  isWideType,
  loadedType,
  scalarInfo,
  storageBytes,
} from '../../kernel/scalar.ts';
import type { FunctionBuilder, ValType } from './assembler.ts';
import { emitIntDivision } from './int-division.ts';

const VALUES: Readonly<Record<ScalarType, ValType>> = {
  f32: 'f32',
  f64: 'f64',
  i32: 'i32',
  u32: 'i32',
  i64: 'i64',
  bool: 'i32',
};

/** The machine type of a value. */
export function valType(type: ScalarType, lanes: Lanes): ValType {
  return lanes === 1 ? VALUES[type] : 'v128';
}

/** How instructions call the lanes of a vector. */
export type LaneShape = 'f32x4' | 'f64x2' | 'i32x4' | 'i64x2';

const SHAPES = { f32: 'f32x4', f64: 'f64x2', i32: 'i32x4', u32: 'i32x4', i64: 'i64x2' } as const;

/** The lanes that hold a type; of bools the masks. */
export function laneShape(type: ScalarType, lanes: Lanes): LaneShape {
  if (type === 'bool') return lanes === 2 ? 'i64x2' : 'i32x4';
  return SHAPES[type];
}

/** Gives a scratch local of a type; it may be given again after the current instruction. */
export type Scratch = (type: ValType, slot: number) => number;

/** Pushes an integer constant of a type. */
function pushInt(f: FunctionBuilder, type: ScalarType, value: number): FunctionBuilder {
  return isWideType(type) ? f.op('i64.const', BigInt(value)) : f.op('i32.const', value);
}

const FLOAT_UNARY: Partial<Record<UnaryOp, string>> = {
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
  const float = FLOAT_UNARY[fn];
  const isInt = scalarInfo(type).kind === 'int';
  if (isFloatType(type) && float) {
    f.op(`${lanes === 1 ? type : laneShape(type, lanes)}.${float}`);
  } else if (fn === 'not') {
    f.op(lanes === 1 ? 'i32.eqz' : 'v128.not');
  } else if (isUnsigned(type) && fn === 'abs') {
    // It is its own size.
  } else if (isInt && lanes !== 1 && (fn === 'neg' || fn === 'abs')) {
    f.op(`${laneShape(type, lanes)}.${fn}`);
  } else if (isInt && fn === 'neg') {
    const x = scratch(valType(type, 1), 0);
    pushInt(f.op('local.set', x), type, 0)
      .op('local.get', x)
      .op(`${valType(type, 1)}.sub`);
  } else if (isInt && fn === 'abs') {
    // (x ^ s) - s with s = x >> 31
    const t = valType(type, 1);
    const x = scratch(t, 0);
    const sign = (): void => {
      pushInt(f.op('local.get', x), type, isWideType(type) ? 63 : 31).op(`${t}.shr_s`);
    };
    f.op('local.tee', x);
    sign();
    f.op(`${t}.xor`);
    sign();
    f.op(`${t}.sub`);
  } else {
    throw new InternalError(`no instruction for ${fn} of ${type}`);
  }
}

const SHIFTS: Partial<Record<BinaryOp, string>> = {
  shl: 'shl',
  shr: 'shr_s',
  shru: 'shr_u',
};

/** The end of an instruction's name that says whether its operands have signs. */
const signOf = (type: ScalarType): 's' | 'u' => (isUnsigned(type) ? 'u' : 's');

/** The shift of a type: without a sign `shr` shifts in zeros. */
const shiftOf = (fn: BinaryOp, type: ScalarType): string | undefined =>
  SHIFTS[fn === 'shr' && isUnsigned(type) ? 'shru' : fn];

/** A vector shift by a constant of what is on the stack, if `e` is one; by a vector none exists. */
export function emitShift(f: FunctionBuilder, e: BinaryExpr): boolean {
  const [, right] = e.args;
  const op = shiftOf(e.fn, e.type);
  if (e.lanes === 1 || right.op !== 'const' || !op) return false;
  f.op('i32.const', right.value & (isWideType(e.type) ? 63 : 31));
  f.op(`${laneShape(e.type, e.lanes)}.${op}`);
  return true;
}

/**
 * A bound of a vector by a constant that is neither zero nor NaN, if `e` is one, of what is on the
 * stack: one machine instruction then gives what `min` and `max` give in many.
 */
export function emitBound(f: FunctionBuilder, e: BinaryExpr): boolean {
  const [, right] = e.args;
  if (e.lanes === 1 || !isFloatType(e.type) || (e.fn !== 'min' && e.fn !== 'max')) return false;
  if (right.op !== 'const' || !(Math.abs(right.value) > 0)) return false;
  f.op(`${laneShape(e.type, e.lanes)}.p${e.fn}`);
  return true;
}

/** A choice that is one of the engine's extrema: `a` where it is less (more) than `b`, and else `b`. */
function emitExtremum(
  f: FunctionBuilder,
  { args: [c, a, b], type, lanes }: SelectExpr,
  push: (e: Expr) => void,
): boolean {
  if (c.op !== 'compare' || c.fn !== 'lt' || lanes === 1 || !isFloatType(type)) return false;
  const [low, high] = c.args;
  const isMax = low === b && high === a;
  if (!isMax && (low !== a || high !== b)) return false;
  push(b);
  push(a);
  f.op(`${laneShape(type, lanes)}.${isMax ? 'pmax' : 'pmin'}`);
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
  if (isFloatType(type)) emitFloatBinary(f, fn, type, lanes, scratch);
  else if (lanes === 1) emitIntScalar(f, fn, type, scratch);
  else if (isWideType(type)) emitWideVector(f, fn, type, scratch);
  else emitIntVector(f, fn, type, scratch);
}

function emitFloatBinary(
  f: FunctionBuilder,
  fn: BinaryOp,
  type: ScalarType,
  lanes: Lanes,
  scratch: Scratch,
): void {
  if (fn === 'rem') {
    if (lanes !== 1) {
      byLanes(f, scratch, type, lanes, () => emitFloatBinary(f, 'rem', type, 1, scratch));
      return;
    }
    // x - y * trunc(x / y)
    const t = valType(type, 1);
    const [x, y] = [scratch(t, 0), scratch(t, 1)];
    f.op('local.set', y).op('local.tee', x);
    f.op('local.get', y).op('local.get', x).op('local.get', y).op(`${t}.div`).op(`${t}.trunc`);
    f.op(`${t}.mul`).op(`${t}.sub`);
    return;
  }
  if (!['add', 'sub', 'mul', 'div', 'min', 'max'].includes(fn)) {
    throw new InternalError(`no instruction for ${fn} of ${type}`);
  }
  f.op(`${lanes === 1 ? type : laneShape(type, lanes)}.${fn}`);
}

function emitIntScalar(f: FunctionBuilder, fn: BinaryOp, type: ScalarType, scratch: Scratch): void {
  const simple = INT[fn] ?? shiftOf(fn, type);
  const t = valType(type, 1);
  if (simple) {
    f.op(`${t}.${simple}`);
    return;
  }
  const y = scratch(t, 1);
  if (fn === 'min' || fn === 'max') {
    const x = scratch(t, 0);
    f.op('local.set', y).op('local.tee', x).op('local.get', y);
    f.op('local.get', x).op('local.get', y);
    f.op(`${t}.${fn === 'min' ? 'lt' : 'gt'}_${signOf(type)}`).op('select');
    return;
  }
  if (isWideType(type)) {
    emitWideDivision(f, fn, scratch);
    return;
  }
  switch (fn) {
    case 'mulhiu':
      f.op('i64.extend_i32_u').op('local.set', scratch('i64', 0));
      f.op('i64.extend_i32_u').op('local.get', scratch('i64', 0)).op('i64.mul');
      f.op('i64.const', 32n).op('i64.shr_u').op('i32.wrap_i64');
      return;
    case 'div':
      if (isUnsigned(type)) {
        f.op('local.tee', y).op('local.get', y).op('i32.eqz').op('i32.add').op('i32.div_u');
        f.op('i32.const', 0).op('local.get', y).op('select');
        return;
      }
      // 64 bits hold 2^31, so that -2^31 / -1 wraps and never traps; a divisor of 0 becomes 1.
      f.op('local.set', y).op('i64.extend_i32_s').op('local.get', y);
      f.op('local.get', y).op('i32.eqz').op('i32.add').op('i64.extend_i32_s');
      f.op('i64.div_s').op('i32.wrap_i64').op('i32.const', 0).op('local.get', y).op('select');
      return;
    case 'rem':
      f.op('local.tee', y).op('local.get', y).op('i32.eqz').op('i32.add');
      f.op(`i32.rem_${signOf(type)}`);
      f.op('i32.const', 0).op('local.get', y).op('select');
      return;
    default:
      throw new InternalError(`no instruction for ${fn} of ${type}`);
  }
}

/** Division of i64: 0 for a divisor of 0, and what wraps around for -1; neither traps. */
function emitWideDivision(f: FunctionBuilder, fn: BinaryOp, scratch: Scratch): void {
  if (fn !== 'div' && fn !== 'rem') throw new InternalError(`no instruction for ${fn} of i64`);
  const [x, y] = [scratch('i64', 0), scratch('i64', 1)];
  f.op('local.set', y).op('local.set', x);
  // By a divisor of 0 or -1 the instruction may trap: 1 takes its place.
  f.op('local.get', x).op('local.get', y).op('i64.const', 1n);
  f.op('local.get', y).op('i64.const', 1n).op('i64.add').op('i64.const', 1n).op('i64.gt_u');
  f.op('select').op(`i64.${fn}_s`);
  // The result stands for any other divisor; x / -1 is -x, x % -1 is 0.
  f.op('i64.const', 0n);
  if (fn === 'div') f.op('local.get', x).op('local.get', y).op('i64.mul');
  else f.op('i64.const', 0n);
  f.op('local.get', y).op('i64.eqz').op('select');
  f.op('local.get', y).op('i64.const', 1n).op('i64.add').op('i64.const', 1n).op('i64.gt_u');
  f.op('select');
}

/** Bytes of the odd i32 lanes of two vectors: the high words of four 64-bit products. */
const HIGH_WORDS = [4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31];

function emitIntVector(f: FunctionBuilder, fn: BinaryOp, type: ScalarType, scratch: Scratch): void {
  if (BITWISE.has(fn)) f.op(`v128.${fn}`);
  else if (INT[fn]) f.op(`i32x4.${fn}`);
  else if (fn === 'min' || fn === 'max') f.op(`i32x4.${fn}_${signOf(type)}`);
  else if (fn === 'mulhiu') {
    const [x, y] = [scratch('v128', 0), scratch('v128', 1)];
    f.op('local.set', y).op('local.tee', x).op('local.get', y).op('i64x2.extmul_low_i32x4_u');
    f.op('local.get', x).op('local.get', y).op('i64x2.extmul_high_i32x4_u');
    f.op('i8x16.shuffle', HIGH_WORDS);
  } else if ((fn === 'div' || fn === 'rem') && !isUnsigned(type)) {
    emitIntDivision(f, fn, [scratch('v128', 2), scratch('v128', 3), scratch('v128', 4)]);
  } else byLanes(f, scratch, type, 4, () => emitIntScalar(f, fn, type, scratch));
}

function emitWideVector(
  f: FunctionBuilder,
  fn: BinaryOp,
  type: ScalarType,
  scratch: Scratch,
): void {
  if (BITWISE.has(fn)) f.op(`v128.${fn}`);
  else if (INT[fn]) f.op(`i64x2.${fn}`);
  else if (fn === 'min' || fn === 'max') {
    const [x, y] = [scratch('v128', 0), scratch('v128', 1)];
    f.op('local.set', y).op('local.tee', x).op('local.get', y);
    f.op('local.get', x).op('local.get', y);
    f.op(fn === 'min' ? 'i64x2.lt_s' : 'i64x2.gt_s').op('v128.bitselect');
  } else byLanes(f, scratch, type, 2, () => emitIntScalar(f, fn, type, scratch));
}

/** A vector operation lane by lane, where there is no instruction for it. */
function byLanes(
  f: FunctionBuilder,
  scratch: Scratch,
  type: ScalarType,
  lanes: Lanes,
  op: () => void,
): void {
  const shape = laneShape(type, lanes);
  const [a, b, out] = [scratch('v128', 2), scratch('v128', 3), scratch('v128', 4)];
  f.op('local.set', b).op('local.set', a);
  for (let lane = 0; lane < lanes; lane++) {
    if (lane > 0) f.op('local.get', out);
    f.op('local.get', a).op(`${shape}.extract_lane`, lane);
    f.op('local.get', b).op(`${shape}.extract_lane`, lane);
    op();
    f.op(lane === 0 ? `${shape}.splat` : `${shape}.replace_lane`, ...(lane === 0 ? [] : [lane]));
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
  const plain = isFloatType(type) || fn === 'eq' || fn === 'ne';
  const prefix = lanes === 1 ? valType(type, 1) : laneShape(type, lanes);
  f.op(`${prefix}.${fn}${plain ? '' : `_${signOf(type)}`}`);
  if (lanes === 2 && !isWideType(type) && type !== 'bool') f.op('i64x2.extend_low_i32x4_s');
}

/** Turns the mask of two lanes on the stack into one for lanes of 32 bits. */
export function narrowMask(f: FunctionBuilder, scratch: Scratch): void {
  const mask = scratch('v128', 0);
  f.op('local.tee', mask).op('local.get', mask).op('i8x16.shuffle', EVEN_WORDS);
}

/** Bytes of the even i32 lanes of two vectors. */
const EVEN_WORDS = [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27];

const ZERO = new Array<number>(16).fill(0);

/** Pushes a constant. */
export function emitConst(f: FunctionBuilder, e: ConstExpr): void {
  const value = e.bits ?? e.value;
  // A mask of two lanes is one of four as well.
  if (e.lanes !== 1) f.op('v128.const', splatBytes(e.type, value));
  else f.op(`${valType(e.type, 1)}.const`, value);
}

/** Loads from the address on the stack. */
export function emitLoad(
  f: FunctionBuilder,
  type: StorageType,
  lanes: Lanes,
  offset: number,
): void {
  const scalar = loadedType(type);
  if (type === 'bool') loadBools(f, lanes, offset);
  else if (type !== scalar) loadParts(f, type as Part, lanes, offset);
  else if (lanes === 1) f.op(`${valType(scalar, 1)}.load`, offset);
  else if (lanes === 2 && !isWideType(scalar)) f.op('v128.load64_zero', offset, 4);
  else f.op('v128.load', offset, storageBytes(type));
}

type Part = 'i8' | 'u8' | 'i16' | 'u16' | 'f16';

/** Loads integers of one or two bytes as i32. */
function loadParts(f: FunctionBuilder, type: Part, lanes: Lanes, offset: number): void {
  const sign = type.startsWith('i') ? 's' : 'u';
  const bytes = storageBytes(type);
  if (lanes === 1) {
    f.op(`i32.load${8 * bytes}_${sign}`, offset);
    return;
  }
  if (bytes * lanes === 8) f.op('v128.load64_zero', offset, bytes);
  else if (bytes * lanes === 4) f.op('v128.load32_zero', offset, bytes);
  else f.op('i32.load16_u', offset, 1).op('i32x4.splat');
  if (bytes === 1) f.op(`i16x8.extend_low_i8x16_${sign}`);
  f.op(`i32x4.extend_low_i16x8_${sign}`);
}

/** The low bytes of four lanes of 32 bits, next to each other. */
const LOW_BYTES = {
  1: [0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12],
  2: [0, 1, 4, 5, 8, 9, 12, 13, 0, 1, 4, 5, 8, 9, 12, 13],
} as const;

/** Stores the low bytes of i32. */
function storeParts(
  f: FunctionBuilder,
  type: Part,
  lanes: Lanes,
  offset: number,
  scratch: Scratch,
): void {
  const bytes = storageBytes(type) as 1 | 2;
  if (lanes === 1) {
    f.op(`i32.store${8 * bytes}`, offset);
    return;
  }
  const x = scratch('v128', 0);
  f.op('local.tee', x)
    .op('local.get', x)
    .op('i8x16.shuffle', [...LOW_BYTES[bytes]]);
  f.op(`v128.store${8 * bytes * lanes}_lane`, offset, 0, bytes);
}

function loadBools(f: FunctionBuilder, lanes: Lanes, offset: number): void {
  if (lanes === 1) {
    f.op('i32.load8_u', offset);
    return;
  }
  if (lanes === 4) f.op('v128.load32_zero', offset, 1);
  else f.op('i32.load16_u', offset, 1).op('i32x4.splat');
  f.op('i16x8.extend_low_i8x16_u').op('i32x4.extend_low_i16x8_u');
  if (lanes === 2) f.op('i64x2.extend_low_i32x4_u');
  f.op('v128.const', ZERO).op(`${laneShape('bool', lanes)}.ne`);
}

/** Stores the value on the stack to the address below it. */
export function emitStore(
  f: FunctionBuilder,
  type: StorageType,
  lanes: Lanes,
  offset: number,
  scratch: Scratch,
): void {
  const scalar = loadedType(type);
  if (type === 'bool') storeBools(f, lanes, offset, scratch);
  else if (type !== scalar) storeParts(f, type as Part, lanes, offset, scratch);
  else if (lanes === 1) f.op(`${valType(scalar, 1)}.store`, offset);
  else if (lanes === 2 && !isWideType(scalar)) f.op('v128.store64_lane', offset, 0, 4);
  else f.op('v128.store', offset, storageBytes(type));
}

function storeBools(f: FunctionBuilder, lanes: Lanes, offset: number, scratch: Scratch): void {
  if (lanes === 1) {
    f.op('i32.store8', offset);
    return;
  }
  const mask = scratch('v128', 0);
  f.op('v128.const', splatBytes('i32', 1)).op('v128.and');
  if (lanes === 2) {
    f.op('local.tee', mask).op('local.get', mask).op('i8x16.shuffle', EVEN_WORDS);
  }
  f.op('local.tee', mask).op('local.get', mask).op('i16x8.narrow_i32x4_u');
  f.op('local.tee', mask).op('local.get', mask).op('i8x16.narrow_i16x8_u');
  f.op(lanes === 4 ? 'v128.store32_lane' : 'v128.store16_lane', offset, 0, 1);
}

/** The 16 bytes of equal lanes; of bools masks. */
export function splatBytes(type: ScalarType, value: number | bigint): number[] {
  const bytes = new DataView(new ArrayBuffer(16));
  const size = type === 'bool' ? 4 : scalarInfo(type).bytes;
  for (let at = 0; at < 16; at += size) {
    if (type === 'f32') bytes.setFloat32(at, Number(value), true);
    else if (type === 'f64') bytes.setFloat64(at, Number(value), true);
    else if (isWideType(type)) bytes.setBigInt64(at, BigInt(value), true);
    else bytes.setInt32(at, type === 'bool' ? -Number(value) : Number(value), true);
  }
  return Array.from(new Uint8Array(bytes.buffer));
}

/**
 * A choice between two values. `scoped` emits what may not run: of a lazy choice with one lane only the
 * branch taken does, with several the second operand where some lane takes it.
 */
export function emitSelect(
  f: FunctionBuilder,
  e: SelectExpr,
  push: (e: Expr) => void,
  scoped: (make: () => void) => void,
  scratch: Scratch,
): void {
  if (emitExtremum(f, e, push)) return;
  const { args, lazy, type: scalar, lanes } = e;
  const [c, a, b] = args;
  const type = valType(scalar, lanes);
  const narrow = lanes === 2 && scalar !== 'bool' && !isWideType(scalar);
  if (lazy && type === 'v128') {
    const [mask, out] = [f.local('v128', 'mask'), f.local('v128', 'lazy')];
    push(c);
    if (narrow) narrowMask(f, scratch);
    f.op('local.set', mask);
    push(b);
    f.op('local.set', out).op('local.get', mask).op('v128.any_true').if_();
    scoped(() => push(a));
    f.op('local.get', out).op('local.get', mask).op('v128.bitselect').op('local.set', out).end();
    f.op('local.get', out);
    return;
  }
  if (lazy) {
    push(c);
    f.if_(type);
    scoped(() => push(a));
    f.else_();
    scoped(() => push(b));
    f.end();
    return;
  }
  push(a);
  push(b);
  push(c);
  if (narrow) narrowMask(f, scratch);
  f.op(type === 'v128' ? 'v128.bitselect' : 'select');
}
