// The biased variance over axes, in two passes over the elements. A record of its own for the sake of
// its gradient, which needs no derivative of the mean: the deviations from it add up to nothing.

import { resolveAxes } from '../core/type.ts';
import { defineOp } from '../graph/op.ts';
import type { Tensor } from '../graph/tensor.ts';
import { cast } from './basic.ts';
import type { TensorLike } from './convert.ts';
import { div, mul, sub } from './math.ts';
import { squaredDifference } from './math-float.ts';
import { type ReduceOptions, reduce, reduceMean } from './reduce.ts';
import { needKind } from './rules.ts';
import { expandDims, size as sizeAlong } from './shape.ts';

type VarianceAttrs = { readonly axes: readonly number[] | null; readonly keepDims: boolean };

export const varianceOp = defineOp<VarianceAttrs>({
  name: 'variance',
  nodeName: 'Variance',
  doc:
    'The mean over axes of the squared distance from the mean; NaN over nothing. int32 truncates the ' +
    'mean and the variance toward zero.',
  inputs: ['x'],
  attrs: { axes: 'axes to reduce; null for all', keepDims: 'keep them with size 1' },
  infer: ({ types: [x], attrs }) => {
    needKind(x.dtype, ['float', 'int']);
    const axes = resolveAxes(attrs.axes, x.shape.length);
    const shape = attrs.keepDims
      ? x.shape.map((d, i) => (axes.includes(i) ? 1 : d))
      : x.shape.filter((_, i) => !axes.includes(i));
    return { types: [{ dtype: x.dtype, shape }] };
  },
  gradient: ({ inputs: [x], grad, attrs }) => {
    const axes = resolveAxes(attrs.axes, x.rank as number);
    const count = cast(sizeAlong(x, { axis: axes }), x.dtype);
    const whole = attrs.keepDims ? grad : axes.reduce((t: Tensor, a) => expandDims(t, a), grad);
    const mean = reduceMean(x, { axis: axes, keepDims: true });
    return [mul(sub(x, mean), div(mul(whole, 2), count))];
  },
  form: {
    kind: 'expand',
    expand: ([x], { axes, keepDims }) => {
      const mean = reduceMean(x, { axis: axes, keepDims: true });
      return [reduceMean(squaredDifference(x, mean), { axis: axes, keepDims })];
    },
  },
});

/** The biased variance over axes (all by default). */
export function reduceVariance(x: TensorLike, options: ReduceOptions = {}): Tensor {
  return reduce('variance', 'reduceVariance', x, options);
}
