// Calls of the user's JavaScript functions in mid-run: host values in, host values out, with what
// comes back checked against the declared types. All backends call through here, so that the errors
// are the same everywhere.

import { evalDim } from '../core/dim-value.ts';
import { ExecutionError, TensorloomError, UnsupportedError } from '../core/error.ts';
import { toNDArray } from '../core/from-nested.ts';
import { type HostTensor, NDArray, ndarrayOf } from '../core/ndarray.ts';
import { type TensorType, typeToString } from '../core/type.ts';
import type { HostStep } from '../plan/types.ts';

/** The value of a size symbol, or undefined where nothing has bound it. */
export type SizeLookup = (id: string) => number | undefined;

/**
 * Calls the function of a host step with NDArrays and checks what it gives. Returns the results, or
 * a promise of them. Throws as {@link hostArguments} and {@link checkedResults} do.
 */
export function callHost(
  step: HostStep,
  inputs: readonly HostTensor[],
  size: SizeLookup,
): HostTensor[] | Promise<HostTensor[]> {
  const types = step.outputs.map((o) => o.type);
  const out = hostArguments(step.node, step.fn, inputs);
  if (!(out instanceof Promise)) return checkedResults(step.node, out, types, size);
  return out.then((value) => checkedResults(step.node, value, types, size));
}

/**
 * Calls a host function with the inputs as NDArrays. Returns what it returns, unchecked (a promise
 * of it where that is thenable). Throws ExecutionError `host/threw` with the cause.
 */
export function hostArguments(
  node: string,
  fn: (...args: never[]) => unknown,
  inputs: readonly HostTensor[],
): unknown {
  const args = inputs.map((x) => ndarrayOf(x.dtype, x.shape, x.data));
  let out: unknown;
  try {
    out = (fn as (...args: unknown[]) => unknown)(...args);
  } catch (cause) {
    throw thrown(node, cause);
  }
  if (!isThenable(out)) return out;
  return Promise.resolve(out).catch((cause: unknown) => {
    throw thrown(node, cause);
  });
}

/** What `runSync` throws where a host function gave a promise. */
export function asyncHostError(step: HostStep): UnsupportedError {
  return new UnsupportedError(
    'host/async',
    `hostCall "${step.node}": the function returned a promise, and runSync can't wait for it. ` +
      'Use run(), or a function that returns its values.',
    { op: 'hostCall', node: step.node },
  );
}

function isThenable(x: unknown): x is PromiseLike<unknown> {
  return typeof x === 'object' && x !== null && 'then' in x && typeof x.then === 'function';
}

function thrown(node: string, cause: unknown): ExecutionError {
  const text = cause instanceof Error ? cause.message : String(cause);
  return new ExecutionError(
    'host/threw',
    `hostCall "${node}": the function threw: ${text}. See the cause of this error.`,
    { op: 'hostCall', node, cause },
  );
}

/**
 * What a host function returned, as host values of the declared types: one value, or a list of
 * values where other than one are declared. Dims that nothing has bound are free. Throws
 * ExecutionError `host/result`.
 */
export function checkedResults(
  node: string,
  out: unknown,
  types: readonly TensorType[],
  size: SizeLookup,
): HostTensor[] {
  const wrong = (problem: string, fix: string, cause?: unknown): ExecutionError =>
    new ExecutionError('host/result', `hostCall "${node}": ${problem}. ${fix}`, {
      op: 'hostCall',
      node,
      cause,
    });
  // With one output a bare value is enough; a list of one NDArray is taken for the list of outputs.
  const single =
    types.length === 1 &&
    !(Array.isArray(out) && out.length === 1 && out[0] instanceof NDArray && !fits(types[0]));
  const values: unknown[] = single ? [out] : Array.isArray(out) ? out : out == null ? [] : [out];
  if (values.length !== types.length) {
    throw wrong(
      `the function returned ${values.length} values, ${types.length} are declared`,
      'Return an array with one value per output.',
    );
  }
  return values.map((value, i) => {
    const type = types[i];
    let array: NDArray;
    try {
      array = toNDArray(value, type.dtype);
      array = reshaped(array, value, type, size);
    } catch (cause) {
      if (!(cause instanceof TensorloomError)) throw cause;
      throw wrong(
        `output ${i} must be ${typeToString(type)}: ${cause.message}`,
        'Return what the output types declare.',
        cause,
      );
    }
    const declared = type.shape?.map((d) => evalKnown(d, size));
    const same =
      declared === undefined ||
      (declared.length === array.shape.length &&
        declared.every((d, axis) => d === undefined || d === array.shape[axis]));
    if (!same) {
      throw wrong(
        `output ${i} has shape (${array.shape.join(', ')}), ${typeToString(type)} is declared` +
          (declared?.some((d) => d === undefined) ? '' : `, here (${(declared ?? []).join(', ')})`),
        'Return what the output types declare.',
      );
    }
    return array;
  });
}

/** Whether an array of one NDArray could be meant as the value itself: a leading axis of one. */
function fits(type: TensorType): boolean {
  return type.shape !== null && type.shape.length > 0 && type.shape[0] === 1;
}

/** Flat data that fills a declared shape of several axes takes that shape. */
function reshaped(array: NDArray, value: unknown, type: TensorType, size: SizeLookup): NDArray {
  if (!ArrayBuffer.isView(value) || type.shape === null) return array;
  const dims = type.shape.map((d) => evalKnown(d, size));
  if (dims.some((d) => d === undefined)) return array;
  return toNDArray(array, type.dtype, dims as number[]);
}

function evalKnown(dim: Parameters<typeof evalDim>[0], size: SizeLookup): number | undefined {
  let known = true;
  const value = evalDim(dim, (id) => {
    const n = size(id);
    if (n === undefined) known = false;
    return n ?? 0;
  });
  return known ? value : undefined;
}
