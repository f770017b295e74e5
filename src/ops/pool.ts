// Pooling: the maximum or the mean of each window. The maximum's gradient goes to the first of the
// largest elements in row-major order; the mean counts real elements only, no padding.

import { lowest } from '../core/dtype.ts';
import { ShapeError, ValueError } from '../core/error.ts';
import { checkOptions } from '../core/options.ts';
import { shapeToString } from '../core/type.ts';
import { getDefaultGraph } from '../graph/graph.ts';
import { defineOp, type InferContext, type InferResult } from '../graph/op.ts';
import type { Tensor } from '../graph/tensor.ts';
import { cast } from './basic.ts';
import { layoutOf, paddingOf, perAxis, WINDOW_OPTIONS, type WindowOptions } from './conv-calls.ts';
import { constantOf, inGraphOf, named, type TensorLike, toTensor } from './convert.ts';
import { add, div, maximum, minimum, mul, sub } from './math.ts';
import { argMax, reduceMax, reduceSum } from './reduce.ts';
import { needKind } from './rules.ts';
import { broadcastTo, expandDims, reshape, shape as shapeOf } from './shape.ts';
import { range } from './slicing.ts';
import {
  countAlong,
  cropAxes,
  inferCount,
  type Padding,
  padAxes,
  paddingAlong,
  SIZES,
  type Size,
  sizesAt,
  vectorOf,
} from './window-sizes.ts';
import { type WindowAttrs, windowPut, windowSum, windows } from './windows.ts';

/** Windows of some sizes; one entry per spatial axis. */
type PoolAttrs = {
  readonly sizes: readonly number[];
  readonly strides: readonly number[];
  readonly padding: Padding;
  readonly layout: 'last' | 'first';
};

const ATTRS = {
  sizes: 'the sizes of the windows, per spatial axis',
  strides: 'steps between windows, per spatial axis',
  padding: "'SAME', 'VALID', or [before, after] per spatial axis",
  layout: 'whether channels are the last axis, or the first after the batch',
};

function inferPool(ctx: InferContext<PoolAttrs>): InferResult {
  const [x] = ctx.types;
  const { sizes, layout } = ctx.attrs;
  const rank = sizes.length;
  if (x.shape.length !== rank + 2) {
    throw new ShapeError(
      'shape/rank',
      `the input must have rank ${rank + 2} (a batch axis, ${rank} spatial axes and channels), it has the shape ${shapeToString(x.shape)}. Reshape it first.`,
    );
  }
  const steps = { ...ctx.attrs, dilations: sizes.map(() => 1) };
  const out = [...x.shape];
  sizes.forEach((n, i) => {
    const axis = i + (layout === 'last' ? 1 : 2);
    out[axis] = inferCount(x.shape[axis], n, steps, i);
  });
  return { types: [{ dtype: x.dtype, shape: out }] };
}

/** What pools of one input share: its windows, and the way back. */
class Pool {
  readonly attrs: PoolAttrs;
  readonly windowAttrs: WindowAttrs;
  readonly axes: readonly number[];
  private readonly x: Tensor;
  private readonly rank: number;
  private readonly input: readonly Size[];
  private readonly counts: readonly Size[];
  private readonly before: readonly Size[];
  private readonly after: readonly Size[];

  constructor(x: Tensor, attrs: PoolAttrs) {
    const rank = attrs.sizes.length;
    const dilations = attrs.sizes.map(() => 1);
    const steps = { ...attrs, dilations };
    this.attrs = attrs;
    this.x = x;
    this.rank = rank;
    this.axes = attrs.sizes.map((_, i) => i + (attrs.layout === 'last' ? 1 : 2));
    this.input = sizesAt(x, this.axes);
    this.counts = this.input.map((n, i) => countAlong<Size>(SIZES, n, attrs.sizes[i], steps, i));
    const pads = this.input.map((n, i) => paddingAlong<Size>(SIZES, n, attrs.sizes[i], steps, i));
    this.before = pads.map((p) => p.before);
    this.after = pads.map((p) => p.after);
    const at = attrs.layout === 'last' ? rank + 1 : rank + 2;
    this.windowAttrs = { axes: this.axes, strides: attrs.strides, dilations, at };
  }

  get kAxes(): number[] {
    return this.axes.map((_, i) => this.windowAttrs.at + i);
  }

  get sizes(): Tensor {
    return vectorOf(this.attrs.sizes);
  }

  windows(padding: number): Tensor {
    const padded = padAxes(this.x, this.rank + 2, this.axes, this.before, this.after, padding);
    return windows(padded, this.sizes, vectorOf(this.counts), this.windowAttrs);
  }

  /** The sizes of the padded input along the spatial axes. */
  get padded(): Tensor {
    return vectorOf(
      this.input.map((n, i) => SIZES.add(SIZES.add(n, this.before[i]), this.after[i])),
    );
  }

  /** The input's part of something as large as the padded input. */
  crop(t: Tensor): Tensor {
    if (this.after.every((n) => n === 0) && this.before.every((n) => n === 0)) return t;
    return cropAxes(t, this.rank + 2, this.axes, this.before, shapeOf(this.x));
  }

  /** The number of real elements of each window, to divide by: a number where it is always the same. */
  elements(): Tensor | number {
    const { rank, attrs } = this;
    let total: Tensor | number = 1;
    attrs.sizes.forEach((n, i) => {
      const along = this.elementsAlong(i);
      if (along === n) total = typeof total === 'number' ? total * n : mul(total, n);
      else {
        // The axis in its place among the spatial axes, and the channels behind where they are last.
        const behind = rank - 1 - i + (attrs.layout === 'last' ? 1 : 0);
        let placed = along as Tensor;
        for (let a = 0; a < behind; a++) placed = expandDims(placed, -1);
        total = mul(placed, total);
      }
    });
    return total;
  }

  private elementsAlong(i: number): Tensor | number {
    const [n, stride] = [this.attrs.sizes[i], this.attrs.strides[i]];
    const [input, count, before] = [this.input[i], this.counts[i], this.before[i]];
    if (before === 0 && this.after[i] === 0) return n;
    if (typeof input === 'number' && typeof count === 'number' && typeof before === 'number') {
      const real = Array.from({ length: count }, (_, o) => {
        const start = o * stride - before;
        return Math.min(start + n, input) - Math.max(start, 0);
      });
      return constantOf(real, this.x.dtype);
    }
    const start = sub(mul(range(count), stride), before);
    return cast(sub(minimum(add(start, n), input), maximum(start, 0)), this.x.dtype);
  }
}

export const maxPoolOp = defineOp<PoolAttrs>({
  name: 'maxPool',
  nodeName: 'MaxPool',
  doc: 'The maximum of each window of x along its spatial axes; NaN where the window holds one. The gradient goes to the first largest element of each window in row-major order.',
  inputs: ['x'],
  attrs: ATTRS,
  infer: (ctx) => {
    needKind(ctx.types[0].dtype, ['float', 'int']);
    return inferPool(ctx);
  },
  gradient: ({ inputs: [x], grad, attrs }) => {
    const pool = new Pool(x, attrs);
    const { at } = pool.windowAttrs;
    const rank = attrs.sizes.length;
    // The window as one axis, for a row-major position within it.
    const all = pool.windows(Number(lowest(x.dtype)));
    const kept = Array.from({ length: rank + 2 }, (_, a) => (a < at ? a : a + rank));
    const sizes: Size[] = sizesAt(all, kept);
    sizes.splice(
      at,
      0,
      attrs.sizes.reduce((a, b) => a * b, 1),
    );
    const first = argMax(reshape(all, vectorOf(sizes)), { axis: at });
    return [pool.crop(windowPut(grad, first, pool.sizes, pool.padded, pool.windowAttrs))];
  },
  form: {
    kind: 'expand',
    expand: ([x], attrs) => {
      const pool = new Pool(x, attrs);
      return [reduceMax(pool.windows(Number(lowest(x.dtype))), { axis: pool.kAxes })];
    },
  },
});

export const avgPoolOp = defineOp<PoolAttrs>({
  name: 'avgPool',
  nodeName: 'AvgPool',
  doc: 'The mean of the real elements of each window of x along its spatial axes; padding does not count.',
  inputs: ['x'],
  attrs: ATTRS,
  infer: (ctx) => {
    needKind(ctx.types[0].dtype, ['float']);
    return inferPool(ctx);
  },
  gradient: ({ inputs: [x], grad, attrs }) => {
    const pool = new Pool(x, attrs);
    const { at } = pool.windowAttrs;
    const share = div(grad, pool.elements());
    const rank = attrs.sizes.length;
    const spread = attrs.sizes.reduce((t, _, i) => expandDims(t, at + i), share);
    const sizes: Size[] = sizesAt(
      grad,
      Array.from({ length: rank + 2 }, (_, a) => a),
    );
    sizes.splice(at, 0, ...attrs.sizes);
    const parts = broadcastTo(spread, vectorOf(sizes));
    return [pool.crop(windowSum(parts, pool.padded, pool.windowAttrs))];
  },
  form: {
    kind: 'expand',
    expand: ([x], attrs) => {
      const pool = new Pool(x, attrs);
      return [div(reduceSum(pool.windows(0), { axis: pool.kAxes }), pool.elements())];
    },
  },
});

/** Options of the pools. */
export interface PoolOptions extends WindowOptions {
  /** Steps between windows; the sizes of the windows where absent, so that they do not overlap. */
  readonly strides?: number | readonly number[];
}

const POOL_OPTIONS: readonly (keyof PoolOptions)[] = WINDOW_OPTIONS;

type Kind = 'maxPool' | 'avgPool';

function pool(
  kind: Kind,
  rank: number | null,
  x: TensorLike,
  ksize: number | readonly number[],
  options: PoolOptions,
): Tensor {
  const fn = rank === null ? kind : `${kind}${rank}d`;
  checkOptions(fn, options, POOL_OPTIONS);
  return inGraphOf([x], () => {
    const t = toTensor(x);
    const spatial = rank ?? (t.rank === null ? 0 : t.rank - 2);
    if (spatial < 1 || spatial > 3) {
      throw new ValueError(
        'value/pool',
        `${fn}: the number of spatial axes must be known and 1 to 3, got ${t}. Use ${kind}2d() or its like, or reshape the tensor.`,
      );
    }
    const layout = layoutOf(fn, spatial, options.dataFormat);
    const sizes = perAxis(fn, 'ksize', spatial, layout, ksize);
    const attrs: PoolAttrs = {
      sizes,
      strides: perAxis(fn, 'strides', spatial, layout, options.strides ?? sizes),
      padding: paddingOf(fn, spatial, layout, options.padding),
      layout,
    };
    return getDefaultGraph().add(kind, [t], attrs, named(options)).output();
  });
}

/**
 * The maximum of each window of x, of 1 to 3 spatial axes (by its rank) between batch and channels.
 * `ksize` is a number, one per spatial axis, or one per axis. The result has the same number of axes.
 */
export function maxPool(
  x: TensorLike,
  ksize: number | readonly number[],
  options: PoolOptions = {},
): Tensor {
  return pool('maxPool', null, x, ksize, options);
}

/** {@link maxPool} of [batch, width, channels]. */
export function maxPool1d(
  x: TensorLike,
  ksize: number | readonly number[],
  options: PoolOptions = {},
): Tensor {
  return pool('maxPool', 1, x, ksize, options);
}

/** {@link maxPool} of [batch, height, width, channels]. */
export function maxPool2d(
  x: TensorLike,
  ksize: number | readonly number[],
  options: PoolOptions = {},
): Tensor {
  return pool('maxPool', 2, x, ksize, options);
}

/** {@link maxPool} of [batch, depth, height, width, channels]. */
export function maxPool3d(
  x: TensorLike,
  ksize: number | readonly number[],
  options: PoolOptions = {},
): Tensor {
  return pool('maxPool', 3, x, ksize, options);
}

/**
 * The mean of each window of x, of 1 to 3 spatial axes (by its rank) between batch and channels.
 * Padding does not count: a window at the border has the mean of its real elements.
 */
export function avgPool(
  x: TensorLike,
  ksize: number | readonly number[],
  options: PoolOptions = {},
): Tensor {
  return pool('avgPool', null, x, ksize, options);
}

/** {@link avgPool} of [batch, width, channels]. */
export function avgPool1d(
  x: TensorLike,
  ksize: number | readonly number[],
  options: PoolOptions = {},
): Tensor {
  return pool('avgPool', 1, x, ksize, options);
}

/** {@link avgPool} of [batch, height, width, channels]. */
export function avgPool2d(
  x: TensorLike,
  ksize: number | readonly number[],
  options: PoolOptions = {},
): Tensor {
  return pool('avgPool', 2, x, ksize, options);
}

/** {@link avgPool} of [batch, depth, height, width, channels]. */
export function avgPool3d(
  x: TensorLike,
  ksize: number | readonly number[],
  options: PoolOptions = {},
): Tensor {
  return pool('avgPool', 3, x, ksize, options);
}
