// Dims as people read them. Invariant: symbols show by name, anonymous ones as `?`.

import type { Dim } from './dim.ts';
import { symsOf } from './dim-syms.ts';

/** How symbols without a name show. */
const ANONYMOUS = '?';

/** The text of a size in a shape: an expression of sizes without a name tells nothing but `?`. */
export function sizeToString(d: Dim): string {
  if (typeof d === 'number') return String(d);
  const open = [...symsOf(d).values()].some((s) => s.name === ANONYMOUS);
  return open ? ANONYMOUS : dimToString(d);
}

/** The text of a dim: `10`, `batch`, `?`, `2*batch+1`, `floordiv(n,2)`. */
export function dimToString(d: Dim): string {
  if (typeof d === 'number') return String(d);
  const ordered = [...d.terms].sort((a, b) => b.atoms.length - a.atoms.length);
  let out = '';
  for (const t of ordered) {
    const atoms = t.atoms.map((a) =>
      a.kind === 'sym' ? a.name : `${a.fn}(${a.args.map(dimToString).join(', ')})`,
    );
    const size = Math.abs(t.coef);
    const text = [...(size === 1 && atoms.length > 0 ? [] : [String(size)]), ...atoms].join('*');
    out += out === '' ? (t.coef < 0 ? '-' : '') : t.coef < 0 ? '-' : '+';
    out += text;
  }
  return out;
}
