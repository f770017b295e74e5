// What a part of a kernel takes and gives as a function of its own: the buffers, sizes and locals that it
// reads but does not define, and the variables that it changes for what comes after it.

import type { Sym } from '../../core/dim.ts';
import { collectSyms } from '../../core/dim-syms.ts';
import { type Expr, type LocalExpr, varRef } from '../../kernel/expr.ts';
import type { Stmt } from '../../kernel/ir.ts';
import { dimsOf, exprsOf, walkExprs, walkStmts } from '../../kernel/rewrite.ts';

/** The interface of statements, in order of first use. */
export interface Interface {
  readonly buffers: readonly string[];
  /** Ids of symbols. */
  readonly syms: readonly string[];
  readonly locals: readonly LocalExpr[];
  /** Those of the locals that are set. */
  readonly results: readonly LocalExpr[];
}

/** The interface of statements that stand alone: without arrays and checks. */
export function interfaceOf(stmts: readonly Stmt[]): Interface {
  const own = new Set<string>();
  const buffers = new Set<string>();
  const syms = new Map<string, Sym>();
  const locals = new Map<string, LocalExpr>();
  const results = new Map<string, LocalExpr>();
  const note = (e: Expr): void => {
    if (e.op === 'dim') collectSyms(e.dim, syms);
    else if (e.op === 'load') {
      buffers.add(e.buffer);
      collectSyms(e.index, syms);
    } else if (e.op === 'let' || e.op === 'var') locals.set(e.name, e as LocalExpr);
  };
  walkStmts(stmts, (s) => {
    walkExprs(exprsOf(s), note);
    for (const d of dimsOf(s)) collectSyms(d, syms);
    if (s.kind === 'store') buffers.add(s.buffer);
    else if (s.kind === 'for') own.add(s.axis.id);
    else if (s.kind === 'let' || s.kind === 'var') own.add(s.name);
    else if (s.kind === 'set') {
      const local = varRef(s.name, s.value.type, s.value.lanes) as LocalExpr;
      locals.set(s.name, local);
      results.set(s.name, local);
    }
  });
  const free = (list: Iterable<LocalExpr>): LocalExpr[] =>
    [...list].filter((e) => !own.has(e.name));
  return {
    buffers: [...buffers],
    syms: [...syms.keys()].filter((id) => !own.has(id)),
    locals: free(locals.values()),
    results: free(results.values()),
  };
}
