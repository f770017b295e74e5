// Finds matrix products by their shape: a sum over products of two factors, of which one depends on
// a row axis and the other on a column axis of the grid, whatever is done with the sum after that.
// Invariant: what does not fit exactly is left to the generic schedule.

import { type Dim, floorDiv, maxDim, mentions, minDim, mulDim, type Sym } from '../../core/dim.ts';
import type { Expr } from '../expr.ts';
import type { ForStmt, Stmt } from '../ir.ts';
import { collectExprSyms, walkExprs, walkStmts } from '../rewrite.ts';
import { isPlain, type Names, type Nest } from './build.ts';
import { termsOf } from './columns.ts';
import { type Contraction, emitProduct, TILE_COLS, TILE_ROWS } from './gemm.ts';
import { accumulatorsOf } from './reduce.ts';
import { type Chunking, tileGrid } from './tile.ts';

/** Products that a tile of several small matrices should have. */
const BATCH_WORK = 65536;

/** The tiles of a matrix product, or undefined if the nest is none. */
export function scheduleContraction(
  nest: Nest,
  tile: Sym,
  names: Names,
): { body: Stmt[]; tiles: Dim } | undefined {
  const product = contractionOf(nest);
  if (!product) return undefined;
  const { row, col, sum } = product;
  const chunking = (l: ForStmt): Chunking => {
    if (l === row) return { fixed: TILE_ROWS };
    if (l !== col) return { grain: 1 };
    // Half as wide where that makes a second tile, so that two threads can share a small product.
    const halves = minDim(2, maxDim(1, floorDiv(l.end, TILE_COLS)));
    return { fixed: mulDim(TILE_COLS / 2, halves) };
  };
  // Rows and columns count last, so that other axes share what the two leave of the budget.
  const others = nest.loops.filter((l) => l !== row && l !== col);
  const loops = [...others, row, col];
  const budget = maxDim(1, floorDiv(BATCH_WORK, sum.end));
  const tiling = tileGrid(loops, chunking, budget, tile, names);
  const body = emitProduct(product, { loops, ranges: tiling.ranges, body: nest.body }, names);
  return { body: [...tiling.prelude, ...body], tiles: tiling.tiles };
}

/** Takes a nest apart into the parts of a product, if it is one. */
export function contractionOf(nest: Nest): Contraction | undefined {
  const [init, loop, ...epilogue] = nest.body;
  if (init?.kind !== 'var' || init.type !== 'f32' || init.lanes !== 1) return undefined;
  if (loop?.kind !== 'for' || loop.role !== 'reduce' || !isPlain(loop) || !loop.combine) {
    return undefined;
  }
  const [combine] = loop.combine;
  if (loop.combine.length !== 1 || combine.op !== 'add' || combine.variable !== init.name) {
    return undefined;
  }
  if (!accumulatorsOf(loop.body, loop.combine)) return undefined;
  const term = termsOf(loop.body)?.get(init.name);
  if (term?.op !== 'binary' || term.fn !== 'mul' || !simple(epilogue)) return undefined;
  const [x, y] = term.args;
  if (!closed([x, y], nest, loop)) return undefined;
  for (let c = nest.loops.length - 1; c >= 0; c--) {
    const col = nest.loops[c];
    for (const [left, right] of [
      [x, y],
      [y, x],
    ]) {
      if (uses(left, col) || !uses(right, col)) continue;
      const row = nest.loops.findLast((l) => uses(left, l) && !uses(right, l));
      if (!row || !uses(left, loop) || !uses(right, loop)) continue;
      return { row, col, sum: loop, left, right, init, epilogue };
    }
  }
  return undefined;
}

/** Whether an epilogue is straight code, which can be repeated for the parts of a tile. */
function simple(stmts: readonly Stmt[]): boolean {
  return stmts.every((s) => s.kind === 'let' || s.kind === 'store');
}

/** Whether factors depend on nothing that is computed inside the nest. */
function closed(factors: readonly Expr[], nest: Nest, loop: ForStmt): boolean {
  const inside = new Set<string>();
  walkStmts(nest.body, (s) => {
    if (s.kind === 'let' || s.kind === 'var') inside.add(s.name);
    else if (s.kind === 'for' && s !== loop) inside.add(s.axis.id);
  });
  const syms = new Map<string, Sym>();
  collectExprSyms(factors, syms);
  let locals = false;
  const written = new Set<string>();
  walkStmts(nest.body, (s) => {
    if (s.kind === 'store') written.add(s.buffer);
  });
  walkExprs(factors, (e) => {
    if (e.op === 'let' || e.op === 'var') locals = true;
    // What other points store must not be read: a panel is packed long before it is used.
    if (e.op === 'load' && written.has(e.buffer)) locals = true;
  });
  return !locals && ![...syms.keys()].some((id) => inside.has(id));
}

/** Whether an expression's value depends on the axis of a loop. */
export function uses(e: Expr, loop: ForStmt): boolean {
  let found = false;
  walkExprs([e], (x) => {
    if (x.op === 'dim') found ||= mentions(x.dim, loop.axis.id);
    else if (x.op === 'load') found ||= mentions(x.index, loop.axis.id);
  });
  return found;
}
