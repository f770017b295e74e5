// The algebra of symbolic dimensions: integers, symbols, and polynomials of them, in a canonical
// form that makes equality a comparison of keys. Sizes, strides, offsets and kernel indices are all
// expressions of this one algebra. Invariant: every symbol stands for an integer >= 0, and a value
// without symbols is always a plain number. Plain data that never changes; holds no ranges but those on
// symbols. Not interned, since symbols of one key may differ in their ranges.

/** A size or index: an integer, or an expression of symbols. */
export type Dim = number | DimExpr;

/** A sum of terms, canonical: terms sorted by key, no zero coefficients, at least one symbol. */
export interface DimExpr {
  readonly key: string;
  readonly terms: readonly Term[];
}

/** An integer coefficient times a product of atoms (sorted by key; none for the constant term). */
export interface Term {
  readonly key: string;
  readonly coef: number;
  readonly atoms: readonly Atom[];
}

/** A named unknown. `extent` says `0 <= sym < extent` (a loop axis); `bound` says `sym <= bound`. */
export interface Sym {
  readonly kind: 'sym';
  readonly key: string;
  /** Unique; equal ids are the same unknown. */
  readonly id: string;
  /** What is printed; `?` for anonymous dims. */
  readonly name: string;
  readonly extent?: Dim;
  readonly bound?: Dim;
}

/**
 * Functions that do not distribute over sums. `bcast(a, b)` is the broadcast of two sizes
 * (`a == 1 ? b : a`), `ne1(a)` is 0 where `a` is 1 and else 1 (the stride factor of a broadcast
 * axis). Division and remainder by zero give 0.
 */
export type DimFn = 'floordiv' | 'mod' | 'max' | 'min' | 'bcast' | 'ne1';

/** An application of a {@link DimFn}. */
export interface FnAtom {
  readonly kind: 'fn';
  readonly key: string;
  readonly fn: DimFn;
  readonly args: readonly Dim[];
}

export type Atom = Sym | FnAtom;

/** Makes a symbol; see {@link Sym} for the ranges. */
export function makeSym(
  id: string,
  name: string = id,
  range: { extent?: Dim; bound?: Dim } = {},
): Sym {
  return { kind: 'sym', key: id, id, name, ...range };
}

/** The dim that is one symbol. */
export function symDim(sym: Sym): Dim {
  return fromAtom(sym);
}

/** Makes a fresh symbol and the dim for it. */
export function dimOf(
  id: string,
  name: string = id,
  range: { extent?: Dim; bound?: Dim } = {},
): Dim {
  return fromAtom(makeSym(id, name, range));
}

/** The symbol a dim consists of, if it is just one symbol. */
export function asSym(d: Dim): Sym | undefined {
  if (typeof d === 'number' || d.terms.length !== 1) return undefined;
  const t = d.terms[0];
  const a = t.atoms[0];
  return t.coef === 1 && t.atoms.length === 1 && a.kind === 'sym' ? a : undefined;
}

/** The canonical key; equal keys mean equal values for every assignment of the symbols. */
export function dimKey(d: Dim): string {
  return typeof d === 'number' ? String(d) : d.key;
}

/** Whether two dims are equal for every assignment of the symbols (as far as the form shows). */
export function dimEquals(a: Dim, b: Dim): boolean {
  return a === b || (typeof a !== 'number' && typeof b !== 'number' && a.key === b.key);
}

function term(coef: number, atoms: readonly Atom[]): Term {
  if (atoms.length === 1) return { key: atoms[0].key, coef, atoms };
  let key = '';
  for (const a of atoms) key = key === '' ? a.key : `${key}*${a.key}`;
  return { key, coef, atoms };
}

const ofAtoms = new WeakMap<Atom, DimExpr>();

function fromAtom(a: Atom): DimExpr {
  let d = ofAtoms.get(a);
  if (!d) {
    d = { key: a.key, terms: [{ key: a.key, coef: 1, atoms: [a] }] };
    ofAtoms.set(a, d);
  }
  return d;
}

const withCoef = ({ key, atoms }: Term, coef: number): Term => ({ key, coef, atoms });

function termsOf(d: Dim): readonly Term[] {
  if (typeof d !== 'number') return d.terms;
  return d === 0 ? [] : [term(d, [])];
}

function compareKeys(a: { key: string }, b: { key: string }): number {
  return a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
}

function fromTerms(terms: readonly Term[]): Dim {
  if (terms.length === 0) return 0;
  if (terms.length === 1) return terms[0].coef === 0 ? 0 : fromSorted(terms);
  const byKey = new Map<string, Term>();
  for (const t of terms) {
    const old = byKey.get(t.key);
    byKey.set(t.key, old ? withCoef(old, old.coef + t.coef) : t);
  }
  if (terms.some(hasLowerPart)) joinDivMod(byKey);
  return fromSorted([...byKey.values()].filter((t) => t.coef !== 0).sort(compareKeys));
}

/** The dim of terms in order, no two of them alike, none 0. */
function fromSorted(out: readonly Term[]): Dim {
  if (out.length === 0) return 0;
  if (out.length === 1 && out[0].atoms.length === 0) return out[0].coef;
  let key = '';
  for (let i = 0; i < out.length; i++) {
    const t = out[i];
    if (i > 0) key += '+';
    key += t.key === '' ? t.coef : t.coef === 1 ? t.key : `${t.coef}*${t.key}`;
  }
  return { key, terms: out };
}

/** Whether a term has the lower part of an index that was split. */
function hasLowerPart({ atoms }: Term): boolean {
  for (const a of atoms) if (lowerPart(a) !== undefined) return true;
  return false;
}

/** The sum of two dims in canonical form: their terms merged, as both are in order. */
function mergeTerms(a: readonly Term[], b: readonly Term[]): Dim {
  const out: Term[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length && j < b.length) {
    const s = a[i];
    const t = b[j];
    if (s.key === t.key) {
      if (s.coef + t.coef !== 0) out.push(withCoef(s, s.coef + t.coef));
      i++;
      j++;
    } else if (s.key < t.key) {
      out.push(s);
      i++;
    } else {
      out.push(t);
      j++;
    }
  }
  while (i < a.length) out.push(a[i++]);
  while (j < b.length) out.push(b[j++]);
  return fromSorted(out);
}

/**
 * Rewrites `c*K*floordiv(x, K) + c*mod(x, K)` to `c*x`, and where `k` divides `K` the quotient
 * `c*(K/k)*floordiv(x, K) + c*floordiv(mod(x, K), k)` to `c*floordiv(x, k)`: an index split and joined again.
 */
function joinDivMod(byKey: Map<string, Term>): void {
  // What one pair becomes may be half of another: an index split in several.
  for (let t = joinable(byKey); t; t = joinable(byKey)) {
    byKey.delete(t.low.key);
    byKey.delete(t.high.key);
    for (const s of termsOf(t.joined)) {
      const old = byKey.get(s.key);
      byKey.set(s.key, old ? withCoef(old, old.coef + s.coef) : s);
    }
  }
}

/** Two terms that are one. */
function joinable(byKey: Map<string, Term>): { low: Term; high: Term; joined: Dim } | undefined {
  for (const t of byKey.values()) {
    const at = t.coef === 0 ? -1 : t.atoms.findIndex((a) => lowerPart(a) !== undefined);
    const part = at < 0 ? undefined : lowerPart(t.atoms[at]);
    if (!part) continue;
    const { x, k, by } = part;
    const others = fromAtoms(t.coef, t.atoms.toSpliced(at, 1));
    const upper = mulDim(floorDiv(k, by), floorDiv(x, k));
    const partner = termsOf(mulDim(others, upper));
    const high = partner.length === 1 ? byKey.get(partner[0].key) : undefined;
    if (high && high.coef === partner[0].coef) {
      return { low: t, high, joined: mulDim(others, floorDiv(x, by)) };
    }
  }
  return undefined;
}

/** `floordiv(mod(x, k), by)` where `by` divides `k`; 1 where it is just the remainder. */
function lowerPart(a: Atom): { x: Dim; k: Dim; by: Dim } | undefined {
  if (a.kind === 'sym') return undefined;
  if (a.fn === 'mod') return { x: a.args[0], k: a.args[1], by: 1 };
  const inner = a.fn === 'floordiv' ? fnAtomOf(a.args[0], 'mod') : undefined;
  if (!inner || modDim(inner.args[1], a.args[1]) !== 0) return undefined;
  return { x: inner.args[0], k: inner.args[1], by: a.args[1] };
}

function fromAtoms(coef: number, atoms: readonly Atom[]): Dim {
  return fromTerms([term(coef, atoms)]);
}

/** `a + b`. */
export function addDim(a: Dim, b: Dim): Dim {
  if (typeof a === 'number') return typeof b === 'number' ? a + b : addNumber(b, a);
  if (typeof b === 'number') return addNumber(a, b);
  const [s, t] = [a.terms, b.terms];
  return s.some(hasLowerPart) || t.some(hasLowerPart) ? fromTerms([...s, ...t]) : mergeTerms(s, t);
}

/** The constant term has the least key, and meets no other. */
function addNumber(d: DimExpr, n: number): Dim {
  if (n === 0) return d;
  const [first] = d.terms;
  if (first.key !== '') return fromSorted([term(n, []), ...d.terms]);
  const rest = d.terms.slice(1);
  const sum = first.coef + n;
  return fromSorted(sum === 0 ? rest : [withCoef(first, sum), ...rest]);
}

/** `a - b`. */
export function subDim(a: Dim, b: Dim): Dim {
  return addDim(a, mulDim(b, -1));
}

/** `a * b`. */
export function mulDim(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return a * b;
  if (a === 1) return b;
  if (b === 1) return a;
  if (a === 0 || b === 0) return 0;
  if (typeof a === 'number') return scale(b as DimExpr, a);
  if (typeof b === 'number') return scale(a, b);
  const out: Term[] = [];
  for (const s of a.terms) {
    for (const t of b.terms) {
      const atoms = [...s.atoms, ...t.atoms].sort(compareKeys);
      out.push(term(s.coef * t.coef, atoms));
    }
  }
  return fromTerms(out);
}

/** A multiple other than 0 has the same terms in the same order. */
function scale(d: DimExpr, by: number): Dim {
  return fromSorted(d.terms.map((t) => withCoef(t, t.coef * by)));
}

/** The sum of those terms of a dim that are wanted. */
export function pickTerms(d: DimExpr, wanted: (t: Term) => boolean): Dim {
  return d.terms.every(wanted) ? d : fromSorted(d.terms.filter(wanted));
}

/** The sum of dims. */
export function sumDims(dims: readonly Dim[]): Dim {
  return dims.reduce(addDim, 0);
}

/** The product of dims: the element count of a shape. */
export function prodDims(dims: readonly Dim[]): Dim {
  return dims.reduce(mulDim, 1);
}

/** `t / by` for single terms, where it is exact. */
function divideTerm(t: Term, by: Term): Term | undefined {
  if (t.coef % by.coef !== 0) return undefined;
  const rest = [...t.atoms];
  for (const a of by.atoms) {
    const i = rest.findIndex((r) => r.key === a.key);
    if (i < 0) return undefined;
    rest.splice(i, 1);
  }
  return term(t.coef / by.coef, rest);
}

/** Splits `a` into `q * b + rest`, moving whole terms; `rest` is 0 where the division is exact. */
function splitDivisible(a: Dim, b: Dim): { q: Dim; rest: Dim } {
  const divisors = termsOf(b);
  if (divisors.length === 1) {
    const q: Term[] = [];
    const rest: Term[] = [];
    for (const t of termsOf(a)) {
      const d = divideTerm(t, divisors[0]);
      if (d) q.push(d);
      else rest.push(t);
    }
    return { q: fromTerms(q), rest: fromTerms(rest) };
  }
  let q: Dim = 0;
  let rest = a;
  // A sum as divisor: cancel its leading term as long as that shortens the rest.
  for (let guard = 0; guard < 8; guard++) {
    const lead = divisors.find((t) => t.atoms.length > 0);
    const hit =
      lead &&
      termsOf(rest)
        .map((t) => divideTerm(t, lead))
        .find((t) => t !== undefined);
    if (!hit) break;
    const part = fromTerms([hit]);
    const next = subDim(rest, mulDim(part, b));
    if (termsOf(next).length >= termsOf(rest).length) break;
    q = addDim(q, part);
    rest = next;
  }
  return { q, rest };
}

const lows = new WeakMap<DimExpr, Dim>();
const highs = new WeakMap<DimExpr, Dim>();

/** Replaces the axes of `d` by the end of their range that makes `d` largest or smallest. */
function extreme(d: Dim, high: boolean): Dim {
  if (typeof d === 'number') return d;
  const known = high ? highs : lows;
  let out = known.get(d);
  if (out === undefined) {
    out = findExtreme(d, high);
    known.set(d, out);
  }
  return out;
}

function findExtreme(d: DimExpr, high: boolean): Dim {
  const n = extremeNumber(d, high);
  if (!Number.isNaN(n)) return n;
  let out: Dim = 0;
  for (const t of d.terms) {
    const up = t.coef > 0 === high;
    const moves = isMonotone(t.atoms);
    let p: Dim = t.coef;
    for (const a of t.atoms) p = mulDim(p, moves ? extremeAtom(a, up) : fromAtom(a));
    out = addDim(out, p);
  }
  return out;
}

/** What {@link extreme} gives where it is a number, without building dims; else NaN. */
function extremeNumber(d: Dim, high: boolean): number {
  if (typeof d === 'number') return d;
  let sum = 0;
  for (const { coef, atoms } of d.terms) {
    const up = coef > 0 === high;
    let product = coef;
    let isZero = false;
    if (!isMonotone(atoms)) return Number.NaN;
    for (const a of atoms) {
      const n = extremeAtomNumber(a, up);
      product *= n;
      isZero ||= n === 0;
    }
    // Nothing times a size that is not known is still nothing.
    if (!isZero) sum += product;
  }
  return sum;
}

function extremeAtomNumber(a: Atom, high: boolean): number {
  if (a.kind === 'sym') {
    if (a.extent === undefined) return Number.NaN;
    if (!high) return 0;
    return typeof a.extent === 'number' ? a.extent - 1 : Number.NaN;
  }
  if (!hasAxis(a)) return Number.NaN;
  if (!high && isNonNegativeAtom(a)) return 0;
  const [x, k] = a.args;
  if (typeof k !== 'number' || k <= 0) return Number.NaN;
  if (a.fn === 'floordiv') return Math.floor(extremeNumber(x, high) / k);
  return a.fn === 'mod' ? k - 1 : Number.NaN;
}

function extremeAtom(a: Atom, high: boolean): Dim {
  if (a.kind === 'sym') {
    if (a.extent === undefined) return fromAtom(a);
    return high ? subDim(a.extent, 1) : 0;
  }
  if (!hasAxis(a)) return fromAtom(a);
  if (!high && isNonNegativeAtom(a)) return 0;
  const [x, k] = a.args;
  if (a.fn === 'floordiv' && !hasAxisDim(k) && isNonNegative(k)) {
    return floorDiv(extreme(x, high), k);
  }
  if (a.fn === 'mod' && !hasAxisDim(k) && high) return subDim(k, 1);
  return fromAtom(a);
}

/** Whether a product grows with each of its factors: of several none may be negative. */
function isMonotone(atoms: readonly Atom[]): boolean {
  return atoms.length < 2 || atoms.every(isNonNegativeAtom);
}

const signs = new WeakMap<FnAtom, boolean>();

/** Whether an atom is seen never to be negative: quotients and minima are where their arguments are. */
function isNonNegativeAtom(a: Atom): boolean {
  if (a.kind === 'sym') return true;
  let known = signs.get(a);
  if (known === undefined) {
    if (a.fn === 'max') known = a.args.some(isNonNegative);
    else if (a.fn === 'mod') known = isNonNegative(a.args[1]);
    else known = a.fn === 'ne1' || a.args.every(isNonNegative);
    signs.set(a, known);
  }
  return known;
}

function hasAxisDim(d: Dim): boolean {
  return typeof d !== 'number' && d.terms.some((t) => t.atoms.some(hasAxis));
}

function hasAxis(a: Atom): boolean {
  return a.kind === 'sym' ? a.extent !== undefined : a.args.some(hasAxisDim);
}

/** Whether `d >= 0` for every assignment within the ranges of its symbols, as far as can be seen. */
export function isNonNegative(d: Dim): boolean {
  return isPositiveSum(d) || isPositiveSum(extreme(d, false));
}

const isPositiveSum = (d: Dim): boolean =>
  typeof d === 'number'
    ? d >= 0
    : d.terms.every((t) => t.coef >= 0 && t.atoms.every(isNonNegativeAtom));

/** Whether `0 <= a < b` can be seen. */
function fitsBelow(a: Dim, b: Dim): boolean {
  return isNonNegative(a) && isPositiveSum(subDim(subDim(b, 1), extreme(a, true)));
}

function makeFn(fn: DimFn, args: readonly Dim[]): Dim {
  const key = `${fn}(${args.map(dimKey).join(',')})`;
  return fromAtom({ kind: 'fn', key, fn, args });
}

const symmetric = (fn: DimFn, a: Dim, b: Dim): Dim =>
  makeFn(fn, dimKey(a) < dimKey(b) ? [a, b] : [b, a]);

function fnAtomOf(d: Dim, fn: DimFn): FnAtom | undefined {
  if (typeof d === 'number' || d.terms.length !== 1) return undefined;
  const t = d.terms[0];
  const a = t.atoms[0];
  return t.coef === 1 && t.atoms.length === 1 && a.kind === 'fn' && a.fn === fn ? a : undefined;
}

/** `floor(a / b)`, 0 where `b` is 0. */
export function floorDiv(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return b === 0 ? 0 : Math.floor(a / b);
  if (b === 1) return a;
  if (a === 0 || b === 0) return 0;
  const { q, rest } = splitDivisible(a, b);
  if (rest === 0 || fitsBelow(rest, b)) return q;
  const inner = fnAtomOf(rest, 'floordiv');
  if (inner) return addDim(q, floorDiv(inner.args[0], mulDim(inner.args[1], b)));
  return addDim(q, makeFn('floordiv', [rest, b]));
}

/** `a - b * floor(a / b)`, 0 where `b` is 0. */
export function modDim(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') {
    return b === 0 ? 0 : a - b * Math.floor(a / b);
  }
  if (b === 1 || a === 0 || b === 0) return 0;
  const { rest } = splitDivisible(a, b);
  if (rest === 0) return 0;
  if (fitsBelow(rest, b)) return rest;
  const inner = fnAtomOf(rest, 'mod');
  if (inner && modDim(inner.args[1], b) === 0) return modDim(inner.args[0], b);
  return makeFn('mod', [rest, b]);
}

/** The larger of two dims. */
export function maxDim(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return Math.max(a, b);
  if (dimEquals(a, b)) return a;
  if (isNonNegative(subDim(a, b))) return a;
  if (isNonNegative(subDim(b, a))) return b;
  return symmetric('max', a, b);
}

/** The smaller of two dims. */
export function minDim(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return Math.min(a, b);
  if (dimEquals(a, b)) return a;
  if (isNonNegative(subDim(a, b))) return b;
  if (isNonNegative(subDim(b, a))) return a;
  return symmetric('min', a, b);
}

/**
 * The size that `a` and `b` broadcast to. Where one is an integer other than 1 it is the result
 * (that the other is 1 or the same is a constraint, recorded by whoever asks).
 */
export function bcastDim(a: Dim, b: Dim): Dim {
  if (dimEquals(a, b) || b === 1) return a;
  if (a === 1) return b;
  if (typeof a === 'number') return a;
  if (typeof b === 'number') return b;
  return symmetric('bcast', a, b);
}

/** 0 where `a` is 1, else 1: the factor of a stride along an axis that may broadcast. */
export function ne1Dim(a: Dim): Dim {
  if (typeof a === 'number') return a === 1 ? 0 : 1;
  return makeFn('ne1', [a]);
}

/** Applies a function to dims. */
export function applyFn(fn: DimFn, args: readonly Dim[]): Dim {
  switch (fn) {
    case 'floordiv':
      return floorDiv(args[0], args[1]);
    case 'mod':
      return modDim(args[0], args[1]);
    case 'max':
      return maxDim(args[0], args[1]);
    case 'min':
      return minDim(args[0], args[1]);
    case 'bcast':
      return bcastDim(args[0], args[1]);
    case 'ne1':
      return ne1Dim(args[0]);
    default:
      return fn satisfies never;
  }
}

/** Replaces symbols; `to` gives the replacement of one, or undefined to keep it. */
export function substituteDim(d: Dim, to: (sym: Sym) => Dim | undefined): Dim {
  if (typeof d === 'number') return d;
  const kept: Term[] = [];
  let moved: Dim = 0;
  for (const t of d.terms) {
    const p = substituteTerm(t, to);
    if (p === undefined) kept.push(t);
    else moved = addDim(moved, p);
  }
  // What is left of a sum in order is in order.
  return kept.length === d.terms.length ? d : addDim(fromSorted(kept), moved);
}

/** What takes the place of a term, or undefined where it stays. */
function substituteTerm({ coef, atoms }: Term, to: (sym: Sym) => Dim | undefined): Dim | undefined {
  let product: Dim | undefined;
  for (let i = 0; i < atoms.length; i++) {
    const next = substituteAtom(atoms[i], to);
    if (next === undefined && product === undefined) continue;
    product ??= fromAtoms(coef, atoms.slice(0, i));
    product = mulDim(product, next ?? fromAtom(atoms[i]));
  }
  return product;
}

/** What takes the place of an atom, or undefined where it stays. */
function substituteAtom(a: Atom, to: (sym: Sym) => Dim | undefined): Dim | undefined {
  if (a.kind === 'sym') return to(a);
  const args = a.args.map((x) => substituteDim(x, to));
  return args.some((x, i) => x !== a.args[i]) ? applyFn(a.fn, args) : undefined;
}
