// Windows of a tensor as a view, and what is linear in them: their overlap-add, the choice of one
// element of each, and its transpose. Convolutions and pools are compositions of these. All windows
// lie within the tensor; padding is a step of its own. A window starts every `stride` elements along
// its axis and takes every `dilation`-th.

import { addDim, type Dim, floorDiv, isNonNegative, modDim, mulDim, subDim } from '../core/dim.ts';
import { dtypeInfo } from '../core/dtype.ts';
import { DTypeError, ShapeError } from '../core/error.ts';
import { sizeOf } from '../core/ndarray.ts';
import type { Dims } from '../core/type.ts';
import { getDefaultGraph } from '../graph/graph.ts';
import { defineOp, type IndexContext, type InferContext, type KnownType } from '../graph/op.ts';
import type { Tensor } from '../graph/tensor.ts';
import * as k from '../kernel/expr.ts';
import { moveHost } from './movement.ts';
import { forEachIndex, linear, needKind } from './rules.ts';
import { shapeFromInput } from './sizes.ts';
import { sizesAt, vectorOf } from './window-sizes.ts';

/** Which axes have windows, and where the axes within windows stand in the result. */
export type WindowAttrs = {
  /** Axes of x, ascending. */
  readonly axes: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** The window axes stand before this axis of x, in the order of `axes`. */
  readonly at: number;
};

const ATTRS = {
  axes: 'the axes of x along which windows lie',
  strides: 'how far a window is from the next, per axis',
  dilations: 'how far an element of a window is from the next, per axis',
  at: 'the axis of x before which the axes within windows stand',
};

/** The axes of the windowed tensor that count windows. */
function countAxes({ axes, at }: WindowAttrs): number[] {
  return axes.map((a) => (a < at ? a : a + axes.length));
}

/** The axes of the windowed tensor within windows. */
function withinAxes({ axes, at }: WindowAttrs): number[] {
  return axes.map((_, i) => at + i);
}

/** Splits an index of the windowed tensor into that of all other axes and that within the window. */
function splitIndex<T>(index: readonly T[], attrs: WindowAttrs): { base: T[]; within: T[] } {
  const end = attrs.at + attrs.axes.length;
  return {
    base: [...index.slice(0, attrs.at), ...index.slice(end)],
    within: index.slice(attrs.at, end),
  };
}

function joinIndex<T>(base: readonly T[], within: readonly T[], attrs: WindowAttrs): T[] {
  return [...base.slice(0, attrs.at), ...within, ...base.slice(attrs.at)];
}

/** Sizes given by input `i`, one for each window axis. */
function axisSizes(ctx: InferContext<WindowAttrs>, i: number): Dims {
  const out = shapeFromInput(ctx as InferContext, i);
  ctx.equal(out.length, ctx.attrs.axes.length, 'there must be a size for each window axis');
  return out;
}

function replaceAxes(shape: Dims, axes: readonly number[], sizes: Dims): Dim[] {
  return shape.map((d, i) => {
    const j = axes.indexOf(i);
    return j < 0 ? d : sizes[j];
  });
}

function replaced<T>(base: readonly T[], axes: readonly number[], values: readonly T[]): T[] {
  const out = [...base];
  axes.forEach((a, i) => {
    out[a] = values[i];
  });
  return out;
}

/** The element of x that stands at an index of its windows. */
function sourceHost(index: readonly number[], attrs: WindowAttrs): number[] {
  const { base, within } = splitIndex(index, attrs);
  return replaced(
    base,
    attrs.axes,
    attrs.axes.map((a, i) => base[a] * attrs.strides[i] + within[i] * attrs.dilations[i]),
  );
}

export const windowsOp = defineOp<WindowAttrs>({
  name: 'windows',
  nodeName: 'Windows',
  doc: 'The windows of x of some sizes along some axes: `out[.., o, .., k, ..] = x[.., o*stride + k*dilation, ..]` for o below `counts`.',
  inputs: ['x', 'sizes', 'counts'],
  attrs: ATTRS,
  infer: (ctx) => {
    const [x] = ctx.types;
    const { axes, strides, dilations } = ctx.attrs;
    const sizes = axisSizes(ctx, 1);
    const counts = axisSizes(ctx, 2);
    axes.forEach((a, i) => {
      const last = addDim(
        mulDim(subDim(counts[i], 1), strides[i]),
        mulDim(subDim(sizes[i], 1), dilations[i]),
      );
      const over = subDim(addDim(last, 1), x.shape[a]);
      if (counts[i] !== 0 && typeof over === 'number' && over > 0) {
        throw new ShapeError(
          'shape/window',
          `the windows reach ${over} elements beyond axis ${a}. Pad x, or use fewer or smaller windows.`,
        );
      }
    });
    const base = replaceAxes(x.shape, axes, counts);
    return { types: [{ dtype: x.dtype, shape: joinIndex(base, sizes, ctx.attrs) }] };
  },
  reference: (ctx, [x, sizes, counts], attrs) => {
    const base = replaced(x.shape, attrs.axes, Array.from(counts.data));
    const shape = joinIndex(base, Array.from(sizes.data), attrs);
    const data = ctx.alloc(x.dtype, sizeOf(shape));
    // Where an element stands is linear in its index: as far as each axis goes from one to the next.
    const steps = shape.map((_, axis) => {
      const unit = shape.map((_, a) => (a === axis ? 1 : 0));
      return linear(sourceHost(unit, attrs), x.shape);
    });
    forEachIndex(shape, (index, i) => {
      let at = 0;
      for (let a = 0; a < steps.length; a++) at += index[a] * steps[a];
      data[i] = x.data[at];
    });
    return [{ dtype: x.dtype, shape, data }];
  },
  gradient: ({ inputs: [x], grad, attrs }) => [
    windowSum(grad, vectorOf(sizesAt(x, attrs.axes)), attrs),
    null,
    null,
  ],
  movesData: true,
  form: {
    kind: 'view',
    view: ({ attrs }, index) => {
      const { base, within } = splitIndex(index, attrs);
      return replaced(
        base,
        attrs.axes,
        attrs.axes.map((a, i) =>
          addDim(mulDim(base[a], attrs.strides[i]), mulDim(within[i], attrs.dilations[i])),
        ),
      );
    },
  },
});

/** Which window, and where in it, reads position `at` of an axis, at turn `j` of those that may. */
interface Reader {
  readonly count: Dim;
  readonly within: Dim;
  /** What must hold for there to be one. */
  readonly tests: readonly k.Expr[];
}

/** How many turns {@link readerAt} needs. */
function readerTurns(size: Dim, stride: number, dilation: number): Dim {
  // Without dilation every stride-th element of the window can be the one.
  return dilation === 1 ? floorDiv(addDim(size, stride - 1), stride) : size;
}

function readerAt(
  at: Dim,
  j: Dim,
  axis: { size: Dim; counts: Dim; stride: number; dilation: number },
): Reader {
  const { size, counts, stride, dilation } = axis;
  const tests: k.Expr[] = [];
  const atLeast0 = (d: Dim): void => {
    if (!isNonNegative(d)) tests.push(k.compare('ge', k.dimValue(d), k.i32(0)));
  };
  const below = (d: Dim, end: Dim): void => {
    if (isNonNegative(subDim(subDim(end, 1), d))) return;
    tests.push(k.compare('lt', k.dimValue(d), k.dimValue(end)));
  };
  let within = j;
  let count: Dim;
  if (dilation === 1) {
    within = addDim(modDim(at, stride), mulDim(j, stride));
    count = subDim(floorDiv(at, stride), j);
    below(within, size);
    atLeast0(count);
  } else {
    const start = subDim(at, mulDim(j, dilation));
    count = floorDiv(start, stride);
    atLeast0(start);
    const rest = modDim(start, stride);
    if (rest !== 0) tests.push(k.compare('eq', k.dimValue(rest), k.i32(0)));
  }
  below(count, counts);
  return { count, within, tests };
}

/**
 * The sum over all windows that read an element of x: `value` gives what enters at an index of the
 * windows' counts and a position within.
 */
function overlapSpec(
  ctx: IndexContext<WindowAttrs>,
  sizes: Dims,
  counts: Dims,
  value: (base: readonly Dim[], within: readonly Dim[]) => k.Expr,
) {
  const { axes, strides, dilations } = ctx.attrs;
  const type = dtypeInfo(ctx.output.dtype).scalar;
  const zero = k.constant(type, 0);
  return {
    extents: axes.map((_, i) => readerTurns(sizes[i], strides[i], dilations[i])),
    accumulators: [{ type, init: zero, op: 'add' as const }] as const,
    values: (out: readonly Dim[], red: readonly Dim[]): k.Expr[] => {
      const readers = axes.map((a, i) =>
        readerAt(out[a], red[i], {
          size: sizes[i],
          counts: counts[i],
          stride: strides[i],
          dilation: dilations[i],
        }),
      );
      const base = replaced(
        out,
        axes,
        readers.map((r) => r.count),
      );
      const read = value(
        base,
        readers.map((r) => r.within),
      );
      const tests = readers.flatMap((r) => r.tests);
      if (tests.length === 0) return [read];
      return [
        k.select(
          tests.reduce((a, b) => k.binary('and', a, b)),
          read,
          zero,
          true,
        ),
      ];
    },
  };
}

export const windowSumOp = defineOp<WindowAttrs>({
  name: 'windowSum',
  nodeName: 'WindowSum',
  doc: 'The transpose of `windows`: each element of the result, of some sizes along the axes, is the sum of the window elements that would read it; 0 where none does.',
  inputs: ['x', 'sizes'],
  attrs: ATTRS,
  infer: (ctx) => {
    const [x] = ctx.types;
    needKind(x.dtype, ['float', 'int']);
    const { base } = splitIndex(x.shape, ctx.attrs);
    return {
      types: [{ dtype: x.dtype, shape: replaceAxes(base, ctx.attrs.axes, axisSizes(ctx, 1)) }],
    };
  },
  reference: (ctx, [x, sizes], attrs) => {
    const { base } = splitIndex(x.shape, attrs);
    const shape = replaced(base, attrs.axes, Array.from(sizes.data));
    const data = ctx.alloc(x.dtype, sizeOf(shape));
    const sums = new Float64Array(data.length);
    forEachIndex(x.shape, (index, i) => {
      const to = sourceHost(index, attrs);
      if (to.every((j, a) => j < shape[a])) sums[linear(to, shape)] += x.data[i];
    });
    for (let i = 0; i < data.length; i++) data[i] = sums[i];
    return [{ dtype: x.dtype, shape, data }];
  },
  gradient: ({ inputs: [x], grad, attrs }) => {
    const sizes = vectorOf(sizesAt(x, withinAxes(attrs)));
    return [windows(grad, sizes, vectorOf(sizesAt(x, countAxes(attrs))), attrs), null];
  },
  form: {
    kind: 'reduce',
    reduce: (ctx) => {
      const { attrs } = ctx;
      const { shape } = ctx.inputs[0];
      const sizes = withinAxes(attrs).map((a) => shape[a]);
      const counts = countAxes(attrs).map((a) => shape[a]);
      return overlapSpec(ctx, sizes, counts, (base, within) =>
        ctx.read(0, joinIndex(base, within, attrs)),
      );
    },
  },
});

function checkPositions(positions: KnownType): void {
  if (positions.dtype === 'int32') return;
  throw new DTypeError(
    'dtype/unsupported',
    `positions are int32, not ${positions.dtype}. Use those of argMax().`,
  );
}

/** A row-major position within a window as one per axis. */
function unravelHost(position: number, sizes: ArrayLike<number>): number[] {
  const out = new Array<number>(sizes.length);
  let rest = position;
  for (let i = sizes.length - 1; i >= 0; i--) {
    out[i] = rest % sizes[i];
    rest = Math.floor(rest / sizes[i]);
  }
  return out;
}

/** The axes of `windows` for positions: one per window, at an index of counts. */
function chosenHost(
  index: readonly number[],
  position: number,
  sizes: ArrayLike<number>,
  attrs: WindowAttrs,
): number[] {
  return sourceHost(joinIndex(index, unravelHost(position, sizes), attrs), attrs);
}

export const windowPickOp = defineOp<WindowAttrs>({
  name: 'windowPick',
  nodeName: 'WindowPick',
  doc: 'One element of each window of x: that at a row-major position within the window.',
  inputs: ['x', 'positions', 'sizes'],
  attrs: ATTRS,
  infer: (ctx) => {
    const [x, positions] = ctx.types;
    checkPositions(positions);
    axisSizes(ctx, 2);
    return { types: [{ dtype: x.dtype, shape: positions.shape }] };
  },
  reference: (ctx, [x, positions, sizes], attrs) => [
    moveHost(ctx, x, positions.shape, (index) =>
      chosenHost(index, positions.data[linear(index, positions.shape)], sizes.data, attrs),
    ),
  ],
  gradient: ({ inputs: [x, positions, sizes], grad, attrs }) => [
    windowPut(grad, positions, sizes, vectorOf(sizesAt(x, attrs.axes)), attrs),
    null,
    null,
  ],
  movesData: true,
  form: {
    kind: 'index',
    at: (ctx, index) => {
      const { attrs } = ctx;
      const sizes = ctx.values[2] as Dims;
      const position = ctx.local(ctx.read(1, index));
      const source = attrs.axes.map((a, i) => {
        const inner = sizes.slice(i + 1).reduce(mulDim, 1);
        const rest = floorDiv(position, inner);
        const within = i === 0 ? rest : modDim(rest, sizes[i]);
        return addDim(mulDim(index[a], attrs.strides[i]), mulDim(within, attrs.dilations[i]));
      });
      return ctx.read(0, replaced(index, attrs.axes, source));
    },
  },
});

export const windowPutOp = defineOp<WindowAttrs>({
  name: 'windowPut',
  nodeName: 'WindowPut',
  doc: 'The transpose of `windowPick`: zeros, of some sizes along the axes, to which each window adds its element of x at its position.',
  inputs: ['x', 'positions', 'sizes', 'into'],
  attrs: ATTRS,
  infer: (ctx) => {
    const [x, positions] = ctx.types;
    needKind(x.dtype, ['float', 'int']);
    checkPositions(positions);
    axisSizes(ctx, 2);
    x.shape.forEach((d, i) => {
      ctx.equal(d, positions.shape[i], 'there must be a position for each element');
    });
    return {
      types: [{ dtype: x.dtype, shape: replaceAxes(x.shape, ctx.attrs.axes, axisSizes(ctx, 3)) }],
    };
  },
  reference: (ctx, [x, positions, sizes, into], attrs) => {
    const shape = replaced(x.shape, attrs.axes, Array.from(into.data));
    const data = ctx.alloc(x.dtype, sizeOf(shape));
    const sums = new Float64Array(data.length);
    forEachIndex(x.shape, (index, i) => {
      const to = chosenHost(index, positions.data[i], sizes.data, attrs);
      if (to.every((j, a) => j < shape[a])) sums[linear(to, shape)] += x.data[i];
    });
    for (let i = 0; i < data.length; i++) data[i] = sums[i];
    return [{ dtype: x.dtype, shape, data }];
  },
  gradient: ({ inputs: [, positions, sizes], grad, attrs }) => [
    windowPick(grad, positions, sizes, attrs),
    null,
    null,
    null,
  ],
  form: {
    kind: 'reduce',
    reduce: (ctx) => {
      const sizes = ctx.values[2] as Dims;
      const counts = ctx.attrs.axes.map((a) => ctx.inputs[0].shape[a]);
      return overlapSpec(ctx, sizes, counts, (base, within) => {
        const position = within.reduce((sum, w, i) => addDim(mulDim(sum, sizes[i]), w), 0 as Dim);
        const value = ctx.read(0, base);
        const here = k.compare('eq', ctx.read(1, base), k.dimValue(position));
        return k.select(here, value, k.constant(value.type, 0));
      });
    },
  },
});

/** The windows of x; see the record. */
export function windows(x: Tensor, sizes: Tensor, counts: Tensor, attrs: WindowAttrs): Tensor {
  return getDefaultGraph()
    .add('windows', [x, sizes, counts], { ...attrs })
    .output();
}

/** The overlap-add of windows; see the record. */
export function windowSum(x: Tensor, sizes: Tensor, attrs: WindowAttrs): Tensor {
  return getDefaultGraph()
    .add('windowSum', [x, sizes], { ...attrs })
    .output();
}

/** One element of each window; see the record. */
export function windowPick(
  x: Tensor,
  positions: Tensor,
  sizes: Tensor,
  attrs: WindowAttrs,
): Tensor {
  return getDefaultGraph()
    .add('windowPick', [x, positions, sizes], { ...attrs })
    .output();
}

/** One element added per window; see the record. */
export function windowPut(
  x: Tensor,
  positions: Tensor,
  sizes: Tensor,
  into: Tensor,
  attrs: WindowAttrs,
): Tensor {
  return getDefaultGraph()
    .add('windowPut', [x, positions, sizes, into], { ...attrs })
    .output();
}
