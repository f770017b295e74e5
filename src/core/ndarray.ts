// A host value: dtype, shape of integers, row-major data. What a fetch gives and a feed takes. The
// conversion from nested JavaScript arrays lives in `from-nested.ts`.

import { type DType, dtypeInfo, type NumericDType, type TypedArray } from './dtype.ts';
import { ValueError } from './error.ts';
import { isList, nameOf } from './options.ts';

/** The arrays that `toArray` gives, or a number or boolean for a scalar. */
export type NestedArray = number | bigint | boolean | NestedArray[];

/** The storage type of each dtype. */
export interface DataOf {
  float32: Float32Array;
  float64: Float64Array;
  /** The bits of the numbers. */
  float16: Uint16Array;
  bfloat16: Uint16Array;
  int8: Int8Array;
  uint8: Uint8Array;
  int16: Int16Array;
  uint16: Uint16Array;
  int32: Int32Array;
  uint32: Uint32Array;
  int64: BigInt64Array;
  bool: Uint8Array;
}

/** Marks what is not to be checked: results, which fit, and float64 in place of any float in the exact reference. */
const CHECKED = Symbol('checked');

/**
 * A dense tensor value on the host. Throws DTypeError `dtype/unknown`, ValueError `ndarray/shape` for what is no
 * shape, `ndarray/data` for data that are no typed array of as many elements.
 */
export class NDArray<D extends DType = NumericDType> {
  readonly dtype: D;
  readonly shape: readonly number[];
  /** Row-major elements; `bool` is 0 or 1. */
  readonly data: DataOf[D];

  constructor(dtype: D, shape: readonly number[], data: DataOf[D]);
  constructor(dtype: D, shape: readonly number[], data: DataOf[D], trust?: typeof CHECKED) {
    if (trust !== CHECKED) checkArray(dtype, shape, data);
    this.dtype = dtype;
    this.shape = Object.isFrozen(shape) ? shape : Object.freeze([...shape]);
    this.data = data;
  }

  /** Number of elements. */
  get size(): number {
    return this.data.length;
  }

  /** The only element of a one-element array: a boolean of bools, a bigint of int64, else a number. */
  item(): [D] extends ['bool'] ? boolean : [D] extends ['int64'] ? bigint : number {
    if (this.data.length !== 1) {
      throw new ValueError(
        'ndarray/item',
        `item(): the array has ${this.data.length} elements, got shape ` +
          `(${this.shape.join(', ')}). Use toArray() or data.`,
      );
    }
    const x = this.#number(0);
    return (this.dtype === 'bool' ? x !== 0 : x) as [D] extends ['bool']
      ? boolean
      : [D] extends ['int64']
        ? bigint
        : number;
  }

  /** The elements as nested arrays (a plain number or boolean for a scalar). */
  toArray(): NestedArray {
    const read = (i: number): number | boolean =>
      this.dtype === 'bool' ? this.data[i] !== 0 : this.#number(i);
    let at = 0;
    const build = (axis: number): NestedArray => {
      if (axis === this.shape.length) return read(at++);
      return Array.from({ length: this.shape[axis] }, () => build(axis + 1));
    };
    return build(0);
  }

  #number(i: number): number {
    const { half } = dtypeInfo(this.dtype);
    // The exact reference computes them as numbers.
    const bits = half && this.data instanceof Uint16Array;
    const data = this.data as TypedArray;
    return bits ? half.value(data[i]) : data[i];
  }

  toString(): string {
    return `NDArray ${this.dtype}(${this.shape.join(', ')})`;
  }

  /** What `console.log` shows in Node: type, shape and the first elements. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    const shown = Array.from({ length: Math.min(8, this.data.length) }, (_, i) => {
      const x = this.#number(i);
      return this.dtype === 'bool' ? String(x !== 0) : shortText(x);
    });
    if (this.data.length > 8) shown.push(`… ${this.data.length} elements`);
    return `${this.toString()} [${shown.join(', ')}]`;
  }
}

function checkArray(dtype: DType, shape: unknown, data: unknown): void {
  const storage = tagOf(dtypeInfo(dtype).alloc(0));
  const sizes = isList(shape) ? ([...shape] as number[]) : undefined;
  if (!sizes?.every((d) => Number.isInteger(d) && d >= 0)) {
    throw new ValueError(
      'ndarray/shape',
      `NDArray: ${nameOf(shape)} is no shape. Use a list of integers >= 0.`,
    );
  }
  const size = sizeOf(sizes);
  const tag = tagOf(data);
  const length = tag === undefined ? undefined : (data as TypedArray).length;
  if (tag === storage && length === size) return;
  const got = tag === undefined ? nameOf(data) : `${tag} of ${length}`;
  throw new ValueError(
    'ndarray/data',
    `NDArray: ${dtype}(${sizes.join(', ')}) takes a ${storage} of ${size} elements, got ${got}. ` +
      'Pass one, or feed nested arrays.',
  );
}

/** The kind of a typed array, also of another realm or of a subclass such as Node's Buffer. */
function tagOf(data: unknown): string | undefined {
  return ArrayBuffer.isView(data) ? (data as TypedArray)[Symbol.toStringTag] : undefined;
}

const shortText = (x: number | bigint): string =>
  typeof x === 'bigint' ? String(x) : String(Number(x.toPrecision(7)));

/** Like an NDArray, but with any storage: what the reference computes on. */
export interface HostTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: TypedArray;
}

/** The number of elements of a shape. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

/** An NDArray of zeros. */
export function zerosOf<D extends DType>(dtype: D, shape: readonly number[]): NDArray<D> {
  return new NDArray(dtype, shape, dtypeInfo(dtype).alloc(sizeOf(shape)) as DataOf[D]);
}

const Made = NDArray as new (
  ...args: [...ConstructorParameters<typeof NDArray<NumericDType>>, typeof CHECKED]
) => NDArray;

/** An NDArray of a dtype that only the run knows: elements of 64 bits pass under the type of numbers. */
export function ndarrayOf(dtype: DType, shape: readonly number[], data: TypedArray): NDArray {
  return new Made(dtype as NumericDType, shape, data as DataOf[NumericDType], CHECKED);
}
