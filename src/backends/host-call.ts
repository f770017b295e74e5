// Calls of JavaScript functions from a run: NDArrays in, checked host values out. What the function
// throws or returns wrongly is an ExecutionError that names the call.

import { type Dim, evalDim, symsOf } from '../core/dim.ts';
import type { DType } from '../core/dtype.ts';
import { ExecutionError, TensorloomError } from '../core/error.ts';
import { toNDArray } from '../core/from-nested.ts';
import { type DataOf, type HostTensor, NDArray } from '../core/ndarray.ts';
import { type TensorType, typeToString } from '../core/type.ts';

/** The function's result or promise, with what it throws wrapped. */
export function hostArguments(
  node: string,
  // biome-ignore lint/suspicious/noExplicitAny: the user's function
  fn: (...args: any[]) => unknown,
  inputs: readonly HostTensor[],
): unknown {
  const args = inputs.map((v) => {
    const data = v.data instanceof Float64Array ? Float32Array.from(v.data) : v.data.slice();
    return new NDArray(v.dtype, v.shape, data as DataOf[DType]);
  });
  try {
    const out = fn(...args);
    return out instanceof Promise ? out.catch((e) => rethrow(node, e)) : out;
  } catch (e) {
    return rethrow(node, e);
  }
}

function rethrow(node: string, e: unknown): never {
  if (e instanceof TensorloomError && e.code === 'host/threw') throw e;
  const text = e instanceof Error ? e.message : String(e);
  throw new ExecutionError('host/threw', `hostCall "${node}": its function threw: ${text}`, {
    op: 'HostCall',
    node,
    cause: e,
  });
}

/**
 * Checks what a host function returned (one value, or an array of as many as there are outputs)
 * against the declared types. `size` gives the value of a size symbol where it is known.
 */
export function checkedResults(
  node: string,
  result: unknown,
  types: readonly TensorType[],
  size: (id: string) => number | undefined,
): HostTensor[] {
  const list = types.length === 1 && !isListOfOne(result) ? [result] : result;
  if (!Array.isArray(list) || list.length !== types.length) {
    const got = Array.isArray(list) ? `${list.length} values` : typeof list;
    throw wrong(node, `its function must return an array of ${types.length} values, got ${got}`);
  }
  return types.map((type, i) => {
    let value: NDArray;
    try {
      value = toNDArray(list[i], type.dtype);
    } catch (e) {
      throw wrong(node, `output ${i}: ${e instanceof Error ? e.message : String(e)}`, e);
    }
    const { shape } = type;
    const fits =
      shape === null ||
      (shape.length === value.shape.length &&
        shape.every((d, a) => sizeFits(d, value.shape[a], size)));
    if (!fits) {
      const got = `${value.dtype}[${value.shape.join(', ')}]`;
      throw wrong(
        node,
        `output ${i} was declared ${typeToString(type)}, the function returned ${got}`,
      );
    }
    return value;
  });
}

function isListOfOne(result: unknown): boolean {
  return Array.isArray(result) && result.length === 1 && result[0] instanceof NDArray;
}

function sizeFits(d: Dim, got: number, size: (id: string) => number | undefined): boolean {
  for (const id of symsOf(d).keys()) if (size(id) === undefined) return true;
  return evalDim(d, (id) => size(id) as number) === got;
}

function wrong(node: string, what: string, cause?: unknown): ExecutionError {
  return new ExecutionError(
    'host/result',
    `hostCall "${node}": ${what}. Return what was declared.`,
    {
      op: 'HostCall',
      node,
      ...(cause === undefined ? {} : { cause }),
    },
  );
}
