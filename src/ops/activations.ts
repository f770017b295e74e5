// Activation functions of neural networks: one record each, with the gradient in its stable form.

import { checkOptions } from '../core/options.ts';
import { defineOp } from '../graph/op.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { Expr } from '../kernel/expr.ts';
import * as k from '../kernel/expr.ts';
import { greater, less, logicalAnd, select } from './compare.ts';
import { applyChecked, applyUnary, type OpOptions, type TensorLike } from './convert.ts';
import { add, elementwise, FLOATS, mul, NUMBERS, sigmoid } from './math.ts';
import { mapHost, needKind } from './rules.ts';

const like = (x: Expr, value: number): Expr => k.constant(x.type, value, x.lanes);

export const softplusOp = elementwise(1, {
  name: 'softplus',
  nodeName: 'Softplus',
  doc: 'log(1 + exp(x)), without overflow.',
  kinds: FLOATS,
  float: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
  scalar: (x) => {
    const e = k.unary('exp', k.unary('neg', k.unary('abs', x)));
    return k.add(k.binary('max', x, like(x, 0)), k.unary('log1p', e));
  },
  gradient: (c) => [mul(c.grad, sigmoid(c.inputs[0]))],
});

export const eluOp = elementwise(1, {
  name: 'elu',
  nodeName: 'Elu',
  doc: 'x where it is positive, else exp(x) - 1.',
  kinds: FLOATS,
  float: (x) => (x > 0 ? x : Math.expm1(x)),
  scalar: (x) => k.select(k.compare('gt', x, like(x, 0)), x, k.unary('expm1', x)),
  gradient: (c) => [select(greater(c.inputs[0], 0), c.grad, mul(c.grad, add(c.outputs[0], 1)))],
});

export const relu6Op = elementwise(1, {
  name: 'relu6',
  nodeName: 'Relu6',
  doc: 'x bounded by 0 and 6; the gradient at the bounds is 0.',
  kinds: NUMBERS,
  float: (x) => Math.min(Math.max(x, 0), 6),
  int: (x) => Math.min(Math.max(x, 0), 6),
  scalar: (x) => k.binary('min', k.binary('max', x, like(x, 0)), like(x, 6)),
  gradient: ({ inputs: [x], grad }) => [select(logicalAnd(greater(x, 0), less(x, 6)), grad, 0)],
});

export const leakyReluOp = defineOp<{ readonly alpha: number }>({
  name: 'leakyRelu',
  nodeName: 'LeakyRelu',
  doc: 'x where it is positive, else x times alpha.',
  inputs: ['features'],
  attrs: { alpha: 'the slope of the negative side' },
  infer: ({ types }) => {
    needKind(types[0].dtype, FLOATS);
    return { types };
  },
  reference: (ctx, xs, { alpha }) => [
    mapHost(ctx, xs[0].dtype, xs, (x) => (x > 0 ? x : x * alpha)),
  ],
  gradient: ({ inputs: [x], grad, attrs }) => [select(greater(x, 0), grad, mul(grad, attrs.alpha))],
  form: {
    kind: 'scalar',
    scalar: ([x], { alpha }) =>
      k.select(k.compare('gt', x, like(x, 0)), x, k.mul(x, like(x, alpha))),
  },
});

/** log(1 + exp(x)). */
export function softplus(x: TensorLike, options?: OpOptions): Tensor {
  return applyUnary('softplus', x, options);
}
/** x where it is positive, else exp(x) - 1. */
export function elu(x: TensorLike, options?: OpOptions): Tensor {
  return applyUnary('elu', x, options);
}
/** x bounded by 0 and 6. */
export function relu6(x: TensorLike, options?: OpOptions): Tensor {
  return applyUnary('relu6', x, options);
}
/** Options of {@link leakyRelu}. */
export interface LeakyReluOptions extends OpOptions {
  readonly alpha?: number;
}

const LEAKY_OPTIONS: readonly (keyof LeakyReluOptions)[] = ['alpha', 'name'];

/** x where it is positive, else x times `alpha` (0.2 by default). */
export function leakyRelu(x: TensorLike, options: LeakyReluOptions = {}): Tensor {
  checkOptions('leakyRelu', options, LEAKY_OPTIONS);
  return applyChecked('leakyRelu', x, options, { alpha: options.alpha ?? 0.2 });
}
