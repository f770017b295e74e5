// Nested structures of values: arrays and plain records, flattened to lists and packed back. Records
// are told by their keys, in whatever order a callback writes them.

import { ValueError } from '../core/error.ts';
import type { Tensor } from '../graph/tensor.ts';
import { isSymbolic, type TensorLike } from './convert.ts';

/** A value, or arrays and records of values. */
export type Nest<T> = T | readonly Nest<T>[] | { readonly [key: string]: Nest<T> };

/** A structure with its leaves taken out. */
export interface Structure {
  /** The number of leaves. */
  readonly size: number;
  /** The structure with leaves put in. */
  pack<T>(leaves: readonly T[]): Nest<T>;
  /**
   * The leaves, in this structure's order, of another value that must have this structure. `what`
   * gave it, for the error: ValueError `control/structure`.
   */
  leavesOf(nest: Nest<TensorLike>, what: string): TensorLike[];
}

type Shape =
  | { readonly kind: 'leaf'; readonly at: number }
  | { readonly kind: 'list'; readonly parts: readonly Shape[] }
  | { readonly kind: 'record'; readonly parts: readonly (readonly [string, Shape])[] };

/** Leaves of a structure in order. Arrays of numbers are leaves: constants. */
export function flattenNest(nest: Nest<TensorLike>): {
  leaves: TensorLike[];
  structure: Structure;
} {
  const leaves: TensorLike[] = [];
  const visit = (n: Nest<TensorLike>, top: boolean): Shape => {
    // At the top an array is always a list of values, even of numbers alone.
    if (!isSymbolic(n) && Array.isArray(n) && (top || n.some(holdsSymbolic))) {
      return { kind: 'list', parts: n.map((x) => visit(x, false)) };
    }
    if (isRecord(n)) {
      const parts = Object.entries(n).map(([k, v]) => [k, visit(v, false)] as const);
      return { kind: 'record', parts };
    }
    return { kind: 'leaf', at: leaves.push(n as TensorLike) - 1 };
  };
  const shape = visit(nest, true);
  const size = leaves.length;
  return {
    leaves,
    structure: {
      size,
      pack: (all) => pack(shape, all),
      leavesOf: (other, what) => {
        const out: TensorLike[] = new Array(size);
        if (!match(shape, other, out)) refuse(other, size, what);
        return out;
      },
    },
  };
}

function pack<T>(shape: Shape, all: readonly T[]): Nest<T> {
  if (shape.kind === 'leaf') return all[shape.at];
  if (shape.kind === 'list') return shape.parts.map((p) => pack(p, all));
  return Object.fromEntries(shape.parts.map(([k, p]) => [k, pack(p, all)]));
}

/** Puts the leaves of `nest` in their places; false where the structures differ. */
function match(shape: Shape, nest: Nest<TensorLike>, out: TensorLike[]): boolean {
  const list = !isSymbolic(nest) && Array.isArray(nest) ? (nest as Nest<TensorLike>[]) : null;
  if (shape.kind === 'record') {
    if (!isRecord(nest) || Object.keys(nest).length !== shape.parts.length) return false;
    return shape.parts.every(([k, p]) => Object.hasOwn(nest, k) && match(p, nest[k], out));
  }
  if (shape.kind === 'list') {
    // One value and a list of that one value say the same, as in TF1.
    const items = list ?? [nest];
    return (
      items.length === shape.parts.length && shape.parts.every((p, i) => match(p, items[i], out))
    );
  }
  if (list?.some(holdsSymbolic)) return list.length === 1 && match(shape, list[0], out);
  if (isRecord(nest)) return false;
  out[shape.at] = nest as TensorLike;
  return true;
}

function refuse(nest: Nest<TensorLike>, size: number, what: string): never {
  const got = flattenNest(nest).leaves.length;
  const how =
    got === size
      ? 'another structure than is needed'
      : `${got} ${got === 1 ? 'value' : 'values'}, ${size} ${size === 1 ? 'is' : 'are'} needed`;
  throw new ValueError(
    'control/structure',
    `${what} returned ${how}. Return the same structure: arrays as long, records with the same keys.`,
  );
}

function isRecord(n: unknown): n is { readonly [key: string]: Nest<TensorLike> } {
  return (
    typeof n === 'object' &&
    n !== null &&
    Object.getPrototypeOf(n) === Object.prototype &&
    !isSymbolic(n)
  );
}

function holdsSymbolic(n: unknown): boolean {
  return isSymbolic(n) || isRecord(n) || (Array.isArray(n) && n.some(holdsSymbolic));
}

/** Packed tensors, typed as the user's structure. */
export function packAs<S>(structure: Structure, tensors: readonly Tensor[]): S {
  return structure.pack(tensors) as S;
}
