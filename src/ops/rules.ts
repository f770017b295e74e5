// What many records share: dtype and broadcasting rules of inference, host iteration for references,
// and the symbolic evaluation of small integer tensors that hold sizes.

import { type Dim, prodDims } from '../core/dim.ts';
import { DTYPES, type DType, type DTypeKind, dtypeInfo } from '../core/dtype.ts';
import { DTypeError, ShapeError } from '../core/error.ts';
import { type HostTensor, sizeOf } from '../core/ndarray.ts';
import { type Dims, shapeToString } from '../core/type.ts';
import type { InferContext, KnownType, ReferenceContext } from '../graph/op.ts';

/** Tensors of sizes are evaluated symbolically up to this many elements. */
export const MAX_VALUES = 64;

/** Demands one dtype of all inputs from `first` on. */
export function sameDType(types: readonly KnownType[], first = 0): DType {
  const { dtype } = types[first];
  for (const t of types.slice(first)) {
    if (t.dtype !== dtype) {
      throw new DTypeError(
        'dtype/mixed',
        `the operands have different dtypes ${dtype} and ${t.dtype}. Cast one of them: cast(x, '${dtype}').`,
      );
    }
  }
  return dtype;
}

/** Demands that a dtype be of one of some kinds. */
export function needKind(dtype: DType, kinds: readonly DTypeKind[]): void {
  if (kinds.includes(dtypeInfo(dtype).kind)) return;
  const names = DTYPES.filter((d) => kinds.includes(dtypeInfo(d).kind));
  throw new DTypeError(
    'dtype/unsupported',
    `${dtype} is not among the dtypes ${names.join(', ')}. Cast the operand first: cast(x, '${names[0]}').`,
  );
}

/** The shape that all inputs broadcast to, with the constraints noted. */
export function broadcastShapes(ctx: InferContext, shapes: readonly Dims[]): Dims {
  let out: Dims = [];
  for (const s of shapes) out = broadcastTwo(ctx, out, s);
  return out;
}

function broadcastTwo(ctx: InferContext, a: Dims, b: Dims): Dims {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a[i - (rank - a.length)];
    const y = b[i - (rank - b.length)];
    if (x === undefined) return y;
    if (y === undefined) return x;
    return ctx.broadcast(
      x,
      y,
      `the shapes ${shapeToString(a)} and ${shapeToString(b)} do not broadcast`,
    );
  });
}

/** Demands an exact rank. */
export function needRank(t: KnownType, rank: number, what: string): void {
  if (t.shape.length === rank) return;
  throw new ShapeError(
    'shape/rank',
    `${what} must have rank ${rank}, it has rank ${t.shape.length}. Reshape it first.`,
  );
}

/** The integers of static dims, or undefined. */
export function staticShape(shape: Dims): number[] | undefined {
  return shape.every((d) => typeof d === 'number') ? (shape as number[]) : undefined;
}

/** Whether contents of this type are tracked symbolically. */
export function tracksValues(t: KnownType): boolean {
  const size = prodDims(t.shape);
  return t.dtype === 'int32' && typeof size === 'number' && size <= MAX_VALUES;
}

/** Elementwise symbolic contents, broadcast to `shape`; null where an input's are unknown. */
export function mapValues(
  ctx: Pick<InferContext, 'types' | 'values'>,
  shape: Dims,
  fn: (...xs: Dim[]) => Dim | null,
): readonly Dim[] | null {
  const out = staticShape(shape);
  if (!out || ctx.types.some((t) => t.dtype !== 'int32') || sizeOf(out) > MAX_VALUES) return null;
  const inputs = ctx.values;
  if (inputs.some((v) => v === null)) return null;
  const at = ctx.types.map((t) => broadcastIndices(t.shape as number[], out));
  const result: Dim[] = [];
  for (let i = 0; i < sizeOf(out); i++) {
    const x = fn(...inputs.map((v, k) => (v as readonly Dim[])[at[k][i]]));
    if (x === null || (typeof x === 'number' && x !== (x | 0))) return null;
    result.push(x);
  }
  return result;
}

/** For each linear index of `out` the linear index of the input broadcast to it. */
export function broadcastIndices(shape: readonly number[], out: readonly number[]): Int32Array {
  const n = sizeOf(out);
  const result = new Int32Array(n);
  const strides = new Array<number>(out.length).fill(0);
  let stride = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] !== 1) strides[i + out.length - shape.length] = stride;
    stride *= shape[i];
  }
  const index = new Array<number>(out.length).fill(0);
  let at = 0;
  for (let i = 0; i < n; i++) {
    result[i] = at;
    for (let a = out.length - 1; a >= 0; a--) {
      at += strides[a];
      if (++index[a] < out[a]) break;
      at -= strides[a] * out[a];
      index[a] = 0;
    }
  }
  return result;
}

/** The shape host values broadcast to. */
export function broadcastHost(shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(0, ...shapes.map((s) => s.length));
  return Array.from({ length: rank }, (_, i) => {
    const sizes = shapes.map((s) => s[i - (rank - s.length)]).filter((d) => d !== undefined);
    return sizes.find((d) => d !== 1) ?? 1;
  });
}

/** An elementwise reference over broadcast inputs. */
export function mapHost(
  ctx: ReferenceContext,
  dtype: DType,
  inputs: readonly HostTensor[],
  fn: (...xs: number[]) => number,
): HostTensor {
  const shape = broadcastHost(inputs.map((x) => x.shape));
  const data = ctx.alloc(dtype, sizeOf(shape));
  const at = inputs.map((x) => broadcastIndices(x.shape, shape));
  const args = new Array<number>(inputs.length);
  for (let i = 0; i < data.length; i++) {
    for (let k = 0; k < inputs.length; k++) args[k] = inputs[k].data[at[k][i]];
    data[i] = fn(...args);
  }
  return { dtype, shape, data };
}

/** Calls `fn` with every index of a shape, in row-major order. */
export function forEachIndex(
  shape: readonly number[],
  fn: (index: readonly number[], linear: number) => void,
): void {
  const n = sizeOf(shape);
  const index = new Array<number>(shape.length).fill(0);
  for (let i = 0; i < n; i++) {
    fn(index, i);
    for (let a = shape.length - 1; a >= 0; a--) {
      if (++index[a] < shape[a]) break;
      index[a] = 0;
    }
  }
}

/** Row-major linear index of integers. */
export function linear(index: readonly number[], shape: readonly number[]): number {
  let at = 0;
  for (let i = 0; i < shape.length; i++) at = at * shape[i] + index[i];
  return at;
}
