// Sizes as tensors and tensors as sizes. Ops that take a shape take it as an int32 tensor whose
// symbolic contents drive inference; contents known only in the run become size symbols through
// `asSize`, which the plan binds in mid-run.

import { floorDiv, prodDims } from '../core/dim.ts';
import { DTypeError, ShapeError, ValueError } from '../core/error.ts';
import { nameOf } from '../core/options.ts';
import type { Dims } from '../core/type.ts';
import { getDefaultGraph } from '../graph/graph.ts';
import { defineOp, type InferContext, type InferResult } from '../graph/op.ts';
import type { Tensor } from '../graph/tensor.ts';
import { load } from '../kernel/expr.ts';
import { constantOf, isSymbolic, type TensorLike, toTensor } from './convert.ts';
import { needRank } from './rules.ts';

/** A shape as users write it: sizes (numbers or int32 scalars), or one int32 vector. */
export type ShapeLike = TensorLike | readonly (number | Tensor)[];

export const asSizeOp = defineOp({
  name: 'asSize',
  nodeName: 'AsSize',
  doc: 'An int32 scalar as the value of a size symbol, bound when the run has computed it.',
  inputs: ['x'],
  attrs: {},
  infer: ({ types: [x], values, fresh, asSize: size }): InferResult => {
    if (x.dtype !== 'int32')
      throw new DTypeError('dtype/unsupported', `a size is int32, not ${x.dtype}. Cast it.`);
    needRank(x, 0, 'a size');
    return { types: [x], values: [(values[0] ?? [fresh('n')]).map(size)] };
  },
  reference: (_, [x]) => [x],
  gradient: () => [null],
  form: {
    kind: 'kernel',
    sizeOutputs: { 0: 'n' },
    lower: () => ({
      name: 'asSize',
      buffers: [
        { name: 'b0', type: 'i32', access: 'read' },
        { name: 'b1', type: 'i32', access: 'write' },
      ],
      params: [],
      body: [{ kind: 'store', buffer: 'b1', index: 0, value: load('b0', 'i32', 0) }],
      flops: 0,
      bytes: 8,
    }),
  },
});

/** The dims that input `i` of a node (an int32 vector) spells out. */
export function shapeFromInput(ctx: InferContext, i: number): Dims {
  const type = ctx.types[i];
  if (type.dtype !== 'int32') {
    throw new DTypeError(
      'dtype/unsupported',
      `a shape is an int32 vector, not ${type.dtype}. Cast it to int32.`,
    );
  }
  needRank(type, 1, 'a shape');
  const known = ctx.values[i];
  if (known) return known;
  const [rank] = type.shape;
  if (typeof rank !== 'number') {
    throw new ShapeError(
      'shape/dynamic-rank',
      'the length of the shape is not known, so the rank of the result is not. Give the shape tensor a known length.',
    );
  }
  return Array.from({ length: rank }, (_, k) => ctx.asSize(ctx.fresh(`s${i}_${k}`)));
}

/**
 * Resolves a shape that may hold one -1 for "what is left" against a number of elements. Demands
 * that the counts agree.
 */
export function resolveReshape(ctx: InferContext, wanted: Dims, from: Dims): Dims {
  const size = prodDims(from);
  const open = wanted.indexOf(-1);
  if (wanted.some((d, i) => typeof d === 'number' && d < 0 && (d !== -1 || i !== open))) {
    throw new ShapeError(
      'shape/reshape',
      `the sizes [${wanted.map(String)}] are no shape. Use sizes >= 0, and -1 once at most.`,
    );
  }
  const why = 'the number of elements must stay the same';
  if (open < 0) {
    ctx.equal(prodDims(wanted), size, why);
    return wanted;
  }
  const rest = prodDims(wanted.filter((_, i) => i !== open));
  if (rest === 0) {
    throw new ShapeError(
      'shape/reshape',
      'with a size of 0 the size -1 can be anything. Write the sizes out.',
    );
  }
  const left = floorDiv(size, rest);
  const out = wanted.map((d, i) => (i === open ? left : d));
  ctx.equal(prodDims(out), size, why);
  return out;
}

/** A shape as an int32 vector tensor. Unknown contents become size symbols. */
export function shapeTensor(shape: ShapeLike): Tensor {
  if (isSymbolic(shape)) return sized(toTensor(shape));
  const list = Array.isArray(shape) ? (shape as readonly (number | Tensor)[]) : undefined;
  if (list?.some((d) => isSymbolic(d))) {
    const parts = list.map((d) => asSize(isSymbolic(d) ? toTensor(d) : constantOf(d, 'int32')));
    const graph = getDefaultGraph();
    const vectors = parts.map((p) => graph.add('expandDims', [p], { axis: 0 }).output());
    return graph.add('concat', vectors, { axis: 0 }).output();
  }
  const unknown = list?.findIndex((d) => d === null || d === undefined) ?? -1;
  if (unknown >= 0) {
    throw new ValueError(
      'value/shape',
      `the shape ${nameOf(list)} has no size at [${unknown}]. Use numbers, int32 scalars, or the shape of a tensor: shape(x).`,
    );
  }
  const value = list && list.length === 0 ? new Int32Array(0) : shape;
  return constantOf(value, 'int32');
}

/** An int32 scalar whose contents are known as a size. */
export function asSize(x: Tensor): Tensor {
  if (x.value !== null || x.shape === null) return x;
  return getDefaultGraph().add('asSize', [x], {}).output();
}

/** An int32 vector with contents known as sizes, element by element where they are not yet. */
function sized(x: Tensor): Tensor {
  const n = x.shape?.[0];
  if (x.value !== null || x.dtype !== 'int32' || x.shape?.length !== 1 || typeof n !== 'number')
    return x;
  const graph = getDefaultGraph();
  const parts = Array.from({ length: n }, (_, i) => {
    const begin = constantOf([i], 'int32');
    const one = graph.add('slice', [x, begin, constantOf([1], 'int32')], {}).output();
    const scalar = graph.add('squeeze', [one], { axes: [0] }).output();
    return graph.add('expandDims', [asSize(scalar)], { axis: 0 }).output();
  });
  return n === 0 ? x : graph.add('concat', parts, { axis: 0 }).output();
}
