// Elements by computed positions: gather and its transpose, one-hot vectors, positions of true
// elements. Indices are checked once, in a step of their own, before anything is written.

import {
  addDim,
  type Dim,
  dimEquals,
  floorDiv,
  makeSym,
  modDim,
  mulDim,
  prodDims,
  type Sym,
  symDim,
} from '../core/dim.ts';
import { collectSyms } from '../core/dim-syms.ts';
import { type DType, dtypeInfo, elementOf, isFloat } from '../core/dtype.ts';
import { DTypeError, ValueError } from '../core/error.ts';
import { sizeOf } from '../core/ndarray.ts';
import { checkOptions } from '../core/options.ts';
import { resolveAxis, rowMajorStrides } from '../core/type.ts';
import { getDefaultGraph } from '../graph/graph.ts';
import { defineOp, type InferContext } from '../graph/op.ts';
import type { Tensor } from '../graph/tensor.ts';
import {
  binary,
  compare,
  constant,
  dimValue,
  i32,
  letRef,
  load,
  select,
  varRef,
} from '../kernel/expr.ts';
import type { Stmt } from '../kernel/ir.ts';
import { ifStmt } from '../kernel/rewrite.ts';
import {
  AXIS_OPTIONS,
  type AxisOptions,
  inGraphOf,
  named,
  OP_OPTIONS,
  type OpOptions,
  type TensorLike,
  toTensor,
} from './convert.ts';
import { forEachIndex, linear } from './rules.ts';
import { shape as shapeOf, size as sizeAlong } from './shape.ts';
import { shapeFromInput } from './sizes.ts';

function needInt(dtype: DType, what: string): void {
  if (dtype !== 'int32') {
    throw new DTypeError(
      'dtype/unsupported',
      `${what} are ${dtype}, not int32. Cast them: cast(x, 'int32').`,
    );
  }
}

export const checkIndicesOp = defineOp({
  name: 'checkIndices',
  nodeName: 'CheckIndices',
  doc: 'The indices, after a check that all are in 0 .. size-1; the run fails otherwise.',
  inputs: ['indices', 'size'],
  attrs: {},
  effect: 'check',
  failure:
    'an index is out of range. Indices and labels count from 0 and stay below the size of their axis or the ' +
    'number of classes.',
  infer: ({ types: [x] }) => {
    needInt(x.dtype, 'indices');
    return { types: [x] };
  },
  reference: (_, [x, size]) => {
    for (const i of x.data) {
      if (i < 0 || i >= size.data[0]) {
        throw new ValueError(
          'run/check',
          `an index is out of range 0 .. ${size.data[0] - 1}: ${i}`,
        );
      }
    }
    return [x];
  },
  gradient: () => [null, null],
  form: {
    kind: 'kernel',
    lower: ({ inputs: [x] }) => {
      const n = prodDims(x.shape);
      const axis = makeSym('i0', 'i0', { extent: n });
      const code = makeSym('$check');
      const value = letRef('v', 'i32');
      const limit = letRef('limit', 'i32');
      const bad = binary('or', compare('lt', value, i32(0)), compare('ge', value, limit));
      const body: Stmt[] = [
        { kind: 'let', name: 'v', value: load('b0', 'i32', symDim(axis)) },
        { kind: 'fail', when: bad, code: symDim(code) },
        { kind: 'store', buffer: 'b2', index: symDim(axis), value },
      ];
      const sizes = new Map<string, Sym>();
      for (const d of x.shape) collectSyms(d, sizes);
      return {
        name: 'checkIndices',
        buffers: [
          { name: 'b0', type: 'i32', access: 'read' },
          { name: 'b1', type: 'i32', access: 'read' },
          { name: 'b2', type: 'i32', access: 'write' },
        ],
        params: [...sizes.values(), code],
        body: [
          { kind: 'let', name: 'limit', value: load('b1', 'i32', 0) },
          { kind: 'for', axis, start: 0, end: n, step: 1, role: 'grid', body },
        ],
        flops: 0,
        bytes: mulDim(8, n),
      };
    },
  },
});

export const gatherOp = defineOp<{ readonly axis: number }>({
  name: 'gather',
  nodeName: 'GatherV2',
  doc: 'The slices of x at `indices` along an axis. Indices must be in range (see checkIndices).',
  inputs: ['x', 'indices'],
  attrs: { axis: 'the axis of x that is indexed' },
  infer: (ctx) => {
    const [x, indices] = ctx.types;
    needInt(indices.dtype, 'indices');
    const axis = resolveAxis(ctx.attrs.axis, x.shape.length);
    const out = [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)];
    return { types: [{ dtype: x.dtype, shape: out }], values: [gatherValues(ctx)] };
  },
  reference: (ctx, [x, indices], attrs) => {
    const axis = resolveAxis(attrs.axis, x.shape.length);
    const out = [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)];
    const data = ctx.alloc(x.dtype, sizeOf(out));
    const r = indices.shape.length;
    forEachIndex(out, (index, i) => {
      const j = indices.data[linear(index.slice(axis, axis + r), indices.shape)];
      data[i] = x.data[linear([...index.slice(0, axis), j, ...index.slice(axis + r)], x.shape)];
    });
    return [{ dtype: x.dtype, shape: out, data }];
  },
  gradient: ({ inputs: [x, indices], grad, attrs }) => [
    getDefaultGraph()
      .add('scatterSum', [grad, indices, shapeOf(x)], { axis: attrs.axis })
      .output(),
    null,
  ],
  movesData: true,
  form: {
    kind: 'index',
    at: (ctx, index) => {
      const [x, indices] = ctx.inputs;
      const axis = resolveAxis(ctx.attrs.axis, x.shape.length);
      const r = indices.shape.length;
      const j = ctx.local(ctx.read(1, index.slice(axis, axis + r)));
      return ctx.read(0, [...index.slice(0, axis), j, ...index.slice(axis + r)]);
    },
  },
});

/** Sizes picked by constant positions stay sizes. */
function gatherValues(ctx: InferContext): readonly Dim[] | null {
  const [value, at] = ctx.values;
  if (!value || !at || ctx.types[0].shape.length !== 1) return null;
  const out = at.map((i) => (typeof i === 'number' ? value[i] : undefined));
  return out.every((d) => d !== undefined) ? (out as Dim[]) : null;
}

export const scatterSumOp = defineOp<{ readonly axis: number }>({
  name: 'scatterSum',
  nodeName: 'ScatterSum',
  doc:
    'A tensor of some shape whose slice j along an axis is the sum of the slices of x at which ' +
    '`indices` is j: the transpose of gather. Sums in index order: deterministic.',
  inputs: ['x', 'indices', 'shape'],
  attrs: { axis: 'the axis of the result that is indexed' },
  infer: (ctx) => ({ types: [{ dtype: ctx.types[0].dtype, shape: shapeFromInput(ctx, 2) }] }),
  reference: (ctx, [x, indices, shape], attrs) => {
    const out = Array.from(shape.data);
    const axis = resolveAxis(attrs.axis, out.length);
    const r = indices.shape.length;
    const sums = new Float64Array(sizeOf(out));
    forEachIndex(x.shape, (index, i) => {
      const j = indices.data[linear(index.slice(axis, axis + r), indices.shape)];
      sums[linear([...index.slice(0, axis), j, ...index.slice(axis + r)], out)] += x.data[i];
    });
    const data = ctx.alloc(x.dtype, sums.length);
    for (let i = 0; i < sums.length; i++) data[i] = isFloat(x.dtype) ? sums[i] : sums[i] | 0;
    return [{ dtype: x.dtype, shape: out, data }];
  },
  gradient: ({ inputs: [, indices], grad, attrs }) => [
    getDefaultGraph().add('gather', [grad, indices], { axis: attrs.axis }).output(),
    null,
    null,
  ],
  form: {
    kind: 'reduce',
    reduce: (ctx) => {
      const [x, indices] = ctx.inputs;
      const axis = resolveAxis(ctx.attrs.axis, ctx.output.shape.length);
      const type = dtypeInfo(x.dtype).scalar;
      const zero = constant(type, 0);
      return {
        extents: indices.shape,
        accumulators: [{ type, init: zero, op: 'add' }],
        values: (out, red) => {
          const here = compare('eq', ctx.read(1, red), dimValue(out[axis]));
          const value = ctx.read(0, [...out.slice(0, axis), ...red, ...out.slice(axis + 1)]);
          return [select(here, value, zero)];
        },
      };
    },
  },
});

type OneHotAttrs = {
  readonly depth: number;
  readonly axis: number;
  readonly on: number;
  readonly off: number;
  readonly dtype: DType;
};

export const oneHotOp = defineOp<OneHotAttrs>({
  name: 'oneHot',
  nodeName: 'OneHot',
  doc: 'A new axis that holds `on` at the index and `off` elsewhere; an index out of range gives `off` only.',
  inputs: ['indices'],
  attrs: {
    depth: 'size of the new axis',
    axis: 'where it stands in the result',
    on: 'value at the index',
    off: 'value elsewhere',
    dtype: 'element type of the result',
  },
  infer: ({ types: [x], attrs }) => {
    needInt(x.dtype, 'indices');
    const at = resolveAxis(attrs.axis, x.shape.length + 1);
    const out = [...x.shape.slice(0, at), attrs.depth, ...x.shape.slice(at)];
    return { types: [{ dtype: attrs.dtype, shape: out }] };
  },
  dtypes: (_, attrs) => [attrs.dtype],
  reference: (ctx, [x], attrs) => {
    const at = resolveAxis(attrs.axis, x.shape.length + 1);
    const out = [...x.shape.slice(0, at), attrs.depth, ...x.shape.slice(at)];
    const data = ctx.alloc(attrs.dtype, sizeOf(out));
    forEachIndex(out, (index, i) => {
      const j =
        x.data[
          linear(
            index.filter((_, a) => a !== at),
            x.shape,
          )
        ];
      data[i] = elementOf(attrs.dtype, Number(j) === index[at] ? attrs.on : attrs.off);
    });
    return [{ dtype: attrs.dtype, shape: out, data }];
  },
  gradient: () => [null],
  form: {
    kind: 'index',
    at: (ctx, index) => {
      const { attrs } = ctx;
      const at = resolveAxis(attrs.axis, index.length);
      const type = dtypeInfo(attrs.dtype).scalar;
      const here = compare(
        'eq',
        ctx.read(
          0,
          index.filter((_, a) => a !== at),
        ),
        dimValue(index[at]),
      );
      return select(here, constant(type, attrs.on), constant(type, attrs.off));
    },
  },
});

export const whereOp = defineOp({
  name: 'where',
  nodeName: 'Where',
  doc: 'The positions of true elements in row-major order, [n, rank] int32, and n. n is known in the run only.',
  inputs: ['condition'],
  attrs: {},
  infer: ({ types: [c], fresh }) => {
    if (c.dtype !== 'bool') {
      throw new DTypeError(
        'dtype/unsupported',
        `the condition is ${c.dtype}, not bool. Compare first: notEqual(x, 0).`,
      );
    }
    const n = fresh('n', prodDims(c.shape));
    return {
      types: [
        { dtype: 'int32', shape: [n, c.shape.length] },
        { dtype: 'int32', shape: [] },
      ],
      values: [null, [n]],
    };
  },
  dtypes: () => ['int32', 'int32'],
  reference: (ctx, [c]) => {
    const found: number[] = [];
    let n = 0;
    forEachIndex(c.shape, (index, i) => {
      if (c.data[i] === 0) return;
      found.push(...index);
      n++;
    });
    const data = ctx.alloc('int32', found.length);
    data.set(found);
    const count = ctx.alloc('int32', 1);
    count[0] = n;
    return [
      { dtype: 'int32', shape: [n, c.shape.length], data },
      { dtype: 'int32', shape: [], data: count },
    ];
  },
  gradient: () => [null],
  form: {
    kind: 'kernel',
    sizeOutputs: { 1: 'n' },
    lower: ({ inputs: [c] }) => {
      const n = prodDims(c.shape);
      const axis = makeSym('i0', 'i0', { extent: n });
      const at = symDim(axis);
      const rank = c.shape.length;
      const strides = rowMajorStrides(c.shape);
      const sizes = new Map<string, Sym>();
      for (const d of c.shape) collectSyms(d, sizes);
      const slot = symDim(makeSym('slot'));
      const position = (a: number): Dim => {
        const q = floorDiv(at, strides[a]);
        return a === 0 || dimEquals(c.shape[a], n) ? q : modDim(q, c.shape[a]);
      };
      const found: Stmt[] = [
        { kind: 'let', name: 'slot', value: varRef('n', 'i32') },
        ...c.shape.map((_, a): Stmt => {
          const index = addDim(mulDim(slot, rank), a);
          return { kind: 'store', buffer: 'b1', index, value: dimValue(position(a)) };
        }),
        { kind: 'set', name: 'n', value: binary('add', varRef('n', 'i32'), i32(1)) },
      ];
      return {
        name: 'where',
        buffers: [
          { name: 'b0', type: 'bool', access: 'read' },
          { name: 'b1', type: 'i32', access: 'write' },
          { name: 'b2', type: 'i32', access: 'write' },
        ],
        params: [...sizes.values()],
        body: [
          { kind: 'var', name: 'n', type: 'i32', lanes: 1, init: i32(0) },
          {
            kind: 'for',
            axis,
            start: 0,
            end: n,
            step: 1,
            role: 'serial',
            body: [ifStmt(load('b0', 'bool', at), found)],
          },
          { kind: 'store', buffer: 'b2', index: 0, value: varRef('n', 'i32') },
        ],
        flops: 0,
        bytes: mulDim(n, 1 + 4 * rank),
      };
    },
  },
});

/** Indices checked against a size, unless they are constants seen to be in range. */
export function checkedIndices(indices: Tensor, size: Tensor): Tensor {
  const n = size.value?.[0];
  const known = indices.value;
  const inside =
    typeof n === 'number' && known?.every((i) => typeof i === 'number' && i >= 0 && i < n);
  if (inside) return indices;
  return getDefaultGraph().add('checkIndices', [indices, size], {}).output();
}

/**
 * The slices of x at `indices` along `axis`. An index out of range fails the run with an
 * ExecutionError (`run/check`) before anything is written.
 */
export function gather(x: TensorLike, indices: TensorLike, options: AxisOptions = {}): Tensor {
  checkOptions('gather', options, AXIS_OPTIONS);
  const axis = options.axis ?? 0;
  return inGraphOf([x, indices], () => {
    const t = toTensor(x);
    const i = checkedIndices(toTensor(indices, 'int32'), sizeAlong(t, { axis }));
    return getDefaultGraph().add('gather', [t, i], { axis }, named(options)).output();
  });
}

/** Options of {@link oneHot}. */
export interface OneHotOptions extends OpOptions {
  /** Where the new axis goes; the last by default. */
  readonly axis?: number;
  /** 1 by default. */
  readonly onValue?: number;
  /** 0 by default. */
  readonly offValue?: number;
  /** float32 by default. */
  readonly dtype?: DType;
}

const ONE_HOT_OPTIONS: readonly (keyof OneHotOptions)[] = [
  'axis',
  'onValue',
  'offValue',
  'dtype',
  'name',
];

/** A new axis (the last by default) of size `depth` that holds `onValue` at the index. */
export function oneHot(indices: TensorLike, depth: number, options: OneHotOptions = {}): Tensor {
  checkOptions('oneHot', options, ONE_HOT_OPTIONS);
  if (!Number.isInteger(depth) || depth < 0) {
    throw new ValueError(
      'value/depth',
      `oneHot: the depth ${depth} is no size. Use an integer >= 0.`,
    );
  }
  const { axis = -1, onValue: on = 1, offValue: off = 0, dtype = 'float32' } = options;
  if (!isFloat(dtype) && !(Number.isInteger(on) && Number.isInteger(off))) {
    throw new DTypeError(
      'dtype/weak',
      `oneHot: ${on} and ${off} do not fit ${dtype}. Use integers, or dtype 'float32'.`,
    );
  }
  return inGraphOf([indices], () =>
    getDefaultGraph()
      .add('oneHot', [toTensor(indices, 'int32')], { depth, axis, on, off, dtype }, named(options))
      .output(),
  );
}

/** The positions of true elements, int32 [n, rank], in row-major order. */
export function where(condition: TensorLike, options: OpOptions = {}): Tensor<'int32'> {
  checkOptions('where', options, OP_OPTIONS);
  return inGraphOf(
    [condition],
    () =>
      getDefaultGraph()
        .add('where', [toTensor(condition)], {}, options)
        .output() as Tensor<'int32'>,
  );
}
