// What the steps of the scheduler share: fresh names, small constructors, the view of a perfect nest.
// Invariant: a name given out is new to the whole kernel, so code made from it never hides another.

import { addDim, type Dim, makeSym, modDim, type Sym, subDim, symDim } from '../../core/dim.ts';
import { dimValue, type Expr } from '../expr.ts';
import type { AxisRole, Combine, ForStmt, Kernel, Stmt } from '../ir.ts';
import { exprsOf, walkExprs, walkStmts } from '../rewrite.ts';
import { isWideType, loadedType } from '../scalar.ts';

/** Gives out names that a kernel does not use, and knows the width of its vectors. */
export class Names {
  /** Lanes of a vector: as many as its widest type has. */
  readonly width: 2 | 4;
  private readonly used = new Set<string>();
  private next = 0;

  constructor(kernel: Kernel) {
    this.width = isWide(kernel) ? 2 : 4;
    for (const b of kernel.buffers) this.used.add(b.name);
    for (const p of kernel.params) this.used.add(p.id);
    walkStmts(kernel.body, (s) => {
      if (s.kind === 'for') this.used.add(s.axis.id);
      else if ('name' in s) this.used.add(s.name);
    });
  }

  /** A new name; `prefix` tells what it is for. */
  fresh(prefix: string): string {
    let name = `${prefix}_${this.next++}`;
    while (this.used.has(name)) name = `${prefix}_${this.next++}`;
    this.used.add(name);
    return name;
  }
}

/** Whether a kernel computes anything in 64 bits. */
function isWide(kernel: Kernel): boolean {
  let wide = kernel.buffers.some((b) => isWideType(loadedType(b.type)));
  const seen = new Set<Expr>();
  walkStmts(kernel.body, (s) => {
    if (s.kind === 'array') wide ||= isWideType(s.type);
    if (wide) return;
    walkExprs(
      exprsOf(s),
      (e) => {
        wide ||= isWideType(e.type);
      },
      seen,
    );
  });
  return wide;
}

/** A loop. */
export function forLoop(
  axis: Sym,
  start: Dim,
  end: Dim,
  step: number,
  role: AxisRole,
  body: readonly Stmt[],
  combine?: readonly Combine[],
): ForStmt {
  return { kind: 'for', axis, start, end, step, role, ...(combine ? { combine } : {}), body };
}

/** The loop, unless its range is known to be empty. */
export function unlessEmpty(loop: ForStmt): readonly ForStmt[] {
  return loop.start === loop.end && typeof loop.start === 'number' ? [] : [loop];
}

/** Binds the value of a dim to a local, so that it is computed once; gives the local as a dim. */
export function bindDim(out: Stmt[], names: Names, prefix: string, dim: Dim): Dim {
  if (typeof dim === 'number') return dim;
  const name = names.fresh(prefix);
  out.push({ kind: 'let', name, value: dimValue(dim) });
  return symDim(makeSym(name));
}

/** Where the last whole step of a loop from `start` ends: `end` less what is left over. */
export function wholeEnd(start: Dim, end: Dim, step: number): Dim {
  return addDim(start, subDim(subDim(end, start), modDim(subDim(end, start), step)));
}

export const letStmt = (name: string, value: Expr): Stmt => ({ kind: 'let', name, value });
export const setStmt = (name: string, value: Expr): Stmt => ({ kind: 'set', name, value });
export const storeStmt = (buffer: string, index: Dim, value: Expr): Stmt => ({
  kind: 'store',
  buffer,
  index,
  value,
});

/** The loops of one role that directly contain each other, outermost first, and what is inside. */
export interface Nest {
  readonly loops: readonly ForStmt[];
  readonly body: readonly Stmt[];
}

/** Takes a perfect nest of loops of one role apart. */
export function nestOf(stmts: readonly Stmt[], role: AxisRole): Nest {
  const loops: ForStmt[] = [];
  let body = stmts;
  while (body.length === 1) {
    const s = body[0];
    if (s.kind !== 'for' || s.role !== role) break;
    loops.push(s);
    body = s.body;
  }
  return { loops, body };
}

/** Whether a loop runs from 0 by ones, as the loops of a plan do. */
export const isPlain = (f: ForStmt): boolean => f.start === 0 && f.step === 1;
