// Parts of tensors and tensors from parts: slice, concat, stack, padding, reversal, iota. Positions
// known as sizes make views; positions computed in the run are read by the kernel and clamped.

import { addDim, type Dim, dimEquals, mulDim, subDim, sumDims } from '../core/dim.ts';
import { elementOf, isFloat } from '../core/dtype.ts';
import { DTypeError, ShapeError, ValueError } from '../core/error.ts';
import { sizeOf } from '../core/ndarray.ts';
import { checkList, checkOptions, isList, nameOf } from '../core/options.ts';
import { type Dims, resolveAxis, shapeToString } from '../core/type.ts';
import { getDefaultGraph } from '../graph/graph.ts';
import { defineOp, type IndexContext, type InferContext } from '../graph/op.ts';
import type { Tensor } from '../graph/tensor.ts';
import { binary, compare, constant, dimValue, type Expr, i32, select } from '../kernel/expr.ts';
import {
  AXIS_OPTIONS,
  type AxisOptions,
  inGraphOf,
  isSymbolic,
  named,
  OP_OPTIONS,
  type OpOptions,
  type TensorLike,
  toTensor,
} from './convert.ts';
import { add, sub } from './math.ts';
import { moveHost, moveValues } from './movement.ts';
import { forEachIndex, linear, MAX_VALUES, needRank, sameDType } from './rules.ts';
import { expandDims, shape as shapeOf, size as sizeAlong } from './shape.ts';
import { asSize, type ShapeLike, shapeFromInput, shapeTensor } from './sizes.ts';

/** Demands that input `i` be an int32 vector with an entry for each axis of input 0. */
function checkVector(ctx: InferContext, i: number, what: string): void {
  const t = ctx.types[i];
  if (t.dtype !== 'int32') {
    throw new DTypeError('dtype/unsupported', `${what} is ${t.dtype}, not int32. Use integers.`);
  }
  needRank(t, 1, what);
  ctx.equal(t.shape[0], ctx.types[0].shape.length, `${what} must have an entry for each axis`);
}

/** The sizes of a slice; -1 means all that is left. */
function sliceSizes(ctx: InferContext, begin: readonly Dim[] | null): Dims {
  const [x] = ctx.types;
  return shapeFromInput(ctx, 2).map((d, i) => {
    if (d !== -1) return d;
    if (!begin) {
      throw new ShapeError(
        'shape/slice',
        'a size of -1 needs a begin known before the run. Write the size out.',
      );
    }
    return subDim(x.shape[i], begin[i]);
  });
}

export const sliceOp = defineOp({
  name: 'slice',
  nodeName: 'Slice',
  doc: 'The part of x from `begin`, of some size (-1: all that is left). Begin and size are known as sizes.',
  inputs: ['x', 'begin', 'size'],
  attrs: {},
  infer: (ctx) => {
    const [x] = ctx.types;
    checkVector(ctx, 1, 'begin');
    checkVector(ctx, 2, 'size');
    const begin = ctx.values[1];
    if (!begin) {
      throw new ValueError(
        'value/slice',
        'begin is not known before the run. Use slice(), which handles it.',
      );
    }
    const out = sliceSizes(ctx, begin);
    out.forEach((d, i) => {
      const end = addDim(begin[i], d);
      const bad = [begin[i], d].some((n) => typeof n === 'number' && n < 0);
      const over = subDim(end, x.shape[i]);
      if (bad || (typeof over === 'number' && over > 0)) {
        throw new ShapeError(
          'shape/slice',
          `[${begin.map(String)}] and [${out.map(String)}] reach beyond the shape ${shapeToString(x.shape)}. ` +
            'Use a begin >= 0 with begin + size within each axis.',
        );
      }
      ctx.atMost(0, begin[i], `the part must begin within axis ${i}`);
      ctx.atMost(0, d, `the part must have a size along axis ${i}`);
      ctx.atMost(end, x.shape[i], `the part must end within axis ${i}`);
    });
    return {
      types: [{ dtype: x.dtype, shape: out }],
      values: [
        begin.every((d) => typeof d === 'number')
          ? moveValues(ctx, out, (index) => index.map((j, i) => j + (begin[i] as number)))
          : null,
      ],
    };
  },
  reference: (ctx, [x, begin, size]) => [
    moveHost(ctx, x, sliceHost(x.shape, begin.data, size.data), (index) =>
      index.map((j, i) => j + begin.data[i]),
    ),
  ],
  gradient: ({ inputs: [x, begin], grad }) => [padTo(grad, begin, shapeOf(x)), null, null],
  movesData: true,
  form: {
    kind: 'view',
    view: ({ values }, index) => index.map((j, i) => addDim(j, (values[1] as Dims)[i])),
  },
});

function sliceHost(
  from: readonly number[],
  begin: ArrayLike<number>,
  size: ArrayLike<number>,
): number[] {
  return from.map((d, i) => (size[i] === -1 ? d - begin[i] : size[i]));
}

export const dynamicSliceOp = defineOp({
  name: 'dynamicSlice',
  nodeName: 'DynamicSlice',
  doc: 'The part of x from a begin computed in the run, moved inside where it would reach beyond x.',
  inputs: ['x', 'begin', 'size'],
  attrs: {},
  infer: (ctx) => {
    const [x] = ctx.types;
    checkVector(ctx, 1, 'begin');
    checkVector(ctx, 2, 'size');
    const shape = sliceSizes(ctx, null);
    shape.forEach((d, i) => {
      ctx.atMost(d, x.shape[i], `the part must fit along axis ${i}`);
    });
    return { types: [{ dtype: x.dtype, shape }] };
  },
  reference: (ctx, [x, begin, size]) => {
    const out = Array.from(size.data);
    const at = x.shape.map((d, i) => Math.max(0, Math.min(begin.data[i], d - out[i])));
    return [moveHost(ctx, x, out, (index) => index.map((j, i) => j + at[i]))];
  },
  gradient: ({ inputs: [x, begin], grad }) => [
    padTo(grad, clampBegin(x, begin, grad), shapeOf(x)),
    null,
    null,
  ],
  movesData: true,
  form: {
    kind: 'index',
    at: (ctx, index) => ctx.read(0, clamped(ctx, ctx.inputs[0].shape, ctx.output.shape, index)),
  },
});

/** `index + begin`, with begin moved inside. */
function clamped(ctx: IndexContext, from: Dims, part: Dims, index: readonly Dim[]): Dim[] {
  return index.map((j, i) => {
    if (dimEquals(from[i], part[i])) return j;
    const most = dimValue(subDim(from[i], part[i]));
    const low = binary('min', ctx.read(1, [i]), most);
    return addDim(j, ctx.local(binary('max', low, i32(0))));
  });
}

function clampBegin(x: Tensor, begin: Tensor, part: Tensor): Tensor {
  const graph = getDefaultGraph();
  const most = sub(shapeOf(x), shapeOf(part));
  const low = graph.add('minimum', [begin, most], {}).output();
  return graph.add('maximum', [low, toTensor(0, 'int32')], {}).output();
}

export const padToOp = defineOp<{ readonly value: number }>({
  name: 'padTo',
  nodeName: 'PadTo',
  doc: 'A tensor of some shape that holds x from `begin`, and a constant elsewhere.',
  inputs: ['x', 'begin', 'shape'],
  attrs: { value: 'the constant' },
  infer: (ctx) => {
    const [x] = ctx.types;
    checkVector(ctx, 1, 'begin');
    checkVector(ctx, 2, 'shape');
    return { types: [{ dtype: x.dtype, shape: shapeFromInput(ctx, 2) }] };
  },
  reference: (ctx, [x, begin, shape], { value }) => {
    const to = Array.from(shape.data);
    const data = ctx.alloc(x.dtype, sizeOf(to)).fill(elementOf(x.dtype, value));
    forEachIndex(x.shape, (index, i) => {
      const at = index.map((j, a) => j + begin.data[a]);
      if (at.every((j, a) => j >= 0 && j < to[a])) data[linear(at, to)] = x.data[i];
    });
    return [{ dtype: x.dtype, shape: to, data }];
  },
  gradient: ({ inputs: [x, begin], grad }) => [sliceTensor(grad, begin, shapeOf(x)), null, null],
  movesData: true,
  form: {
    kind: 'index',
    at: (ctx, index) => {
      const [x] = ctx.inputs;
      const begin = index.map((_, i) => ctx.values[1]?.[i] ?? ctx.local(ctx.read(1, [i])));
      const inner = index.map((j, i) => subDim(j, begin[i]));
      const tests = inner.flatMap((j, i): Expr[] => {
        if (j !== undefined && dimEquals(x.shape[i], ctx.output.shape[i]) && begin[i] === 0)
          return [];
        const low = begin[i] === 0 ? [] : [compare('ge', dimValue(j), i32(0))];
        return [...low, compare('lt', dimValue(j), dimValue(x.shape[i]))];
      });
      const value = ctx.read(0, inner);
      if (tests.length === 0) return value;
      const inside = tests.reduce((a, b) => binary('and', a, b));
      return select(inside, value, constant(value.type, ctx.attrs.value), true);
    },
  },
});

export const concatOp = defineOp<{ readonly axis: number }>({
  name: 'concat',
  nodeName: 'ConcatV2',
  doc: 'The inputs one after another along an axis; all other sizes are equal.',
  inputs: ['values...'],
  attrs: { axis: 'the axis along which' },
  infer: (ctx) => {
    const { types, attrs, values } = ctx;
    if (types.length === 0)
      throw new ValueError('value/empty', 'there is nothing to concatenate. Pass tensors.');
    const dtype = sameDType(types);
    const [first] = types;
    const axis = resolveAxis(attrs.axis, first.shape.length);
    const out = [...first.shape];
    for (const t of types.slice(1)) {
      needRank(t, first.shape.length, 'each input');
      t.shape.forEach((d, i) => {
        if (i === axis) out[i] = addDim(out[i], d);
        else out[i] = ctx.equal(out[i], d, `the sizes of axis ${i} must be equal`);
      });
    }
    const known =
      out.length === 1 && values.every((v) => v !== null) ? (values as Dims[]).flat() : null;
    return {
      types: [{ dtype, shape: out }],
      values: [known && known.length <= MAX_VALUES ? known : null],
    };
  },
  reference: (ctx, xs, attrs) => {
    const axis = resolveAxis(attrs.axis, xs[0].shape.length);
    const out = [...xs[0].shape];
    out[axis] = xs.reduce((n, x) => n + x.shape[axis], 0);
    const data = ctx.alloc(xs[0].dtype, sizeOf(out));
    let start = 0;
    for (const x of xs) {
      forEachIndex(x.shape, (index, i) => {
        data[
          linear(
            index.map((j, a) => (a === axis ? j + start : j)),
            out,
          )
        ] = x.data[i];
      });
      start += x.shape[axis];
    }
    return [{ dtype: xs[0].dtype, shape: out, data }];
  },
  gradient: ({ inputs, grad, attrs }) => {
    const axis = resolveAxis(attrs.axis, grad.rank as number);
    let start: Tensor | null = null;
    return inputs.map((x) => {
      const graph = getDefaultGraph();
      const from: Tensor = start ?? toTensor(0, 'int32');
      const lead = Array.from({ length: grad.rank as number }, (_, i) =>
        expandDims(i === axis ? from : toTensor(0, 'int32'), 0),
      );
      const begin = graph.add('concat', lead, { axis: 0 }).output();
      start = add(from, sizeAlong(x, { axis }));
      return graph.add('slice', [grad, begin, shapeOf(x)], {}).output();
    });
  },
  movesData: true,
  form: {
    kind: 'index',
    at: (ctx, index) => {
      const axis = resolveAxis(ctx.attrs.axis, ctx.output.shape.length);
      const starts = ctx.inputs.map((_, i) =>
        sumDims(ctx.inputs.slice(0, i).map((t) => t.shape[axis])),
      );
      const part = (i: number): Expr =>
        ctx.read(
          i,
          index.map((j, a) => (a === axis ? subDim(j, starts[i]) : j)),
        );
      // By halves, so that of many inputs the right one is soon found.
      const among = (from: number, to: number): Expr => {
        if (to - from === 1) return part(from);
        const half = (from + to) >> 1;
        const before = compare('lt', dimValue(index[axis]), dimValue(starts[half]));
        return select(before, among(from, half), among(half, to), true);
      };
      return among(0, ctx.inputs.length);
    },
  },
});

export const reverseOp = defineOp<{ readonly axes: readonly number[] }>({
  name: 'reverse',
  nodeName: 'ReverseV2',
  doc: 'x in reverse order along some axes.',
  inputs: ['x'],
  attrs: { axes: 'the axes' },
  infer: (ctx) => {
    const [x] = ctx.types;
    const axes = ctx.attrs.axes.map((a) => resolveAxis(a, x.shape.length));
    const turned = (index: readonly number[]): number[] =>
      index.map((j, i) => (axes.includes(i) ? (x.shape[i] as number) - 1 - j : j));
    return { types: [x], values: [moveValues(ctx, x.shape, turned)] };
  },
  reference: (ctx, [x], attrs) => {
    const axes = attrs.axes.map((a) => resolveAxis(a, x.shape.length));
    return [
      moveHost(ctx, x, x.shape, (index) =>
        index.map((j, i) => (axes.includes(i) ? x.shape[i] - 1 - j : j)),
      ),
    ];
  },
  gradient: ({ grad, attrs }) => [reverse(grad, attrs.axes)],
  movesData: true,
  form: {
    kind: 'view',
    view: ({ inputs: [x], attrs }, index) => {
      const axes = attrs.axes.map((a) => resolveAxis(a, x.shape.length));
      return index.map((j, i) => (axes.includes(i) ? subDim(subDim(x.shape[i], 1), j) : j));
    },
  },
});

export const rangeOp = defineOp({
  name: 'range',
  nodeName: 'Range',
  doc: 'start, start + delta, … : int32, `count` elements.',
  inputs: ['start', 'count', 'delta'],
  attrs: {},
  infer: ({ types, values }) => {
    sameDType(types);
    if (types[0].dtype !== 'int32') {
      throw new DTypeError(
        'dtype/unsupported',
        `range is int32, got ${types[0].dtype}. Cast its result instead.`,
      );
    }
    for (const t of types) needRank(t, 0, 'each argument of range');
    const n = values[1]?.[0];
    if (n === undefined)
      throw new ShapeError('shape/range', 'the count is not a known size. Use range().');
    const [start, , delta] = values;
    const known =
      typeof n === 'number' && n <= MAX_VALUES && start && delta
        ? Array.from({ length: n }, (_, i) => addDim(start[0], mulDim(i, delta[0])))
        : null;
    return { types: [{ dtype: 'int32', shape: [n] }], values: [known] };
  },
  dtypes: () => ['int32'],
  reference: (ctx, [start, count, delta]) => {
    const data = ctx.alloc('int32', Math.max(0, count.data[0]));
    for (let i = 0; i < data.length; i++) data[i] = (start.data[0] + i * delta.data[0]) | 0;
    return [{ dtype: 'int32', shape: [data.length], data }];
  },
  gradient: () => [null, null, null],
  form: {
    kind: 'index',
    at: (ctx, [i]) => {
      const [start, , delta] = ctx.values;
      if (start && delta) return dimValue(addDim(start[0], mulDim(i, delta[0])));
      return binary('add', ctx.read(0, []), binary('mul', dimValue(i), ctx.read(2, [])));
    },
  },
});

/** A begin or size argument as an int32 vector tensor. */
function vector(x: TensorLike): Tensor {
  if (Array.isArray(x) && x.some((d) => isSymbolic(d)))
    return shapeTensor(x as (number | Tensor)[]);
  return toTensor(x, 'int32');
}

function sliceTensor(x: Tensor, begin: Tensor, size: Tensor, options: OpOptions = {}): Tensor {
  const op =
    begin.value === null && x.shape !== null && begin.shape !== null ? 'dynamicSlice' : 'slice';
  return getDefaultGraph().add(op, [x, begin, size], {}, options).output();
}

/**
 * The part of x from `begin`, of `size` (-1: all that is left of an axis). A begin computed in the run
 * is allowed; it is moved inside where the part would reach beyond x.
 */
export function slice(
  x: TensorLike,
  begin: TensorLike,
  size: ShapeLike,
  options: OpOptions = {},
): Tensor {
  checkOptions('slice', options, OP_OPTIONS);
  return inGraphOf([x], () => sliceTensor(toTensor(x), vector(begin), shapeTensor(size), options));
}

/** The tensors one after another along `axis`. */
export function concat(
  values: readonly TensorLike[],
  axis: number,
  options: OpOptions = {},
): Tensor {
  checkOptions('concat', options, OP_OPTIONS);
  checkList('concat: values', values);
  return inGraphOf(values, () => {
    const like = values.find((v) => isSymbolic(v));
    const dtype = like === undefined ? undefined : toTensor(like).dtype;
    const tensors = values.map((v) => toTensor(v, dtype));
    return getDefaultGraph().add('concat', tensors, { axis }, options).output();
  });
}

/** The tensors, of one shape, along a new axis. */
export function stack(values: readonly TensorLike[], options: AxisOptions = {}): Tensor {
  checkOptions('stack', options, AXIS_OPTIONS);
  checkList('stack: values', values);
  const axis = options.axis ?? 0;
  return inGraphOf(values, () =>
    getDefaultGraph().nameScope(options.name ?? 'stack', () =>
      concat(
        values.map((v) => expandDims(v, axis)),
        axis,
      ),
    ),
  );
}

/** A tensor of a shape that holds x from `begin` and `value` elsewhere. */
export function padTo(x: Tensor, begin: Tensor, shape: Tensor, value = 0): Tensor {
  return getDefaultGraph().add('padTo', [x, begin, shape], { value }).output();
}

/** Options of {@link pad}. */
export interface PadOptions extends OpOptions {
  readonly value?: number;
}

const PAD_OPTIONS: readonly (keyof PadOptions)[] = ['value', 'name'];

/** x with `paddings[i]` = [before, after] constant elements along each axis. */
export function pad(
  x: TensorLike,
  paddings: readonly (readonly [number, number])[],
  options: PadOptions = {},
): Tensor {
  checkOptions('pad', options, PAD_OPTIONS);
  checkList('pad: paddings', paddings);
  return inGraphOf([x], () =>
    getDefaultGraph().nameScope(options.name ?? 'Pad', () => {
      const t = toTensor(x);
      const { value = 0 } = options;
      const isSize = (p: unknown): boolean => Number.isInteger(p) && (p as number) >= 0;
      if (!paddings.every((p) => isList(p) && p.length === 2 && p.every(isSize))) {
        throw new ValueError(
          'value/pad',
          `pad: ${nameOf(paddings)} must hold a pair [before, after] of integers >= 0 for each axis. Use slice() to cut.`,
        );
      }
      if (typeof value !== 'number' || !(isFloat(t.dtype) || Number.isInteger(value))) {
        throw new DTypeError(
          'dtype/weak',
          `pad: ${nameOf(value)} does not fit ${t.dtype}. Use an integer, or a float tensor.`,
        );
      }
      const begin = toTensor(
        paddings.map((p) => p[0]),
        'int32',
      );
      const grow = toTensor(
        paddings.map((p) => p[0] + p[1]),
        'int32',
      );
      return padTo(t, begin, add(shapeOf(t), grow), value);
    }),
  );
}

/** x in reverse order along `axes`. */
export function reverse(x: TensorLike, axes: readonly number[], options: OpOptions = {}): Tensor {
  checkOptions('reverse', options, OP_OPTIONS);
  checkList('reverse: axes', axes);
  return inGraphOf([x], () =>
    getDefaultGraph()
      .add('reverse', [toTensor(x)], { axes: [...axes] }, options)
      .output(),
  );
}

/** Options of {@link range}. */
export interface RangeOptions extends OpOptions {
  /** The step, which may be below 0; 1 by default. */
  readonly delta?: number;
}

const RANGE_OPTIONS: readonly (keyof RangeOptions)[] = ['delta', 'name'];

/** int32 `start, start + delta, …` below `limit`; with one argument from 0. */
export function range(
  start: TensorLike,
  limit?: TensorLike,
  options: RangeOptions = {},
): Tensor<'int32'> {
  checkOptions('range', options, RANGE_OPTIONS);
  const delta = options.delta ?? 1;
  if (!Number.isInteger(delta) || delta === 0) {
    throw new ValueError(
      'value/range',
      `range: the step ${delta} must be an integer other than 0. Cast the result for floats.`,
    );
  }
  return inGraphOf([start, limit], () => {
    const from = limit === undefined ? toTensor(0, 'int32') : toTensor(start, 'int32');
    const to = toTensor(limit ?? start, 'int32');
    const graph = getDefaultGraph();
    const span = delta > 0 ? sub(to, from) : sub(from, to);
    const step = Math.abs(delta);
    const turns =
      step === 1
        ? span
        : graph.add('floorDiv', [add(span, step - 1), toTensor(step, 'int32')], {}).output();
    const count = asSize(graph.add('maximum', [turns, toTensor(0, 'int32')], {}).output());
    return graph
      .add('range', [from, count, toTensor(delta, 'int32')], {}, named(options))
      .output() as Tensor<'int32'>;
  });
}
