// What a loop's code computes before its turns: values that stay the same, parts of sizes, and pointers
// for rows of accesses. Facts only; the emitter decides where they are held.

import { type Dim, type DimExpr, dimKey } from '../../core/dim.ts';
import { splitAffine } from '../../core/dim-affine.ts';
import { mentions } from '../../core/dim-syms.ts';
import { argsOf, type Expr } from '../../kernel/expr.ts';
import type { Stmt } from '../../kernel/ir.ts';
import { exprsOf } from '../../kernel/rewrite.ts';
import {
  accesses,
  addParts,
  type Effects,
  eachDim,
  evaluatedIn,
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
): Set<Expr> {
  const wanted = new Set<Expr>();
  const seenSure = new Set<Expr>();
  const seenUnsure = new Set<Expr>();
  // Loads are only moved from where they surely run, and only out of the loop around them.
  const visit = (e: Expr, sure: boolean): void => {
    if (seenSure.has(e) || (!sure && seenUnsure.has(e))) return;
    (sure ? seenSure : seenUnsure).add(e);
    if ((sure || readsOf(e).buffers.size === 0) && isUntouched(e, effects)) {
      if (isWorthALocal(e) && !isKnown(e)) wanted.add(e);
      return;
    }
    const args = argsOf(e);
    const lazy = e.op === 'select' && e.lazy;
    for (let i = 0; i < args.length; i++) visit(args[i], sure && !(lazy && i > 0));
  };
  for (const s of straight(body)) for (const e of exprsOf(s)) visit(e, true);
  for (const block of nested(body)) for (const e of evaluatedIn(block).exprs) visit(e, false);
  return wanted;
}

/** The parts of dims in a body that a loop leaves as they are and that take work to compute. */
export function invariantDims(
  axis: string,
  body: readonly Stmt[],
  effects: Effects,
): Map<string, Dim> {
  const dims = new Set<DimExpr>();
  const inner = new Set(effects.names);
  inner.delete(axis);
  // Accesses right in the loop get pointers, which need none of this.
  eachDim(straight(body), (d, isIndex) => {
    const split = isIndex ? splitAffine(d, axis) : undefined;
    if (!split || !isFixed(split.coef, inner) || !isFixed(split.rest, inner)) addParts(d, dims);
  });
  for (const block of nested(body)) for (const d of evaluatedIn(block).dims) dims.add(d);
  const out = new Map<string, Dim>();
  for (const d of dims) {
    const part = fixedPart(d, effects.names);
    if (isWorkDim(part)) out.set(dimKey(part), part);
  }
  return out;
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
