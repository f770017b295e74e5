// What statements define, change and read: the facts that decide what may be computed earlier, kept, or
// shared. Conservative: a store to a buffer changes all of its elements.

import { type Dim, type DimExpr, pickTerms, subDim, symsOf } from '../../core/dim.ts';
import { argsOf, type Expr } from '../../kernel/expr.ts';
import type { Stmt } from '../../kernel/ir.ts';
import { blocksOf, exprsOf, walkStmts } from '../../kernel/rewrite.ts';

/** Names that statements bind or change: axes, lets, vars, buffers stored to. */
export interface Effects {
  readonly names: ReadonlySet<string>;
  readonly buffers: ReadonlySet<string>;
}

/** What running the statements defines or changes. */
export function effectsOf(stmts: readonly Stmt[]): Effects {
  const names = new Set<string>();
  const buffers = new Set<string>();
  walkStmts(stmts, (s) => {
    if (s.kind === 'for') names.add(s.axis.id);
    else if (s.kind === 'let' || s.kind === 'var' || s.kind === 'set') names.add(s.name);
    else if (s.kind === 'store') buffers.add(s.buffer);
    else if (s.kind === 'array') {
      names.add(s.name);
      buffers.add(s.name);
    }
  });
  return { names, buffers };
}

/** What an expression reads. */
export interface Reads {
  readonly names: ReadonlySet<string>;
  readonly buffers: ReadonlySet<string>;
  /** The number of operations, as a tree. */
  readonly size: number;
}

const EMPTY: ReadonlySet<string> = new Set();
const readsCache = new WeakMap<Expr, Reads>();

const namesCache = new WeakMap<DimExpr, ReadonlySet<string>>();

function dimNames(d: Dim): ReadonlySet<string> {
  if (typeof d === 'number') return EMPTY;
  let names = namesCache.get(d);
  if (!names) {
    names = new Set(symsOf(d).keys());
    namesCache.set(d, names);
  }
  return names;
}

function union(a: ReadonlySet<string>, b: ReadonlySet<string>): ReadonlySet<string> {
  if (b.size === 0 || a === b) return a;
  if (a.size === 0) return b;
  for (const x of b) if (!a.has(x)) return new Set([...a, ...b]);
  return a;
}

/** What an expression reads; remembered per expression. */
export function readsOf(e: Expr): Reads {
  const old = readsCache.get(e);
  if (old) return old;
  let names: ReadonlySet<string> = EMPTY;
  let buffers: ReadonlySet<string> = EMPTY;
  let size = 1;
  if (e.op === 'let' || e.op === 'var') names = new Set([e.name]);
  else if (e.op === 'dim') names = dimNames(e.dim);
  else if (e.op === 'load') {
    names = dimNames(e.index);
    buffers = new Set([e.buffer]);
  }
  for (const a of argsOf(e)) {
    const r = readsOf(a);
    names = union(names, r.names);
    buffers = union(buffers, r.buffers);
    size += r.size;
  }
  const out = { names, buffers, size };
  readsCache.set(e, out);
  return out;
}

function disjoint(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  for (const x of a) if (b.has(x)) return false;
  return true;
}

/** Whether the value of an expression is the same before and after such effects. */
export function isUntouched(e: Expr, effects: Effects): boolean {
  const r = readsOf(e);
  return disjoint(r.names, effects.names) && disjoint(r.buffers, effects.buffers);
}

/** Whether a dim mentions none of the names. */
export function isFixed(d: Dim, names: ReadonlySet<string>): boolean {
  return typeof d === 'number' || disjoint(dimNames(d), names);
}

/** The statements of a block that run on every pass of it, nested loops and branches left out. */
export function straight(stmts: readonly Stmt[]): Stmt[] {
  return stmts.flatMap((s) =>
    s.kind === 'outline' || s.kind === 'array' ? straight(s.body) : [s],
  );
}

/** The blocks within a block that may run never or often: loops and branches. */
export function nested(stmts: readonly Stmt[]): (readonly Stmt[])[] {
  return straight(stmts).flatMap((s) => [...blocksOf(s)]);
}

/** Whether an expression costs more than getting a local. */
export function isWorthALocal(e: Expr): boolean {
  if (e.op === 'const') return e.lanes === 4;
  if (e.op === 'let' || e.op === 'var') return false;
  return e.op !== 'dim' || isWorkDim(e.dim);
}

/** Whether a dim takes work to compute. */
export function isWorkDim(d: Dim): boolean {
  if (typeof d === 'number') return false;
  if (d.terms.length > 1) return true;
  const [t] = d.terms;
  return t.coef !== 1 || t.atoms.length > 1 || t.atoms[0].kind === 'fn';
}

/** The sum of the terms that mention none of the names. */
export function fixedPart(d: DimExpr, names: ReadonlySet<string>): Dim {
  return pickTerms(d, (t) =>
    t.atoms.every((a) =>
      a.kind === 'sym' ? !names.has(a.id) : a.args.every((x) => isFixed(x, names)),
    ),
  );
}

/** A dim as what varies and a constant. */
export function splitConstant(d: Dim): { base: Dim; constant: number } {
  if (typeof d === 'number') return { base: 0, constant: d };
  const constant = d.terms.find((t) => t.atoms.length === 0)?.coef ?? 0;
  return { base: subDim(d, constant), constant };
}

/** The accesses that run in each pass of a block, its branches included, its loops not. */
export function accesses(stmts: readonly Stmt[]): { buffer: string; index: Dim }[] {
  const out: { buffer: string; index: Dim }[] = [];
  const seen = new Set<Expr>();
  const visit = (root: Expr): void => {
    const stack = [root];
    while (stack.length > 0) {
      const e = stack.pop() as Expr;
      if (seen.has(e)) continue;
      seen.add(e);
      if (e.op === 'load') out.push({ buffer: e.buffer, index: e.index });
      stack.push(...argsOf(e));
    }
  };
  const all = (list: readonly Stmt[]): void => {
    for (const s of list) {
      for (const e of exprsOf(s)) visit(e);
      if (s.kind === 'store') out.push({ buffer: s.buffer, index: s.index });
      if (s.kind === 'if') {
        all(s.then);
        all(s.else);
      } else if (s.kind === 'outline') all(s.body);
    }
  };
  all(stmts);
  return out;
}

/** How often expressions are used by the statements that run in each pass of a block. */
export function countUses(stmts: readonly Stmt[]): Map<Expr, number> {
  return countExprs(straight(stmts).flatMap((s) => [...exprsOf(s)]));
}

/** How often each expression occurs in others, shared parts of them counted once. */
export function countExprs(roots: readonly Expr[]): Map<Expr, number> {
  const counts = new Map<Expr, number>();
  const visit = (e: Expr): void => {
    const n = (counts.get(e) ?? 0) + 1;
    counts.set(e, n);
    if (n === 1) argsOf(e).forEach(visit);
  };
  roots.forEach(visit);
  return counts;
}
