// The value of a dim once its symbols have values. Invariant: functions of dims and their values agree,
// since both are computed by one function.

import { applyFn, type Dim, type FnAtom } from './dim.ts';

/** The value of a dim, given the value of each symbol by id. */
export function evalDim(d: Dim, value: (id: string) => number): number {
  if (typeof d === 'number') return d;
  let out = 0;
  for (const t of d.terms) {
    let p = t.coef;
    for (const a of t.atoms) p *= a.kind === 'sym' ? value(a.id) : evalFn(a, value);
    out += p;
  }
  return out;
}

function evalFn(a: FnAtom, value: (id: string) => number): number {
  const x = evalDim(a.args[0], value);
  if (a.fn === 'ne1') return x === 1 ? 0 : 1;
  return applyFn(a.fn, [x, evalDim(a.args[1], value)]) as number;
}
