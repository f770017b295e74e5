// Host values from what people write: numbers, booleans, typed arrays, NDArrays and nested arrays.
// Data never decides a dtype: numbers are float32 unless a dtype is asked for, booleans are bool.

import {
  type DType,
  dtypeInfo,
  dtypeNames,
  isBig,
  isDType,
  type TypedArray,
  toNumbers,
} from './dtype.ts';
import { DTypeError, ValueError } from './error.ts';
import { NDArray, ndarrayOf } from './ndarray.ts';
import { nameOf } from './options.ts';

/** What can be turned into an NDArray. */
export type ArrayLike =
  | number
  | bigint
  | boolean
  | NDArray
  | TypedArray
  | BigInt64Array
  | readonly ArrayLike[];

/** Whether a value has the outer form of an {@link ArrayLike}. */
export function isArrayLike(x: unknown): x is ArrayLike {
  return (
    typeof x === 'number' ||
    typeof x === 'bigint' ||
    typeof x === 'boolean' ||
    x instanceof NDArray ||
    Array.isArray(x) ||
    dtypeOfTyped(x) !== undefined
  );
}

/** Typed arrays of integers by dtype. Bits of 16-bit floats look like uint16: they need their dtype. */
const STORED = [
  [Int8Array, 'int8'],
  [Uint8Array, 'uint8'],
  [Int16Array, 'int16'],
  [Uint16Array, 'uint16'],
  [Uint32Array, 'uint32'],
  [BigInt64Array, 'int64'],
] as const;

/** The dtype whose storage a typed array is; undefined for anything else. */
export function dtypeOfTyped(x: unknown): DType | undefined {
  if (x instanceof Float32Array) return 'float32';
  if (x instanceof Float64Array) return 'float64';
  if (x instanceof Int32Array) return 'int32';
  for (const [type, dtype] of STORED) if (x instanceof type) return dtype;
  return undefined;
}

/**
 * Converts to an NDArray. Typed arrays and NDArrays keep their dtype and must match `dtype` if it is
 * given (an NDArray of integers is not cast silently). Throws ValueError (`value/ragged`,
 * `value/not-array`, `value/shape`) or DTypeError (`value/dtype`, `value/range`).
 */
export function toNDArray(x: unknown, dtype?: DType, shape?: readonly number[]): NDArray {
  if (dtype !== undefined && !isDType(dtype)) {
    throw new DTypeError('value/dtype', `"${dtype}" is no dtype. Use one of ${dtypeNames()}.`);
  }
  const out = convert(x, dtype);
  if (shape === undefined) return out;
  const size = shape.reduce((a, b) => a * b, 1);
  if (out.data.length === size) return new NDArray(out.dtype, shape, out.data);
  if (out.data.length === 1) {
    const data = dtypeInfo(out.dtype).alloc(size).fill(out.data[0]);
    return new NDArray(out.dtype, shape, data);
  }
  throw new ValueError(
    'value/shape',
    `${out.data.length} elements do not fill the shape (${shape.join(', ')}). ` +
      `Give ${size} elements, or one to repeat.`,
  );
}

function convert(x: unknown, dtype: DType | undefined): NDArray {
  if (x instanceof NDArray) {
    if (dtype !== undefined && x.dtype !== dtype) {
      throw new DTypeError(
        'value/dtype',
        `the value is ${x.dtype}, ${dtype} is needed. Convert it first: Array.from(value.data), or cast().`,
      );
    }
    return x;
  }
  const typed = dtypeOfTyped(x);
  if (typed !== undefined) return fromTyped(x as Float32Array, typed, dtype);
  if (
    typeof x === 'number' ||
    typeof x === 'bigint' ||
    typeof x === 'boolean' ||
    Array.isArray(x)
  ) {
    return fromNested(x as ArrayLike, dtype);
  }
  throw new ValueError(
    'value/not-array',
    `${nameOf(x)} is no tensor value. ` +
      'Use a number, boolean, typed array, NDArray or nested arrays of them.',
  );
}

function fromTyped(x: TypedArray, own: DType, dtype?: DType): NDArray {
  const to = dtype ?? own;
  const bytesAsBool = x instanceof Uint8Array && to === 'bool';
  const isBits = x instanceof Uint16Array && dtypeInfo(to).half !== undefined;
  if (to !== own && !bytesAsBool && !isBits) {
    throw new DTypeError(
      'value/dtype',
      `the value is ${own} (${x.constructor.name}), ${to} is needed. ` +
        `Pass a ${dtypeInfo(to).alloc(0).constructor.name}, or numbers in plain arrays.`,
    );
  }
  const data = dtypeInfo(to).alloc(x.length);
  if (to === 'bool') for (let i = 0; i < x.length; i++) data[i] = x[i] === 0 ? 0 : 1;
  else data.set(x);
  return ndarrayOf(to, [x.length], data);
}

function fromNested(x: ArrayLike, dtype: DType | undefined): NDArray {
  const shape = shapeOf(x);
  const size = shape.reduce((a, b) => a * b, 1);
  const kind = dtype ?? firstKind(x) ?? 'float32';
  const data = dtypeInfo(kind).alloc(size);
  const at = fill(x, 0, shape, kind, data, 0, []);
  if (at !== size) throw new ValueError('value/ragged', 'the nested arrays are ragged.');
  return ndarrayOf(kind, shape, data);
}

/** Lengths along the first elements; the filling checks the others against them. */
function shapeOf(x: ArrayLike): number[] {
  const shape: number[] = [];
  let at: ArrayLike = x;
  while (typeof at === 'object') {
    if (at instanceof NDArray) return [...shape, ...at.shape];
    if (!Array.isArray(at) && !ArrayBuffer.isView(at)) {
      throw new ValueError(
        'value/element',
        `the list holds ${nameOf(at)}, which is no number. Await promises; make one tensor of several with stack().`,
      );
    }
    shape.push(at.length);
    if (at.length === 0 || !Array.isArray(at)) break;
    at = at[0];
  }
  return shape;
}

function firstKind(x: ArrayLike): DType | undefined {
  let at: ArrayLike | undefined = x;
  while (typeof at === 'object') {
    if (at instanceof NDArray) return at.dtype;
    const typed = dtypeOfTyped(at);
    if (typed !== undefined) return typed;
    at = (at as readonly ArrayLike[])[0];
  }
  if (at === undefined) return undefined;
  if (typeof at === 'bigint') return 'int64';
  return typeof at === 'boolean' ? 'bool' : 'float32';
}

function ragged(path: readonly number[], want: number, got: string): ValueError {
  return new ValueError(
    'value/ragged',
    `the nested arrays are ragged: [${path.join('][')}] has ${got}, its siblings have ${want} ` +
      'elements. Make all rows equally long.',
  );
}

function fill(
  x: ArrayLike,
  axis: number,
  shape: readonly number[],
  dtype: DType,
  data: { [i: number]: number },
  at: number,
  path: number[],
): number {
  if (typeof x !== 'object') {
    if (axis !== shape.length) throw ragged(path, shape[axis], 'no elements (a scalar)');
    data[at] = element(x, dtype, path);
    return at + 1;
  }
  if (x instanceof NDArray || !Array.isArray(x)) {
    const rest = x instanceof NDArray ? x.shape : [(x as Float32Array).length];
    const want = shape.slice(axis);
    if (rest.length !== want.length || rest.some((d, i) => d !== want[i])) {
      throw ragged(path, want[0] ?? 0, `shape (${rest.join(', ')})`);
    }
    const values = x instanceof NDArray ? toNumbers(x.dtype, x.data) : (x as unknown as TypedArray);
    for (let i = 0; i < values.length; i++) data[at + i] = element(values[i], dtype, path);
    return at + values.length;
  }
  if (axis >= shape.length) throw ragged(path, 0, `${x.length} elements where others are scalars`);
  if (x.length !== shape[axis]) throw ragged(path, shape[axis], `${x.length} elements`);
  let next = at;
  for (let i = 0; i < x.length; i++) {
    path.push(i);
    next = fill(x[i], axis + 1, shape, dtype, data, next, path);
    path.pop();
  }
  return next;
}

function element(x: unknown, dtype: DType, path: readonly number[]): number {
  const where = path.length > 0 ? ` at [${path.join('][')}]` : '';
  if (dtype === 'bool') {
    if (typeof x === 'boolean') return x ? 1 : 0;
    if (x === 0 || x === 1) return x;
    throw new DTypeError('value/dtype', `${x}${where} is no bool. Use true and false.`);
  }
  if (typeof x !== 'number' && typeof x !== 'bigint') {
    throw new DTypeError(
      'value/dtype',
      `${typeof x} ${String(x)}${where} is no ${dtype}. Use numbers, or cast() a bool tensor.`,
    );
  }
  const { kind, half, min, max } = dtypeInfo(dtype);
  if (kind === 'float') return half ? half.bits(Number(x)) : Number(x);
  if (typeof x !== 'bigint' && !Number.isInteger(x)) {
    throw new DTypeError(
      'value/dtype',
      `${x}${where} is no ${dtype}. Use integers, or round them first.`,
    );
  }
  if (x < min || x > max) {
    throw new DTypeError('value/range', `${x}${where} is beyond ${dtype}. Use ${min} to ${max}.`);
  }
  return (isBig(dtype) ? BigInt(x) : Number(x)) as number;
}
