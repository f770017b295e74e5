// The transpose of broadcasting: sums a gradient over the axes along which an operand was repeated.
// Which axes those are may be known only when sizes are; the op is a reduction whose extents say it.

import { addDim, type Dim, dimEquals, mulDim, ne1Dim, subDim } from '../core/dim.ts';
import { dtypeInfo, isFloat } from '../core/dtype.ts';
import { shapeEquals } from '../core/type.ts';
import { getDefaultGraph } from '../graph/graph.ts';
import { defineOp } from '../graph/op.ts';
import type { Tensor } from '../graph/tensor.ts';
import * as k from '../kernel/expr.ts';
import { broadcastIndices } from './rules.ts';
import { broadcastTo, shape as shapeOf } from './shape.ts';
import { shapeFromInput } from './sizes.ts';

/** How far an axis is summed: all of `from` where `to` is 1, else not at all. */
function extentOf(from: Dim, to: Dim): Dim {
  if (dimEquals(from, to)) return 1;
  if (to === 1) return from;
  // 1 + (1 - ne1(to)) * (from - 1)
  return addDim(1, mulDim(subDim(1, ne1Dim(to)), subDim(from, 1)));
}

export const unbroadcastOp = defineOp({
  name: 'unbroadcast',
  nodeName: 'Unbroadcast',
  doc: 'Sums x to a shape that broadcasts to the shape of x: the gradient of broadcasting.',
  inputs: ['x', 'shape'],
  attrs: {},
  infer: (ctx) => ({ types: [{ dtype: ctx.types[0].dtype, shape: shapeFromInput(ctx, 1) }] }),
  dtypes: (inputs) => [inputs[0]],
  reference: (ctx, [x, s]) => {
    const shape = Array.from(s.data);
    const data = ctx.alloc(
      x.dtype,
      shape.reduce((a, b) => a * b, 1),
    );
    const sums = new Float64Array(data.length);
    const at = broadcastIndices(shape, x.shape);
    for (let i = 0; i < x.data.length; i++) sums[at[i]] += x.data[i];
    for (let i = 0; i < data.length; i++) data[i] = isFloat(x.dtype) ? sums[i] : sums[i] | 0;
    return [{ dtype: x.dtype, shape, data }];
  },
  gradient: ({ inputs: [x], grad }) => [broadcastTo(grad, shapeOf(x)), null],
  form: {
    kind: 'reduce',
    reduce: ({ inputs: [x], output, read }) => {
      const lead = x.shape.length - output.shape.length;
      // Axes that are never summed get no loop.
      const extents = x.shape.map((d, i) => (i < lead ? d : extentOf(d, output.shape[i - lead])));
      const looped = extents.flatMap((e, i) => (e === 1 && i >= lead ? [] : [i]));
      const type = dtypeInfo(x.dtype).scalar;
      return {
        extents: looped.map((i) => extents[i]),
        accumulators: [{ type, init: k.constant(type, 0), op: 'add' }],
        values: (out, red) => {
          const index = x.shape.map((_, i): Dim => (i < lead ? 0 : out[i - lead]));
          looped.forEach((axis, j) => {
            index[axis] = addDim(index[axis], red[j]);
          });
          return [read(0, index)];
        },
      };
    },
  },
});

/** Sums `g` to the shape of `like`, which broadcasts to g's; `g` itself where the shapes are equal. */
export function unbroadcast(g: Tensor, like: Tensor): Tensor {
  if (g.shape !== null && like.shape !== null && shapeEquals(g.shape, like.shape)) return g;
  return getDefaultGraph()
    .add('unbroadcast', [g, shapeOf(like)], {})
    .output();
}
