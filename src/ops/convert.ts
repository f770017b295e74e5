// From what users pass to tensors, and from functions to nodes. Numbers are weakly typed: they take
// the other operand's dtype, and one that does not fit is an error.

import { type DType, isFloat } from '../core/dtype.ts';
import { DTypeError } from '../core/error.ts';
import { type ArrayLike, toNDArray } from '../core/from-nested.ts';
import { checkOptions } from '../core/options.ts';
import { isScoped, withGraph } from '../graph/current.ts';
import type { Attrs } from '../graph/func.ts';
import { type Graph, getDefaultGraph } from '../graph/graph.ts';
import { Tensor } from '../graph/tensor.ts';

/** A tensor, something that stands for one (a Variable), or a value that becomes a constant. */
export type TensorLike = Tensor | { asTensor(): Tensor } | ArrayLike;

/** Options that all op functions take. */
export interface OpOptions {
  /** Name of the operation, within the name scopes in force. */
  readonly name?: string;
}

/** The options of functions that have no others. */
export const OP_OPTIONS: readonly (keyof OpOptions)[] = ['name'];

/** Options with an axis, negative from the end. */
export interface AxisOptions extends OpOptions {
  readonly axis?: number;
}

export const AXIS_OPTIONS: readonly (keyof AxisOptions)[] = ['axis', 'name'];

const UNNAMED: OpOptions = Object.freeze({});

/** The options of a node that has a name of the user's, or none. */
export function named({ name }: OpOptions): OpOptions {
  return name === undefined ? UNNAMED : { name };
}

/** Whether a value is a tensor or stands for one. */
export function isSymbolic(x: unknown): x is Tensor | { asTensor(): Tensor } {
  return (
    x instanceof Tensor ||
    (typeof x === 'object' &&
      x !== null &&
      typeof (x as { asTensor?: unknown }).asTensor === 'function')
  );
}

/** Converts to a tensor; host values become constants, of dtype `like` where it is given. */
export function toTensor(x: TensorLike, like?: DType): Tensor {
  if (x instanceof Tensor) return x;
  if (isSymbolic(x)) return x.asTensor();
  return constantOf(x, weakType(x, like));
}

/** Numbers and arrays of numbers follow the other operand; booleans and typed values do not. */
function weakType(x: ArrayLike, like: DType | undefined): DType | undefined {
  if (like === undefined) return undefined;
  let at: ArrayLike | undefined = x;
  while (Array.isArray(at)) at = at[0];
  if (typeof at !== 'number' && typeof at !== 'bigint') return undefined;
  if (like === 'bool') return undefined;
  if (!isFloat(like) && typeof x === 'number' && !Number.isInteger(x)) {
    throw new DTypeError(
      'dtype/weak',
      `the number ${x} does not fit the other operand's ${like}. Use an integer, or cast the tensor to float32.`,
    );
  }
  return like;
}

/** A constant of a host value in the current graph. */
export function constantOf(
  x: unknown,
  dtype?: DType,
  name?: string,
  shape?: readonly number[],
): Tensor {
  const array = toNDArray(x, dtype, shape);
  const attrs = { dtype: array.dtype, shape: array.shape, data: array.data.slice() };
  return getDefaultGraph()
    .add('const', [], attrs, name === undefined ? {} : { name })
    .output();
}

/**
 * Runs `fn` in the graph of the first tensor among `xs` where no graph is in force, as TF1 does, so
 * that expressions on tensors of any graph may be written anywhere.
 */
export function inGraphOf<T>(xs: readonly unknown[], fn: () => T): T {
  if (isScoped()) return fn();
  for (const x of xs) {
    const graph = x instanceof Tensor ? x.graph : (x as { graph?: Graph } | null)?.graph;
    if (graph && !graph.parent && graph !== getDefaultGraph()) return withGraph(graph, fn);
  }
  return fn();
}

/** Adds a node with one output. Of the options, which its caller has checked, it takes the name. */
export function apply(
  op: string,
  inputs: readonly Tensor[],
  attrs: Attrs,
  options: OpOptions = UNNAMED,
): Tensor {
  return inGraphOf(inputs, () => getDefaultGraph().add(op, inputs, attrs, named(options)).output());
}

/** An op of one operand, whose options its caller has checked. */
export function applyChecked(op: string, x: TensorLike, options: OpOptions, attrs: Attrs): Tensor {
  return inGraphOf([x], () => apply(op, [toTensor(x)], attrs, options));
}

/** An op of one operand that goes by its function's name, with no options but a name. */
export function applyUnary(
  op: string,
  x: TensorLike,
  options: OpOptions = UNNAMED,
  attrs: Attrs = {},
): Tensor {
  checkOptions(op, options, OP_OPTIONS);
  return applyChecked(op, x, options, attrs);
}

/** An op of two operands of one dtype, like {@link applyUnary}; a number takes the other's. */
export function applyBinary(
  op: string,
  a: TensorLike,
  b: TensorLike,
  options: OpOptions = UNNAMED,
): Tensor {
  checkOptions(op, options, OP_OPTIONS);
  return inGraphOf([a, b], () => apply(op, pair(a, b), {}, options));
}

/** Two operands as tensors; a host value takes the dtype of the tensor among them. */
export function pair(a: TensorLike, b: TensorLike): [Tensor, Tensor] {
  if (isSymbolic(a)) {
    const x = toTensor(a);
    return [x, toTensor(b, x.dtype)];
  }
  const y = toTensor(b);
  return [toTensor(a, y.dtype), y];
}
