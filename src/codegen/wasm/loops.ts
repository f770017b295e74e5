// What a loop's code computes before its turns: values that stay the same, parts of sizes, and pointers
// for rows of accesses. Facts only; the emitter decides where they are held.

import { type Dim, dimKey, mentions, splitAffine } from '../../core/dim.ts';
import { argsOf, type Expr } from '../../kernel/expr.ts';
import type { Stmt } from '../../kernel/ir.ts';
import { exprsOf } from '../../kernel/rewrite.ts';
import {
  accesses,
  type Effects,
  fixedPart,
  isFixed,
  isUntouched,
  isWorkDim,
  isWorthALocal,
  nested,
  readsOf,
  splitConstant,
  straight,
} from './uses.ts';

/** The largest expressions of a loop's body that no turn changes and that are worth a local. */
export function invariantExprs(
  body: readonly Stmt[],
  effects: Effects,
  isKnown: (e: Expr) => boolean,
): Expr[] {
  const fixed = new Map<Expr, boolean>();
  const isInvariant = (e: Expr): boolean => {
    let known = fixed.get(e);
    if (known === undefined) {
      known = isUntouched(e, effects);
      fixed.set(e, known);
    }
    return known;
  };
  const wanted = new Set<Expr>();
  const seen = { sure: new Set<Expr>(), unsure: new Set<Expr>() };
  // Loads are only moved from where they surely run, and only out of the loop around them.
  const visit = (e: Expr, sure: boolean): void => {
    if (seen.sure.has(e) || (!sure && seen.unsure.has(e))) return;
    seen[sure ? 'sure' : 'unsure'].add(e);
    if (isInvariant(e) && (sure || readsOf(e).buffers.size === 0)) {
      if (isWorthALocal(e) && !isKnown(e)) wanted.add(e);
      return;
    }
    const lazy = e.op === 'select' && e.lazy;
    argsOf(e).forEach((a, i) => {
      visit(a, sure && !(lazy && i > 0));
    });
  };
  const visitAll = (stmts: readonly Stmt[], sure: boolean): void => {
    for (const s of straight(stmts)) for (const e of exprsOf(s)) visit(e, sure);
    for (const inner of nested(stmts)) visitAll(inner, false);
  };
  visitAll(body, true);
  return [...wanted];
}

/** The parts of dims in a body that a loop leaves as they are and that take work to compute. */
export function invariantDims(axis: string, body: readonly Stmt[], effects: Effects): Dim[] {
  const out = new Map<string, Dim>();
  const visit = (d: Dim): void => {
    if (typeof d === 'number') return;
    const part = fixedPart(d, effects.names);
    if (isWorkDim(part)) out.set(dimKey(part), part);
    for (const t of d.terms) {
      for (const a of t.atoms) if (a.kind === 'fn') for (const x of a.args) visit(x);
    }
  };
  const inner = new Set(effects.names);
  inner.delete(axis);
  // Accesses right in the loop get pointers, which need none of this.
  const visitIndex = (d: Dim, direct: boolean): void => {
    const split = direct ? splitAffine(d, axis) : undefined;
    if (!split || !isFixed(split.coef, inner) || !isFixed(split.rest, inner)) visit(d);
  };
  const all = (stmts: readonly Stmt[], direct: boolean): void => {
    for (const s of straight(stmts)) {
      const roots = [...exprsOf(s)];
      const seen = new Set<Expr>();
      while (roots.length > 0) {
        const e = roots.pop() as Expr;
        if (seen.has(e)) continue;
        seen.add(e);
        if (e.op === 'dim') visit(e.dim);
        if (e.op === 'load') visitIndex(e.index, direct);
        roots.push(...argsOf(e));
      }
      if (s.kind === 'store') visitIndex(s.index, direct);
      if (s.kind === 'for') {
        visit(s.start);
        visit(s.end);
      }
    }
    for (const block of nested(stmts)) all(block, false);
  };
  all(body, true);
  return [...out.values()];
}

/** Accesses of a loop that one pointer serves: `base + coef * axis`, and constants from `least` on. */
export interface PointerRow {
  readonly key: string;
  readonly buffer: string;
  readonly base: Dim;
  readonly coef: Dim;
  readonly least: number;
}

/** The rows of accesses right in a loop's body whose index is affine in its axis. */
export function pointerRows(axis: string, body: readonly Stmt[], effects: Effects): PointerRow[] {
  const inner = new Set(effects.names);
  inner.delete(axis);
  const rows = new Map<string, PointerRow>();
  for (const { buffer, index } of accesses(body)) {
    const split = splitAffine(index, axis);
    if (!split || !isFixed(split.coef, inner) || !isFixed(split.rest, inner)) continue;
    if (mentions(split.coef, axis)) continue;
    const { base, constant } = splitConstant(split.rest);
    const key = `${buffer}:${dimKey(base)}:${dimKey(split.coef)}`;
    const row = rows.get(key);
    if (row) rows.set(key, { ...row, least: Math.min(row.least, constant) });
    else rows.set(key, { key, buffer, base, coef: split.coef, least: constant });
  }
  return [...rows.values()];
}
