// The element types of tensors, one table row each. Everything that depends on a dtype (storage,
// kinds, default values) reads this table, so that a new dtype is a new row and not a new `switch`.

/** An element type of a tensor. */
export type DType = 'float32' | 'int32' | 'bool';

/** The host storage of a tensor's elements; `float64` storage serves the exact reference only. */
export type TypedArray = Float32Array | Float64Array | Int32Array | Uint8Array;

/** What kind of numbers a dtype holds. */
export type DTypeKind = 'float' | 'int' | 'bool';

/** One row of the dtype table. */
export interface DTypeInfo {
  readonly name: DType;
  readonly kind: DTypeKind;
  /** Bytes of one element in host memory and in CPU kernels. */
  readonly bytes: number;
  /** Allocates zeroed storage for `n` elements. */
  readonly alloc: (n: number) => TypedArray;
  /** Smallest and largest value the dtype holds (for floats the largest finite ones). */
  readonly min: number;
  readonly max: number;
}

const F32_MAX = 3.4028234663852886e38;

const TABLE: Readonly<Record<DType, DTypeInfo>> = {
  float32: {
    name: 'float32',
    kind: 'float',
    bytes: 4,
    alloc: (n) => new Float32Array(n),
    min: -F32_MAX,
    max: F32_MAX,
  },
  int32: {
    name: 'int32',
    kind: 'int',
    bytes: 4,
    alloc: (n) => new Int32Array(n),
    min: -2147483648,
    max: 2147483647,
  },
  bool: {
    name: 'bool',
    kind: 'bool',
    bytes: 1,
    alloc: (n) => new Uint8Array(n),
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
