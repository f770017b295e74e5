// Turns lazy selects that guard reads into `if` statements, where the condition is the same in all
// lanes: vectors have no lazy select, but a statement around vector code does the same.
// Invariant: what was evaluated only under a condition still is.

import { argsOf, constant, type Expr, varRef } from '../expr.ts';
import type { Stmt } from '../ir.ts';
import {
  exprsOf,
  ifStmt,
  mapExpr,
  mapStmtExprs,
  mapStmts,
  rebuild,
  walkExprs,
} from '../rewrite.ts';
import { type Names, setStmt } from './build.ts';
import { COL, type Dependence } from './vary.ts';

type Guard = Expr & { op: 'select' };

/** Whether an expression reads memory. */
export function readsMemory(e: Expr): boolean {
  let found = false;
  walkExprs([e], (x) => {
    found ||= x.op === 'load';
  });
  return found;
}

/** The statements with guards made explicit; the same list if there are none. */
export function explicitGuards(
  stmts: readonly Stmt[],
  dep: Dependence,
  names: Names,
): readonly Stmt[] {
  let any = false;
  const out = mapStmts(stmts, (s) => {
    // The condition of a loop is evaluated many times, so nothing can be put before it.
    if (s.kind === 'while') return s;
    const made = expand(s, dep, names);
    any ||= made.length > 1;
    return made;
  });
  return any ? out : stmts;
}

function expand(s: Stmt, dep: Dependence, names: Names): Stmt[] {
  const [e] = exprsOf(s);
  const guards = e ? guardsOf(e, dep) : [];
  if (guards.length === 0) return [s];
  const before: Stmt[] = [];
  const memo = new Map<Expr, Expr>();
  for (const g of guards) {
    const name = names.fresh('g');
    const [cond, yes, no] = g.args;
    before.push({ kind: 'var', name, type: g.type, lanes: 1, init: constant(g.type, 0) });
    const branch = (value: Expr): Stmt[] => expand(setStmt(name, value), dep, names);
    before.push(ifStmt(cond, branch(yes), branch(no)));
    memo.set(g, varRef(name, g.type));
  }
  return [...before, mapStmtExprs(s, (x) => mapExpr(x, rebuild, memo))];
}

/** The outermost guards that are surely evaluated. */
function guardsOf(root: Expr, dep: Dependence): Guard[] {
  const out: Guard[] = [];
  const seen = new Set<Expr>();
  const stack = [root];
  for (let e = stack.pop(); e; e = stack.pop()) {
    if (seen.has(e)) continue;
    seen.add(e);
    if (e.op !== 'select' || !e.lazy) {
      stack.push(...argsOf(e));
      continue;
    }
    const lanes = dep.expr(e) & COL && !(dep.expr(e.args[0]) & COL);
    if (lanes && e.args.slice(1).some(readsMemory)) out.push(e);
    // Inside a branch only what is evaluated anyway could be moved out, which is not known here.
    else stack.push(e.args[0]);
  }
  return out;
}
