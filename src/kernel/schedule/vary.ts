// Which values of a loop body depend on which of two axes: the one whose turns become the lanes of
// vectors (columns) and the one whose turns are copied side by side (rows).
// Invariant: an over-approximation; what is not marked is the same in every turn of the axis.

import type { Dim } from '../../core/dim.ts';
import { symsOf } from '../../core/dim-syms.ts';
import { argsOf, type Expr } from '../expr.ts';
import type { Stmt } from '../ir.ts';
import { walkExprs, walkStmts } from '../rewrite.ts';

/** Bit sets of the axes a value depends on. */
export const ROW = 1;
export const COL = 2;

/** The dependences of one region of code. */
export class Dependence {
  /** By name of a local or symbol. */
  readonly marks: Map<string, number>;
  private memo = new Map<Expr, number>();

  constructor(seeds: ReadonlyMap<string, number>, stmts: readonly Stmt[]) {
    this.marks = new Map(seeds);
    for (;;) {
      const before = this.total();
      walkStmts(stmts, (s) => {
        if (s.kind === 'let' || s.kind === 'set') this.raise(s.name, this.expr(s.value));
        else if (s.kind === 'var') this.raise(s.name, this.expr(s.init));
      });
      if (this.total() === before) return;
    }
  }

  private total(): number {
    let sum = 0;
    for (const m of this.marks.values()) sum += m;
    return sum;
  }

  private raise(name: string, mask: number): void {
    const old = this.marks.get(name) ?? 0;
    if ((old | mask) === old) return;
    this.marks.set(name, old | mask);
    this.memo = new Map();
  }

  dim(d: Dim): number {
    if (typeof d === 'number') return 0;
    let mask = 0;
    for (const id of symsOf(d).keys()) mask |= this.marks.get(id) ?? 0;
    return mask;
  }

  expr(e: Expr): number {
    const { memo } = this;
    const old = memo.get(e);
    if (old !== undefined) return old;
    walkExprs([e], (x) => {
      if (memo.has(x)) return;
      let mask = 0;
      if (x.op === 'dim') mask = this.dim(x.dim);
      else if (x.op === 'load') mask = this.dim(x.index);
      else if (x.op === 'let' || x.op === 'var') mask = this.marks.get(x.name) ?? 0;
      for (const a of argsOf(x)) mask |= memo.get(a) ?? 0;
      memo.set(x, mask);
    });
    return memo.get(e) ?? 0;
  }
}
