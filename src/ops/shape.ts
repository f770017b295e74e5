// Shapes as values, and ops that give elements another place without moving them: views, which the
// planner folds into index expressions.

import { type Dim, dimEquals, floorDiv, modDim, mulDim, ne1Dim, prodDims } from '../core/dim.ts';
import type { DType } from '../core/dtype.ts';
import { ShapeError } from '../core/error.ts';
import { checkList, checkOptions } from '../core/options.ts';
import {
  type Dims,
  linearIndex,
  resolveAxes,
  resolveAxis,
  rowMajorStrides,
  shapeEquals,
  shapeToString,
} from '../core/type.ts';
import { getDefaultGraph } from '../graph/graph.ts';
import { defineOp } from '../graph/op.ts';
import type { Tensor } from '../graph/tensor.ts';
import { compare, dimValue, type Expr, select } from '../kernel/expr.ts';
import {
  applyChecked,
  applyUnary,
  inGraphOf,
  OP_OPTIONS,
  type OpOptions,
  type TensorLike,
  toTensor,
} from './convert.ts';
import { moveHost, moveValues } from './movement.ts';
import { resolveReshape, type ShapeLike, shapeFromInput, shapeTensor } from './sizes.ts';

export const shapeOp = defineOp({
  name: 'shape',
  nodeName: 'Shape',
  doc: 'The sizes of x as an int32 vector.',
  inputs: ['x'],
  attrs: {},
  infer: ({ types: [x] }) => ({
    types: [{ dtype: 'int32', shape: [x.shape.length] }],
    values: [x.shape],
  }),
  dtypes: () => ['int32'],
  reference: (ctx, [x]) => {
    const data = ctx.alloc('int32', x.shape.length);
    data.set(x.shape);
    return [{ dtype: 'int32', shape: [x.shape.length], data }];
  },
  gradient: () => [null],
  form: { kind: 'index', at: ({ inputs: [x] }, [i]) => pick(x.shape, i) },
});

/** `dims[i]` for an index that only the kernel knows. */
function pick(dims: Dims, i: Dim): Expr {
  if (typeof i === 'number') return dimValue(dims[i]);
  const rest = dims.slice(0, -1).map(dimValue);
  const last = dimValue(dims[dims.length - 1] ?? 0);
  return rest.reduceRight(
    (out, d, j) => select(compare('eq', dimValue(i), dimValue(j)), d, out),
    last,
  );
}

export const sizeOp = defineOp<{ readonly axes: readonly number[] | null }>({
  name: 'size',
  nodeName: 'Size',
  doc: 'The number of elements of x along some axes (all where null), as an int32 scalar.',
  inputs: ['x'],
  attrs: { axes: 'axes to count along' },
  infer: ({ types: [x], attrs }) => {
    const dims = resolveAxes(attrs.axes, x.shape.length).map((a) => x.shape[a]);
    return { types: [{ dtype: 'int32', shape: [] }], values: [[prodDims(dims)]] };
  },
  dtypes: () => ['int32'],
  reference: (ctx, [x], attrs) => {
    const data = ctx.alloc('int32', 1);
    data[0] = resolveAxes(attrs.axes, x.shape.length).reduce((n, a) => n * x.shape[a], 1);
    return [{ dtype: 'int32', shape: [], data }];
  },
  gradient: () => [null],
  form: {
    kind: 'index',
    at: ({ inputs: [x], attrs }) =>
      dimValue(prodDims(resolveAxes(attrs.axes, x.shape.length).map((a) => x.shape[a]))),
  },
});

/** The index into a tensor of another shape with the same elements in the same order. */
function reindex(index: readonly Dim[], from: Dims, to: Dims): Dim[] {
  if (shapeEquals(from, to)) return [...index];
  const flat = linearIndex(index, from);
  const strides = rowMajorStrides(to);
  return to.map((d, i) => {
    const q = floorDiv(flat, strides[i]);
    return i === 0 ? q : modDim(q, d);
  });
}

export const reshapeOp = defineOp({
  name: 'reshape',
  nodeName: 'Reshape',
  doc: 'The elements of x in row-major order under another shape; one size may be -1.',
  inputs: ['x', 'shape'],
  attrs: {},
  infer: (ctx) => {
    const [x] = ctx.types;
    const shape = resolveReshape(ctx, shapeFromInput(ctx, 1), x.shape);
    return {
      types: [{ dtype: x.dtype, shape }],
      values: [x.dtype === 'int32' ? ctx.values[0] : null],
    };
  },
  reference: (_, [x, s]) => {
    const wanted = Array.from(s.data);
    const rest = wanted.reduce((n, d) => (d === -1 ? n : n * d), 1);
    const shape = wanted.map((d) => (d === -1 ? x.data.length / rest : d));
    return [{ dtype: x.dtype, shape, data: x.data }];
  },
  gradient: ({ inputs: [x], grad }) => [reshape(grad, shape(x)), null],
  movesData: true,
  form: {
    kind: 'view',
    view: ({ inputs: [x], output }, index) => reindex(index, output.shape, x.shape),
  },
});

export const transposeOp = defineOp<{ readonly perm: readonly number[] | null }>({
  name: 'transpose',
  nodeName: 'Transpose',
  doc: 'Axis i of the result is axis perm[i] of x; without perm the axes are reversed.',
  inputs: ['x'],
  attrs: { perm: 'a permutation of the axes' },
  infer: (ctx) => {
    const [x] = ctx.types;
    const perm = permutation(ctx.attrs.perm, x.shape);
    const out = perm.map((p) => x.shape[p]);
    const back = inverse(perm);
    return {
      types: [{ dtype: x.dtype, shape: out }],
      values: [moveValues(ctx, out, (index) => back.map((p) => index[p]))],
    };
  },
  reference: (ctx, [x], attrs) => {
    const perm = permutation(attrs.perm, x.shape);
    const back = inverse(perm);
    return [
      moveHost(
        ctx,
        x,
        perm.map((p) => x.shape[p]),
        (index) => back.map((p) => index[p]),
      ),
    ];
  },
  gradient: ({ inputs: [x], grad, attrs }) => [
    transpose(grad, attrs.perm === null ? null : inverse(permutation(attrs.perm, x.shape as Dims))),
  ],
  movesData: true,
  form: {
    kind: 'view',
    view: ({ inputs: [x], attrs }, index) =>
      inverse(permutation(attrs.perm, x.shape)).map((p) => index[p]),
  },
});

function permutation(perm: readonly number[] | null, shape: Dims): number[] {
  const rank = shape.length;
  if (perm === null) return Array.from({ length: rank }, (_, i) => rank - 1 - i);
  const out = perm.map((p) => resolveAxis(p, rank));
  if (new Set(out).size !== rank) {
    throw new ShapeError(
      'shape/permutation',
      `perm [${perm}] is no permutation of ${rank} axes. Name each axis once.`,
    );
  }
  return out;
}

function inverse(perm: readonly number[]): number[] {
  const out = new Array<number>(perm.length);
  perm.forEach((p, i) => {
    out[p] = i;
  });
  return out;
}

export const broadcastToOp = defineOp({
  name: 'broadcastTo',
  nodeName: 'BroadcastTo',
  doc: 'x repeated along axes of size 1, and along new leading axes.',
  inputs: ['x', 'shape'],
  attrs: {},
  infer: (ctx) => {
    const [x] = ctx.types;
    const to = shapeFromInput(ctx, 1);
    const lead = to.length - x.shape.length;
    if (lead < 0) {
      throw new ShapeError(
        'shape/broadcast',
        `the shape ${shapeToString(x.shape)} has more axes than ${shapeToString(to)}. Reshape x first.`,
      );
    }
    x.shape.forEach((d, i) => {
      const got = ctx.broadcast(d, to[i + lead], 'x does not broadcast to the shape');
      ctx.equal(got, to[i + lead], 'x does not broadcast to the shape');
    });
    return { types: [{ dtype: x.dtype, shape: to }] };
  },
  reference: (ctx, [x, s]) => {
    const to = Array.from(s.data);
    const lead = to.length - x.shape.length;
    return [
      moveHost(ctx, x, to, (index) => x.shape.map((d, i) => (d === 1 ? 0 : index[i + lead]))),
    ];
  },
  gradient: ({ inputs: [x], grad }) => [
    getDefaultGraph()
      .add('unbroadcast', [grad, shape(x)], {})
      .output(),
    null,
  ],
  movesData: true,
  form: {
    kind: 'view',
    view: ({ inputs: [x], output }, index) => {
      const lead = output.shape.length - x.shape.length;
      return x.shape.map((d, i) => {
        if (d === 1) return 0;
        const at = index[i + lead];
        return dimEquals(d, output.shape[i + lead]) ? at : mulDim(at, ne1Dim(d));
      });
    },
  },
});

export const expandDimsOp = defineOp<{ readonly axis: number }>({
  name: 'expandDims',
  nodeName: 'ExpandDims',
  doc: 'x with a new axis of size 1 at a position of the result.',
  inputs: ['x'],
  attrs: { axis: 'where the new axis stands' },
  infer: ({ types: [x], values, attrs }) => {
    const at = resolveAxis(attrs.axis, x.shape.length + 1);
    const out = [...x.shape.slice(0, at), 1, ...x.shape.slice(at)];
    return { types: [{ dtype: x.dtype, shape: out }], values };
  },
  reference: (_, [x], attrs) => {
    const at = resolveAxis(attrs.axis, x.shape.length + 1);
    return [{ ...x, shape: [...x.shape.slice(0, at), 1, ...x.shape.slice(at)] }];
  },
  gradient: ({ inputs: [x], grad }) => [reshape(grad, shape(x))],
  movesData: true,
  form: {
    kind: 'view',
    view: ({ inputs: [x], attrs }, index) => {
      const at = resolveAxis(attrs.axis, x.shape.length + 1);
      return index.filter((_, i) => i !== at);
    },
  },
});

function squeezed(axes: readonly number[] | null, from: Dims): number[] {
  if (axes === null) return from.flatMap((d, i) => (d === 1 ? [i] : []));
  return resolveAxes(axes, from.length);
}

export const squeezeOp = defineOp<{ readonly axes: readonly number[] | null }>({
  name: 'squeeze',
  nodeName: 'Squeeze',
  doc: 'x without axes of size 1: those given, or all whose size is known to be 1.',
  inputs: ['x'],
  attrs: { axes: 'axes to drop' },
  infer: ({ types: [x], values, attrs, equal }) => {
    const drop = squeezed(attrs.axes, x.shape);
    for (const a of drop) equal(x.shape[a], 1, 'a squeezed axis must have size 1');
    return {
      types: [{ dtype: x.dtype, shape: x.shape.filter((_, i) => !drop.includes(i)) }],
      values,
    };
  },
  reference: (_, [x], attrs) => {
    const drop = squeezed(attrs.axes, x.shape);
    return [{ ...x, shape: x.shape.filter((_, i) => !drop.includes(i)) }];
  },
  gradient: ({ inputs: [x], grad }) => [reshape(grad, shape(x))],
  movesData: true,
  form: {
    kind: 'view',
    view: ({ inputs: [x], attrs }, index) => {
      const drop = squeezed(attrs.axes, x.shape);
      let i = 0;
      return x.shape.map((_, a) => (drop.includes(a) ? 0 : index[i++]));
    },
  },
});

/** The sizes of x as an int32 vector. */
export function shape(x: TensorLike, options?: OpOptions): Tensor<'int32'> {
  return applyUnary('shape', x, options) as Tensor<'int32'>;
}

/** Options with one axis or several. */
export interface AxesOptions extends OpOptions {
  readonly axis?: number | readonly number[];
}

const AXES_OPTIONS: readonly (keyof AxesOptions)[] = ['axis', 'name'];

function alongAxes(op: 'size' | 'squeeze', x: TensorLike, options: AxesOptions): Tensor {
  checkOptions(op, options, AXES_OPTIONS);
  const axes = options.axis === undefined ? null : [options.axis].flat();
  return applyChecked(op, x, options, { axes });
}

/** The number of elements of x, or along `axis` alone, as an int32 scalar. */
export function size(x: TensorLike, options: AxesOptions = {}): Tensor<'int32'> {
  return alongAxes('size', x, options) as Tensor<'int32'>;
}

/**
 * The elements of x under another shape. `to` holds sizes (numbers, int32 scalars, one -1 for what is
 * left) or is an int32 vector tensor. Throws ShapeError `shape/mismatch` where the counts differ.
 */
export function reshape(x: TensorLike, to: ShapeLike, options: OpOptions = {}): Tensor {
  checkOptions('reshape', options, OP_OPTIONS);
  return inGraphOf([x], () =>
    getDefaultGraph()
      .add('reshape', [toTensor(x), shapeTensor(to)], {}, options)
      .output(),
  );
}

/** x with its axes in the order `perm`, reversed without it. */
export function transpose(
  x: TensorLike,
  perm: readonly number[] | null = null,
  options?: OpOptions,
): Tensor {
  if (perm !== null) checkList('transpose: perm', perm);
  return applyUnary('transpose', x, options, { perm: perm && [...perm] });
}

/** x repeated to a shape that it broadcasts to. */
export function broadcastTo(x: TensorLike, to: ShapeLike, options: OpOptions = {}): Tensor {
  checkOptions('broadcastTo', options, OP_OPTIONS);
  return inGraphOf([x], () =>
    getDefaultGraph()
      .add('broadcastTo', [toTensor(x), shapeTensor(to)], {}, options)
      .output(),
  );
}

/** x with a new axis of size 1 at `axis` of the result (negative from the end). */
export function expandDims(x: TensorLike, axis: number, options?: OpOptions): Tensor {
  return applyUnary('expandDims', x, options, { axis });
}

/** x without axes of size 1. */
export function squeeze(x: TensorLike, options: AxesOptions = {}): Tensor {
  return alongAxes('squeeze', x, options);
}

/** A tensor of one value. */
export function fill(to: ShapeLike, value: TensorLike, options: OpOptions = {}): Tensor {
  checkOptions('fill', options, OP_OPTIONS);
  return broadcastTo(value, to, { name: options.name ?? 'Fill' });
}

/** Options of {@link zeros} and {@link ones}. */
export interface FillOptions extends OpOptions {
  /** float32 by default. */
  readonly dtype?: DType;
}

const FILL_OPTIONS: readonly (keyof FillOptions)[] = ['dtype', 'name'];

/** Zeros. */
export function zeros(to: ShapeLike, options: FillOptions = {}): Tensor {
  checkOptions('zeros', options, FILL_OPTIONS);
  return fill(to, filler(0, options.dtype), { name: options.name ?? 'zeros' });
}

/** Ones. */
export function ones(to: ShapeLike, options: FillOptions = {}): Tensor {
  checkOptions('ones', options, FILL_OPTIONS);
  return fill(to, filler(1, options.dtype), { name: options.name ?? 'ones' });
}

function filler(value: 0 | 1, dtype: DType = 'float32'): Tensor {
  return toTensor(dtype === 'bool' ? value === 1 : value, dtype);
}

/** Zeros of the shape and dtype of x. */
export function zerosLike(x: TensorLike, options: OpOptions = {}): Tensor {
  checkOptions('zerosLike', options, OP_OPTIONS);
  const t = toTensor(x);
  return inGraphOf([t], () =>
    broadcastTo(filler(0, t.dtype), shape(t), { name: options.name ?? 'zeros_like' }),
  );
}

/** Ones of the shape and dtype of x. */
export function onesLike(x: TensorLike, options: OpOptions = {}): Tensor {
  checkOptions('onesLike', options, OP_OPTIONS);
  const t = toTensor(x);
  return inGraphOf([t], () =>
    broadcastTo(filler(1, t.dtype), shape(t), { name: options.name ?? 'ones_like' }),
  );
}
