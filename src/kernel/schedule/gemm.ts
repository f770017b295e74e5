// A tile of a matrix product: the right factor is packed into panels 8 wide, over which blocks of
// four rows accumulate in registers; partial sums of long sums wait in a scratch tile.
// Invariant: the panel's edges are zero, so every block is whole in its columns; scratch beyond the
// matrix is written but never used. The micro-kernel keeps 8 + 2 + 4 vectors alive (15 registers).

import {
  addDim,
  type Dim,
  makeSym,
  maxDim,
  minDim,
  mulDim,
  type Sym,
  splitAffine,
  subDim,
  symDim,
} from '../../core/dim.ts';
import {
  add,
  compare,
  dimValue,
  type Expr,
  f32,
  letRef,
  load,
  mul,
  splat,
  varRef,
} from '../expr.ts';
import type { ForStmt, Stmt, VarStmt } from '../ir.ts';
import { ifStmt, substituteSyms } from '../rewrite.ts';
import { blockOf } from './block.ts';
import { bindDim, forLoop, letStmt, type Names, setStmt, storeStmt } from './build.ts';
import { emitGrid, planGrid, steps } from './grid.ts';
import { strip } from './inner.ts';
import type { Range } from './tile.ts';

/** A matrix product. */
export interface Contraction {
  /** The axis of `left`, and of the rows of a block. */
  readonly row: ForStmt;
  /** The axis of `right`, and of the lanes of a block. */
  readonly col: ForStmt;
  /** The axis summed over. */
  readonly sum: ForStmt;
  readonly left: Expr;
  readonly right: Expr;
  /** Declares the accumulator with its initial value. */
  readonly init: VarStmt;
  /** What is done with the sum. */
  readonly epilogue: readonly Stmt[];
}

/** The most rows and columns of a tile. */
export const TILE_ROWS = 64;
export const TILE_COLS = 64;

/** The length of sum for which a panel fits the first cache. */
const PANEL_LENGTH = 256;
const PANEL_WIDTH = 8;
const BLOCK_ROWS = 4;
/** Fewer rows than these are not worth a packed panel. */
const FEW_ROWS = 4;

/** The loops of a tile and what they contain, as the generic schedule sees them. */
export interface TiledNest {
  readonly loops: readonly ForStmt[];
  readonly ranges: readonly Range[];
  readonly body: readonly Stmt[];
}

/** The statements of one tile. */
export function emitProduct(product: Contraction, nest: TiledNest, names: Names): Stmt[] {
  const { loops, ranges, body } = nest;
  const rows = ranges[loops.length - 2];
  const few = compare('lt', dimValue(subDim(rows.end, rows.start)), dimValue(FEW_ROWS));
  const plain = emitGrid(loops, ranges, planGrid(loops, body, names, { rows: false }), names);
  let packed = new Product(product, rows, ranges[loops.length - 1], names).stmts();
  for (let k = loops.length - 3; k >= 0; k--) {
    const { axis, role } = loops[k];
    packed = [forLoop(axis, ranges[k].start, ranges[k].end, 1, role, packed)];
  }
  // Packing pays only if several blocks of rows use the panel.
  return [ifStmt(few, plain, packed)];
}

class Product {
  private readonly p: Contraction;
  private readonly rows: Range;
  private readonly cols: Range;
  private readonly names: Names;
  private readonly panel: string;
  private readonly partial: string;
  /** Holds the left factor where computing or finding it costs more than reading it. */
  private readonly held: string | undefined;
  /** Whether `held` has the rows of the left factor side by side, as memory has. */
  private readonly heldAcross: boolean;
  private readonly block: Sym;
  private readonly strip: Sym;
  private readonly depth: Sym;

  constructor(p: Contraction, rows: Range, cols: Range, names: Names) {
    this.p = p;
    this.rows = rows;
    this.cols = cols;
    this.names = names;
    this.panel = names.fresh('panel');
    this.partial = names.fresh('partial');
    const { left, row, sum } = p;
    const rowMajor = left.op === 'load' && strideOf(left.index, sum) === 1;
    this.held = rowMajor ? undefined : names.fresh('left');
    this.heldAcross = left.op === 'load' && strideOf(left.index, row) === 1;
    this.block = makeSym(names.fresh('kb'));
    this.strip = makeSym(names.fresh('jb'));
    this.depth = makeSym(names.fresh('kk'));
  }

  stmts(): Stmt[] {
    const { names, p } = this;
    const kb = symDim(this.block);
    const turn: Stmt[] = [];
    const length = bindDim(turn, names, 'len', minDim(PANEL_LENGTH, subDim(p.sum.end, kb)));
    if (this.held !== undefined) turn.push(...this.holdLeft(length));
    turn.push(
      forLoop(this.strip, this.cols.start, this.cols.end, PANEL_WIDTH, 'serial', [
        ...this.pack(length),
        ...steps(p.row, this.rows, [BLOCK_ROWS, 1], (n) => this.multiply(n, length), names),
      ]),
    );
    // An empty sum must still write its zeros.
    const sum = forLoop(this.block, 0, maxDim(1, p.sum.end), PANEL_LENGTH, 'serial', turn);
    let out: Stmt[] = [sum, ...this.epilogue()];
    out = [scratch(this.partial, TILE_ROWS * TILE_COLS, out)];
    out = [scratch(this.panel, PANEL_LENGTH * PANEL_WIDTH, out)];
    if (this.held === undefined) return out;
    return [scratch(this.held, TILE_ROWS * PANEL_LENGTH, out)];
  }

  /** Computes the left factor of the tile's rows for one stretch of the sum. */
  private holdLeft(length: Dim): Stmt[] {
    const { p } = this;
    const store = storeStmt(this.held!, this.heldAt(0), this.factor(p.left, {}));
    const { axis } = p.row;
    const { start, end } = this.rows;
    if (this.heldAcross) {
      const inner = forLoop(axis, start, end, 1, 'lane', [store]);
      const body = strip(inner, this.names) ?? [inner];
      return [forLoop(this.depth, 0, length, 1, 'serial', body)];
    }
    const inner = forLoop(this.depth, 0, length, 1, 'lane', [store]);
    const body = strip(inner, this.names) ?? [inner];
    return [forLoop(axis, start, end, 1, 'serial', body)];
  }

  /** Where `held` has the value `r` rows down. */
  private heldAt(r: number): Dim {
    const row = addDim(this.rowIn(), r);
    const depth = symDim(this.depth);
    if (this.heldAcross) return addDim(mulDim(depth, TILE_ROWS), row);
    return addDim(mulDim(row, PANEL_LENGTH), depth);
  }

  /** Copies a panel of the right factor, zero beyond the last column. */
  private pack(length: Dim): Stmt[] {
    const { names, panel } = this;
    const jb = symDim(this.strip);
    const lane = makeSym(names.fresh('jj'));
    const at = addDim(mulDim(symDim(this.depth), PANEL_WIDTH), symDim(lane));
    const column = addDim(jb, symDim(lane));
    const one = storeStmt(panel, at, this.factor(this.p.right, { col: column }));
    const zero = storeStmt(panel, at, f32(0));
    const over = (body: readonly Stmt[]): Stmt => forLoop(this.depth, 0, length, 1, 'serial', body);
    const out: Stmt[] = [];
    const width = bindDim(out, names, 'w', minDim(PANEL_WIDTH, subDim(this.cols.end, jb)));
    const ragged = over([
      forLoop(lane, 0, width, 1, 'serial', [one]),
      forLoop(lane, width, PANEL_WIDTH, 1, 'serial', [zero]),
    ]);
    const shape = { rows: 1, col: lane.id, vectors: PANEL_WIDTH / 4 };
    const block = blockOf([one], shape, names);
    if (!block) return [...out, ragged];
    const start = (s: Sym): Dim | undefined => (s.id === lane.id ? 0 : undefined);
    const whole = over(substituteSyms(block.stmts, start));
    const full = compare('eq', dimValue(width), dimValue(PANEL_WIDTH));
    return [...out, ifStmt(full, [whole], [ragged])];
  }

  /** Multiplies `rows` rows with the panel, and adds the result to the scratch tile. */
  private multiply(rows: number, length: Dim): Stmt[] {
    const { names } = this;
    const k = symDim(this.depth);
    const vectors = PANEL_WIDTH / 4;
    const out: Stmt[] = [];
    const sums: string[][] = [];
    for (let r = 0; r < rows; r++) {
      sums.push([]);
      for (let u = 0; u < vectors; u++) {
        const name = names.fresh('m');
        sums[r].push(name);
        out.push({ kind: 'var', name, type: 'f32', lanes: 4, init: splat(f32(0)) });
      }
    }
    const turn: Stmt[] = [];
    const right = sums[0].map((_, u) => {
      const name = names.fresh('q');
      const at = addDim(mulDim(k, PANEL_WIDTH), 4 * u);
      turn.push(letStmt(name, load(this.panel, 'f32', at, 4)));
      return letRef(name, 'f32', 4);
    });
    sums.forEach((row, r) => {
      const name = names.fresh('x');
      turn.push(letStmt(name, splat(this.left(r))));
      row.forEach((sum, u) => {
        const step = mul(letRef(name, 'f32', 4), right[u]);
        turn.push(setStmt(sum, add(varRef(sum, 'f32', 4), step)));
      });
    });
    out.push(forLoop(this.depth, 0, length, 1, 'serial', turn));
    const first: Stmt[] = [];
    const later: Stmt[] = [];
    sums.forEach((row, r) =>
      row.forEach((sum, u) => {
        const at = this.place(addDim(this.rowIn(), r), addDim(this.columnIn(), 4 * u));
        const value = varRef(sum, 'f32', 4);
        first.push(storeStmt(this.partial, at, value));
        later.push(storeStmt(this.partial, at, add(load(this.partial, 'f32', at, 4), value)));
      }),
    );
    out.push(ifStmt(compare('eq', dimValue(symDim(this.block)), dimValue(0)), first, later));
    return out;
  }

  /** The left factor in row `r` of a block. */
  private left(r: number): Expr {
    const { p, held } = this;
    if (held === undefined) return this.factor(p.left, { row: addDim(symDim(p.row.axis), r) });
    return load(held, 'f32', this.heldAt(r));
  }

  /** Reads the sums from the scratch tile and goes on as the kernel says. */
  private epilogue(): Stmt[] {
    const { p, names } = this;
    const { init, col, row } = p;
    const acc = varRef(init.name, 'f32');
    const column = subDim(symDim(col.axis), this.cols.start);
    const sum = load(this.partial, 'f32', this.place(this.rowIn(), column));
    const body: Stmt[] = [init, setStmt(init.name, add(acc, sum)), ...p.epilogue];
    const vector = blockOf(body, { rows: 1, col: col.axis.id, vectors: 1 }, names);
    const fits = vector && vector.cost.contiguous > vector.cost.gathers;
    const across = fits
      ? steps(col, this.cols, [4, 1], (n) => (n === 4 ? vector.stmts : body), names)
      : steps(col, this.cols, [1], () => body, names);
    return [forLoop(row.axis, this.rows.start, this.rows.end, 1, row.role, across)];
  }

  /** A factor at the depth of the panel, with its row or column replaced. */
  private factor(e: Expr, at: { readonly row?: Dim; readonly col?: Dim }): Expr {
    const { p } = this;
    const deep = addDim(symDim(this.block), symDim(this.depth));
    const [s] = substituteSyms([letStmt('', e)], (sym) => {
      if (sym.id === p.sum.axis.id) return deep;
      if (sym.id === p.row.axis.id) return at.row;
      return sym.id === p.col.axis.id ? at.col : undefined;
    });
    return s.kind === 'let' ? s.value : e;
  }

  private rowIn(): Dim {
    return subDim(symDim(this.p.row.axis), this.rows.start);
  }

  private columnIn(): Dim {
    return subDim(symDim(this.strip), this.cols.start);
  }

  private place(row: Dim, column: Dim): Dim {
    return addDim(mulDim(row, TILE_COLS), column);
  }
}

function strideOf(index: Dim, loop: ForStmt): Dim | undefined {
  return splitAffine(index, loop.axis.id)?.coef;
}

function scratch(name: string, length: number, body: readonly Stmt[]): Stmt {
  return { kind: 'array', name, type: 'f32', length, body };
}
