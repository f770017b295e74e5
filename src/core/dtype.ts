// The element types of tensors, one table row each. Everything that depends on a dtype (storage,
// kinds, default values) reads this table, so that a new dtype is a new row and not a new `switch`.

/** An element type of a tensor. */
export type DType = 'float32' | 'float64' | 'int32' | 'bool';

/** The machine types that kernels compute in. */
export type ScalarType = 'f32' | 'f64' | 'i32' | 'i64' | 'bool';

/** The host storage of a tensor's elements. */
export type TypedArray = Float32Array | Float64Array | Int32Array | Uint8Array;

/** What kind of numbers a dtype holds. */
export type DTypeKind = 'float' | 'int' | 'bool';

/** One row of the dtype table. */
export interface DTypeInfo {
  readonly name: DType;
  readonly kind: DTypeKind;
  /** The machine type that kernels compute in. */
  readonly scalar: ScalarType;
  /** Bytes of one element in host memory and in CPU kernels. */
  readonly bytes: number;
  /** Allocates zeroed storage for `n` elements. */
  readonly alloc: (n: number) => TypedArray;
  /** The storage of `n` elements that stands at a byte of a buffer, in place. */
  readonly view: (buffer: ArrayBufferLike, at: number, n: number) => TypedArray;
  /** Smallest and largest value the dtype holds (for floats the largest finite ones). */
  readonly min: number;
  readonly max: number;
}

const F32_MAX = 3.4028234663852886e38;

const TABLE: Readonly<Record<DType, DTypeInfo>> = {
  float32: {
    name: 'float32',
    kind: 'float',
    scalar: 'f32',
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
    bytes: 8,
    alloc: (n) => new Float64Array(n),
    view: (buffer, at, n) => new Float64Array(buffer, at, n),
    min: -Number.MAX_VALUE,
    max: Number.MAX_VALUE,
  },
  int32: {
    name: 'int32',
    kind: 'int',
    scalar: 'i32',
    bytes: 4,
    alloc: (n) => new Int32Array(n),
    view: (buffer, at, n) => new Int32Array(buffer, at, n),
    min: -2147483648,
    max: 2147483647,
  },
  bool: {
    name: 'bool',
    kind: 'bool',
    scalar: 'bool',
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
  return TABLE[dtype];
}

/** Whether a string names a dtype. */
export function isDType(name: unknown): name is DType {
  return typeof name === 'string' && Object.hasOwn(TABLE, name);
}

/** Whether a dtype holds floating-point numbers. */
export function isFloat(dtype: DType): boolean {
  return TABLE[dtype].kind === 'float';
}

/** The value that the largest of no elements has: nothing is below it. */
export function lowest(dtype: DType): number {
  return isFloat(dtype) ? Number.NEGATIVE_INFINITY : TABLE[dtype].min;
}

/** The value that the smallest of no elements has: nothing is above it. */
export function highest(dtype: DType): number {
  return isFloat(dtype) ? Number.POSITIVE_INFINITY : TABLE[dtype].max;
}

/** The names of dtypes, for errors that say what to use. */
export function dtypeNames(kinds: readonly DTypeKind[] = ['float', 'int', 'bool']): string {
  return DTYPES.filter((d) => kinds.includes(TABLE[d].kind)).join(', ');
}
