// Comparisons, logic and selection. All broadcast.

import type { DTypeKind } from '../core/dtype.ts';
import { DTypeError } from '../core/error.ts';
import { checkOptions } from '../core/options.ts';
import { getDefaultGraph } from '../graph/graph.ts';
import { defineOp, type OpRecord } from '../graph/op.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { CompareOp } from '../kernel/expr.ts';
import * as k from '../kernel/expr.ts';
import {
  applyBinary,
  applyUnary,
  inGraphOf,
  OP_OPTIONS,
  type OpOptions,
  pair,
  type TensorLike,
  toTensor,
} from './convert.ts';
import { broadcastShapes, mapHost, mapValues, needKind, sameDType } from './rules.ts';
import { unbroadcast } from './unbroadcast.ts';

function comparison(
  name: string,
  nodeName: string,
  text: string,
  fn: CompareOp,
  test: (x: number, y: number) => boolean,
  kinds: readonly DTypeKind[] = ['float', 'int'],
): OpRecord {
  return defineOp({
    name,
    nodeName,
    doc: `x ${text} y as bool, broadcasting; with NaN ${name === 'notEqual' ? 'true' : 'false'}.`,
    inputs: ['x', 'y'],
    attrs: {},
    infer: (ctx) => {
      needKind(sameDType(ctx.types), kinds);
      const shape = broadcastShapes(
        ctx,
        ctx.types.map((t) => t.shape),
      );
      return { types: [{ dtype: 'bool', shape }] };
    },
    dtypes: () => ['bool'],
    reference: (ctx, xs) => [mapHost(ctx, 'bool', xs, (x, y) => (test(x, y) ? 1 : 0))],
    gradient: () => [null, null],
    form: { kind: 'scalar', scalar: ([x, y]) => k.compare(fn, x, y) },
  });
}

const ANY: readonly DTypeKind[] = ['float', 'int', 'bool'];
export const equalOp = comparison('equal', 'Equal', '==', 'eq', (x, y) => x === y, ANY);
export const notEqualOp = comparison('notEqual', 'NotEqual', '!=', 'ne', (x, y) => x !== y, ANY);
export const lessOp = comparison('less', 'Less', '<', 'lt', (x, y) => x < y);
export const lessEqualOp = comparison('lessEqual', 'LessEqual', '<=', 'le', (x, y) => x <= y);
export const greaterOp = comparison('greater', 'Greater', '>', 'gt', (x, y) => x > y);
export const greaterEqualOp = comparison(
  'greaterEqual',
  'GreaterEqual',
  '>=',
  'ge',
  (x, y) => x >= y,
);

function logical(
  name: string,
  nodeName: string,
  fn: 'and' | 'or' | 'xor',
  test: (x: number, y: number) => number,
): OpRecord {
  return defineOp({
    name,
    nodeName,
    doc: `x ${fn} y of bools, broadcasting.`,
    inputs: ['x', 'y'],
    attrs: {},
    infer: (ctx) => {
      needKind(sameDType(ctx.types), ['bool']);
      const shape = broadcastShapes(
        ctx,
        ctx.types.map((t) => t.shape),
      );
      return { types: [{ dtype: 'bool', shape }] };
    },
    reference: (ctx, xs) => [mapHost(ctx, 'bool', xs, test)],
    gradient: () => [null, null],
    form: { kind: 'scalar', scalar: ([x, y]) => k.binary(fn, x, y) },
  });
}

export const logicalAndOp = logical('logicalAnd', 'LogicalAnd', 'and', (x, y) => x & y);
export const logicalOrOp = logical('logicalOr', 'LogicalOr', 'or', (x, y) => x | y);

export const logicalNotOp = defineOp({
  name: 'logicalNot',
  nodeName: 'LogicalNot',
  doc: 'The negation of a bool.',
  inputs: ['x'],
  attrs: {},
  infer: ({ types }) => {
    needKind(types[0].dtype, ['bool']);
    return { types };
  },
  reference: (ctx, xs) => [mapHost(ctx, 'bool', xs, (x) => 1 - x)],
  gradient: () => [null],
  form: { kind: 'scalar', scalar: ([x]) => k.unary('not', x) },
});

export const selectOp = defineOp({
  name: 'select',
  nodeName: 'SelectV2',
  doc: 'x where the condition is true, else y; all three broadcast.',
  inputs: ['condition', 'x', 'y'],
  attrs: {},
  infer: (ctx) => {
    const [c] = ctx.types;
    if (c.dtype !== 'bool') {
      throw new DTypeError(
        'dtype/unsupported',
        `the condition is ${c.dtype}, not bool. Compare first: notEqual(x, 0).`,
      );
    }
    const dtype = sameDType(ctx.types, 1);
    const shape = broadcastShapes(
      ctx,
      ctx.types.map((t) => t.shape),
    );
    const rest = { types: ctx.types.slice(1), values: ctx.values.slice(1) };
    const known = dtype === 'int32' ? mapValues(rest, shape, (x, y) => (x === y ? x : null)) : null;
    return { types: [{ dtype, shape }], values: [known] };
  },
  dtypes: (inputs) => [inputs[1]],
  reference: (ctx, xs) => [mapHost(ctx, xs[1].dtype, xs, (c, x, y) => (c !== 0 ? x : y))],
  gradient: ({ inputs: [c, x, y], grad }) => [
    null,
    unbroadcast(select(c, grad, 0), x),
    unbroadcast(select(c, 0, grad), y),
  ],
  form: { kind: 'scalar', scalar: ([c, x, y]) => k.select(c, x, y) },
});

/** x == y, as bool. */
export function equal(x: TensorLike, y: TensorLike, options?: OpOptions): Tensor<'bool'> {
  return applyBinary('equal', x, y, options) as Tensor<'bool'>;
}
/** x != y, as bool. */
export function notEqual(x: TensorLike, y: TensorLike, options?: OpOptions): Tensor<'bool'> {
  return applyBinary('notEqual', x, y, options) as Tensor<'bool'>;
}
/** x < y, as bool. */
export function less(x: TensorLike, y: TensorLike, options?: OpOptions): Tensor<'bool'> {
  return applyBinary('less', x, y, options) as Tensor<'bool'>;
}
/** x <= y, as bool. */
export function lessEqual(x: TensorLike, y: TensorLike, options?: OpOptions): Tensor<'bool'> {
  return applyBinary('lessEqual', x, y, options) as Tensor<'bool'>;
}
/** x > y, as bool. */
export function greater(x: TensorLike, y: TensorLike, options?: OpOptions): Tensor<'bool'> {
  return applyBinary('greater', x, y, options) as Tensor<'bool'>;
}
/** x >= y, as bool. */
export function greaterEqual(x: TensorLike, y: TensorLike, options?: OpOptions): Tensor<'bool'> {
  return applyBinary('greaterEqual', x, y, options) as Tensor<'bool'>;
}
/** Whether both are true. */
export function logicalAnd(x: TensorLike, y: TensorLike, options?: OpOptions): Tensor<'bool'> {
  return applyBinary('logicalAnd', x, y, options) as Tensor<'bool'>;
}
/** Whether either is true. */
export function logicalOr(x: TensorLike, y: TensorLike, options?: OpOptions): Tensor<'bool'> {
  return applyBinary('logicalOr', x, y, options) as Tensor<'bool'>;
}
/** The negation. */
export function logicalNot(x: TensorLike, options?: OpOptions): Tensor<'bool'> {
  return applyUnary('logicalNot', x, options) as Tensor<'bool'>;
}
/** `x` where `condition` is true, else `y`; all broadcast. */
export function select(
  condition: TensorLike,
  x: TensorLike,
  y: TensorLike,
  options: OpOptions = {},
): Tensor {
  checkOptions('select', options, OP_OPTIONS);
  return inGraphOf([condition, x, y], () =>
    getDefaultGraph()
      .add('select', [toTensor(condition), ...pair(x, y)], {}, options)
      .output(),
  );
}
