// What statements define, change and read: the facts that decide what may be computed earlier, kept, or
// shared. Conservative: a store to a buffer changes all of its elements.

import { type Dim, symsOf } from '../../core/dim.ts';
import { argsOf, type Expr } from '../../kernel/expr.ts';
import type { Stmt } from '../../kernel/ir.ts';
import { blocksOf, walkStmts } from '../../kernel/rewrite.ts';

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

function dimNames(d: Dim): ReadonlySet<string> {
  return typeof d === 'number' ? EMPTY : new Set(symsOf(d).keys());
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
