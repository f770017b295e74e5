// What statements define, change and read: the facts that decide what may be computed earlier, kept, or
// shared. Conservative: a store to a buffer changes all of its elements.

import { type Dim, type DimExpr, pickTerms, subDim } from '../../core/dim.ts';
import { symNames } from '../../core/dim-syms.ts';
import { argsOf, type Expr } from '../../kernel/expr.ts';
import type { Stmt } from '../../kernel/ir.ts';
import { exprsOf } from '../../kernel/rewrite.ts';

const EMPTY: ReadonlySet<string> = new Set();

/** Names that statements bind or change: axes, lets, vars, buffers stored to. */
export interface Effects {
  readonly names: ReadonlySet<string>;
  readonly buffers: ReadonlySet<string>;
}

/** What running the statements defines or changes. */
export function effectsOf(stmts: readonly Stmt[]): Effects {
  if (stmts.length === 1) return effectsOfStmt(stmts[0]);
  const names = new Set<string>();
  const buffers = new Set<string>();
  for (const s of stmts) {
    const inner = effectsOfStmt(s);
    for (const name of inner.names) names.add(name);
    for (const buffer of inner.buffers) buffers.add(buffer);
  }
  return { names, buffers };
}

const effectsCache = new WeakMap<Stmt, Effects>();

/** Remembered, since each loop around a statement asks. */
function effectsOfStmt(s: Stmt): Effects {
  let known = effectsCache.get(s);
  if (!known) {
    known = findEffects(s);
    effectsCache.set(s, known);
  }
  return known;
}

function findEffects(s: Stmt): Effects {
  if (s.kind === 'let' || s.kind === 'var' || s.kind === 'set') {
    return { names: new Set([s.name]), buffers: EMPTY };
  }
  if (s.kind === 'store') return { names: EMPTY, buffers: new Set([s.buffer]) };
  if (s.kind === 'fail') return { names: EMPTY, buffers: EMPTY };
  const { names, buffers } = effectsOf(s.kind === 'if' ? [...s.then, ...s.else] : s.body);
  if (s.kind === 'for') return { names: new Set(names).add(s.axis.id), buffers };
  if (s.kind !== 'array') return { names, buffers };
  return { names: new Set(names).add(s.name), buffers: new Set(buffers).add(s.name) };
}

/** What an expression reads. */
export interface Reads {
  readonly names: ReadonlySet<string>;
  readonly buffers: ReadonlySet<string>;
  /** The number of operations, as a tree. */
  readonly size: number;
}

const readsCache = new WeakMap<Expr, Reads>();

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
  else if (e.op === 'dim') names = symNames(e.dim);
  else if (e.op === 'load') {
    names = symNames(e.index);
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
  return typeof d === 'number' || disjoint(symNames(d), names);
}

/** The statements of a block that run on every pass of it, nested loops and branches left out. */
export function straight(stmts: readonly Stmt[]): readonly Stmt[] {
  for (const { kind } of stmts) if (kind === 'outline' || kind === 'array') return opened(stmts);
  return stmts;
}

function opened(stmts: readonly Stmt[]): Stmt[] {
  const out: Stmt[] = [];
  for (const s of stmts) {
    if (s.kind === 'outline' || s.kind === 'array') out.push(...opened(s.body));
    else out.push(s);
  }
  return out;
}

/** The blocks within a block that may run never or often: loops and branches. */
export function nested(stmts: readonly Stmt[]): (readonly Stmt[])[] {
  const out: (readonly Stmt[])[] = [];
  for (const s of straight(stmts)) {
    if (s.kind === 'if') out.push(s.then, s.else);
    else if (s.kind === 'for' || s.kind === 'while') out.push(s.body);
  }
  return out;
}

/** What a block evaluates, the blocks within it included, each once and in order. */
export interface Evaluated {
  readonly exprs: ReadonlySet<Expr>;
  /** Indices, ranges and values, and the arguments of functions in them. */
  readonly dims: ReadonlySet<DimExpr>;
}

const evaluatedCache = new WeakMap<readonly Stmt[], Evaluated>();

/** What a block evaluates; remembered, since each loop around it asks. */
export function evaluatedIn(block: readonly Stmt[]): Evaluated {
  const known = evaluatedCache.get(block);
  if (known) return known;
  const exprs = new Set<Expr>();
  const dims = new Set<DimExpr>();
  const own = straight(block);
  for (const s of own) for (const e of exprsOf(s)) exprs.add(e);
  eachDim(own, (d) => addParts(d, dims));
  for (const inner of nested(block)) {
    const within = evaluatedIn(inner);
    for (const e of within.exprs) exprs.add(e);
    for (const d of within.dims) dims.add(d);
  }
  const out = { exprs, dims };
  evaluatedCache.set(block, out);
  return out;
}

/** Adds a dim and the arguments of the functions in it. */
export function addParts(d: Dim, into: Set<DimExpr>): void {
  if (typeof d === 'number' || into.has(d)) return;
  into.add(d);
  for (const t of d.terms) {
    for (const a of t.atoms) if (a.kind === 'fn') for (const x of a.args) addParts(x, into);
  }
}

/** Visits the dims that statements evaluate themselves; `isIndex` tells places in memory. */
export function eachDim(stmts: readonly Stmt[], visit: (d: Dim, isIndex: boolean) => void): void {
  const seen = new Set<Expr>();
  for (const s of stmts) {
    const roots = [...exprsOf(s)];
    for (let e = roots.pop(); e; e = roots.pop()) {
      if (seen.has(e)) continue;
      seen.add(e);
      if (e.op === 'dim') visit(e.dim, false);
      else if (e.op === 'load') visit(e.index, true);
      else for (const a of argsOf(e)) roots.push(a);
    }
    if (s.kind === 'store') visit(s.index, true);
    if (s.kind === 'for') {
      visit(s.start, false);
      visit(s.end, false);
    }
  }
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

/** The sum of the terms that mention none of the names, but for a constant. */
export function fixedPart(d: DimExpr, names: ReadonlySet<string>): Dim {
  return pickTerms(d, (t) => {
    if (t.atoms.length === 0) return false;
    for (const a of t.atoms) {
      if (a.kind === 'sym') {
        if (names.has(a.id)) return false;
      } else for (const x of a.args) if (!isFixed(x, names)) return false;
    }
    return true;
  });
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
  const roots: Expr[] = [];
  for (const s of straight(stmts)) roots.push(...exprsOf(s));
  return countExprs(roots);
}

/** How often each expression occurs in others, shared parts of them counted once. */
export function countExprs(roots: readonly Expr[]): Map<Expr, number> {
  const counts = new Map<Expr, number>();
  const visit = (e: Expr): void => {
    const n = (counts.get(e) ?? 0) + 1;
    counts.set(e, n);
    if (n === 1) for (const a of argsOf(e)) visit(a);
  };
  for (const e of roots) visit(e);
  return counts;
}
