// Finds contractions by their shape: a sum over products of two factors, of which one depends on row
// axes and the other on a column axis of the grid, whatever is done with the sum after that; and cuts
// them into tiles. Matrix products, convolutions and their gradients all have this shape.
// Invariant: what does not fit exactly is left to the generic schedule.

import {
  addDim,
  type Dim,
  floorDiv,
  makeSym,
  maxDim,
  minDim,
  modDim,
  mulDim,
  prodDims,
  type Sym,
  symDim,
} from '../../core/dim.ts';
import { splitAffine } from '../../core/dim-affine.ts';
import { mentions } from '../../core/dim-syms.ts';
import type { Expr } from '../expr.ts';
import type { ForStmt, Stmt, VarStmt } from '../ir.ts';
import { collectExprSyms, substituteSyms, walkExprs, walkStmts } from '../rewrite.ts';
import { isFloatType } from '../scalar.ts';
import { forLoop, isPlain, letStmt, type Names, type Nest, nestOf } from './build.ts';
import { termsOf } from './columns.ts';
import { emitProduct, MAX_COLS, MAX_ROWS } from './gemm.ts';
import { accumulatorsOf } from './reduce.ts';
import { type Chunking, tileGrid } from './tile.ts';

/** How the left factor comes to the multiplication. */
export type LeftForm =
  /** Read where it is: its innermost sum axis runs along memory. */
  | 'direct'
  /** Copied in panels of rows: one of its row axes runs along memory. */
  | 'across'
  /** Computed or gathered into scratch, row by row. */
  | 'held';

/** A contraction, taken apart. */
export interface Contraction {
  readonly form: LeftForm;
  /** The other axes of the grid, outermost first. */
  readonly others: readonly ForStmt[];
  /** The axis of the rows: one loop over all row axes where there are several. */
  readonly row: ForStmt;
  /** Whether `row` is several axes in one. */
  readonly isJoined: boolean;
  /** The axis of `right` that becomes the lanes of vectors. */
  readonly col: ForStmt;
  /** Axes summed over around `sum`. */
  readonly outer: readonly ForStmt[];
  /** The axis that panels are long. */
  readonly sum: ForStmt;
  readonly left: Expr;
  readonly right: Expr;
  /** Declares the accumulator with its initial value. */
  readonly init: VarStmt;
  /** What is done with the sum. */
  readonly epilogue: readonly Stmt[];
  /** All that is done at one point, for tiles too small for panels. */
  readonly point: readonly Stmt[];
}

/** Products that a tile of several small matrices should have. */
const BATCH_WORK = 65536;
/** With fewer tiles than these, tiles are narrow. */
const MANY_TILES = 16;
/** A stretch of sum this long is worth a loop of its own around it. */
const LONG_STRETCH = 48;

/** The tiles of a contraction, or undefined if the nest is none. */
export function scheduleContraction(
  nest: Nest,
  tile: Sym,
  names: Names,
): { body: Stmt[]; tiles: Dim } | undefined {
  const product = contractionOf(nest, names);
  if (!product) return undefined;
  const { row, col, sum, outer, others } = product;
  const depth = prodDims([...outer, sum].map((l) => l.end));
  const { rows, cols } = tileSize(product);
  const chunking = (l: ForStmt): Chunking => {
    if (l === row) return { fixed: rows };
    return l === col ? { fixed: cols } : { grain: 1 };
  };
  const loops = [...others, row, col];
  const budget = maxDim(1, floorDiv(BATCH_WORK, depth));
  const tiling = tileGrid(loops, chunking, budget, tile, names);
  const body = emitProduct(product, { loops, ranges: tiling.ranges }, names);
  return { body: [...tiling.prelude, ...body], tiles: tiling.tiles };
}

/**
 * The rows and columns of a tile. Wide tiles pack the left factor less often; narrow ones give threads
 * something to share where there are few. The formula is small, as both the kernel and its caller
 * evaluate it.
 */
function tileSize(p: Contraction): { rows: number; cols: Dim } {
  const direct = p.form === 'direct';
  const rows = direct ? MAX_ROWS : MAX_ROWS / 2;
  const cols = direct ? MAX_COLS / 4 : MAX_COLS / 2;
  const strips = floorDiv(addDim(p.row.end, rows - 1), rows);
  const points = mulDim(mulDim(p.col.end, strips), prodDims(p.others.map((l) => l.end)));
  const wide = minDim(MAX_COLS / cols, floorDiv(points, MANY_TILES * cols));
  return { rows, cols: mulDim(cols, maxDim(1, wide)) };
}

/** Takes a nest apart into the parts of a contraction, if it is one. */
export function contractionOf(nest: Nest, names: Names): Contraction | undefined {
  const [init, loop, ...epilogue] = nest.body;
  if (init?.kind !== 'var' || !isFloatType(init.type) || init.lanes !== 1) return undefined;
  if (loop?.kind !== 'for' || loop.role !== 'reduce') return undefined;
  const { loops: sums, body } = nestOf([loop], 'reduce');
  const axes = [...nest.loops, ...sums].map((l) => l.axis.id);
  for (const l of sums) {
    const combine = l.combine ?? [];
    if (combine.length !== 1 || combine[0].op !== 'add' || combine[0].variable !== init.name) {
      return undefined;
    }
    if (!isPlain(l) || axes.some((id) => mentions(l.end, id))) return undefined;
  }
  if (!accumulatorsOf(body, sums[0].combine ?? [])) return undefined;
  const term = termsOf(body)?.get(init.name);
  if (term?.op !== 'binary' || term.fn !== 'mul' || !simple(epilogue)) return undefined;
  const [x, y] = term.args;
  if (!closed([x, y], nest, sums)) return undefined;
  let second: Factors | undefined;
  for (let c = nest.loops.length - 1; c >= 0; c--) {
    for (const [left, right] of [
      [x, y],
      [y, x],
    ]) {
      const factors = factorsOf(nest.loops, nest.loops[c], sums, left, right);
      if (!factors) continue;
      if (storesAlong(epilogue, factors.col)) {
        return shaped({ ...factors, init, epilogue, point: nest.body }, sums, names);
      }
      second ??= factors;
    }
  }
  return second && shaped({ ...second, init, epilogue, point: nest.body }, sums, names);
}

interface Factors {
  readonly others: readonly ForStmt[];
  readonly rows: readonly ForStmt[];
  readonly col: ForStmt;
  readonly left: Expr;
  readonly right: Expr;
}

/** The axes sorted by the factors that use them, if `col` can be the column axis. */
function factorsOf(
  loops: readonly ForStmt[],
  col: ForStmt,
  sums: readonly ForStmt[],
  left: Expr,
  right: Expr,
): Factors | undefined {
  if (uses(left, col) || !uses(right, col)) return undefined;
  const isRow = (l: ForStmt): boolean => uses(left, l) && !uses(right, l);
  const rows = loops.filter(isRow);
  if (rows.length === 0 || !sums.some((l) => uses(left, l) && uses(right, l))) return undefined;
  const others = loops.filter((l) => l !== col && !isRow(l));
  return { others, rows, col, left, right };
}

/** Chooses the form of the left factor, and joins the axes that it allows to join. */
function shaped(
  p: Factors & Pick<Contraction, 'init' | 'epilogue' | 'point'>,
  sums: readonly ForStmt[],
  names: Names,
): Contraction {
  const { rows, left, ...rest } = p;
  const inner = sums[sums.length - 1];
  const coef = (l: ForStmt): Dim | undefined =>
    left.op === 'load' ? splitAffine(left.index, l.axis.id)?.coef : undefined;
  const long = sums.length === 1 || typeof inner.end !== 'number' || inner.end >= LONG_STRETCH;
  if (coef(inner) === 1 && long && separable(left, rows, sums)) {
    const all = joinRows({ ...p, rows }, names);
    return { ...all, form: 'direct', outer: sums.slice(0, -1), sum: inner };
  }
  const along = rows.find((l) => coef(l) === 1);
  if (along) {
    const others = [...p.others, ...rows.filter((l) => l !== along)];
    const one = { ...rest, left, others, row: along, isJoined: false };
    return { ...joinSums(one, sums, names), form: 'across', outer: [] };
  }
  return { ...joinSums(joinRows({ ...p, rows }, names), sums, names), form: 'held', outer: [] };
}

/** Several loops as one whose index gives theirs by division. */
export function joinedLoop(
  loops: readonly ForStmt[],
  names: Names,
): { loop: ForStmt; index: ReadonlyMap<string, Dim> } {
  const last = loops[loops.length - 1];
  if (loops.length === 1) return { loop: last, index: new Map() };
  const end = prodDims(loops.map((l) => l.end));
  const axis = makeSym(names.fresh('f'), 'f', { extent: end });
  const index = new Map<string, Dim>();
  let inside: Dim = 1;
  for (let k = loops.length - 1; k >= 0; k--) {
    const { axis: own, end: extent } = loops[k];
    const above = floorDiv(symDim(axis), inside);
    index.set(own.id, k === 0 ? above : modDim(above, extent));
    inside = mulDim(inside, extent);
  }
  return { loop: forLoop(axis, 0, end, 1, last.role, [], last.combine), index };
}

function replaced(e: Expr, index: ReadonlyMap<string, Dim>): Expr {
  const [s] = substituteSyms([letStmt('', e)], (sym) => index.get(sym.id));
  return s.kind === 'let' ? s.value : e;
}

type Joining = Factors & Pick<Contraction, 'init' | 'epilogue' | 'point'>;

function joinRows(
  { rows, ...p }: Joining,
  names: Names,
): Omit<Joining, 'rows'> & Pick<Contraction, 'row' | 'isJoined'> {
  const { loop, index } = joinedLoop(rows, names);
  const to = (stmts: readonly Stmt[]): Stmt[] => substituteSyms(stmts, (s) => index.get(s.id));
  const [init] = to([p.init]);
  return {
    ...p,
    row: loop,
    isJoined: rows.length > 1,
    left: replaced(p.left, index),
    init: init.kind === 'var' ? init : p.init,
    epilogue: to(p.epilogue),
    point: to(p.point),
  };
}

function joinSums<T extends { readonly left: Expr; readonly right: Expr }>(
  p: T,
  sums: readonly ForStmt[],
  names: Names,
): T & { sum: ForStmt } {
  const { loop, index } = joinedLoop(sums, names);
  return { ...p, sum: loop, left: replaced(p.left, index), right: replaced(p.right, index) };
}

/** Whether no term of the load's index mentions a row axis and a sum axis. */
function separable(left: Expr, rows: readonly ForStmt[], sums: readonly ForStmt[]): boolean {
  if (left.op !== 'load' || typeof left.index === 'number') return false;
  return left.index.terms.every((t) => {
    const term: Dim = { key: '', terms: [t] };
    const has = (l: ForStmt): boolean => mentions(term, l.axis.id);
    return !(rows.some(has) && sums.some(has));
  });
}

/** Whether all that is stored runs along memory with the axis. */
function storesAlong(epilogue: readonly Stmt[], col: ForStmt): boolean {
  return epilogue.every((s) => s.kind !== 'store' || splitAffine(s.index, col.axis.id)?.coef === 1);
}

/** Whether an epilogue is straight code, which can be repeated for the parts of a tile. */
function simple(stmts: readonly Stmt[]): boolean {
  return stmts.every((s) => s.kind === 'let' || s.kind === 'store');
}

/** Whether factors depend on nothing that is computed inside the nest. */
function closed(factors: readonly Expr[], nest: Nest, sums: readonly ForStmt[]): boolean {
  const inside = new Set<string>();
  const written = new Set<string>();
  walkStmts(nest.body, (s) => {
    if (s.kind === 'let' || s.kind === 'var') inside.add(s.name);
    else if (s.kind === 'for' && !sums.includes(s)) inside.add(s.axis.id);
    else if (s.kind === 'store') written.add(s.buffer);
  });
  const syms = new Map<string, Sym>();
  collectExprSyms(factors, syms);
  let locals = false;
  walkExprs(factors, (e) => {
    if (e.op === 'let' || e.op === 'var') locals = true;
    // What other points store must not be read: a panel is packed long before it is used.
    if (e.op === 'load' && written.has(e.buffer)) locals = true;
  });
  return !locals && ![...syms.keys()].some((id) => inside.has(id));
}

/** Whether an expression's value depends on the axis of a loop. */
function uses(e: Expr, loop: ForStmt): boolean {
  let found = false;
  walkExprs([e], (x) => {
    if (x.op === 'dim') found ||= mentions(x.dim, loop.axis.id);
    else if (x.op === 'load') found ||= mentions(x.index, loop.axis.id);
  });
  return found;
}
