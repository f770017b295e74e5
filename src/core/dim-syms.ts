// The symbols that dims mention.

import type { Dim, DimExpr, Sym } from './dim.ts';

/** Adds the symbols of a dim to a map by id. */
export function collectSyms(d: Dim, into: Map<string, Sym>): void {
  if (typeof d === 'number') return;
  for (const t of d.terms) {
    for (const a of t.atoms) {
      if (a.kind === 'sym') into.set(a.id, a);
      else for (const x of a.args) collectSyms(x, into);
    }
  }
}

const NO_NAMES: ReadonlySet<string> = new Set();
const namesCache = new WeakMap<DimExpr, ReadonlySet<string>>();

/** The ids of the symbols of a dim. */
export function symNames(d: Dim): ReadonlySet<string> {
  if (typeof d === 'number') return NO_NAMES;
  const known = namesCache.get(d);
  if (known) return known;
  const names = new Set<string>();
  for (const { atoms } of d.terms) {
    for (const a of atoms) {
      if (a.kind === 'sym') names.add(a.id);
      else for (const x of a.args) for (const name of symNames(x)) names.add(name);
    }
  }
  namesCache.set(d, names);
  return names;
}

/** The symbols of a dim, by id. */
export function symsOf(d: Dim): Map<string, Sym> {
  const out = new Map<string, Sym>();
  collectSyms(d, out);
  return out;
}

/** Whether a dim mentions a symbol. */
export function mentions(d: Dim, id: string): boolean {
  return typeof d !== 'number' && symNames(d).has(id);
}
