// Softmax and cross entropy, stable by construction, with gradients of their own where the chain rule
// would lose precision or work.

import { dtypeInfo } from '../core/dtype.ts';
import { DTypeError, ShapeError } from '../core/error.ts';
import { checkOptions } from '../core/options.ts';
import { resolveAxis } from '../core/type.ts';
import { getDefaultGraph } from '../graph/graph.ts';
import { defineOp, type InferResult, type KnownType } from '../graph/op.ts';
import type { Tensor } from '../graph/tensor.ts';
import { cast, stopGradient } from './basic.ts';
import { equal } from './compare.ts';
import {
  AXIS_OPTIONS,
  type AxisOptions,
  applyChecked,
  inGraphOf,
  OP_OPTIONS,
  type OpOptions,
  type TensorLike,
  toTensor,
} from './convert.ts';
import { checkedIndices } from './gather.ts';
import { div, exp, log, mul, neg, sub } from './math.ts';
import { reciprocal } from './math-float.ts';
import { reduceMax, reduceSum } from './reduce.ts';
import { needKind, needRank } from './rules.ts';
import { expandDims, size as sizeAlong } from './shape.ts';
import { range } from './slicing.ts';

type AxisAttrs = { readonly axis: number };

function inferSoftmax([x]: readonly KnownType[], axis: number): InferResult {
  needKind(x.dtype, ['float']);
  resolveAxis(axis, x.shape.length);
  return { types: [x] };
}

/** x minus its maximum: no exponential of it overflows. The maximum is no part of the derivative. */
function shifted(x: Tensor, axis: number): Tensor {
  return sub(x, stopGradient(reduceMax(x, { axis, keepDims: true })));
}

export const softmaxOp = defineOp<AxisAttrs>({
  name: 'softmax',
  nodeName: 'Softmax',
  doc: 'exp(x) over its sum along an axis, computed without overflow.',
  inputs: ['logits'],
  attrs: { axis: 'the axis of the distributions' },
  infer: ({ types, attrs }) => inferSoftmax(types, attrs.axis),
  gradient: ({ outputs: [y], grad, attrs }) => {
    const inner = reduceSum(mul(grad, y), { axis: attrs.axis, keepDims: true });
    return [mul(sub(grad, inner), y)];
  },
  form: {
    kind: 'expand',
    expand: ([x], { axis }) => {
      const e = exp(shifted(x, axis));
      const sum = reduceSum(e, { axis, keepDims: true });
      // Of 16 bits, the reciprocal of a large sum would be subnormal.
      const short = dtypeInfo(x.dtype).bytes < 4;
      return [short ? div(e, sum) : mul(e, reciprocal(sum))];
    },
  },
});

export const logSoftmaxOp = defineOp<AxisAttrs>({
  name: 'logSoftmax',
  nodeName: 'LogSoftmax',
  doc: 'The logarithm of softmax, without going through it.',
  inputs: ['logits'],
  attrs: { axis: 'the axis of the distributions' },
  infer: ({ types, attrs }) => inferSoftmax(types, attrs.axis),
  gradient: ({ outputs: [y], grad, attrs }) => [
    sub(grad, mul(exp(y), reduceSum(grad, { axis: attrs.axis, keepDims: true }))),
  ],
  form: {
    kind: 'expand',
    expand: ([x], { axis }) => {
      const s = shifted(x, axis);
      return [sub(s, log(reduceSum(exp(s), { axis, keepDims: true })))];
    },
  },
});

export const softmaxCrossEntropyOp = defineOp({
  name: 'softmaxCrossEntropyWithLogits',
  nodeName: 'SoftmaxCrossEntropyWithLogits',
  doc: 'Minus the sum over the last axis of labels times log softmax of logits.',
  inputs: ['labels', 'logits'],
  attrs: {},
  infer: ({ types: [labels, logits], equal: same }) => {
    for (const t of [labels, logits]) needKind(t.dtype, ['float']);
    if (labels.shape.length !== logits.shape.length || logits.shape.length === 0) {
      throw new ShapeError(
        'shape/rank',
        'labels and logits must have the same rank, at least 1. For class numbers use sparseSoftmaxCrossEntropyWithLogits().',
      );
    }
    const shape = logits.shape.map((d, i) =>
      same(d, labels.shape[i], 'labels and logits must have one shape'),
    );
    return { types: [{ dtype: logits.dtype, shape: shape.slice(0, -1) }] };
  },
  gradient: ({ inputs: [labels, logits], grad }) => {
    const g = expandDims(grad, -1);
    const p = softmax(logits);
    const weight = reduceSum(labels, { axis: -1, keepDims: true });
    return [neg(mul(g, logSoftmax(logits))), mul(g, sub(mul(p, weight), labels))];
  },
  form: {
    kind: 'expand',
    expand: ([labels, logits]) => [neg(reduceSum(mul(labels, logSoftmax(logits)), { axis: -1 }))],
  },
});

export const sparseSoftmaxCrossEntropyOp = defineOp({
  name: 'sparseSoftmaxCrossEntropyWithLogits',
  nodeName: 'SparseSoftmaxCrossEntropyWithLogits',
  doc: 'Minus the log softmax of logits at the class numbers `labels`.',
  inputs: ['labels', 'logits'],
  attrs: {},
  infer: ({ types: [labels, logits], equal: same }) => {
    needKind(logits.dtype, ['float']);
    if (labels.dtype !== 'int32') {
      throw new DTypeError(
        'dtype/unsupported',
        `class numbers are int32, the labels are ${labels.dtype}. Cast them, or use softmaxCrossEntropyWithLogits() for distributions.`,
      );
    }
    needRank(labels, logits.shape.length - 1, 'labels');
    const shape = labels.shape.map((d, i) =>
      same(logits.shape[i], d, 'labels and logits must agree in all but the last axis'),
    );
    return { types: [{ dtype: logits.dtype, shape }] };
  },
  dtypes: (inputs) => [inputs[1]],
  gradient: ({ inputs: [labels, logits], grad }) => [
    null,
    mul(expandDims(grad, -1), sub(softmax(logits), hot(labels, logits))),
  ],
  form: {
    kind: 'expand',
    expand: ([labels, logits]) => [
      neg(reduceSum(mul(hot(labels, logits), logSoftmax(logits)), { axis: -1 })),
    ],
  },
});

/** One-hot rows as wide as the logits, whose width may be known only when the graph is fed. */
function hot(labels: Tensor, logits: Tensor): Tensor {
  const classes = range(sizeAlong(logits, { axis: -1 }));
  return cast(equal(expandDims(labels, -1), classes), logits.dtype);
}

/** exp(x) over its sum along `axis` (the last by default). */
export function softmax(logits: TensorLike, options: AxisOptions = {}): Tensor {
  checkOptions('softmax', options, AXIS_OPTIONS);
  return applyChecked('softmax', logits, options, { axis: options.axis ?? -1 });
}

/** The logarithm of softmax along `axis` (the last by default). */
export function logSoftmax(logits: TensorLike, options: AxisOptions = {}): Tensor {
  checkOptions('logSoftmax', options, AXIS_OPTIONS);
  return applyChecked('logSoftmax', logits, options, { axis: options.axis ?? -1 });
}

/** Cross entropy of distributions `labels` and softmax of `logits`, over the last axis. */
export function softmaxCrossEntropyWithLogits(
  labels: TensorLike,
  logits: TensorLike,
  options: OpOptions = {},
): Tensor {
  checkOptions('softmaxCrossEntropyWithLogits', options, OP_OPTIONS);
  return inGraphOf([labels, logits], () => {
    const x = toTensor(logits);
    return getDefaultGraph()
      .add('softmaxCrossEntropyWithLogits', [toTensor(labels, x.dtype), x], {}, options)
      .output();
  });
}

/**
 * Cross entropy of class numbers `labels` (int32) and softmax of `logits` over the last axis. A class
 * out of range fails the run.
 */
export function sparseSoftmaxCrossEntropyWithLogits(
  labels: TensorLike,
  logits: TensorLike,
  options: OpOptions = {},
): Tensor {
  checkOptions('sparseSoftmaxCrossEntropyWithLogits', options, OP_OPTIONS);
  return inGraphOf([labels, logits], () => {
    const x = toTensor(logits);
    const l = toTensor(labels, 'int32');
    const checked = l.dtype === 'int32' ? checkedIndices(l, sizeAlong(x, { axis: -1 })) : l;
    return getDefaultGraph()
      .add('sparseSoftmaxCrossEntropyWithLogits', [checked, x], {}, options)
      .output();
  });
}
