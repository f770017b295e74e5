// Dims as linear functions of one symbol: what a loop adds to an index in each turn, and where it starts.

import { type Dim, type DimExpr, floorDiv, pickTerms, symDim, type Term } from './dim.ts';
import { mentions } from './dim-syms.ts';

/** A dim in terms of one symbol: `coef * sym + rest`. */
export interface Affine {
  readonly coef: Dim;
  readonly rest: Dim;
}

const affines = new WeakMap<DimExpr, Map<string, Affine | undefined>>();

/** Splits `d` into `coef * sym + rest`, where neither mentions the symbol; undefined otherwise. */
export function splitAffine(d: Dim, id: string): Affine | undefined {
  if (typeof d === 'number') return { coef: 0, rest: d };
  let known = affines.get(d);
  if (!known) {
    known = new Map();
    affines.set(d, known);
  }
  if (!known.has(id)) known.set(id, mentions(d, id) ? findAffine(d, id) : { coef: 0, rest: d });
  return known.get(id);
}

function findAffine(d: DimExpr, id: string): Affine | undefined {
  const factor = ({ atoms }: Term) => {
    for (const a of atoms) if (a.kind === 'sym' && a.id === id) return a;
    return undefined;
  };
  const rest = pickTerms(d, (t) => factor(t) === undefined);
  if (mentions(rest, id)) return undefined;
  const part = pickTerms(d, (t) => factor(t) !== undefined) as DimExpr;
  const sym = factor(part.terms[0]);
  if (!sym) return undefined;
  const coef = floorDiv(part, symDim(sym));
  return mentions(coef, id) ? undefined : { coef, rest };
}
