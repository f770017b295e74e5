// The data that passes work on: nodes and functions of nodes, plain and frozen. A Func is the part of
// a graph cut out for one set of fetches, or the body of a loop or branch. Node ids are stable:
// `nodes[i].id === i` always holds, dead nodes stay until the plan compacts them.

import type { Dim } from '../core/dim.ts';
import type { TypedArray } from '../core/dtype.ts';
import type { Site } from '../core/error.ts';
import type { TensorType } from '../core/type.ts';

/** One output of one node. */
export interface Ref {
  readonly node: number;
  readonly port: number;
}

/** Attribute values are plain data; `func` holds bodies; functions occur in `hostCall` only. */
export type AttrValue =
  | undefined
  | null
  | boolean
  | number
  | string
  | Func
  | readonly AttrValue[]
  | { readonly [key: string]: AttrValue }
  | TypedArray
  // biome-ignore lint/suspicious/noExplicitAny: the user's function of a host call
  | ((...args: any[]) => unknown);

export type Attrs = Readonly<Record<string, AttrValue>>;

/**
 * What a node's inference demands of sizes. `eq`: the two are equal. `bcast`: they are equal or one
 * of them is 1. `le`: the first is at most the second. Checked before a run where the sizes are known
 * then, else in mid-run.
 */
export interface Constraint {
  readonly kind: 'eq' | 'bcast' | 'le';
  readonly a: Dim;
  readonly b: Dim;
  /** What demands it, for the error: `matmul: the inner sizes must be equal`. */
  readonly why: string;
}

export interface Node {
  readonly id: number;
  /** The name of the op record. */
  readonly op: string;
  /** Unique in its graph: `scope/MatMul_1`. */
  readonly name: string;
  readonly inputs: readonly Ref[];
  /** Ids of nodes that must run before this one. */
  readonly controls: readonly number[];
  readonly attrs: Attrs;
  /** One type per output. */
  readonly types: readonly TensorType[];
  /** Per output the symbolic contents of a small integer tensor that holds sizes, where known. */
  readonly values: readonly (readonly Dim[] | null)[];
  readonly constraints: readonly Constraint[];
  /** Creation site, for errors. */
  readonly site?: Site;
}

/**
 * `params` are the ids of the `param` nodes in calling order, the last `captured` of them standing
 * for tensors of the enclosing function.
 */
export interface Func {
  readonly name: string;
  readonly params: readonly number[];
  readonly captured: number;
  readonly nodes: readonly Node[];
  readonly results: readonly Ref[];
  /** Nodes fetched for their effects alone. */
  readonly effects: readonly number[];
}
