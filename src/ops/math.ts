// Elementwise arithmetic: one record each, made from what is special about it. Binary ops broadcast;
// the gradient of a broadcast operand is summed back by `unbroadcast`.

import {
  addDim,
  type Dim,
  floorDiv as floorDivDim,
  maxDim,
  minDim,
  modDim,
  mulDim,
  subDim,
} from '../core/dim.ts';
import { type DTypeKind, isBig, isFloat } from '../core/dtype.ts';
import { defineOp, type GradientContext, type OpRecord } from '../graph/op.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { Expr } from '../kernel/expr.ts';
import * as k from '../kernel/expr.ts';
import { isFloatType } from '../kernel/scalar.ts';
import { largest } from '../util/numeric.ts';
import { greater, greaterEqual, lessEqual, select } from './compare.ts';
import { applyBinary, applyUnary, type OpOptions, type TensorLike } from './convert.ts';
import { broadcastShapes, mapHost, mapValues, needKind, sameDType } from './rules.ts';
import { unbroadcast } from './unbroadcast.ts';

export const NUMBERS: readonly DTypeKind[] = ['float', 'int'];
export const FLOATS: readonly DTypeKind[] = ['float'];

/** What is special about an elementwise op. */
export interface Elementwise {
  readonly name: string;
  readonly nodeName: string;
  readonly doc: string;
  readonly kinds: readonly DTypeKind[];
  /** The value in float64 arithmetic. */
  readonly float?: (...xs: number[]) => number;
  /** The value for integers of up to 32 bits; storing it wraps around. */
  readonly int?: (...xs: number[]) => number;
  /** The value for int64; storing it wraps around. */
  readonly big?: (...xs: bigint[]) => bigint;
  readonly scalar: (...xs: Expr[]) => Expr;
  readonly value?: (...xs: Dim[]) => Dim | null;
  readonly gradient: (ctx: GradientContext) => readonly (Tensor | null)[];
}

/** The record of an elementwise op of one operand or, broadcasting, two. */
export function elementwise(arity: 1 | 2, op: Elementwise): OpRecord {
  return defineOp({
    name: op.name,
    nodeName: op.nodeName,
    doc: op.doc,
    inputs: arity === 1 ? ['x'] : ['x', 'y'],
    attrs: {},
    infer: (ctx) => {
      const dtype = sameDType(ctx.types);
      needKind(dtype, op.kinds);
      const shape = broadcastShapes(
        ctx,
        ctx.types.map((t) => t.shape),
      );
      return {
        types: [{ dtype, shape }],
        values: [op.value ? mapValues(ctx, shape, op.value) : null],
      };
    },
    reference: (ctx, xs) => {
      const { dtype } = xs[0];
      const ints = isBig(dtype) ? op.big : op.int;
      return [mapHost(ctx, dtype, xs, (isFloat(dtype) ? op.float : ints) as () => number)];
    },
    gradient: op.gradient,
    form: { kind: 'scalar', scalar: (args) => op.scalar(...args) },
  });
}

/** Gradients of a binary op, summed back to the operands' shapes. */
export function both(
  ctx: GradientContext,
  x: () => Tensor | null,
  y: () => Tensor | null,
): (Tensor | null)[] {
  const back = (g: Tensor | null, like: Tensor): Tensor | null => g && unbroadcast(g, like);
  return [back(x(), ctx.inputs[0]), back(y(), ctx.inputs[1])];
}

/** The quotient rounded toward minus infinity; 0 where the divisor is 0, as the dims have it. */
function floorInt(a: number, b: number): number {
  return b === 0 ? 0 : Math.floor(a / b) | 0;
}

/** The same of bigints. */
function floorBig(a: bigint, b: bigint): bigint {
  if (b === 0n) return 0n;
  return a / b - (a % b !== 0n && a < 0n !== b < 0n ? 1n : 0n);
}

function floorDivExpr(a: Expr, b: Expr): Expr {
  if (isFloatType(a.type)) return k.unary('floor', k.div(a, b));
  const q = k.div(a, b);
  const zero = k.constant(a.type, 0, a.lanes);
  const inexact = k.compare('ne', k.binary('rem', a, b), zero);
  const signs = k.compare('lt', k.binary('xor', a, b), zero);
  const down = k.binary('and', inexact, signs);
  return k.select(down, k.sub(q, k.constant(a.type, 1, a.lanes)), q);
}

function floorModExpr(a: Expr, b: Expr): Expr {
  return k.select(
    k.compare('eq', b, k.constant(b.type, 0, b.lanes)),
    k.constant(a.type, isFloatType(a.type) ? Number.NaN : 0, a.lanes),
    k.sub(a, k.mul(floorDivExpr(a, b), b)),
  );
}

export const addOp = elementwise(2, {
  name: 'add',
  nodeName: 'Add',
  doc: 'x + y, broadcasting; int32 wraps around.',
  kinds: NUMBERS,
  float: (x, y) => x + y,
  int: (x, y) => (x + y) | 0,
  big: (x, y) => x + y,
  scalar: k.add,
  value: addDim,
  gradient: (c) =>
    both(
      c,
      () => c.grad,
      () => c.grad,
    ),
});

export const subOp = elementwise(2, {
  name: 'sub',
  nodeName: 'Sub',
  doc: 'x - y, broadcasting; int32 wraps around.',
  kinds: NUMBERS,
  float: (x, y) => x - y,
  int: (x, y) => (x - y) | 0,
  big: (x, y) => x - y,
  scalar: k.sub,
  value: subDim,
  gradient: (c) =>
    both(
      c,
      () => c.grad,
      () => neg(c.grad),
    ),
});

export const mulOp = elementwise(2, {
  name: 'mul',
  nodeName: 'Mul',
  doc: 'x * y, broadcasting; int32 wraps around.',
  kinds: NUMBERS,
  float: (x, y) => x * y,
  int: Math.imul,
  big: (x, y) => x * y,
  scalar: k.mul,
  value: mulDim,
  gradient: (c) =>
    both(
      c,
      () => mul(c.grad, c.inputs[1]),
      () => mul(c.grad, c.inputs[0]),
    ),
});

export const divOp = elementwise(2, {
  name: 'div',
  nodeName: 'Div',
  doc:
    'x / y, broadcasting. floats as IEEE has it; int32 truncates toward zero, gives 0 for a ' +
    'division by zero and -2^31 for -2^31 / -1.',
  kinds: NUMBERS,
  float: (x, y) => x / y,
  int: (x, y) => (y === 0 ? 0 : Math.trunc(x / y) | 0),
  big: (x, y) => (y === 0n ? 0n : x / y),
  scalar: k.div,
  gradient: (c) => {
    const [, y] = c.inputs;
    return both(
      c,
      () => div(c.grad, y),
      () => neg(div(mul(c.grad, c.outputs[0]), y)),
    );
  },
});

export const floorDivOp = elementwise(2, {
  name: 'floorDiv',
  nodeName: 'FloorDiv',
  doc: 'The quotient rounded toward minus infinity, broadcasting; int32 by zero is 0. No gradient.',
  kinds: NUMBERS,
  float: (x, y) => Math.floor(x / y),
  int: floorInt,
  big: floorBig,
  scalar: floorDivExpr,
  value: floorDivDim,
  gradient: () => [null, null],
});

export const modOp = elementwise(2, {
  name: 'mod',
  nodeName: 'FloorMod',
  doc: 'x - y * floorDiv(x, y), broadcasting; int32 by zero is 0, a float by zero is NaN.',
  kinds: NUMBERS,
  float: (x, y) => (y === 0 ? Number.NaN : x - y * Math.floor(x / y)),
  int: (x, y) => (y === 0 ? 0 : (x - Math.imul(y, floorInt(x, y))) | 0),
  big: (x, y) => (y === 0n ? 0n : x - y * floorBig(x, y)),
  scalar: floorModExpr,
  value: modDim,
  gradient: (c) =>
    both(
      c,
      () => c.grad,
      () => neg(mul(c.grad, floorDiv(c.inputs[0], c.inputs[1]))),
    ),
});

/** Where the operand wins; ties give the gradient to x, as TF1 does. */
function extremeGradient(c: GradientContext, wins: typeof greaterEqual): (Tensor | null)[] {
  const [x, y] = c.inputs;
  const first = wins(x, y);
  return both(
    c,
    () => select(first, c.grad, 0),
    () => select(first, 0, c.grad),
  );
}

export const maximumOp = elementwise(2, {
  name: 'maximum',
  nodeName: 'Maximum',
  doc: 'The larger of x and y, broadcasting; NaN if either is NaN.',
  kinds: NUMBERS,
  float: Math.max,
  int: Math.max,
  big: (x, y) => largest(x, y),
  scalar: (x, y) => k.binary('max', x, y),
  value: maxDim,
  gradient: (c) => extremeGradient(c, greaterEqual),
});

export const minimumOp = elementwise(2, {
  name: 'minimum',
  nodeName: 'Minimum',
  doc: 'The smaller of x and y, broadcasting; NaN if either is NaN.',
  kinds: NUMBERS,
  float: Math.min,
  int: Math.min,
  big: (x, y) => -largest(-x, -y),
  scalar: (x, y) => k.binary('min', x, y),
  value: minDim,
  gradient: (c) => extremeGradient(c, lessEqual),
});

export const negOp = elementwise(1, {
  name: 'neg',
  nodeName: 'Neg',
  doc: '-x; int32 wraps around.',
  kinds: NUMBERS,
  float: (x) => -x,
  int: (x) => -x | 0,
  big: (x) => -x,
  scalar: (x) => k.unary('neg', x),
  value: (x) => mulDim(x, -1),
  gradient: (c) => [neg(c.grad)],
});

export const absOp = elementwise(1, {
  name: 'abs',
  nodeName: 'Abs',
  doc: '|x|; the gradient at 0 is 0. |-2^31| is -2^31.',
  kinds: NUMBERS,
  float: Math.abs,
  int: (x) => Math.abs(x) | 0,
  big: (x) => largest(x, -x),
  scalar: (x) => k.unary('abs', x),
  gradient: (c) => [mul(c.grad, sign(c.inputs[0]))],
});

export const signOp = elementwise(1, {
  name: 'sign',
  nodeName: 'Sign',
  doc: '-1, 0 or 1; NaN for NaN. The gradient is zero.',
  kinds: NUMBERS,
  float: Math.sign,
  int: Math.sign,
  big: (x) => (x === 0n ? 0n : x / largest(x, -x)),
  scalar: (x) => {
    const c = (v: number): Expr => k.constant(x.type, v, x.lanes);
    const pos = k.select(k.compare('gt', x, c(0)), c(1), x);
    return k.select(k.compare('lt', x, c(0)), c(-1), pos);
  },
  gradient: () => [null],
});

export const squareOp = elementwise(1, {
  name: 'square',
  nodeName: 'Square',
  doc: 'x * x; int32 wraps around.',
  kinds: NUMBERS,
  float: (x) => x * x,
  int: (x) => Math.imul(x, x),
  big: (x) => x * x,
  scalar: (x) => k.mul(x, x),
  gradient: (c) => [mul(c.grad, mul(c.inputs[0], 2))],
});

export const expOp = elementwise(1, {
  name: 'exp',
  nodeName: 'Exp',
  doc: 'e to the power of x, within 2 ulp.',
  kinds: FLOATS,
  float: Math.exp,
  scalar: (x) => k.unary('exp', x),
  gradient: (c) => [mul(c.grad, c.outputs[0])],
});

export const logOp = elementwise(1, {
  name: 'log',
  nodeName: 'Log',
  doc: 'The natural logarithm, within 2 ulp; -Infinity at 0, NaN below.',
  kinds: FLOATS,
  float: Math.log,
  scalar: (x) => k.unary('log', x),
  gradient: (c) => [div(c.grad, c.inputs[0])],
});

export const tanhOp = elementwise(1, {
  name: 'tanh',
  nodeName: 'Tanh',
  doc: 'The hyperbolic tangent, within 2 ulp.',
  kinds: FLOATS,
  float: Math.tanh,
  scalar: (x) => k.unary('tanh', x),
  gradient: (c) => [mul(c.grad, sub(1, square(c.outputs[0])))],
});

export const sigmoidOp = elementwise(1, {
  name: 'sigmoid',
  nodeName: 'Sigmoid',
  doc: '1 / (1 + exp(-x)), within 2 ulp.',
  kinds: FLOATS,
  float: (x) => 1 / (1 + Math.exp(-x)),
  scalar: (x) => {
    const c = (v: number): Expr => k.constant(x.type, v, x.lanes);
    const e = k.unary('exp', k.unary('neg', k.unary('abs', x)));
    // e (1 - q) on the left, 1 - q on the right: the rounding of the sum counts only by its share.
    const q = k.div(e, k.add(e, c(1)));
    const base = k.select(k.compare('lt', x, c(0)), e, c(1));
    return k.sub(base, k.mul(base, q));
  },
  gradient: (c) => [mul(c.grad, mul(c.outputs[0], sub(1, c.outputs[0])))],
});

export const sinOp = elementwise(1, {
  name: 'sin',
  nodeName: 'Sin',
  doc: 'The sine of x radians, within 2 ulp for any x; NaN for infinities.',
  kinds: FLOATS,
  float: Math.sin,
  scalar: (x) => k.unary('sin', x),
  gradient: (c) => [mul(c.grad, cos(c.inputs[0]))],
});

export const cosOp = elementwise(1, {
  name: 'cos',
  nodeName: 'Cos',
  doc: 'The cosine of x radians, within 2 ulp for any x; NaN for infinities.',
  kinds: FLOATS,
  float: Math.cos,
  scalar: (x) => k.unary('cos', x),
  gradient: (c) => [neg(mul(c.grad, sin(c.inputs[0])))],
});

export const sqrtOp = elementwise(1, {
  name: 'sqrt',
  nodeName: 'Sqrt',
  doc: 'The square root, correctly rounded; NaN below 0.',
  kinds: FLOATS,
  float: Math.sqrt,
  scalar: (x) => k.unary('sqrt', x),
  gradient: (c) => [div(mul(c.grad, 0.5), c.outputs[0])],
});

export const reluOp = elementwise(1, {
  name: 'relu',
  nodeName: 'Relu',
  doc: 'max(x, 0); the gradient at 0 is 0.',
  kinds: NUMBERS,
  float: (x) => Math.max(x, 0),
  int: (x) => Math.max(x, 0),
  big: (x) => largest(x, 0n),
  scalar: (x) => k.binary('max', x, k.constant(x.type, 0, x.lanes)),
  gradient: (c) => [select(greater(c.inputs[0], 0), c.grad, 0)],
});

/** x + y, broadcasting. */
export function add(x: TensorLike, y: TensorLike, options?: OpOptions): Tensor {
  return applyBinary('add', x, y, options);
}
/** x - y, broadcasting. */
export function sub(x: TensorLike, y: TensorLike, options?: OpOptions): Tensor {
  return applyBinary('sub', x, y, options);
}
/** x * y, broadcasting. */
export function mul(x: TensorLike, y: TensorLike, options?: OpOptions): Tensor {
  return applyBinary('mul', x, y, options);
}
/** x / y, broadcasting; int32 truncates toward zero and gives 0 for a division by zero. */
export function div(x: TensorLike, y: TensorLike, options?: OpOptions): Tensor {
  return applyBinary('div', x, y, options);
}
/** The quotient rounded toward minus infinity. */
export function floorDiv(x: TensorLike, y: TensorLike, options?: OpOptions): Tensor {
  return applyBinary('floorDiv', x, y, options);
}
/** The remainder with the sign of the divisor. */
export function mod(x: TensorLike, y: TensorLike, options?: OpOptions): Tensor {
  return applyBinary('mod', x, y, options);
}
/** The larger of x and y. */
export function maximum(x: TensorLike, y: TensorLike, options?: OpOptions): Tensor {
  return applyBinary('maximum', x, y, options);
}
/** The smaller of x and y. */
export function minimum(x: TensorLike, y: TensorLike, options?: OpOptions): Tensor {
  return applyBinary('minimum', x, y, options);
}
/** -x. */
export function neg(x: TensorLike, options?: OpOptions): Tensor {
  return applyUnary('neg', x, options);
}
/** |x|. */
export function abs(x: TensorLike, options?: OpOptions): Tensor {
  return applyUnary('abs', x, options);
}
/** -1, 0 or 1. */
export function sign(x: TensorLike, options?: OpOptions): Tensor {
  return applyUnary('sign', x, options);
}
/** x * x. */
export function square(x: TensorLike, options?: OpOptions): Tensor {
  return applyUnary('square', x, options);
}
/** e to the power of x. */
export function exp(x: TensorLike, options?: OpOptions): Tensor {
  return applyUnary('exp', x, options);
}
/** The natural logarithm. */
export function log(x: TensorLike, options?: OpOptions): Tensor {
  return applyUnary('log', x, options);
}
/** The hyperbolic tangent. */
export function tanh(x: TensorLike, options?: OpOptions): Tensor {
  return applyUnary('tanh', x, options);
}
/** 1 / (1 + exp(-x)). */
export function sigmoid(x: TensorLike, options?: OpOptions): Tensor {
  return applyUnary('sigmoid', x, options);
}
/** The sine of x radians. */
export function sin(x: TensorLike, options?: OpOptions): Tensor {
  return applyUnary('sin', x, options);
}
/** The cosine of x radians. */
export function cos(x: TensorLike, options?: OpOptions): Tensor {
  return applyUnary('cos', x, options);
}
/** The square root. */
export function sqrt(x: TensorLike, options?: OpOptions): Tensor {
  return applyUnary('sqrt', x, options);
}
/** max(x, 0). */
export function relu(x: TensorLike, options?: OpOptions): Tensor {
  return applyUnary('relu', x, options);
}
