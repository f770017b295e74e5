// Nested structures of values: arrays and plain records, flattened to lists and packed back.

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
}

/** Leaves of a structure in order. Arrays of numbers are leaves: constants. */
export function flattenNest(nest: Nest<TensorLike>): {
  leaves: TensorLike[];
  structure: Structure;
} {
  const leaves: TensorLike[] = [];
  type Packer = <T>(all: readonly T[]) => Nest<T>;
  const visit = (n: Nest<TensorLike>): Packer => {
    if (!isSymbolic(n) && Array.isArray(n) && n.some(holdsSymbolic)) {
      const parts = n.map(visit);
      return (all) => parts.map((p) => p(all));
    }
    if (isRecord(n)) {
      const parts = Object.entries(n).map(([k, v]) => [k, visit(v)] as const);
      return (all) => Object.fromEntries(parts.map(([k, p]) => [k, p(all)]));
    }
    const at = leaves.push(n as TensorLike) - 1;
    return (all) => all[at];
  };
  const top = Array.isArray(nest) && !isSymbolic(nest) ? list(nest, visit) : visit(nest);
  return { leaves, structure: { size: leaves.length, pack: top } };
}

/** At the top an array is always a list of values, even of numbers alone. */
function list(
  nest: readonly Nest<TensorLike>[],
  visit: (n: Nest<TensorLike>) => <T>(all: readonly T[]) => Nest<T>,
): <T>(all: readonly T[]) => Nest<T> {
  const parts = nest.map(visit);
  return (all) => parts.map((p) => p(all));
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

/** The leaves of what a body returned, which must have the structure of what it was given. */
export function leavesLike(nest: Nest<TensorLike>, size: number, what: string): TensorLike[] {
  const { leaves } = flattenNest(nest);
  if (leaves.length === size) return leaves;
  throw new ValueError(
    'control/structure',
    `${what} returned ${leaves.length} values, ${size} are needed. Return as many values as it was given, in the same structure.`,
  );
}

/** Packed tensors, typed as the user's structure. */
export function packAs<S>(structure: Structure, tensors: readonly Tensor[]): S {
  return structure.pack(tensors) as S;
}
