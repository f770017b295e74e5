// Joins neighbouring loops of one role whose indices are used only together, as `i * D + j`, into
// one loop over the product of their extents: a contiguous array becomes one long loop.
// Invariant: the joined loop visits the same points in the same order.

import {
  type Atom,
  type Dim,
  dimEquals,
  floorDiv,
  makeSym,
  modDim,
  mulDim,
  symDim,
} from '../../core/dim.ts';
import { splitAffine } from '../../core/dim-affine.ts';
import { mentions } from '../../core/dim-syms.ts';
import type { Expr } from '../expr.ts';
import type { ForStmt, Stmt } from '../ir.ts';
import { dimsOf, exprsOf, mapStmts, substituteSyms, walkExprs, walkStmts } from '../rewrite.ts';
import { forLoop, isPlain, type Names } from './build.ts';

/** Joins every pair of loops that can be joined. */
export function collapse(stmts: readonly Stmt[], names: Names): Stmt[] {
  return mapStmts(stmts, (s) => {
    let loop = s;
    for (;;) {
      const next = loop.kind === 'for' ? joined(loop, names) : undefined;
      if (!next) return loop;
      loop = next;
    }
  });
}

/** A loop and the one directly inside it as one, if nothing needs their indices apart. */
function joined(outer: ForStmt, names: Names): ForStmt | undefined {
  const inner = outer.body[0];
  if (outer.body.length !== 1 || inner.kind !== 'for' || inner.role !== outer.role)
    return undefined;
  if (outer.role === 'serial' || !isPlain(outer) || !isPlain(inner)) return undefined;
  if (mentions(inner.end, outer.axis.id)) return undefined;
  if (JSON.stringify(outer.combine) !== JSON.stringify(inner.combine)) return undefined;
  if (apart(inner.body, outer.axis.id, inner)) return undefined;
  const end = mulDim(outer.end, inner.end);
  const axis = makeSym(names.fresh('f'), 'f', { extent: end });
  const at = symDim(axis);
  const body = substituteSyms(inner.body, (s) => {
    if (s.id === outer.axis.id) return floorDiv(at, inner.end);
    return s.id === inner.axis.id ? modDim(at, inner.end) : undefined;
  });
  if (splits(body, axis.id, inner.end)) return undefined;
  return forLoop(axis, 0, end, 1, outer.role, body, outer.combine);
}

/**
 * Whether some index is seen to need the two loops apart without joining them: a step of the outer one
 * is not as long as all steps of the inner one.
 */
function apart(stmts: readonly Stmt[], outer: string, { axis, end }: ForStmt): boolean {
  if (end === 1) return false;
  return anyDim(stmts, (d) => {
    const [far, near] = [splitAffine(d, outer), splitAffine(d, axis.id)];
    return far !== undefined && near !== undefined && !dimEquals(far.coef, mulDim(near.coef, end));
  });
}

/** Whether a dim of the statements passes the test. */
function anyDim(stmts: readonly Stmt[], test: (d: Dim) => boolean): boolean {
  let found = false;
  const seen = new Set<Expr>();
  walkStmts(stmts, (s) => {
    if (found) return;
    found = dimsOf(s).some(test);
    walkExprs(
      exprsOf(s),
      (e) => {
        if (e.op === 'dim') found ||= test(e.dim);
        else if (e.op === 'load') found ||= test(e.index);
      },
      seen,
    );
  });
  return found;
}

/**
 * Whether some index needs the two loops apart: a quotient or remainder by the inner extent (or a
 * multiple) is left. Other divisions were there before, of both indices together.
 */
function splits(stmts: readonly Stmt[], id: string, extent: Dim): boolean {
  const inAtom = (a: Atom): boolean => {
    if (a.kind !== 'fn' || !a.args.some((x) => mentions(x, id))) return false;
    const divides = a.fn === 'floordiv' || a.fn === 'mod';
    if (!divides || mentions(a.args[1], id)) return true;
    return modDim(a.args[1], extent) === 0 || inDim(a.args[0]);
  };
  const inDim = (d: Dim): boolean =>
    typeof d !== 'number' && d.terms.some((t) => t.atoms.some(inAtom));
  return anyDim(stmts, inDim);
}
