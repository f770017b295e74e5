// Arithmetic of the interpreter: each operation of the kernel IR on plain numbers, rounded or wrapped as
// the machine types have it.

import { InternalError } from '../core/error.ts';
import { erf, powFloat, powInt, roundHalfEven } from '../util/numeric.ts';
import type { BinaryOp, CompareOp, ScalarType, UnaryOp } from './expr.ts';

const fround = Math.fround;
const f32Bits = new Float32Array(1);
const i32Bits = new Int32Array(f32Bits.buffer);

function mulHighUnsigned(a: number, b: number): number {
  const [al, ah, bl, bh] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16];
  const mid = ah * bl + ((al * bl) >>> 16);
  const mid2 = al * bh + (mid % 0x10000);
  return (ah * bh + Math.floor(mid / 0x10000) + Math.floor(mid2 / 0x10000)) | 0;
}

export const unsupported = (what: string): never => {
  throw new InternalError(`the interpreter has no ${what}`);
};

export function unaryFn(fn: UnaryOp, type: ScalarType): (a: number) => number {
  if (fn === 'not') return (a) => (a === 0 ? 1 : 0);
  if (fn === 'isnan') return (a) => (Number.isNaN(a) ? 1 : 0);
  if (type === 'i32') {
    switch (fn) {
      case 'neg':
        return (a) => -a | 0;
      case 'abs':
        return (a) => (a < 0 ? -a | 0 : a);
      case 'floor':
      case 'ceil':
      case 'trunc':
      case 'nearest':
        return (a) => a;
      default:
        return unsupported(`${fn} of i32`);
    }
  }
  if (type === 'bool') return unsupported(`${fn} of bool`);
  switch (fn) {
    case 'neg':
      return (a) => -a;
    case 'abs':
      return Math.abs;
    case 'floor':
      return Math.floor;
    case 'ceil':
      return Math.ceil;
    case 'trunc':
      return Math.trunc;
    case 'nearest':
      return roundHalfEven;
    case 'sqrt':
      return (a) => fround(Math.sqrt(a));
    case 'exp':
      return (a) => fround(Math.exp(a));
    case 'expm1':
      return (a) => fround(Math.expm1(a));
    case 'log':
      return (a) => fround(Math.log(a));
    case 'log1p':
      return (a) => fround(Math.log1p(a));
    case 'erf':
      return (a) => fround(erf(a));
    case 'tanh':
      return (a) => fround(Math.tanh(a));
    case 'sin':
      return (a) => fround(Math.sin(a));
    case 'cos':
      return (a) => fround(Math.cos(a));
    default:
      return fn satisfies never;
  }
}

export function binaryFn(fn: BinaryOp, type: ScalarType): (a: number, b: number) => number {
  if (type === 'f32') {
    switch (fn) {
      case 'add':
        return (a, b) => fround(a + b);
      case 'sub':
        return (a, b) => fround(a - b);
      case 'mul':
        return (a, b) => fround(a * b);
      case 'div':
        return (a, b) => fround(a / b);
      case 'rem':
        return (a, b) => fround(a % b);
      case 'pow':
        return (a, b) => fround(powFloat(a, b));
      case 'min':
        return Math.min;
      case 'max':
        return Math.max;
      default:
        return unsupported(`${fn} of f32`);
    }
  }
  switch (fn) {
    case 'and':
      return (a, b) => a & b;
    case 'or':
      return (a, b) => a | b;
    case 'xor':
      return (a, b) => a ^ b;
    default:
      if (type === 'bool') return unsupported(`${fn} of bool`);
  }
  switch (fn) {
    case 'add':
      return (a, b) => (a + b) | 0;
    case 'sub':
      return (a, b) => (a - b) | 0;
    case 'mul':
      return Math.imul;
    case 'div':
      return (a, b) => (b === 0 ? 0 : (a / b) | 0);
    case 'rem':
      return (a, b) => (b === 0 ? 0 : (a % b) | 0);
    case 'pow':
      return powInt;
    case 'min':
      return Math.min;
    case 'max':
      return Math.max;
    case 'shl':
      return (a, b) => a << b;
    case 'shr':
      return (a, b) => a >> b;
    case 'shru':
      return (a, b) => (a >>> b) | 0;
    case 'mulhiu':
      return mulHighUnsigned;
    default:
      return fn satisfies never;
  }
}

export function compareFn(fn: CompareOp): (a: number, b: number) => number {
  switch (fn) {
    case 'eq':
      return (a, b) => (a === b ? 1 : 0);
    case 'ne':
      return (a, b) => (a !== b ? 1 : 0);
    case 'lt':
      return (a, b) => (a < b ? 1 : 0);
    case 'le':
      return (a, b) => (a <= b ? 1 : 0);
    case 'gt':
      return (a, b) => (a > b ? 1 : 0);
    case 'ge':
      return (a, b) => (a >= b ? 1 : 0);
    default:
      return fn satisfies never;
  }
}

export function castFn(to: ScalarType, from: ScalarType): (a: number) => number {
  if (to === 'bool') return (a) => (a !== 0 ? 1 : 0);
  if (to === 'f32') return fround;
  if (from === 'bool') return (a) => a;
  return (a) => {
    if (Number.isNaN(a)) return 0;
    return Math.max(-0x80000000, Math.min(0x7fffffff, a)) | 0;
  };
}

export function bitcastFn(to: ScalarType): (a: number) => number {
  if (to === 'i32') {
    return (a) => {
      f32Bits[0] = a;
      return i32Bits[0];
    };
  }
  return (a) => {
    i32Bits[0] = a;
    return f32Bits[0];
  };
}
