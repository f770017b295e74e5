// The functions within dims (divisions above all) that statements compute, so that each is computed once
// and as far out as its symbols are known. Compilers of shaders inline what is called, and some take
// minutes over the hundreds of divisions that the indices of one kernel can hold.
// Invariant: what stands within another comes before it.

import type { Dim, FnAtom } from '../../core/dim.ts';
import type { Expr } from '../../kernel/expr.ts';
import type { Stmt } from '../../kernel/ir.ts';
import { dimsOf, exprsOf, walkExprs, walkStmts } from '../../kernel/rewrite.ts';

/** The distinct functions of sizes and indices within statements. */
export function atomsOf(stmts: readonly Stmt[]): readonly FnAtom[] {
  const found = new Map<string, FnAtom>();
  const visit = (d: Dim): void => {
    if (typeof d === 'number') return;
    for (const t of d.terms) {
      for (const a of t.atoms) {
        if (a.kind !== 'fn' || found.has(a.key)) continue;
        a.args.forEach(visit);
        found.set(a.key, a);
      }
    }
  };
  const seen = new Set<Expr>();
  const inExpr = (e: Expr): void => {
    if (e.op === 'load') visit(e.index);
    else if (e.op === 'dim') visit(e.dim);
  };
  walkStmts(stmts, (s) => {
    dimsOf(s).forEach(visit);
    walkExprs(exprsOf(s), inExpr, seen);
  });
  return [...found.values()];
}
