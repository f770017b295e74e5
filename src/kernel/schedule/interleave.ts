// Chains of elementary functions: each step of one waits for the step before, so that a processor is
// idle most of the time if one vector goes through the whole chain before the next one starts. Here the
// body is cut at each function, and blocks of several vectors then take turns.
// Invariant: every point gets the operations it had; only the order between points differs.

import { type Expr, letRef } from '../expr.ts';
import type { Stmt } from '../ir.ts';
import { isElementary } from '../math.ts';
import { exprsOf, mapExpr, mapStmtExprs, rebuild, walkExprs } from '../rewrite.ts';
import { letStmt, type Names } from './build.ts';

/** Vectors that take turns, for a body that calls so many elementary functions. */
function vectorsFor(calls: number): number {
  if (calls === 0) return 1;
  return calls === 2 ? 2 : 4;
}

/** A straight body cut at its elementary functions, and how many vectors are to take turns in it. */
export function cutChains(
  body: readonly Stmt[],
  names: Names,
): { body: readonly Stmt[]; vectors: number } {
  const calls = new Set<Expr>();
  for (const s of body) {
    walkExprs(exprsOf(s), (e) => {
      if (isElementary(e)) calls.add(e);
    });
  }
  const vectors = vectorsFor(calls.size);
  if (vectors === 1 || body.some((s) => s.kind !== 'let' && s.kind !== 'store')) {
    return { body, vectors: 1 };
  }
  const out: Stmt[] = [];
  const memo = new Map<Expr, Expr>();
  const cut = (e: Expr, args: readonly Expr[]): Expr => {
    const made = rebuild(e, args);
    if (!calls.has(e)) return made;
    const name = names.fresh('w');
    out.push(letStmt(name, made));
    return letRef(name, made.type, made.lanes);
  };
  for (const s of body) {
    const whole = mapStmtExprs(s, (e) => mapExpr(e, cut, memo));
    out.push(whole);
  }
  return { body: out, vectors };
}
