// Vectorises what is inside one point of the grid, or a body that has no grid: reductions and lane
// loops, wherever they stand.
// Invariant: a loop that does not fit stays as it is, so the result always means the same.

import type { ForStmt, Stmt } from '../ir.ts';
import { ifStmt } from '../rewrite.ts';
import { blockOf } from './block.ts';
import { bindDim, forLoop, type Names, nestOf, unlessEmpty, wholeEnd } from './build.ts';
import { splitReduction } from './reduce.ts';

/** The statements with their loops vectorised; `hits` counts the loops where that worked. */
export function vectoriseInner(
  stmts: readonly Stmt[],
  names: Names,
): { stmts: Stmt[]; hits: number } {
  const out: Stmt[] = [];
  let hits = 0;
  const inside = (block: readonly Stmt[]): readonly Stmt[] => {
    const r = vectoriseInner(block, names);
    hits += r.hits;
    return r.hits > 0 ? r.stmts : block;
  };
  for (const s of stmts) {
    if (s.kind === 'for' && s.role !== 'reduce' && nestOf([s], s.role).loops.length > 1) {
      // Of nested loops the innermost runs along memory most often.
      const r = vectoriseInner(s.body, names);
      if (r.hits > 0) {
        hits += r.hits;
        out.push({ ...s, body: r.stmts });
        continue;
      }
    }
    const split = s.kind === 'for' ? vectoriseLoop(s, names) : undefined;
    if (split) {
      hits++;
      out.push(...split);
    } else if (s.kind === 'if') out.push(ifStmt(s.cond, inside(s.then), inside(s.else)));
    else if (s.kind === 'for' || s.kind === 'while' || s.kind === 'array' || s.kind === 'outline') {
      out.push({ ...s, body: inside(s.body) });
    } else out.push(s);
  }
  return { stmts: out, hits };
}

function vectoriseLoop(s: ForStmt, names: Names): Stmt[] | undefined {
  if (s.role === 'reduce') return splitReduction(s, names);
  if (s.role === 'lane' || s.role === 'grid') return strip(s, names);
  return undefined;
}

/** A loop of independent turns in steps of a vector, with a scalar rest; undefined if it does not fit. */
export function strip(s: ForStmt, names: Names): Stmt[] | undefined {
  const { start, end } = s;
  if (s.step !== 1) return undefined;
  const block = blockOf(s.body, { rows: 1, col: s.axis.id, vectors: 1 }, names);
  if (!block || !pays(block.cost, names.width)) return undefined;
  const out: Stmt[] = [];
  const whole = bindDim(out, names, 'e', wholeEnd(start, end, names.width));
  out.push(...unlessEmpty(forLoop(s.axis, start, whole, names.width, s.role, block.stmts)));
  out.push(...unlessEmpty(forLoop(s.axis, whole, end, 1, s.role, s.body)));
  return out;
}

/** Whether vectors make up for the lanes that must be gathered one by one. */
export function pays(
  cost: { gathers: number; contiguous: number; ops: number },
  width: number,
): boolean {
  return cost.gathers === 0
    ? cost.contiguous > 0
    : cost.ops + cost.contiguous > width * cost.gathers;
}
