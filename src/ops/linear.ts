// Contractions: dotGeneral, the one primitive, and matmul with its broadcasting and transposes.

import { addDim, type Dim, subDim } from '../core/dim.ts';
import { dtypeInfo, isBig, isFloat } from '../core/dtype.ts';
import { ShapeError } from '../core/error.ts';
import { type HostTensor, sizeOf } from '../core/ndarray.ts';
import { checkOptions } from '../core/options.ts';
import { shapeEquals, shapeToString } from '../core/type.ts';
import { getDefaultGraph } from '../graph/graph.ts';
import { defineOp, type InferContext } from '../graph/op.ts';
import type { Tensor } from '../graph/tensor.ts';
import * as k from '../kernel/expr.ts';
import { apply, inGraphOf, OP_OPTIONS, type OpOptions, pair, type TensorLike } from './convert.ts';
import {
  broadcastHost,
  broadcastShapes,
  forEachIndex,
  linear,
  needKind,
  sameDType,
} from './rules.ts';
import { broadcastTo, shape as shapeOf, transpose } from './shape.ts';
import { shapeFromInput } from './sizes.ts';
import { concat, slice } from './slicing.ts';
import { unbroadcast } from './unbroadcast.ts';

/** Which axes of two operands pair: batch axes stay, contracted axes are summed over. */
export type DotAxes = {
  readonly lhsBatch: readonly number[];
  readonly rhsBatch: readonly number[];
  readonly lhsContract: readonly number[];
  readonly rhsContract: readonly number[];
};

const DOT_AXES: readonly (keyof DotAxes)[] = ['lhsBatch', 'rhsBatch', 'lhsContract', 'rhsContract'];

function free(rank: number, ...used: (readonly number[])[]): number[] {
  const taken = used.flat();
  return Array.from({ length: rank }, (_, i) => i).filter((i) => !taken.includes(i));
}

/** The inputs' indices from the output's (batch, free of x, free of y) and the contracted ones. */
function dotIndices<T>(
  attrs: DotAxes,
  ranks: readonly [number, number],
  out: readonly T[],
  red: readonly T[],
): [T[], T[]] {
  const xFree = free(ranks[0], attrs.lhsBatch, attrs.lhsContract);
  const yFree = free(ranks[1], attrs.rhsBatch, attrs.rhsContract);
  const x = new Array<T>(ranks[0]);
  const y = new Array<T>(ranks[1]);
  let at = 0;
  attrs.lhsBatch.forEach((a, i) => {
    x[a] = out[at];
    y[attrs.rhsBatch[i]] = out[at++];
  });
  for (const a of xFree) x[a] = out[at++];
  for (const a of yFree) y[a] = out[at++];
  attrs.lhsContract.forEach((a, i) => {
    x[a] = red[i];
    y[attrs.rhsContract[i]] = red[i];
  });
  return [x, y];
}

export const dotGeneralOp = defineOp<DotAxes>({
  name: 'dotGeneral',
  nodeName: 'DotGeneral',
  doc: 'Sums of products over contracted axes; the result has the batch axes, then the free axes of x, then of y.',
  inputs: ['x', 'y'],
  attrs: {
    lhsBatch: 'axes of x that pair with rhsBatch and stay',
    rhsBatch: 'axes of y that pair with lhsBatch',
    lhsContract: 'axes of x that are summed with rhsContract',
    rhsContract: 'axes of y that are summed',
  },
  infer: ({ types, attrs, equal }) => {
    const dtype = sameDType(types);
    needKind(dtype, ['float', 'int']);
    const [x, y] = types;
    const batch = attrs.lhsBatch.map((a, i) =>
      equal(x.shape[a], y.shape[attrs.rhsBatch[i]], 'the batch sizes must be equal'),
    );
    attrs.lhsContract.forEach((a, i) => {
      equal(x.shape[a], y.shape[attrs.rhsContract[i]], 'the contracted sizes must be equal');
    });
    const xs = free(x.shape.length, attrs.lhsBatch, attrs.lhsContract).map((a) => x.shape[a]);
    const ys = free(y.shape.length, attrs.rhsBatch, attrs.rhsContract).map((a) => y.shape[a]);
    return { types: [{ dtype, shape: [...batch, ...xs, ...ys] }] };
  },
  reference: (ctx, [x, y], attrs) => {
    const ranks: [number, number] = [x.shape.length, y.shape.length];
    const xs = free(ranks[0], attrs.lhsBatch, attrs.lhsContract).map((a) => x.shape[a]);
    const ys = free(ranks[1], attrs.rhsBatch, attrs.rhsContract).map((a) => y.shape[a]);
    const shape = [...attrs.lhsBatch.map((a) => x.shape[a]), ...xs, ...ys];
    const depth = attrs.lhsContract.map((a) => x.shape[a]);
    const data = ctx.alloc(x.dtype, sizeOf(shape));
    // An index is linear in its parts: what the contracted axes add is the same for all outputs.
    const turns = sizeOf(depth);
    const [xSteps, ySteps] = [new Int32Array(turns), new Int32Array(turns)];
    const offsets = (out: readonly number[], red: readonly number[]): [number, number] => {
      const [a, b] = dotIndices(attrs, ranks, out, red);
      return [linear(a, x.shape), linear(b, y.shape)];
    };
    const big = isBig(x.dtype);
    const origin = new Array<number>(shape.length).fill(0);
    forEachIndex(depth, (red, r) => {
      [xSteps[r], ySteps[r]] = offsets(origin, red);
    });
    const start = new Array<number>(depth.length).fill(0);
    forEachIndex(shape, (out, i) => {
      const [xAt, yAt] = offsets(out, start);
      let sum = (big ? 0n : 0) as number;
      for (let r = 0; r < turns; r++) {
        const u = x.data[xAt + xSteps[r]];
        const v = y.data[yAt + ySteps[r]];
        sum = big || isFloat(x.dtype) ? sum + u * v : (sum + Math.imul(u, v)) | 0;
      }
      data[i] = sum;
    });
    const out: HostTensor = { dtype: x.dtype, shape, data };
    return [out];
  },
  gradient: ({ inputs: [x, y], grad, attrs }) => [
    dotGradient(x, y, grad, attrs, true),
    dotGradient(x, y, grad, attrs, false),
  ],
  form: {
    kind: 'reduce',
    contraction: true,
    reduce: (ctx) => {
      const [x, y] = ctx.inputs;
      const type = dtypeInfo(x.dtype).scalar;
      return {
        extents: ctx.attrs.lhsContract.map((a) => x.shape[a]),
        accumulators: [{ type, init: k.constant(type, 0), op: 'add' }],
        values: (out: readonly Dim[], red: readonly Dim[]) => {
          const ranks: [number, number] = [x.shape.length, y.shape.length];
          const [a, b] = dotIndices(ctx.attrs, ranks, out, red);
          return [k.mul(ctx.read(0, a), ctx.read(1, b))];
        },
      };
    },
  },
});

/** The gradient of one operand: the other contracted with the gradient, axes put back in place. */
function dotGradient(x: Tensor, y: Tensor, grad: Tensor, attrs: DotAxes, first: boolean): Tensor {
  const xFree = free(x.rank as number, attrs.lhsBatch, attrs.lhsContract);
  const yFree = free(y.rank as number, attrs.rhsBatch, attrs.rhsContract);
  const batch = attrs.lhsBatch.map((_, i) => i);
  const xOut = xFree.map((_, i) => batch.length + i);
  const yOut = yFree.map((_, i) => batch.length + xFree.length + i);
  const [other, otherBatch, otherFree, otherContract] = first
    ? [y, attrs.rhsBatch, yFree, attrs.rhsContract]
    : [x, attrs.lhsBatch, xFree, attrs.lhsContract];
  // The result has axes: batch, free ones of the gradient (this operand's free), contracted ones.
  const raw = dotGeneral(grad, other, {
    lhsBatch: batch,
    rhsBatch: otherBatch,
    lhsContract: first ? yOut : xOut,
    rhsContract: otherFree,
  });
  const contractOrder = [...otherContract].sort((a, b) => a - b);
  const [own, ownBatch, ownFree, ownContract] = first
    ? [x, attrs.lhsBatch, xFree, attrs.lhsContract]
    : [y, attrs.rhsBatch, yFree, attrs.rhsContract];
  const perm = new Array<number>(own.rank as number);
  ownBatch.forEach((a, i) => {
    perm[a] = i;
  });
  ownFree.forEach((a, i) => {
    perm[a] = ownBatch.length + i;
  });
  ownContract.forEach((a, i) => {
    perm[a] = ownBatch.length + ownFree.length + contractOrder.indexOf(otherContract[i]);
  });
  return perm.every((p, i) => p === i) ? raw : transpose(raw, perm);
}

type MatmulAttrs = { readonly transposeA: boolean; readonly transposeB: boolean };

export const matmulOp = defineOp<MatmulAttrs>({
  name: 'matmul',
  nodeName: 'MatMul',
  doc: 'The matrix product of the last two axes; leading axes broadcast.',
  inputs: ['a', 'b'],
  attrs: { transposeA: 'swap the last two axes of a first', transposeB: 'the same of b' },
  infer: (ctx) => {
    const [a, b] = ctx.types;
    const dtype = sameDType(ctx.types);
    needKind(dtype, ['float', 'int']);
    for (const t of ctx.types) {
      if (t.shape.length < 2) {
        throw new ShapeError(
          'shape/rank',
          `matrices need rank 2 or more, not ${shapeToString(t.shape)}. Use expandDims() or reshape().`,
        );
      }
    }
    const [m, ka] = lastTwo(a.shape, ctx.attrs.transposeA);
    const [kb, n] = lastTwo(b.shape, ctx.attrs.transposeB);
    ctx.equal(ka, kb, 'the inner sizes must be equal');
    const batch = broadcastShapes(ctx as InferContext, [
      a.shape.slice(0, -2),
      b.shape.slice(0, -2),
    ]);
    return { types: [{ dtype, shape: [...batch, m, n] }] };
  },
  gradient: ({ inputs: [a, b], grad, attrs: { transposeA: ta, transposeB: tb } }) => {
    const da = ta
      ? matmul(b, grad, { transposeA: tb, transposeB: true })
      : matmul(grad, b, { transposeB: !tb });
    const db = tb
      ? matmul(grad, a, { transposeA: true, transposeB: ta })
      : matmul(a, grad, { transposeA: !ta });
    return [unbroadcast(da, a), unbroadcast(db, b)];
  },
  form: {
    kind: 'expand',
    expand: ([a, b], { transposeA, transposeB }) => {
      const rank = Math.max(a.rank as number, b.rank as number) - 2;
      const x = batched(a, b);
      const y = batched(b, a);
      const [xLead, yLead] = [(x.rank as number) - 2, (y.rank as number) - 2];
      const lhsContract = [xLead + (transposeA ? 0 : 1)];
      const rhsContract = [yLead + (transposeB ? 1 : 0)];
      // An operand without batch axes is shared by all matrices of the other: no batch, more free axes.
      const batch = xLead === yLead ? Array.from({ length: rank }, (_, i) => i) : [];
      const out = dotGeneral(x, y, { lhsBatch: batch, rhsBatch: batch, lhsContract, rhsContract });
      if (xLead >= yLead) return [out];
      const perm = [...Array.from({ length: rank }, (_, i) => i + 1), 0, rank + 1];
      return [transpose(out, perm)];
    },
  },
});

function lastTwo(shape: readonly Dim[], swap: boolean): [Dim, Dim] {
  const [x, y] = shape.slice(-2);
  return swap ? [y, x] : [x, y];
}

/** `t` repeated to the batch axes of both; as it is where it or the other has none. */
function batched(t: Tensor, other: Tensor): Tensor {
  const mine = (t.shape as readonly Dim[]).slice(0, -2);
  const theirs = (other.shape as readonly Dim[]).slice(0, -2);
  if (mine.length === 0 || theirs.length === 0 || shapeEquals(mine, theirs)) return t;
  const [a, b] = [shapeOf(t), shapeOf(other)];
  const inputs = [slice(a, [0], [mine.length]), slice(b, [0], [theirs.length])];
  const batch = getDefaultGraph().add('broadcastShape', inputs, {}).output();
  return broadcastTo(t, concat([batch, slice(a, [mine.length], [2])], 0));
}

/**
 * Sums of products over contracted axes of x and y; the result has the batch axes, then x's free
 * axes, then y's.
 */
export function dotGeneral(
  x: TensorLike,
  y: TensorLike,
  axes: DotAxes,
  options: OpOptions = {},
): Tensor {
  checkOptions('dotGeneral: axes', axes, DOT_AXES);
  checkOptions('dotGeneral', options, OP_OPTIONS);
  return inGraphOf([x, y], () =>
    getDefaultGraph()
      .add('dotGeneral', pair(x, y), { ...axes }, options)
      .output(),
  );
}

/** Options of {@link matmul}. */
export interface MatmulOptions extends OpOptions {
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
}

const MATMUL_OPTIONS: readonly (keyof MatmulOptions)[] = ['transposeA', 'transposeB', 'name'];

/** The matrix product of the last two axes; leading axes broadcast. */
export function matmul(a: TensorLike, b: TensorLike, options: MatmulOptions = {}): Tensor {
  checkOptions('matmul', options, MATMUL_OPTIONS);
  const { transposeA = false, transposeB = false } = options;
  return inGraphOf([a, b], () => apply('matmul', pair(a, b), { transposeA, transposeB }, options));
}

export const broadcastShapeOp = defineOp({
  name: 'broadcastShape',
  nodeName: 'BroadcastArgs',
  doc: 'The shape that two shapes broadcast to, as an int32 vector.',
  inputs: ['a', 'b'],
  attrs: {},
  infer: (ctx) => {
    const out = broadcastShapes(ctx, [shapeFromInput(ctx, 0), shapeFromInput(ctx, 1)]);
    return { types: [{ dtype: 'int32', shape: [out.length] }], values: [out] };
  },
  reference: (ctx, [a, b]) => {
    const out = broadcastHost([Array.from(a.data), Array.from(b.data)]);
    const data = ctx.alloc('int32', out.length);
    data.set(out);
    return [{ dtype: 'int32', shape: [out.length], data }];
  },
  gradient: () => [null, null],
  form: {
    kind: 'index',
    at: (ctx, [i]) => {
      const rank = ctx.output.shape[0];
      const one = k.i32(1);
      const [a, b] = ctx.inputs.map((t, n) => {
        const at = addDim(i, subDim(t.shape[0], rank));
        const there = k.compare('ge', k.dimValue(at), k.i32(0));
        return k.select(there, ctx.read(n, [at]), one, true);
      });
      return k.select(k.compare('eq', a, one), b, a);
    },
  },
});
