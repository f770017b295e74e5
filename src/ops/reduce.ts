// Reductions over axes. One record each, made from its accumulator; the mean is a sum and a division.

import { type Dim, prodDims, sumDims } from '../core/dim.ts';
import {
  type DType,
  type DTypeKind,
  dtypeInfo,
  highest,
  isBig,
  isFloat,
  lowest,
} from '../core/dtype.ts';
import { ShapeError } from '../core/error.ts';
import { type HostTensor, sizeOf } from '../core/ndarray.ts';
import { checkOptions } from '../core/options.ts';
import { resolveAxes, resolveAxis } from '../core/type.ts';
import {
  defineOp,
  type GradientContext,
  type IndexContext,
  type InferContext,
  type OpRecord,
  type ReferenceContext,
} from '../graph/op.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { Expr } from '../kernel/expr.ts';
import * as k from '../kernel/expr.ts';
import { largest } from '../util/numeric.ts';
import { cast } from './basic.ts';
import { equal, select } from './compare.ts';
import {
  AXIS_OPTIONS,
  type AxisOptions,
  applyChecked,
  type OpOptions,
  type TensorLike,
} from './convert.ts';
import { div, mul } from './math.ts';
import { forEachIndex, linear, needKind } from './rules.ts';
import {
  broadcastTo,
  expandDims,
  reshape,
  shape as shapeOf,
  size as sizeAlong,
  transpose,
} from './shape.ts';
import { range } from './slicing.ts';

/** Attributes of a reduction: axes (null: all) and whether they stay with size 1. */
type ReduceAttrs = { readonly axes: readonly number[] | null; readonly keepDims: boolean };

/** Options of the reductions. */
export interface ReduceOptions extends OpOptions {
  /** The axes to reduce, negative from the end; all of them where absent. */
  readonly axis?: number | readonly number[] | null;
  /** Keep the reduced axes with size 1. */
  readonly keepDims?: boolean;
}

function outShape<T extends Dim>(shape: readonly T[], attrs: ReduceAttrs): (T | 1)[] {
  const axes = resolveAxes(attrs.axes, shape.length);
  if (attrs.keepDims) return shape.map((d, i) => (axes.includes(i) ? 1 : d));
  return shape.filter((_, i) => !axes.includes(i));
}

interface Reduction {
  readonly name: string;
  readonly nodeName: string;
  readonly doc: string;
  readonly kinds: readonly DTypeKind[];
  readonly op: 'add' | 'mul' | 'max' | 'min' | 'and' | 'or';
  readonly init: (dtype: DType) => number | bigint;
  readonly step: (acc: number, x: number, dtype: DType) => number;
  readonly value?: (dims: readonly Dim[]) => Dim;
  readonly gradient: (ctx: GradientContext<ReduceAttrs>) => readonly (Tensor | null)[];
}

const ATTRS = { axes: 'axes to reduce; null for all', keepDims: 'keep them with size 1' };

function reduction(op: Reduction): OpRecord<ReduceAttrs> {
  return defineOp<ReduceAttrs>({
    name: op.name,
    nodeName: op.nodeName,
    doc: op.doc,
    inputs: ['x'],
    attrs: ATTRS,
    infer: ({ types: [x], values, attrs }: InferContext<ReduceAttrs>) => {
      needKind(x.dtype, op.kinds);
      const shape = outShape(x.shape, attrs);
      const all = op.value && values[0] && shape.length === 0 ? [op.value(values[0])] : null;
      return { types: [{ dtype: x.dtype, shape }], values: [all] };
    },
    reference: (ctx, [x], attrs) => [
      reduceHost(ctx, x, attrs, op.init(x.dtype), (a, v) => op.step(a, v, x.dtype)),
    ],
    gradient: op.gradient,
    form: {
      kind: 'reduce',
      reduce: (ctx) => {
        const { dtype } = ctx.inputs[0];
        const type = dtypeInfo(dtype).scalar;
        return {
          ...axesOf(ctx),
          accumulators: [{ type, init: k.constant(type, op.init(dtype)), op: op.op }],
          values: (out, red) => [ctx.read(0, joinIndex(ctx, out, red))],
        };
      },
    },
  });
}

function axesOf(ctx: IndexContext<ReduceAttrs>): { extents: Dim[] } {
  const [x] = ctx.inputs;
  return { extents: resolveAxes(ctx.attrs.axes, x.shape.length).map((a) => x.shape[a]) };
}

/** The input's index from the output's and the position along the reduced axes. */
function joinIndex(
  ctx: IndexContext<ReduceAttrs>,
  out: readonly Dim[],
  red: readonly Dim[],
): Dim[] {
  const [x] = ctx.inputs;
  const axes = resolveAxes(ctx.attrs.axes, x.shape.length);
  let o = 0;
  return x.shape.map((_, i) => {
    const r = axes.indexOf(i);
    if (r < 0) return out[o++];
    if (ctx.attrs.keepDims) o++;
    return red[r];
  });
}

function reduceHost(
  ctx: ReferenceContext,
  x: HostTensor,
  attrs: ReduceAttrs,
  init: number | bigint,
  step: (acc: number, v: number) => number,
): HostTensor {
  const axes = resolveAxes(attrs.axes, x.shape.length);
  const kept = x.shape.map((d, i) => (axes.includes(i) ? 1 : d));
  const big = isBig(x.dtype);
  const sums = big ? ctx.alloc(x.dtype, sizeOf(kept)) : new Float64Array(sizeOf(kept));
  sums.fill((big ? BigInt(init) : Number(init)) as number);
  forEachIndex(x.shape, (index, i) => {
    const at = linear(
      index.map((j, a) => (axes.includes(a) ? 0 : j)),
      kept,
    );
    sums[at] = step(sums[at], x.data[i]);
  });
  const data = ctx.alloc(x.dtype, sums.length);
  data.set(sums);
  return { dtype: x.dtype, shape: outShape(x.shape, attrs), data };
}

/** A reduced gradient or result with its axes back, as size 1. */
function restore(x: Tensor, reduced: Tensor, attrs: ReduceAttrs): Tensor {
  if (attrs.keepDims) return reduced;
  const axes = resolveAxes(attrs.axes, x.rank as number);
  return axes.reduce((t, a) => expandDims(t, a), reduced);
}

/** The gradient goes to the elements that are the extreme, in equal shares. */
function extremeGradient({
  inputs: [x],
  outputs,
  grad,
  attrs,
}: GradientContext<ReduceAttrs>): Tensor[] {
  const hit = cast(equal(x, restore(x, outputs[0], attrs)), x.dtype);
  const count = reduceSum(hit, { axis: attrs.axes, keepDims: true });
  return [mul(hit, div(restore(x, grad, attrs), count))];
}

const all = (v: number) => (): number => v;

export const sumOp = reduction({
  name: 'sum',
  nodeName: 'Sum',
  doc: 'The sum over axes; 0 over nothing. int32 wraps around.',
  kinds: ['float', 'int'],
  op: 'add',
  init: all(0),
  step: (a, x, dtype) => (isFloat(dtype) || isBig(dtype) ? a + x : (a + x) | 0),
  value: sumDims,
  gradient: ({ inputs: [x], grad, attrs }) => [broadcastTo(restore(x, grad, attrs), shapeOf(x))],
});

export const prodOp = reduction({
  name: 'prod',
  nodeName: 'Prod',
  doc: 'The product over axes; 1 over nothing. int32 wraps around.',
  kinds: ['float', 'int'],
  op: 'mul',
  init: all(1),
  step: (a, x, dtype) => (isFloat(dtype) || isBig(dtype) ? a * x : Math.imul(a, x)),
  value: prodDims,
  gradient: ({ inputs: [x], grad, attrs }) => [
    mul(restore(x, grad, attrs), othersProduct(x, attrs)),
  ],
});

/**
 * For each element the product of the others: with the reduced axes flattened to one, the product
 * along a further copy of it in which the element itself counts as 1. Right where elements are 0.
 */
function othersProduct(x: Tensor, attrs: ReduceAttrs): Tensor {
  const rank = x.rank as number;
  const axes = resolveAxes(attrs.axes, rank);
  const kept = Array.from({ length: rank }, (_, i) => i).filter((i) => !axes.includes(i));
  const perm = [...kept, ...axes];
  const back = perm.map((_, i) => perm.indexOf(i));
  const moved = transpose(x, perm);
  const rows = reshape(moved, [sizeAlong(x, { axis: kept }), sizeAlong(x, { axis: axes })]);
  const n = sizeAlong(rows, { axis: 1 });
  const index = range(n);
  const own = equal(expandDims(index, 0), expandDims(index, 1));
  const others = reduceProd(select(own, 1, expandDims(rows, 1)), { axis: 2 });
  return transpose(reshape(others, shapeOf(moved)), back);
}

/** A step of bigints, which pass under the type of numbers. */
function ofBig(step: (a: bigint, b: bigint) => bigint, a: number, b: number): number {
  return step(a as unknown as bigint, b as unknown as bigint) as unknown as number;
}

export const maxOp = reduction({
  name: 'max',
  nodeName: 'Max',
  doc: 'The maximum over axes; NaN if any is; -Infinity (the smallest int32) over nothing.',
  kinds: ['float', 'int'],
  op: 'max',
  init: lowest,
  step: (a, x, dtype) => (isBig(dtype) ? ofBig(largest, a, x) : Math.max(a, x)),
  gradient: extremeGradient,
});

export const minOp = reduction({
  name: 'min',
  nodeName: 'Min',
  doc: 'The minimum over axes; NaN if any is; Infinity (the largest int32) over nothing.',
  kinds: ['float', 'int'],
  op: 'min',
  init: highest,
  step: (a, x, dtype) => (isBig(dtype) ? ofBig((p, q) => -largest(-p, -q), a, x) : Math.min(a, x)),
  gradient: extremeGradient,
});

export const allOp = reduction({
  name: 'all',
  nodeName: 'All',
  doc: 'Whether all are true; true over nothing.',
  kinds: ['bool'],
  op: 'and',
  init: all(1),
  step: (a, x) => a & x,
  gradient: () => [null],
});

export const anyOp = reduction({
  name: 'any',
  nodeName: 'Any',
  doc: 'Whether any is true; false over nothing.',
  kinds: ['bool'],
  op: 'or',
  init: all(0),
  step: (a, x) => a | x,
  gradient: () => [null],
});

export const meanOp = defineOp<ReduceAttrs>({
  name: 'mean',
  nodeName: 'Mean',
  doc: 'The mean over axes; NaN over nothing. int32 truncates toward zero.',
  inputs: ['x'],
  attrs: ATTRS,
  infer: ({ types: [x], attrs }) => {
    needKind(x.dtype, ['float', 'int']);
    return { types: [{ dtype: x.dtype, shape: outShape(x.shape, attrs) }] };
  },
  gradient: ({ inputs: [x], grad, attrs }) => {
    const share = div(grad, cast(sizeAlong(x, axisOption(attrs)), x.dtype));
    return [broadcastTo(restore(x, share, attrs), shapeOf(x))];
  },
  form: {
    kind: 'expand',
    expand: ([x], attrs) => {
      const total = reduceSum(x, { axis: attrs.axes, keepDims: attrs.keepDims });
      return [div(total, cast(sizeAlong(x, axisOption(attrs)), x.dtype))];
    },
  },
});

function axisOption(attrs: ReduceAttrs): { axis?: readonly number[] } {
  return attrs.axes === null ? {} : { axis: attrs.axes };
}

type ArgAttrs = { readonly axis: number };

function argOp(
  name: string,
  nodeName: string,
  word: string,
  better: 'gt' | 'lt',
): OpRecord<ArgAttrs> {
  const wins = (x: number, best: number): boolean => (better === 'gt' ? x > best : x < best);
  return defineOp<ArgAttrs>({
    name,
    nodeName,
    doc: `The int32 position of the ${word} along an axis: the first of equals; a NaN counts as the ${word}.`,
    inputs: ['x'],
    attrs: { axis: 'the axis along which' },
    infer: ({ types: [x], attrs }) => {
      needKind(x.dtype, ['float', 'int']);
      const axis = resolveAxis(attrs.axis, x.shape.length);
      if (x.shape[axis] === 0) {
        throw new ShapeError(
          'shape/empty',
          `axis ${axis} has no elements. Reduce an axis with at least one.`,
        );
      }
      return { types: [{ dtype: 'int32', shape: x.shape.filter((_, i) => i !== axis) }] };
    },
    dtypes: () => ['int32'],
    reference: (ctx, [x], attrs) => {
      const axis = resolveAxis(attrs.axis, x.shape.length);
      const shape = x.shape.filter((_, i) => i !== axis);
      const data = ctx.alloc('int32', sizeOf(shape));
      forEachIndex(shape, (index, i) => {
        const at = (j: number): number =>
          x.data[linear([...index.slice(0, axis), j, ...index.slice(axis)], x.shape)];
        let best = 0;
        for (let j = 1; j < x.shape[axis]; j++) {
          const old = at(best);
          if (wins(at(j), old) || (Number.isNaN(at(j)) && !Number.isNaN(old))) best = j;
        }
        data[i] = best;
      });
      return [{ dtype: 'int32', shape, data }];
    },
    gradient: () => [null],
    form: { kind: 'reduce', reduce: (ctx) => argSpec(ctx, better) },
  });
}

function argSpec(ctx: IndexContext<ArgAttrs>, better: 'gt' | 'lt') {
  const [x] = ctx.inputs;
  const axis = resolveAxis(ctx.attrs.axis, x.shape.length);
  const type = dtypeInfo(x.dtype).scalar;
  const init = better === 'lt' ? highest(x.dtype) : lowest(x.dtype);
  return {
    extents: [x.shape[axis]],
    accumulators: [
      { type, init: k.constant(type, init) },
      { type: 'i32' as const, init: k.i32(0) },
    ],
    values: (out: readonly Dim[], red: readonly Dim[]) => [
      ctx.read(0, [...out.slice(0, axis), red[0], ...out.slice(axis)]),
      k.dimValue(red[0]),
    ],
    step: ([best, at]: readonly Expr[], [value, j]: readonly Expr[]) => {
      let wins: Expr = k.compare(better, value, best);
      if (isFloat(x.dtype)) {
        const fresh = k.binary('and', k.compare('ne', value, value), k.compare('eq', best, best));
        wins = k.binary('or', wins, fresh);
      }
      return [k.select(wins, value, best), k.select(wins, j, at)];
    },
    finish: (accs: readonly Expr[]) => accs[1],
  };
}

export const argMaxOp = argOp('argMax', 'ArgMax', 'maximum', 'gt');
export const argMinOp = argOp('argMin', 'ArgMin', 'minimum', 'lt');

export const REDUCE_OPTIONS: readonly (keyof ReduceOptions)[] = ['axis', 'keepDims', 'name'];

/** Adds a reduction for the function `fn` that users call. */
export function reduce(op: string, fn: string, x: TensorLike, options: ReduceOptions): Tensor {
  checkOptions(fn, options, REDUCE_OPTIONS);
  const { axis = null, keepDims = false } = options;
  return applyChecked(op, x, options, { axes: axis === null ? null : [axis].flat(), keepDims });
}

function arg(op: 'argMax' | 'argMin', x: TensorLike, options: AxisOptions): Tensor<'int32'> {
  checkOptions(op, options, AXIS_OPTIONS);
  return applyChecked(op, x, options, { axis: options.axis ?? 0 }) as Tensor<'int32'>;
}

/** The sum over axes (all by default). */
export function reduceSum(x: TensorLike, options: ReduceOptions = {}): Tensor {
  return reduce('sum', 'reduceSum', x, options);
}
/** The mean over axes (all by default). */
export function reduceMean(x: TensorLike, options: ReduceOptions = {}): Tensor {
  return reduce('mean', 'reduceMean', x, options);
}
/** The product over axes (all by default). */
export function reduceProd(x: TensorLike, options: ReduceOptions = {}): Tensor {
  return reduce('prod', 'reduceProd', x, options);
}
/** The maximum over axes (all by default). */
export function reduceMax(x: TensorLike, options: ReduceOptions = {}): Tensor {
  return reduce('max', 'reduceMax', x, options);
}
/** The minimum over axes (all by default). */
export function reduceMin(x: TensorLike, options: ReduceOptions = {}): Tensor {
  return reduce('min', 'reduceMin', x, options);
}
/** Whether all are true over axes (all by default). */
export function reduceAll(x: TensorLike, options: ReduceOptions = {}): Tensor<'bool'> {
  return reduce('all', 'reduceAll', x, options) as Tensor<'bool'>;
}
/** Whether any is true over axes (all by default). */
export function reduceAny(x: TensorLike, options: ReduceOptions = {}): Tensor<'bool'> {
  return reduce('any', 'reduceAny', x, options) as Tensor<'bool'>;
}
/** The position of the maximum along `axis` (0 by default), int32. */
export function argMax(x: TensorLike, options: AxisOptions = {}): Tensor<'int32'> {
  return arg('argMax', x, options);
}
/** The position of the minimum along `axis` (0 by default), int32. */
export function argMin(x: TensorLike, options: AxisOptions = {}): Tensor<'int32'> {
  return arg('argMin', x, options);
}
