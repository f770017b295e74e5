// Elementwise functions beyond arithmetic: powers, logarithms and exponentials near 0 and 1, the error
// function, rounding, and tests for what is no number. One record each.

import type { DTypeKind } from '../core/dtype.ts';
import { checkOptions } from '../core/options.ts';
import { defineOp, type OpRecord } from '../graph/op.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { Expr, UnaryOp } from '../kernel/expr.ts';
import * as k from '../kernel/expr.ts';
import { erf as erfNumber, powBig, powFloat, powInt, roundHalfEven } from '../util/numeric.ts';
import { equal, greater, select } from './compare.ts';
import { applyBinary, applyUnary, OP_OPTIONS, type OpOptions, type TensorLike } from './convert.ts';
import {
  add,
  both,
  div,
  elementwise,
  exp,
  FLOATS,
  log,
  maximum,
  minimum,
  mul,
  NUMBERS,
  neg,
  square,
  sub,
} from './math.ts';
import { mapHost, needKind } from './rules.ts';

export const powOp = elementwise(2, {
  name: 'pow',
  nodeName: 'Pow',
  doc:
    'x to the power of y, broadcasting, within 2 ulp; special cases as C has them (0 and 1 to the power ' +
    'of anything, negative x with an integer y). int32 wraps around, and a negative y truncates the ' +
    'quotient: 0 unless x is 1 or -1. The gradient with respect to y is 0 where x <= 0.',
  kinds: NUMBERS,
  float: powFloat,
  int: powInt,
  big: powBig,
  scalar: (x, y) => k.binary('pow', x, y),
  gradient: (c) => {
    const [x, y] = c.inputs;
    return both(
      c,
      // At y = 0 the result is 1 for every x, although x ** -1 need not be finite.
      () => select(equal(y, 0), 0, mul(c.grad, mul(y, pow(x, sub(y, 1))))),
      () => {
        const inside = greater(x, 0);
        return select(inside, mul(c.grad, mul(c.outputs[0], log(select(inside, x, 1)))), 0);
      },
    );
  },
});

export const squaredDifferenceOp = elementwise(2, {
  name: 'squaredDifference',
  nodeName: 'SquaredDifference',
  doc: '(x - y) squared, broadcasting; int32 wraps around.',
  kinds: NUMBERS,
  float: (x, y) => (x - y) * (x - y),
  int: (x, y) => Math.imul(x - y, x - y),
  big: (x, y) => (x - y) * (x - y),
  scalar: (x, y) => k.mul(k.sub(x, y), k.sub(x, y)),
  gradient: (c) => {
    const [x, y] = c.inputs;
    const slope = (): Tensor => mul(c.grad, mul(sub(x, y), 2));
    return both(c, slope, () => neg(slope()));
  },
});

export const log1pOp = elementwise(1, {
  name: 'log1p',
  nodeName: 'Log1p',
  doc: 'log(1 + x), within 2 ulp also near 0; -Infinity at -1, NaN below.',
  kinds: FLOATS,
  float: Math.log1p,
  scalar: (x) => k.unary('log1p', x),
  gradient: (c) => [div(c.grad, add(c.inputs[0], 1))],
});

export const expm1Op = elementwise(1, {
  name: 'expm1',
  nodeName: 'Expm1',
  doc: 'exp(x) - 1, within 2 ulp also near 0.',
  kinds: FLOATS,
  float: Math.expm1,
  scalar: (x) => k.unary('expm1', x),
  gradient: (c) => [mul(c.grad, add(c.outputs[0], 1))],
});

export const erfOp = elementwise(1, {
  name: 'erf',
  nodeName: 'Erf',
  doc: 'The error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x, within 2 ulp.',
  kinds: FLOATS,
  float: erfNumber,
  scalar: (x) => k.unary('erf', x),
  gradient: (c) => [mul(c.grad, mul(exp(neg(square(c.inputs[0]))), 2 / Math.sqrt(Math.PI)))],
});

export const rsqrtOp = elementwise(1, {
  name: 'rsqrt',
  nodeName: 'Rsqrt',
  doc: '1 / sqrt(x); Infinity at 0, NaN below.',
  kinds: FLOATS,
  float: (x) => 1 / Math.sqrt(x),
  scalar: (x) => k.div(k.constant(x.type, 1, x.lanes), k.unary('sqrt', x)),
  gradient: ({ grad, outputs: [y] }) => [mul(grad, mul(mul(y, mul(y, y)), -0.5))],
});

export const reciprocalOp = elementwise(1, {
  name: 'reciprocal',
  nodeName: 'Reciprocal',
  doc: '1 / x.',
  kinds: FLOATS,
  float: (x) => 1 / x,
  scalar: (x) => k.div(k.constant(x.type, 1, x.lanes), x),
  gradient: ({ grad, outputs: [y] }) => [neg(mul(grad, mul(y, y)))],
});

function rounding(
  name: string,
  nodeName: string,
  doc: string,
  fn: UnaryOp,
  float: (x: number) => number,
): OpRecord {
  return elementwise(1, {
    name,
    nodeName,
    doc: `${doc} No gradient.`,
    kinds: FLOATS,
    float,
    scalar: (x) => k.unary(fn, x),
    gradient: () => [null],
  });
}

export const floorOp = rounding(
  'floor',
  'Floor',
  'The largest integer not above x.',
  'floor',
  Math.floor,
);
export const ceilOp = rounding(
  'ceil',
  'Ceil',
  'The smallest integer not below x.',
  'ceil',
  Math.ceil,
);
export const roundOp = rounding(
  'round',
  'Round',
  'The integer nearest to x, of two the even one.',
  'nearest',
  roundHalfEven,
);

const ANY: readonly DTypeKind[] = ['float'];

function test(
  name: string,
  nodeName: string,
  doc: string,
  scalar: (x: Expr) => Expr,
  reference: (x: number) => boolean,
): OpRecord {
  return defineOp({
    name,
    nodeName,
    doc,
    inputs: ['x'],
    attrs: {},
    infer: ({ types: [x] }) => {
      needKind(x.dtype, ANY);
      return { types: [{ dtype: 'bool', shape: x.shape }] };
    },
    dtypes: () => ['bool'],
    reference: (ctx, xs) => [mapHost(ctx, 'bool', xs, (x) => (reference(x) ? 1 : 0))],
    gradient: () => [null],
    form: { kind: 'scalar', scalar: ([x]) => scalar(x) },
  });
}

const infinity = (x: Expr): Expr => k.constant(x.type, Infinity, x.lanes);

export const isNanOp = test(
  'isNan',
  'IsNan',
  'Whether x is NaN, as bool.',
  (x) => k.unary('isnan', x),
  Number.isNaN,
);
export const isInfOp = test(
  'isInf',
  'IsInf',
  'Whether x is Infinity or -Infinity, as bool.',
  (x) => k.compare('eq', k.unary('abs', x), infinity(x)),
  (x) => Math.abs(x) === Infinity,
);
export const isFiniteOp = test(
  'isFinite',
  'IsFinite',
  'Whether x is neither NaN nor infinite, as bool.',
  (x) => k.compare('lt', k.unary('abs', x), infinity(x)),
  Number.isFinite,
);

/** x to the power of y, broadcasting; of int32 it wraps around. */
export function pow(x: TensorLike, y: TensorLike, options?: OpOptions): Tensor {
  return applyBinary('pow', x, y, options);
}
/** (x - y) squared, broadcasting. */
export function squaredDifference(x: TensorLike, y: TensorLike, options?: OpOptions): Tensor {
  return applyBinary('squaredDifference', x, y, options);
}
/** log(1 + x), exact also near 0. */
export function log1p(x: TensorLike, options?: OpOptions): Tensor {
  return applyUnary('log1p', x, options);
}
/** exp(x) - 1, exact also near 0. */
export function expm1(x: TensorLike, options?: OpOptions): Tensor {
  return applyUnary('expm1', x, options);
}
/** The error function. */
export function erf(x: TensorLike, options?: OpOptions): Tensor {
  return applyUnary('erf', x, options);
}
/** 1 / sqrt(x). */
export function rsqrt(x: TensorLike, options?: OpOptions): Tensor {
  return applyUnary('rsqrt', x, options);
}
/** 1 / x. */
export function reciprocal(x: TensorLike, options?: OpOptions): Tensor {
  return applyUnary('reciprocal', x, options);
}
/** The largest integer not above x. */
export function floor(x: TensorLike, options?: OpOptions): Tensor {
  return applyUnary('floor', x, options);
}
/** The smallest integer not below x. */
export function ceil(x: TensorLike, options?: OpOptions): Tensor {
  return applyUnary('ceil', x, options);
}
/** The integer nearest to x, of two the even one. */
export function round(x: TensorLike, options?: OpOptions): Tensor {
  return applyUnary('round', x, options);
}
/** Whether x is NaN. */
export function isNan(x: TensorLike, options?: OpOptions): Tensor<'bool'> {
  return applyUnary('isNan', x, options) as Tensor<'bool'>;
}
/** Whether x is Infinity or -Infinity. */
export function isInf(x: TensorLike, options?: OpOptions): Tensor<'bool'> {
  return applyUnary('isInf', x, options) as Tensor<'bool'>;
}
/** Whether x is neither NaN nor infinite. */
function finite(x: TensorLike, options?: OpOptions): Tensor<'bool'> {
  return applyUnary('isFinite', x, options) as Tensor<'bool'>;
}
/** x bounded by `low` below and `high` above; the gradient passes where x is within them. */
export function clipByValue(
  x: TensorLike,
  low: TensorLike,
  high: TensorLike,
  options?: OpOptions,
): Tensor {
  checkOptions('clipByValue', options, OP_OPTIONS);
  return minimum(maximum(x, low), high, options);
}
// Under its name a local function would hide the global one.
export { finite as isFinite };
