// Division of i32 lanes, for which there is no instruction, by way of f64: the quotient of two 32-bit
// integers is never so near to an integer that rounding to 53 bits could reach it.
// Invariant: the results are those of scalars: 0 for a divisor of 0, and -2^31 / -1 = -2^31.

import type { FunctionBuilder } from './assembler.ts';
import { HALVES } from './shuffles.ts';

const words = (value: number): number[] => {
  const bytes = new Uint8Array(Int32Array.of(value, value, value, value).buffer);
  return Array.from(bytes);
};

/** The quotients or remainders of the two vectors on the stack; takes three v128 locals. */
export function emitIntDivision(
  f: FunctionBuilder,
  fn: 'div' | 'rem',
  [x, y, q]: readonly [number, number, number],
): void {
  f.op('local.set', y).op('local.set', x);
  const half = (which: 'low' | 'high'): void => {
    for (const v of [x, y]) {
      f.op('local.get', v);
      if (which === 'high') f.op('local.get', v).op('i8x16.shuffle', [...HALVES.high]);
      f.op('f64x2.convert_low_i32x4_s');
    }
    f.op('f64x2.div').op('i32x4.trunc_sat_f64x2_s_zero');
  };
  half('low');
  half('high');
  f.op('i8x16.shuffle', [...HALVES.low]);
  // 2^31 is saturated to 2^31 - 1; a mask is -1.
  f.op('local.get', x).op('v128.const', words(-0x80000000)).op('i32x4.eq');
  f.op('local.get', y).op('v128.const', words(-1)).op('i32x4.eq').op('v128.and').op('i32x4.sub');
  if (fn === 'rem') {
    f.op('local.set', q).op('local.get', x);
    f.op('local.get', q).op('local.get', y).op('i32x4.mul').op('i32x4.sub');
  }
  f.op('local.get', y).op('v128.const', words(0)).op('i32x4.ne').op('v128.and');
}
