// The element types of tensors, one table row each. Everything that depends on a dtype (storage,
// kinds, default values) reads this table, so that a new dtype is a new row and not a new `switch`.

import { DTypeError } from './error.ts';
import { bfloatBits, bfloatValue, halfBits, halfValue, roundBfloat, roundHalf } from './half.ts';
import { nameOf } from './options.ts';

/** An element type of a tensor. */
export type DType =
  | 'float32'
  | 'float64'
  | 'float16'
  | 'bfloat16'
  | 'int8'
  | 'uint8'
  | 'int16'
  | 'uint16'
  | 'int32'
  | 'uint32'
  | 'int64'
  | 'bool';

/** The machine types that kernels compute in. */
export type ScalarType = 'f32' | 'f64' | 'i32' | 'u32' | 'i64' | 'bool';

/**
 * How elements stand in memory: as a machine type, or in 8 or 16 bits that are widened to an i32. `f16` are the
 * bits of a float16, loaded and stored as those of `u16` are; its name says what a device may know them by.
 */
export type StorageType = ScalarType | 'i8' | 'u8' | 'i16' | 'u16' | 'f16';

/** A float of 16 bits as numbers: the nearest one, what bits stand for, and the bits of a number. */
export interface HalfFloat {
  /** Bits of the exponent and of the mantissa behind the point. */
  readonly exponent: 5 | 8;
  readonly mantissa: number;
  readonly round: (x: number) => number;
  readonly value: (bits: number) => number;
  readonly bits: (x: number) => number;
}

/** The dtypes whose elements are numbers (or booleans) on the host: all but int64, which has bigints. */
export type NumericDType = Exclude<DType, 'int64'>;

/** The host storage of a tensor's elements. */
export type TypedArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array;

/** What kind of numbers a dtype holds. */
export type DTypeKind = 'float' | 'int' | 'bool';

/** One row of the dtype table. */
export interface DTypeInfo {
  readonly name: DType;
  readonly kind: DTypeKind;
  /** The machine type that kernels compute in. */
  readonly scalar: ScalarType;
  /** How an element stands in memory; floats of 16 bits as their bits. */
  readonly storage: StorageType;
  /** For floats of 16 bits. */
  readonly half?: HalfFloat;
  /** Bytes of one element in host memory and in CPU kernels. */
  readonly bytes: number;
  /** Allocates zeroed storage for `n` elements. */
  readonly alloc: (n: number) => TypedArray;
  /** The storage of `n` elements that stands at a byte of a buffer, in place. */
  readonly view: (buffer: ArrayBufferLike, at: number, n: number) => TypedArray;
  /** Smallest and largest value the dtype holds (for floats the largest finite ones). */
  readonly min: number | bigint;
  readonly max: number | bigint;
}

const F32_MAX = 3.4028234663852886e38;

/**
 * Elements of 64 bits pass under the type of those that are numbers: whoever computes with them asks for
 * {@link isBig} first.
 */
const bigints = (data: BigInt64Array): TypedArray => data as unknown as TypedArray;

const BF16_MAX = 3.3895313892515355e38;

const TABLE: Readonly<Record<DType, DTypeInfo>> = {
  float32: {
    name: 'float32',
    kind: 'float',
    scalar: 'f32',
    storage: 'f32',
    bytes: 4,
    alloc: (n) => new Float32Array(n),
    view: (buffer, at, n) => new Float32Array(buffer, at, n),
    min: -F32_MAX,
    max: F32_MAX,
  },
  float64: {
    name: 'float64',
    kind: 'float',
    scalar: 'f64',
    storage: 'f64',
    bytes: 8,
    alloc: (n) => new Float64Array(n),
    view: (buffer, at, n) => new Float64Array(buffer, at, n),
    min: -Number.MAX_VALUE,
    max: Number.MAX_VALUE,
  },
  float16: {
    name: 'float16',
    kind: 'float',
    scalar: 'f32',
    storage: 'f16',
    bytes: 2,
    alloc: (n) => new Uint16Array(n),
    view: (buffer, at, n) => new Uint16Array(buffer, at, n),
    min: -65504,
    max: 65504,
    half: { exponent: 5, mantissa: 10, round: roundHalf, value: halfValue, bits: halfBits },
  },
  bfloat16: {
    name: 'bfloat16',
    kind: 'float',
    scalar: 'f32',
    storage: 'u16',
    bytes: 2,
    alloc: (n) => new Uint16Array(n),
    view: (buffer, at, n) => new Uint16Array(buffer, at, n),
    min: -BF16_MAX,
    max: BF16_MAX,
    half: { exponent: 8, mantissa: 7, round: roundBfloat, value: bfloatValue, bits: bfloatBits },
  },
  int8: {
    name: 'int8',
    kind: 'int',
    scalar: 'i32',
    storage: 'i8',
    bytes: 1,
    alloc: (n) => new Int8Array(n),
    view: (buffer, at, n) => new Int8Array(buffer, at, n),
    min: -128,
    max: 127,
  },
  uint8: {
    name: 'uint8',
    kind: 'int',
    scalar: 'i32',
    storage: 'u8',
    bytes: 1,
    alloc: (n) => new Uint8Array(n),
    view: (buffer, at, n) => new Uint8Array(buffer, at, n),
    min: 0,
    max: 255,
  },
  int16: {
    name: 'int16',
    kind: 'int',
    scalar: 'i32',
    storage: 'i16',
    bytes: 2,
    alloc: (n) => new Int16Array(n),
    view: (buffer, at, n) => new Int16Array(buffer, at, n),
    min: -32768,
    max: 32767,
  },
  uint16: {
    name: 'uint16',
    kind: 'int',
    scalar: 'i32',
    storage: 'u16',
    bytes: 2,
    alloc: (n) => new Uint16Array(n),
    view: (buffer, at, n) => new Uint16Array(buffer, at, n),
    min: 0,
    max: 65535,
  },
  int32: {
    name: 'int32',
    kind: 'int',
    scalar: 'i32',
    storage: 'i32',
    bytes: 4,
    alloc: (n) => new Int32Array(n),
    view: (buffer, at, n) => new Int32Array(buffer, at, n),
    min: -2147483648,
    max: 2147483647,
  },
  uint32: {
    name: 'uint32',
    kind: 'int',
    scalar: 'u32',
    storage: 'u32',
    bytes: 4,
    alloc: (n) => new Uint32Array(n),
    view: (buffer, at, n) => new Uint32Array(buffer, at, n),
    min: 0,
    max: 4294967295,
  },
  int64: {
    name: 'int64',
    kind: 'int',
    scalar: 'i64',
    storage: 'i64',
    bytes: 8,
    alloc: (n) => bigints(new BigInt64Array(n)),
    view: (buffer, at, n) => bigints(new BigInt64Array(buffer, at, n)),
    min: -(2n ** 63n),
    max: 2n ** 63n - 1n,
  },
  bool: {
    name: 'bool',
    kind: 'bool',
    scalar: 'bool',
    storage: 'bool',
    bytes: 1,
    alloc: (n) => new Uint8Array(n),
    view: (buffer, at, n) => new Uint8Array(buffer, at, n),
    min: 0,
    max: 1,
  },
};

/** All dtypes, in table order. */
export const DTYPES: readonly DType[] = Object.keys(TABLE) as DType[];

/** The table row of a dtype. */
export function dtypeInfo(dtype: DType): DTypeInfo {
  return TABLE[dtype] ?? noDType(dtype);
}

function noDType(name: unknown): never {
  throw new DTypeError(
    'dtype/unknown',
    `there is no dtype ${nameOf(name)}. Use one of ${dtypeNames()}.`,
  );
}

/** Whether a string names a dtype. */
export function isDType(name: unknown): name is DType {
  return typeof name === 'string' && Object.hasOwn(TABLE, name);
}

/** Whether a dtype holds floating-point numbers. */
export function isFloat(dtype: DType): boolean {
  return dtypeInfo(dtype).kind === 'float';
}

/** The value that the largest of no elements has: nothing is below it. */
export function lowest(dtype: DType): number | bigint {
  return isFloat(dtype) ? Number.NEGATIVE_INFINITY : TABLE[dtype].min;
}

/** The value that the smallest of no elements has: nothing is above it. */
export function highest(dtype: DType): number | bigint {
  return isFloat(dtype) ? Number.POSITIVE_INFINITY : TABLE[dtype].max;
}

/** The names of dtypes, for errors that say what to use. */
export function dtypeNames(kinds: readonly DTypeKind[] = ['float', 'int', 'bool']): string {
  return DTYPES.filter((d) => kinds.includes(TABLE[d].kind)).join(', ');
}

/** Whether a dtype's values fill less than the machine type that computes them. */
export function isNarrow(dtype: DType): boolean {
  const { scalar, storage } = dtypeInfo(dtype);
  return scalar !== storage;
}

/** Elements as numbers: those of 16-bit floats from their bits, all others as they are. */
export function toNumbers(dtype: DType, data: TypedArray): TypedArray {
  const { half } = dtypeInfo(dtype);
  if (!half || !(data instanceof Uint16Array)) return data;
  return Float32Array.from(data, half.value);
}

/** Elements as they are stored: those of 16-bit floats as bits. */
export function toStorage(dtype: DType, data: TypedArray): TypedArray {
  const { half } = dtypeInfo(dtype);
  if (!half || data instanceof Uint16Array) return data;
  return Uint16Array.from(data, half.bits);
}

/** Whether elements are bigints on the host. */
export function isBig(dtype: DType): boolean {
  const { kind, bytes } = dtypeInfo(dtype);
  return kind === 'int' && bytes === 8;
}

/** A number as an element of a dtype's storage: a bigint where elements are. */
export function elementOf(dtype: DType, value: number): number {
  return (isBig(dtype) ? BigInt(value) : value) as number;
}
