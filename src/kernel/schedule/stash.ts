// Values that several loops of a row compute alike, such as the exponentials of a softmax, are computed
// once: the first of them, or a loop before it, puts them where the last is going to store its result.
// Invariant: the place is written at the same indices anyway and read by nothing else, and no loop up to
// that one reads an input there, since a result may share its memory with an input.

import { dimEquals, type Sym, symDim } from '../../core/dim.ts';
import { splitAffine } from '../../core/dim-affine.ts';
import { mentions } from '../../core/dim-syms.ts';
import { exprCost } from '../cost.ts';
import { type Expr, letRef, load } from '../expr.ts';
import type { BufferParam, ForStmt, Stmt, StoreStmt } from '../ir.ts';
import {
  collectExprSyms,
  exprsOf,
  mapExpr,
  mapStmtExprs,
  mapStmts,
  rebuild,
  substituteSyms,
  walkExprs,
  walkStmts,
} from '../rewrite.ts';
import { forLoop, isPlain, letStmt, type Names } from './build.ts';

/** Cheaper values are computed again sooner than read. */
const EXPENSIVE = 8;

/** The body of a grid point with such values stored; also the buffers, which are then read too. */
export function stashShared(
  body: readonly Stmt[],
  buffers: readonly BufferParam[],
  names: Names,
): { body: readonly Stmt[]; buffers: readonly BufferParam[] } {
  for (let last = body.length - 1; last > 0; last--) {
    const target = targetOf(body[last], buffers, body);
    const found = target && sharedValue(body.slice(0, last), target);
    if (!found) continue;
    const { first, value } = found;
    const { loop, store } = target;
    const place = load(store.buffer, value.type, store.index);
    // Loops after the last one would find the result there.
    const users = body.slice(first, last + 1).map((s) => withValue(s, loop, value, place));
    const inputs = new Set(buffers.filter((b) => b.access !== 'write').map((b) => b.name));
    if (users.some((s) => readsAlong(s, inputs))) continue;
    const filled = fillIn(body[first], { loop, store }, value, names);
    const start = filled ?? forLoop(loop.axis, 0, loop.end, 1, 'lane', [{ ...store, value }]);
    const rest = filled ? users.slice(1) : users;
    return {
      body: [...body.slice(0, first), start, ...rest, ...body.slice(last + 1)],
      buffers: buffers.map((b) =>
        b.name === store.buffer ? { ...b, access: 'readwrite' as const } : b,
      ),
    };
  }
  return { body, buffers };
}

/** A reduction that puts the value in its place as it computes it, if the first user is one. */
function fillIn(s: Stmt, { loop, store }: Target, value: Expr, names: Names): Stmt | undefined {
  if (s.kind !== 'for' || s.role !== 'reduce' || !s.combine) return undefined;
  const name = names.fresh('w');
  const local = letRef(name, value.type);
  const user = withValue(s, loop, value, local);
  if (user.kind !== 'for' || user.axis.id !== loop.axis.id) return undefined;
  return { ...user, body: [letStmt(name, value), { ...store, value: local }, ...user.body] };
}

interface Target {
  readonly loop: ForStmt;
  readonly store: StoreStmt;
}

/** A loop that does nothing but store one result along memory, which nothing reads. */
function targetOf(
  s: Stmt,
  buffers: readonly BufferParam[],
  body: readonly Stmt[],
): Target | undefined {
  if (s.kind !== 'for' || s.role !== 'lane' || !isPlain(s) || s.body.length !== 1) return undefined;
  const [store] = s.body;
  if (store.kind !== 'store' || splitAffine(store.index, s.axis.id)?.coef !== 1) return undefined;
  const buffer = buffers.find((b) => b.name === store.buffer);
  // A narrower element would not hold what is stashed.
  if (buffer?.access !== 'write' || buffer.type !== store.value.type) return undefined;
  let touched = 0;
  walkStmts(body, (t) => {
    if (t.kind === 'store' && t.buffer === store.buffer) touched++;
    walkExprs(exprsOf(t), (e) => {
      if (e.op === 'load' && e.buffer === store.buffer) touched++;
    });
  });
  return touched === 1 ? { loop: s, store } : undefined;
}

/** The largest expensive value of the target that an earlier loop of the same extent computes too. */
function sharedValue(
  before: readonly Stmt[],
  { loop, store }: Target,
): { first: number; value: Expr } | undefined {
  const candidates = new Set<Expr>();
  walkExprs([store.value], (e) => {
    const fits = e.type === store.value.type && e.lanes === 1 && isFree(e, loop.axis);
    if (fits && exprCost([e]) >= EXPENSIVE) candidates.add(e);
  });
  for (let first = 0; first < before.length; first++) {
    const s = before[first];
    if (s.kind !== 'for' || !isPlain(s) || !dimEquals(s.end, loop.end)) continue;
    let best: Expr | undefined;
    for (const t of aligned(s, loop.axis)) {
      walkExprs(exprsOf(t), (e) => {
        if (candidates.has(e) && (!best || exprCost([e]) > exprCost([best]))) best = e;
      });
    }
    if (best && !dependsOn(best, s.body)) return { first, value: best };
  }
  return undefined;
}

/** Whether a value depends on the axis, and on nothing that may change or that a loop binds. */
function isFree(e: Expr, axis: Sym): boolean {
  let free = true;
  let along = false;
  walkExprs([e], (x) => {
    if (x.op === 'var') free = false;
    if (x.op === 'load') along ||= mentions(x.index, axis.id);
  });
  return free && along;
}

/** Whether a value uses what statements bind. */
function dependsOn(e: Expr, stmts: readonly Stmt[]): boolean {
  const bound = new Set<string>();
  walkStmts(stmts, (t) => {
    if (t.kind === 'for') bound.add(t.axis.id);
    else if (t.kind === 'let') bound.add(t.name);
  });
  const syms = new Map<string, Sym>();
  collectExprSyms([e], syms);
  let found = [...syms.keys()].some((id) => bound.has(id));
  walkExprs([e], (x) => {
    if (x.op === 'let') found ||= bound.has(x.name);
  });
  return found;
}

/** The body of a loop in terms of another axis. */
function aligned(s: ForStmt, axis: Sym): Stmt[] {
  if (s.axis.id === axis.id) return [...s.body];
  return substituteSyms(s.body, (x) => (x.id === s.axis.id ? symDim(axis) : undefined));
}

/** A statement with the value read from its place, in loops of the same extent. */
function withValue(s: Stmt, loop: ForStmt, value: Expr, place: Expr): Stmt {
  if (s.kind !== 'for' || !isPlain(s) || !dimEquals(s.end, loop.end)) return s;
  const memo = new Map<Expr, Expr>([[value, place]]);
  const body = mapStmts(aligned(s, loop.axis), (t) =>
    mapStmtExprs(t, (e) => mapExpr(e, rebuild, memo)),
  );
  return { ...s, axis: loop.axis, body };
}

/** Whether a statement has a loop that reads inputs along its axis. */
function readsAlong(s: Stmt, inputs: ReadonlySet<string>): boolean {
  let found = false;
  walkStmts([s], (t) => {
    if (t.kind !== 'for') return;
    walkStmts(t.body, (u) =>
      walkExprs(exprsOf(u), (e) => {
        if (e.op === 'load' && inputs.has(e.buffer)) found ||= mentions(e.index, t.axis.id);
      }),
    );
  });
  return found;
}
