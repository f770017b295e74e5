// The generic schedule of a grid: which axis runs in vector lanes, which in copies side by side, and
// the loops over whole blocks and over what is left at the edges.
// Invariant: falls back to plain loops, so every body has a schedule.

import type { Dim } from '../../core/dim.ts';
import { mentions } from '../../core/dim-syms.ts';
import { invariant } from '../../core/error.ts';
import type { Expr } from '../expr.ts';
import type { ForStmt, Stmt } from '../ir.ts';
import { exprsOf, walkExprs, walkStmts } from '../rewrite.ts';
import { type BlockShape, blockOf } from './block.ts';
import { bindDim, forLoop, type Names, wholeEnd } from './build.ts';
import { pays, vectoriseInner } from './inner.ts';
import { cutChains } from './interleave.ts';
import type { Chunking, Range } from './tile.ts';
import { COL, Dependence } from './vary.ts';

/** How the points of a grid are taken. */
export interface GridPlan {
  /** What is done at one point where no block is used. */
  readonly point: readonly Stmt[];
  /** Absent: point by point. */
  readonly shape?: BlockShape;
  /** Rows of blocks are the outer loop: their loads run along the rows. */
  readonly crossed?: boolean;
  /** What is done at `rows` points of an axis at once, if there is no shape. */
  readonly several?: {
    readonly row: string;
    readonly rows: number;
    readonly stmts: readonly Stmt[];
  };
}

/** Chooses the schedule of a grid. */
export function planGrid(
  loops: readonly ForStmt[],
  body: readonly Stmt[],
  names: Names,
  allow: { readonly rows: boolean } = { rows: true },
): GridPlan {
  const inner = vectoriseInner(body, names);
  if (inner.hits > 0) {
    const several = allow.rows ? severalRows(loops, body, names) : undefined;
    return { point: inner.stmts, ...(several ? { several } : {}) };
  }
  for (let k = loops.length - 1; k >= 0; k--) {
    const col = loops[k].axis.id;
    const block = blockOf(body, { rows: 1, col, vectors: 1 }, names);
    if (!block || !pays(block.cost, names.width)) continue;
    const crossed = block.cost.gathers > 0 ? crossing(loops, body, names) : undefined;
    if (crossed) return crossed;
    const { loads, ops } = innerWork(body, col);
    if (ops === 0 && loads.length === 0) {
      const cut = cutChains(body, names);
      return { point: cut.body, shape: { rows: 1, col, vectors: cut.vectors } };
    }
    const row = allow.rows ? sharingAxis(loops, loads, col) : undefined;
    if (row !== undefined && ops <= 12) {
      const shape: BlockShape = { row, rows: 4, col, vectors: 2 };
      if (blockOf(body, shape, names)) return { point: body, shape };
    }
    return { point: body, shape: { rows: 1, col, vectors: ops <= 4 ? 8 : ops <= 12 ? 4 : 1 } };
  }
  return crossing(loops, body, names) ?? { point: body };
}

/** Cheap reductions of several rows at once, which share the turns of the loop. */
function severalRows(
  loops: readonly ForStmt[],
  body: readonly Stmt[],
  names: Names,
): GridPlan['several'] {
  const rows = 4;
  const row = loops[loops.length - 1].axis.id;
  let cheap = true;
  walkStmts(body, (s) => {
    if (s.kind !== 'for') return;
    cheap &&= s.role === 'reduce' && s.combine?.length === 1 && s.body.length === 1;
    // A maximum of floats is quickest row by row; see reduce.ts.
    cheap &&= !s.combine?.some((c) => c.op === 'max' || c.op === 'min');
    for (const t of s.body) {
      let ops = 0;
      walkExprs(exprsOf(t), (e) => {
        if ('args' in e) ops++;
      });
      cheap &&= ops <= 4;
    }
  });
  const block = cheap ? blockOf(body, { row, rows, vectors: 1 }, names) : undefined;
  const inner = block && vectoriseInner(block.stmts, names);
  return inner && inner.hits > 0 ? { row, rows, stmts: inner.stmts } : undefined;
}

/** The chunks of an axis that suit a plan. */
export function chunkingOf(plan: GridPlan, loop: ForStmt, last: boolean): Chunking {
  const { shape, several } = plan;
  if (several?.row === loop.axis.id) return { grain: several.rows };
  if (!shape) return { grain: 1 };
  if (plan.crossed) {
    // Long runs of stores, and few rows of them, so that lines that were loaded are found again.
    if (last) return { fixed: 128 };
    return loop.axis.id === shape.row ? { fixed: 32 } : { grain: 1 };
  }
  if (shape.col === undefined) {
    if (loop.axis.id === shape.row) return { fixed: 64 };
    return last ? { fixed: 128 } : { grain: 1 };
  }
  if (loop.axis.id === shape.row) return { grain: 4 * shape.rows };
  if (loop.axis.id !== shape.col) return { grain: 1 };
  return { grain: Math.max(16, 4 * shape.vectors) };
}

/** The loads inside loops, and a count of the operations there that are done in lanes. */
function innerWork(body: readonly Stmt[], col: string): { loads: Expr[]; ops: number } {
  const dep = new Dependence(new Map([[col, COL]]), body);
  const loads = new Set<Expr>();
  const ops = new Set<Expr>();
  walkStmts(body, (s) => {
    if (s.kind !== 'for') return;
    walkStmts(s.body, (t) =>
      walkExprs(exprsOf(t), (e) => {
        if (e.op === 'load') loads.add(e);
        else if ('args' in e && dep.expr(e) & COL) ops.add(e);
      }),
    );
  });
  return { loads: [...loads], ops: ops.size };
}

/** An axis whose turns read the same vectors. */
function sharingAxis(
  loops: readonly ForStmt[],
  loads: readonly Expr[],
  col: string,
): string | undefined {
  for (let k = loops.length - 1; k >= 0; k--) {
    const { id } = loops[k].axis;
    if (id === col) continue;
    const shared = loads.some(
      (e) => e.op === 'load' && mentions(e.index, col) && !mentions(e.index, id),
    );
    if (shared) return id;
  }
  return undefined;
}

/**
 * The schedule of a transposing kernel: some load is contiguous along an axis whose stores are not.
 * Several of its turns side by side use the whole of the cache lines that they touch, as vectors
 * that are transposed where the stores are contiguous.
 */
function crossing(
  loops: readonly ForStmt[],
  body: readonly Stmt[],
  names: Names,
): GridPlan | undefined {
  if (loops.length < 2 || body.some((s) => s.kind !== 'let' && s.kind !== 'store'))
    return undefined;
  const indices: Dim[] = [];
  walkStmts(body, (s) =>
    walkExprs(exprsOf(s), (e) => {
      if (e.op === 'load') indices.push(e.index);
    }),
  );
  const row = loops
    .slice(0, -1)
    .map((l) => l.axis.id)
    .reverse()
    .find((id) => indices.some((d) => contiguous(d, id)));
  if (row === undefined) return undefined;
  const col = loops[loops.length - 1].axis.id;
  const shape: BlockShape = { row, rows: 8, col, vectors: 1 };
  const block = blockOf(body, shape, names);
  if (block && block.cost.gathers === 0) return { point: body, shape, crossed: true };
  return { point: body, shape: { row, rows: 8, vectors: 1 } };
}

function contiguous(d: Dim, id: string): boolean {
  return (
    typeof d !== 'number' &&
    d.terms.some((t) => t.coef === 1 && t.atoms.length === 1 && t.key === id)
  );
}

/** The loops over the ranges of a tile. */
export function emitGrid(
  loops: readonly ForStmt[],
  ranges: readonly Range[],
  plan: GridPlan,
  names: Names,
): Stmt[] {
  const { shape, several, point: body } = plan;
  const at = (id: string | undefined): number => loops.findIndex((l) => l.axis.id === id);
  const col = at(shape?.col);
  const row = at(several?.row ?? shape?.row);
  const others = (stmts: readonly Stmt[]): Stmt[] => {
    let out = [...stmts];
    for (let k = loops.length - 1; k >= 0; k--) {
      if (k === col || k === row) continue;
      const { axis, role } = loops[k];
      out = [forLoop(axis, ranges[k].start, ranges[k].end, 1, role, out)];
    }
    return out;
  };
  let inside: Stmt[] = [];
  if (several) {
    const { rows, stmts } = several;
    inside = steps(loops[row], ranges[row], [rows, 1], (n) => (n > 1 ? stmts : body), names);
  } else if (!shape) inside = [...body];
  else {
    const block = (rows: number, vectors: number): Stmt[] => {
      if (vectors === 0 && rows === 1) return [...body];
      const lanes = vectors > 0 ? { col: shape.col } : {};
      const part = { ...lanes, row: shape.row, rows, vectors: Math.max(1, vectors) };
      const made = blockOf(body, part, names);
      invariant(made, 'a block of the plan fits the body in every size');
      return made.stmts;
    };
    if (col < 0) {
      // The other axes run inside: each line of memory that several rows share is soon used up.
      return steps(loops[row], ranges[row], [shape.rows, 1], (n) => others(block(n, 0)), names);
    }
    if (plan.crossed) {
      const cols = (rows: number): Stmt[] =>
        steps(loops[col], ranges[col], [names.width, 1], (n) => block(rows, n > 1 ? 1 : 0), names);
      return others(steps(loops[row], ranges[row], [shape.rows, 1], cols, names));
    }
    const rows = (vectors: number): Stmt[] => {
      if (row < 0) return block(1, vectors);
      return steps(loops[row], ranges[row], [shape.rows, 1], (n) => block(n, vectors), names);
    };
    const { width } = names;
    const widths = shape.vectors > 1 ? [width * shape.vectors, width, 1] : [width, 1];
    inside = steps(loops[col], ranges[col], widths, (n) => rows(Math.floor(n / width)), names);
  }
  return others(inside);
}

/** A range in steps of the first width, what is left in steps of the next, and so on. */
export function steps(
  loop: ForStmt,
  range: Range,
  widths: readonly number[],
  make: (width: number) => readonly Stmt[],
  names: Names,
): Stmt[] {
  const out: Stmt[] = [];
  let from = range.start;
  for (const w of widths) {
    const to = w === 1 ? range.end : bindDim(out, names, 'e', wholeEnd(range.start, range.end, w));
    // A range of known length may have nothing left over.
    if (from !== to || typeof from !== 'number') {
      out.push(forLoop(loop.axis, from, to, w, loop.role, make(w)));
    }
    from = to;
  }
  return out;
}
