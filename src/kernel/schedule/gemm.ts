// A tile of a contraction: for stretches of the sum the right factor is packed into panels four vectors wide, over
// which blocks of two rows accumulate in registers. Sums that need several stretches wait in a scratch
// tile; the last stretch goes on in registers with what the kernel does with the sum.
// Code for what fixed sizes never leave over, or never divide, is not made.
// Invariant: the panel's edges are zero, so every block is whole in its columns; scratch beyond the
// matrix is written but never used. The micro-kernel keeps 8 + 4 + 2 vectors alive (15 registers).

import {
  addDim,
  type Dim,
  floorDiv,
  makeSym,
  maxDim,
  minDim,
  modDim,
  mulDim,
  type Sym,
  subDim,
  sumDims,
  symDim,
} from '../../core/dim.ts';
import { splitAffine } from '../../core/dim-affine.ts';
import { invariant } from '../../core/error.ts';
import {
  add,
  binary,
  bool,
  compare,
  constant,
  dimValue,
  type Expr,
  letRef,
  load,
  madd,
  type ScalarType,
  select,
  splat,
  varRef,
} from '../expr.ts';
import type { ForStmt, Stmt } from '../ir.ts';
import { ifStmt, mapExpr, mapStmtExprs, rebuild, substituteSyms } from '../rewrite.ts';
import { isFloatType } from '../scalar.ts';
import { blockOf, copyName } from './block.ts';
import { bindDim, forLoop, letStmt, type Names, setStmt, storeStmt, wholeEnd } from './build.ts';
import type { Contraction } from './contraction.ts';
import { emitGrid, planGrid, steps } from './grid.ts';
import { strip } from './inner.ts';
import { Offsets } from './offsets.ts';
import type { Range } from './tile.ts';
import { COL, ROW } from './vary.ts';

/** The most rows and columns of a tile. */
export const MAX_ROWS = 256;
export const MAX_COLS = 256;

/** The longest stretch of a sum: a panel and the rows of a block fit the first cache. */
const STRETCH = 512;
/** Vectors side by side in a panel. */
const VECTORS = 4;
const BLOCK_ROWS = 2;
/** Rows that scratch keeps side by side for a left factor whose rows run along memory. */
const HELD_ROWS = 4;
/** Rows that are packed at once: those of a cache line. */
const LINE_ROWS = 16;
/** Fewer rows or columns than these are not worth a packed panel. */
const FEW = 4;

/** The loops of a tile: batch axes, then rows, then columns. */
export interface TiledLoops {
  readonly loops: readonly ForStmt[];
  readonly ranges: readonly Range[];
}

/** The statements of one tile. */
export function emitProduct(product: Contraction, nest: TiledLoops, names: Names): Stmt[] {
  const { loops, ranges } = nest;
  const [rows, cols] = ranges.slice(-2);
  let packed = new Product(product, rows, cols, names).stmts();
  for (let k = loops.length - 3; k >= 0; k--) {
    const { axis, role } = loops[k];
    packed = [forLoop(axis, ranges[k].start, ranges[k].end, 1, role, packed)];
  }
  // Packing pays only if several blocks of rows use the panel; rows of several axes are hardly ever few.
  const { row, col, isJoined } = product;
  const counts = isJoined ? [col.end] : [row.end, col.end];
  const few = counts.filter((n) => typeof n !== 'number' || n < FEW);
  if (few.length === 0) return packed;
  const grid = planGrid(loops, product.point, names, { rows: false });
  const plain = emitGrid(loops, ranges, grid, names);
  const least = few.reduce(minDim);
  return [ifStmt(compare('lt', dimValue(least), dimValue(FEW)), plain, packed)];
}

/** Where a row of the left factor stands, and how far apart its elements are. */
interface Place {
  readonly buffer: string;
  readonly start: Dim;
  readonly step: Dim;
}

/** One stretch of the sum. */
interface Stretch {
  /** Where it starts, and how long it is. */
  readonly start: Dim;
  readonly length: Dim;
  readonly isFirst: Expr;
  readonly isLast: Expr;
}

/** One strip of columns: how many there are, and whether its sums are finished in registers. */
interface Strip {
  readonly width: Dim;
  readonly isWhole: Expr;
  readonly inRegisters: Expr;
}

class Product {
  private readonly p: Contraction;
  private readonly rows: Range;
  private readonly cols: Range;
  private readonly names: Names;
  /** The type of factors and sums, the lanes of its vectors, the columns of a panel. */
  private readonly type: ScalarType;
  private readonly lanes: 2 | 4;
  private readonly panelWidth: number;
  private readonly panel: string;
  private readonly partial: string;
  /** Holds the left factor where it is not read in place. */
  private readonly held: string;
  /** The sums of a block, in registers. */
  private readonly sum: string;
  private readonly depth: Sym;
  /** Whether sums ever wait in scratch. */
  private waits = false;
  private readonly rowOffsets: Offsets;
  private readonly sumOffsets: Offsets;
  /** What is done with the sums of a block: nothing in registers where vectors don't fit. */
  private block: { readonly finish: readonly Stmt[] | undefined } | undefined;

  constructor(p: Contraction, rows: Range, cols: Range, names: Names) {
    this.p = p;
    this.rows = rows;
    this.cols = cols;
    this.names = names;
    this.type = p.init.type;
    this.lanes = names.width;
    this.panelWidth = VECTORS * names.width;
    this.panel = names.fresh('panel');
    this.partial = names.fresh('partial');
    this.held = names.fresh('left');
    this.sum = names.fresh('m');
    this.depth = makeSym(names.fresh('kk'));
    const [r, c, k] = [p.row.axis, p.col.axis, p.sum.axis];
    this.rowOffsets = new Offsets(r, [c, k, ...p.outer.map((l) => l.axis)], MAX_ROWS, names);
    this.sumOffsets = new Offsets(k, [r, c], STRETCH, names);
  }

  private get finish(): readonly Stmt[] | undefined {
    if (!this.block) {
      const { row, col } = this.p;
      const shape = { row: row.axis.id, rows: BLOCK_ROWS, col: col.axis.id, vectors: VECTORS };
      const sums = new Map([[this.sum, ROW | COL]]);
      const made = blockOf(this.finished(varRef(this.sum, this.type)), shape, this.names, sums);
      const fits = made && made.cost.contiguous > made.cost.gathers;
      this.block = { finish: fits ? made.stmts : undefined };
    }
    return this.block.finish;
  }

  stmts(): Stmt[] {
    const { names, p } = this;
    const prelude: Stmt[] = [];
    // Nothing to sum in an outer loop means nothing to sum at all.
    const total = p.outer.reduce((n, l) => mulDim(n, minDim(1, l.end)), p.sum.end);
    const all = bindDim(prelude, names, 'all', total);
    let loop: Stmt[];
    if (p.outer.length === 0 && typeof all === 'number' && all <= STRETCH) {
      loop = this.stretch({ start: 0, length: all, isFirst: bool(true), isLast: bool(true) });
    } else {
      // An empty sum has one empty stretch, which writes its zeros.
      const count = bindDim(prelude, names, 'count', maxDim(1, ceilDiv(all, STRETCH)));
      const step = bindDim(prelude, names, 'step', ceilDiv(all, count));
      const turn = makeSym(names.fresh('kb'));
      const body: Stmt[] = [];
      const start = bindDim(body, names, 'k', mulDim(symDim(turn), step));
      const length = bindDim(body, names, 'len', minDim(step, subDim(all, start)));
      const before = sumDims([...p.outer.map((l) => symDim(l.axis)), start]);
      const after = p.outer.map((l) => subDim(subDim(maxDim(1, l.end), 1), symDim(l.axis)));
      const left = sumDims([...after, subDim(subDim(all, start), length)]);
      const isFirst = this.named(body, 'first', isZero(before));
      const isLast = this.named(body, 'last', isZero(left));
      body.push(...this.stretch({ start, length, isFirst, isLast }));
      loop = [forLoop(turn, 0, count, 1, 'serial', body)];
      for (const l of [...p.outer].reverse()) {
        loop = [forLoop(l.axis, 0, maxDim(1, l.end), 1, 'serial', loop)];
      }
    }
    const { start: top, end } = this.rows;
    const offsets = this.rowOffsets.fill(subDim(end, top), (at) => addDim(top, at));
    return this.withScratch([...prelude, ...offsets, ...loop]);
  }

  private stretch(s: Stretch): Stmt[] {
    const work = [...this.holdLeft(s), this.strips(s)];
    return [...this.sumOffsets.fill(s.length, (at) => addDim(s.start, at)), ...work];
  }

  private withScratch(body: readonly Stmt[]): Stmt[] {
    const scratch = (name: string, length: number, inside: readonly Stmt[]): Stmt[] => [
      { kind: 'array', name, type: this.type, length, body: inside },
    ];
    let out = this.rowOffsets.around(this.sumOffsets.around(body));
    if (this.waits) out = scratch(this.partial, MAX_ROWS * MAX_COLS, out);
    if (this.p.form !== 'direct') out = scratch(this.held, MAX_ROWS * STRETCH, out);
    return scratch(this.panel, STRETCH * this.panelWidth, out);
  }

  private named(out: Stmt[], prefix: string, value: Expr): Expr {
    if (value.op === 'const') return value;
    const name = this.names.fresh(prefix);
    out.push(letStmt(name, value));
    return letRef(name, value.type, value.lanes);
  }

  /** Brings the left factor of the tile's rows into scratch for one stretch. */
  private holdLeft(s: Stretch): Stmt[] {
    const { p, names, held, rows } = this;
    if (p.form === 'direct') return [];
    const body: Stmt[] = [];
    const value = this.deep(this.rowOffsets.apply(p.left, this.rowIn(), body), s, body);
    const place: Stmt[] = [];
    const row = this.heldRow(place);
    const one = [...body, storeStmt(held, this.heldAt(row, 0), value)];
    if (p.form === 'across' && value.op === 'load') {
      const line: Stmt[] = [...body];
      for (let r = 0; r < LINE_ROWS; r += this.lanes) {
        const at = addDim(value.index, r);
        const rows = load(value.buffer, this.type, at, this.lanes);
        line.push(storeStmt(held, this.heldAt(row, r), rows));
      }
      const over = (n: number): Stmt[] => [
        ...place,
        forLoop(this.depth, 0, s.length, 1, 'serial', n > 1 ? line : one),
      ];
      return this.overRows(LINE_ROWS, over);
    }
    const inner = forLoop(this.depth, 0, s.length, 1, 'lane', one);
    const along = strip(inner, names) ?? [inner];
    return [forLoop(p.row.axis, rows.start, rows.end, 1, 'serial', [...place, ...along])];
  }

  /** The row within the tile, bound where it is divided: a local is known not to be negative. */
  private heldRow(out: Stmt[]): Dim {
    const row = this.rowIn();
    return this.p.form === 'across' ? bindDim(out, this.names, 'row', row) : row;
  }

  /** Where scratch has the left factor `r` rows down from a row of the tile. */
  private heldAt(row: Dim, r: number): Dim {
    const depth = symDim(this.depth);
    if (this.p.form === 'held') return addDim(mulDim(addDim(row, r), STRETCH), depth);
    // Panels of four rows, each with the rows side by side.
    const panel = mulDim(floorDiv(addDim(row, r), HELD_ROWS), HELD_ROWS * STRETCH);
    return sumDims([panel, mulDim(depth, HELD_ROWS), modDim(addDim(row, r), HELD_ROWS)]);
  }

  /** The columns of every strip, where that is known. Tiles start at multiples of a panel's width. */
  private width(): number | undefined {
    const { end } = this.p.col;
    if (isMultiple(end, this.panelWidth)) return this.panelWidth;
    return typeof end === 'number' && end < this.panelWidth ? end : undefined;
  }

  private raggedWidth(): Dim {
    return minDim(this.panelWidth, subDim(this.cols.end, symDim(this.p.col.axis)));
  }

  private strips(s: Stretch): Stmt {
    const { p, names, cols } = this;
    const body: Stmt[] = [];
    const width = this.width() ?? bindDim(body, names, 'w', this.raggedWidth());
    const isWhole = this.named(body, 'whole', isZero(subDim(this.panelWidth, width)));
    body.push(...this.pack(s, width, isWhole));
    const inRegisters = this.named(body, 'finish', both(s.isLast, isWhole));
    const strip: Strip = { width, isWhole, inRegisters };
    body.push(...this.overRows(BLOCK_ROWS, (n) => this.multiply(n, s, strip)));
    body.push(...when(s.isLast, () => this.finishRest(strip)));
    return forLoop(p.col.axis, cols.start, cols.end, this.panelWidth, 'serial', body);
  }

  /** The rows of the tile, `most` at once and then one by one; tiles start at multiples of `most`. */
  private overRows(most: number, make: (rows: number) => Stmt[]): Stmt[] {
    const { p, rows, names } = this;
    if (!isMultiple(p.row.end, most)) return steps(p.row, rows, [most, 1], make, names);
    return [forLoop(p.row.axis, rows.start, rows.end, most, p.row.role, make(most))];
  }

  /** Copies a panel of the right factor, zero beyond the last column. */
  private pack(s: Stretch, width: Dim, isWhole: Expr): Stmt[] {
    const { names, panel, p } = this;
    const lane = makeSym(names.fresh('jj'));
    const at = addDim(mulDim(symDim(this.depth), this.panelWidth), symDim(lane));
    const offsets: Stmt[] = [];
    const deep = this.deep(p.right, s, offsets);
    const right = substituted(deep, p.col.axis, addDim(symDim(p.col.axis), symDim(lane)));
    const one = [storeStmt(panel, at, right)];
    const zero = storeStmt(panel, at, constant(this.type, 0));
    const over = (body: readonly Stmt[]): Stmt[] => [
      forLoop(this.depth, 0, s.length, 1, 'serial', [...offsets, ...body]),
    ];
    const ragged = (): Stmt[] =>
      over([
        forLoop(lane, 0, width, 1, 'serial', one),
        forLoop(lane, width, this.panelWidth, 1, 'serial', [zero]),
      ]);
    if (isFalse(isWhole)) return ragged();
    const block = blockOf(one, { rows: 1, col: lane.id, vectors: VECTORS }, names);
    if (!block) return ragged();
    const whole = over(substituteSyms(block.stmts, (x) => (x.id === lane.id ? 0 : undefined)));
    return when(isWhole, () => whole, ragged);
  }

  /** Multiplies `rows` rows with the panel; the sums are finished, or wait in scratch. */
  private multiply(rows: number, s: Stretch, strip: Strip): Stmt[] {
    const { type, lanes } = this;
    const out: Stmt[] = [];
    const sums: { name: string; at: Dim }[][] = [];
    for (let r = 0; r < rows; r++) {
      sums.push([]);
      for (let u = 0; u < VECTORS; u++) {
        const name = copyName(this.sum, ROW | COL, r, u);
        sums[r].push({ name, at: this.place(addDim(this.rowIn(), r), lanes * u) });
        out.push({ kind: 'var', name, type, lanes, init: constant(type, 0, lanes) });
      }
    }
    const all = sums.flat();
    const wait = (): Stmt[] => {
      this.waits = true;
      return all.map(({ name, at }) => storeStmt(this.partial, at, varRef(name, type, lanes)));
    };
    const goOn = all.map(({ name, at }) => setStmt(name, load(this.partial, type, at, lanes)));
    const row = this.heldRow(out);
    const left = sums.map((_, r) => this.leftOf(row, r, s, out));
    out.push(...when(s.isFirst, none, () => goOn));
    const names = sums.map((row) => row.map(({ name }) => name));
    out.push(...this.accumulate(names, left, s.length));
    const finish = rows < BLOCK_ROWS || isFalse(strip.inRegisters) ? undefined : this.finish;
    if (finish) out.push(...when(strip.inRegisters, () => finish, wait));
    else out.push(...wait());
    return out;
  }

  /**
   * Adds the products of a stretch to the sums of a block. All contractions share this loop: it knows
   * where the factors start and the step of the left one, and nothing else of them.
   */
  private accumulate(sums: readonly string[][], left: readonly Place[], length: Dim): Stmt[] {
    const { panel, type, lanes } = this;
    const out: Stmt[] = [];
    const held = (prefix: string, d: Dim): Dim => {
      const name = this.names.fresh(prefix);
      out.push(letStmt(name, dimValue(d)));
      return symDim(makeSym(name));
    };
    const step = held('step', left[0].step);
    const starts = left.map(({ start }) => held('at', start));
    const end = held('len', length);
    const depth = symDim(this.depth);
    const turn: Stmt[] = [];
    const right = sums[0].map((_, u) => {
      const at = addDim(mulDim(depth, this.panelWidth), lanes * u);
      return this.named(turn, 'q', load(panel, type, at, lanes));
    });
    sums.forEach((row, r) => {
      const at = addDim(starts[r], mulDim(depth, step));
      const x = this.named(turn, 'x', splat(load(left[r].buffer, type, at), lanes));
      row.forEach((name, u) => {
        turn.push(setStmt(name, madd(x, right[u], varRef(name, type, lanes))));
      });
    });
    const name = `multiply_${sums.length}x${VECTORS}_${type}_${lanes}`;
    const body = [forLoop(this.depth, 0, end, 1, 'serial', turn)];
    out.push({ kind: 'outline', name, body });
    return out;
  }

  /** The left factor in row `r` of a block. */
  private leftOf(row: Dim, r: number, s: Stretch, out: Stmt[]): Place {
    const { p } = this;
    let e = load(this.held, this.type, this.heldAt(row, r));
    if (p.form === 'direct') {
      const own = this.rowOffsets.apply(p.left, addDim(this.rowIn(), r), out);
      e = this.deep(substituted(own, p.row.axis, addDim(symDim(p.row.axis), r)), s, out);
    }
    const at = e.op === 'load' ? splitAffine(e.index, this.depth.id) : undefined;
    invariant(e.op === 'load' && at, 'the left factor stands along the sum');
    return { buffer: e.buffer, start: at.rest, step: at.coef };
  }

  /** Finishes what blocks in registers did not: rows that are left over, and ragged strips. */
  private finishRest({ width, isWhole }: Strip): Stmt[] {
    const { p, names, rows } = this;
    const { axis } = p.col;
    const out: Stmt[] = [];
    const some = !isFalse(isWhole) && this.finish !== undefined;
    const allDone = some && isTrue(isWhole);
    if (allDone && isMultiple(p.row.end, BLOCK_ROWS)) return out;
    const column = makeSym(names.fresh('j'));
    const inside = subDim(symDim(column), symDim(axis));
    const waiting = load(this.partial, this.type, this.place(this.rowIn(), inside));
    const body: Stmt[] = [];
    const sum = this.named(body, 'sum', waiting);
    body.push(
      ...substituteSyms(this.finished(sum), (x) => (x.id === axis.id ? symDim(column) : undefined)),
    );
    const range = { start: symDim(axis), end: addDim(symDim(axis), width) };
    const vector = blockOf(body, { rows: 1, col: column.id, vectors: 1 }, names);
    const fits = vector && vector.cost.contiguous > vector.cost.gathers;
    const loop = forLoop(column, range.start, range.end, 1, 'serial', body);
    const across = steps(
      loop,
      range,
      fits ? [this.lanes, 1] : [1],
      (n) => (n > 1 && vector ? vector.stmts : body),
      names,
    );
    const whole = dimValue(wholeEnd(rows.start, rows.end, BLOCK_ROWS));
    const top = dimValue(rows.start);
    const from = allDone ? whole : some ? select(isWhole, whole, top) : top;
    const name = names.fresh('from');
    out.push(letStmt(name, from));
    out.push(forLoop(p.row.axis, symDim(makeSym(name)), rows.end, 1, p.row.role, across));
    return out;
  }

  /** What the kernel does with a sum, without names for what has one. */
  private finished(sum: Expr): Stmt[] {
    const { init, epilogue } = this.p;
    const out: Stmt[] = [];
    const known = new Map<Expr, Expr>();
    if (isFalse(init.init)) known.set(varRef(init.name, init.type), sum);
    else out.push({ ...init, init: add(init.init, sum) });
    for (const s of epilogue) {
      const next = mapStmtExprs(s, (e) => mapExpr(e, rebuild, known));
      if (next.kind === 'let' && isName(next.value)) {
        known.set(letRef(next.name, next.value.type), next.value);
      } else out.push(next);
    }
    return out;
  }

  /** A factor at the depth of the panel. */
  private deep(e: Expr, s: Stretch, out: Stmt[]): Expr {
    const own = this.sumOffsets.apply(e, symDim(this.depth), out);
    return substituted(own, this.p.sum.axis, addDim(s.start, symDim(this.depth)));
  }

  private rowIn(): Dim {
    return subDim(symDim(this.p.row.axis), this.rows.start);
  }

  /** Where a sum waits: strips one after the other, each with its rows in order. */
  private place(row: Dim, column: Dim): Dim {
    const before = mulDim(subDim(symDim(this.p.col.axis), this.cols.start), MAX_ROWS);
    return sumDims([before, mulDim(row, this.panelWidth), column]);
  }
}

const ceilDiv = (a: Dim, b: Dim): Dim => floorDiv(addDim(a, subDim(b, 1)), b);

const isZero = (d: Dim): Expr =>
  typeof d === 'number' ? bool(d === 0) : compare('eq', dimValue(d), dimValue(0));

const isMultiple = (d: Dim, of: number): boolean => typeof d === 'number' && d % of === 0;

const isTrue = (e: Expr): boolean => e.op === 'const' && e.value !== 0;

const isFalse = (e: Expr): boolean => e.op === 'const' && e.value === 0;

/** Whether an expression is but a name; one of an integer may be used in sizes, too. */
const isName = ({ op, type }: Expr): boolean => (op === 'let' || op === 'var') && isFloatType(type);

/** Whether both hold. */
function both(a: Expr, b: Expr): Expr {
  if (isTrue(a) || isFalse(b)) return b;
  return isTrue(b) || isFalse(a) ? a : binary('and', a, b);
}

const none = (): Stmt[] => [];

/** The statements for a condition, both sides made only where it is not known. */
function when(cond: Expr, yes: () => readonly Stmt[], no: () => readonly Stmt[] = none): Stmt[] {
  if (cond.op === 'const') return [...(isTrue(cond) ? yes() : no())];
  return [ifStmt(cond, yes(), no())];
}

function substituted(e: Expr, sym: Sym, to: Dim): Expr {
  const [s] = substituteSyms([letStmt('', e)], (x) => (x.id === sym.id ? to : undefined));
  return s.kind === 'let' ? s.value : e;
}
