// Conversions by value from one machine type to another, of scalars and of vectors. Vectors for which there
// is no instruction go lane by lane.
// Invariant: what the kernel IR says of casts: floats to integers truncate, saturate and give 0 for NaN.

import type { Lanes, ScalarType } from '../../kernel/expr.ts';
import { isFloatType, isWideType } from '../../kernel/scalar.ts';
import type { FunctionBuilder } from './assembler.ts';
import { laneShape, narrowMask, type Scratch, splatBytes, valType } from './instructions.ts';

/** Instructions between scalars; what is missing needs none. */
const SCALAR: Readonly<Record<string, string>> = {
  'f32 f64': 'f64.promote_f32',
  'f64 f32': 'f32.demote_f64',
  'f32 i32': 'i32.trunc_sat_f32_s',
  'f64 i32': 'i32.trunc_sat_f64_s',
  'f32 i64': 'i64.trunc_sat_f32_s',
  'f64 i64': 'i64.trunc_sat_f64_s',
  'i32 f32': 'f32.convert_i32_s',
  'i32 f64': 'f64.convert_i32_s',
  'i64 f32': 'f32.convert_i64_s',
  'i64 f64': 'f64.convert_i64_s',
  'i32 i64': 'i64.extend_i32_s',
  'f32 u32': 'i32.trunc_sat_f32_u',
  'f64 u32': 'i32.trunc_sat_f64_u',
  'u32 f32': 'f32.convert_i32_u',
  'u32 f64': 'f64.convert_i32_u',
  'u32 i64': 'i64.extend_i32_u',
  'i64 u32': 'i32.wrap_i64',
  'i64 i32': 'i32.wrap_i64',
  'bool f32': 'f32.convert_i32_u',
  'bool f64': 'f64.convert_i32_u',
  'bool i64': 'i64.extend_i32_u',
};

/** Instructions between vectors, of as many lanes as the wider type has. */
const VECTOR: Readonly<Record<string, string>> = {
  'f32 i32': 'i32x4.trunc_sat_f32x4_s',
  'i32 f32': 'f32x4.convert_i32x4_s',
  'f32 f64': 'f64x2.promote_low_f32x4',
  'f64 f32': 'f32x4.demote_f64x2_zero',
  'i32 f64': 'f64x2.convert_low_i32x4_s',
  'f64 i32': 'i32x4.trunc_sat_f64x2_s_zero',
  'i32 i64': 'i64x2.extend_low_i32x4_s',
  'f32 u32': 'i32x4.trunc_sat_f32x4_u',
  'u32 f32': 'f32x4.convert_i32x4_u',
  'u32 f64': 'f64x2.convert_low_i32x4_u',
  'f64 u32': 'i32x4.trunc_sat_f64x2_u_zero',
  'u32 i64': 'i64x2.extend_low_i32x4_u',
};

const ZERO = new Array<number>(16).fill(0);

/** Converts the value on the stack. */
export function emitCast(
  f: FunctionBuilder,
  from: ScalarType,
  to: ScalarType,
  lanes: Lanes,
  scratch: Scratch,
): void {
  if (lanes === 1) castScalar(f, from, to);
  else if (to === 'bool') {
    f.op('v128.const', ZERO).op(`${laneShape(from, lanes)}.ne`);
    if (lanes === 2 && !isWideType(from)) f.op('i64x2.extend_low_i32x4_s');
  } else if (from === 'bool') {
    if (lanes === 2 && !isWideType(to)) narrowMask(f, scratch);
    f.op('v128.const', splatBytes(to, 1)).op('v128.and');
  } else if (valType(from, 1) === valType(to, 1)) {
    // The same bits.
  } else if (from === 'i64' && !isFloatType(to)) narrowMask(f, scratch);
  else if (VECTOR[`${from} ${to}`]) f.op(VECTOR[`${from} ${to}`]);
  else castLanes(f, from, to, lanes, scratch);
}

function castScalar(f: FunctionBuilder, from: ScalarType, to: ScalarType): void {
  if (to !== 'bool') {
    const op = SCALAR[`${from} ${to}`];
    if (op) f.op(op);
    return;
  }
  const t = valType(from, 1);
  if (isFloatType(from)) f.op(`${t}.const`, 0);
  else if (isWideType(from)) f.op('i64.const', 0n);
  else f.op('i32.const', 0);
  f.op(`${t}.ne`);
}

function castLanes(
  f: FunctionBuilder,
  from: ScalarType,
  to: ScalarType,
  lanes: Lanes,
  scratch: Scratch,
): void {
  const [a, out] = [scratch('v128', 2), scratch('v128', 3)];
  f.op('local.set', a);
  for (let lane = 0; lane < lanes; lane++) {
    if (lane > 0) f.op('local.get', out);
    f.op('local.get', a).op(`${laneShape(from, lanes)}.extract_lane`, lane);
    castScalar(f, from, to);
    const put = `${laneShape(to, lanes)}.${lane === 0 ? 'splat' : 'replace_lane'}`;
    f.op(put, ...(lane === 0 ? [] : [lane])).op('local.set', out);
  }
  f.op('local.get', out);
}
