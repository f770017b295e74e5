// Dims as WGSL: i32 expressions of the names that symbols have in the shader.
// Invariant: the text is an operand (a name, a literal, a call or parenthesised), its value is that
// of the dim modulo 2^32, and no part of it is a constant expression that WGSL would reject.

import { type Atom, type Dim, type FnAtom, isNonNegative, type Term } from '../../core/dim.ts';
import type { HelperName } from './library.ts';

/** What a dim needs from its surroundings: the names of symbols, and a place to ask for helpers. */
export interface DimScope {
  /** The WGSL name of the i32 that a symbol is. */
  readonly sym: (id: string) => string;
  /** The name of a function of dims that is computed already. */
  readonly atom: (a: FnAtom) => string | undefined;
  /** Notes that a function of the library is called, and gives its name. */
  readonly helper: (name: HelperName) => string;
}

/** An i32 literal without a suffix, as an operand. */
export function intText(value: number): string {
  const v = value | 0;
  // Minus and digits are separate tokens, and the digits of the least i32 are out of range.
  if (v === -0x80000000) return 'i32(-2147483648)';
  return v < 0 ? `(${v})` : String(v);
}

/** The WGSL text of a dim. */
export function dimText(d: Dim, scope: DimScope): string {
  if (typeof d === 'number') return intText(d);
  // Starting with a positive term saves a negation; the order is otherwise that of the dim.
  const first = d.terms.find((t) => t.coef > 0) ?? d.terms[0];
  const rest = d.terms.filter((t) => t !== first);
  let out = termText(first, first.coef, scope);
  for (const t of rest) {
    const minus = t.coef < 0 && t.coef > -0x80000000;
    out += minus ? ` - ${termText(t, -t.coef, scope)}` : ` + ${termText(t, t.coef, scope)}`;
  }
  const single = rest.length === 0 && first.atoms.length === 1 && first.coef === 1;
  return single ? out : `(${out})`;
}

function termText(t: Term, coef: number, scope: DimScope): string {
  const atoms = t.atoms.map((a) => atomText(a, scope));
  if (atoms.length === 0 || coef !== 1) atoms.unshift(intText(coef));
  return atoms.join(' * ');
}

function atomText(a: Atom, scope: DimScope): string {
  return a.kind === 'sym' ? scope.sym(a.id) : (scope.atom(a) ?? fnText(a, scope));
}

/** The WGSL text of a function of dims, computed here. */
export function fnText(a: FnAtom, scope: DimScope): string {
  const [x, y] = a.args.map((d) => dimText(d, scope));
  switch (a.fn) {
    case 'floordiv':
      return plainDivision(a) ? `(${x} / ${y})` : `${scope.helper('floor_div')}(${x}, ${y})`;
    case 'mod':
      return plainDivision(a) ? `(${x} % ${y})` : `${scope.helper('floor_mod')}(${x}, ${y})`;
    case 'max':
    case 'min':
      return `${a.fn}(${x}, ${y})`;
    case 'bcast':
      return `select(${x}, ${y}, ${x} == 1)`;
    case 'ne1':
      return `select(1, 0, ${x} == 1)`;
    default:
      return a.fn satisfies never;
  }
}

/** Whether truncating division by a constant does what flooring division would. */
function plainDivision(a: FnAtom): boolean {
  const [x, y] = a.args;
  return typeof y === 'number' && y > 0 && typeof x !== 'number' && isNonNegative(x);
}
