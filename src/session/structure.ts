// The structure of fetches: any nesting of arrays and records of tensors, operations, variables and
// names. The result of a run has the same structure.

import type { DType, NumericDType } from '../core/dtype.ts';
import { FetchError, GraphError } from '../core/error.ts';
import type { NDArray } from '../core/ndarray.ts';
import type { Ref } from '../graph/func.ts';
import type { Graph } from '../graph/graph.ts';
import { Operation, Tensor } from '../graph/tensor.ts';
import type { DeviceTensor } from './device-tensor.ts';

/** Something a run can give: a tensor's value, an operation's effect. */
export type Fetchable = Tensor | Operation | { asTensor(): Tensor } | string;

/** Any nesting of fetchables. */
export type Fetches = Fetchable | readonly Fetches[] | { readonly [key: string]: Fetches };

/** The dtype of a value: of a tensor whose dtype the type checker does not know, one of numbers. */
export type KnownDType<D extends DType> = [DType] extends [D] ? NumericDType : D;

/** The result of a run of some fetches: tensors become NDArrays, operations undefined. */
export type FetchResult<F> =
  F extends Tensor<infer D>
    ? NDArray<KnownDType<D>>
    : F extends Operation
      ? undefined
      : F extends { asTensor(): Tensor<infer D extends DType> }
        ? NDArray<KnownDType<D>>
        : F extends string
          ? NDArray
          : F extends readonly unknown[]
            ? { -readonly [K in keyof F]: FetchResult<F[K]> }
            : F extends object
              ? { -readonly [K in keyof F]: FetchResult<F[K]> }
              : never;

/** The result of a run that keeps its results on the device: as {@link FetchResult}, with handles. */
export type KeptResult<F> =
  F extends Tensor<infer D>
    ? DeviceTensor<KnownDType<D>>
    : F extends Operation
      ? undefined
      : F extends { asTensor(): Tensor<infer D extends DType> }
        ? DeviceTensor<KnownDType<D>>
        : F extends string
          ? DeviceTensor
          : F extends readonly unknown[]
            ? { -readonly [K in keyof F]: KeptResult<F[K]> }
            : F extends object
              ? { -readonly [K in keyof F]: KeptResult<F[K]> }
              : never;

/** Fetches in flat form. */
export interface FlatFetches {
  readonly refs: readonly Ref[];
  readonly effects: readonly number[];
  /** Puts values, in the order of `refs`, into the structure of the fetches. */
  pack(values: readonly unknown[]): unknown;
}

type Packer = (values: readonly unknown[]) => unknown;

/** Flattens fetches of a graph. Throws FetchError where one is none, or of another graph. */
export function flattenFetches(graph: Graph, fetches: unknown): FlatFetches {
  const refs: Ref[] = [];
  const effects: number[] = [];
  const visit = (f: unknown, path: string): Packer => {
    if (typeof f === 'string') return visit(byName(graph, f), path);
    if (f instanceof Tensor) {
      own(graph, f.graph, String(f));
      const at = refs.push(f.ref) - 1;
      return (values) => values[at];
    }
    if (f instanceof Operation) {
      own(graph, f.graph, String(f));
      effects.push(f.id);
      return () => undefined;
    }
    if (
      typeof f === 'object' &&
      f !== null &&
      'asTensor' in f &&
      typeof f.asTensor === 'function'
    ) {
      const holder = f as { asTensor(): Tensor; graph?: Graph };
      if (holder.graph) own(graph, holder.graph, String(f));
      return visit(
        graph.asDefault(() => holder.asTensor()),
        path,
      );
    }
    if (Array.isArray(f)) {
      const parts = f.map((x, i) => visit(x, `${path}[${i}]`));
      return (values) => parts.map((p) => p(values));
    }
    if (typeof f === 'object' && f !== null && Object.getPrototypeOf(f) === Object.prototype) {
      const parts = Object.entries(f).map(([key, x]) => [key, visit(x, `${path}.${key}`)] as const);
      return (values) => Object.fromEntries(parts.map(([key, p]) => [key, p(values)]));
    }
    throw new FetchError(
      'fetch/type',
      `fetches${path} is ${f === null ? 'null' : typeof f}, nothing that can be fetched. ` +
        'Fetch tensors, operations, variables, their names, or arrays and records of them.',
    );
  };
  const pack = visit(fetches, '');
  return { refs, effects, pack };
}

function own(graph: Graph, of: Graph, what: string): void {
  if (of === graph) return;
  if (of.parent) {
    throw new FetchError(
      'fetch/inner',
      `${what} lives inside the body of a loop or branch and has no value outside of it. ` +
        'Return it from the body and fetch what the loop or branch gives back.',
    );
  }
  throw new FetchError(
    'fetch/foreign',
    `${what} belongs to another graph than the session's. Make a Session({ graph }) for its graph.`,
  );
}

function byName(graph: Graph, name: string): Tensor | Operation {
  try {
    return /:\d+$/.test(name) ? graph.getTensorByName(name) : graph.getOperationByName(name);
  } catch (e) {
    if (e instanceof GraphError) throw new FetchError('fetch/name', e.message, { cause: e });
    throw e;
  }
}
