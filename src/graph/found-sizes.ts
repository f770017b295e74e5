// The sizes that a body finds while it runs. Invariant: nothing outside of the body mentions them, since a
// branch may not be taken and each turn of a loop finds its own.

import type { Dim, Sym } from '../core/dim.ts';
import { collectSyms, symNames } from '../core/dim-syms.ts';
import type { Func, Node, Ref } from './func.ts';

/** What a node calls the size along an axis of an output that one of its bodies tells. */
export const outputSizeLabel = (port: number, axis: number): string => `size${port}_${axis}`;

/**
 * What a loop calls the size along an axis of what its turns stack, where they find it: by the node of the
 * body, which stays the same when other outputs are dropped.
 */
export const stackedSizeLabel = (result: Ref, axis: number): string =>
  `stacked${result.node}_${result.port}_${axis}`;

const found = new WeakMap<Func, ReadonlySet<string>>();

/** Ids of the size symbols of a function that its parameters do not tell. */
export function foundSizes(func: Func): ReadonlySet<string> {
  const known = found.get(func);
  if (known) return known;
  const all = new Map<string, Sym>();
  for (const node of func.nodes) collectNodeSyms(node, all);
  const told = new Map<string, Sym>();
  for (const p of func.params) collectNodeSyms(func.nodes[p], told);
  const own = new Set([...all.keys()].filter((id) => !told.has(id)));
  found.set(func, own);
  return own;
}

/** Adds the size symbols of a node's outputs to a map by id. */
export function collectNodeSyms(node: Node, into: Map<string, Sym>): void {
  for (const type of node.types) for (const d of type.shape ?? []) collectSyms(d, into);
  for (const value of node.values) for (const d of value ?? []) collectSyms(d, into);
}

/** Whether a size mentions one of some symbols. */
export function mentionsAny(d: Dim, ids: ReadonlySet<string>): boolean {
  if (ids.size === 0) return false;
  for (const id of symNames(d)) if (ids.has(id)) return true;
  return false;
}
