// Contractions as blocks: an invocation computes several rows by several columns of the result, so that
// what it reads serves many multiplications; on real GPUs the invocations of a workgroup share what they
// read in workgroup memory. Rows and columns past the end repeat the last one and are not stored.
// Invariant: barriers stand in uniform control flow, and a sum's order depends on sizes alone.

import { addDim, type Dim, floorDiv, prodDims, subDim } from '../../core/dim.ts';
import type { Expr } from '../../kernel/expr.ts';
import type { ForStmt, Kernel } from '../../kernel/ir.ts';
import { letStmt } from '../../kernel/schedule/build.ts';
import type { Contraction } from '../../kernel/schedule/contraction.ts';
import { Emitter, innerNames, type Names } from './emitter.ts';
import type { WgslDispatch } from './program.ts';
import { assemble } from './shader.ts';

/** A contraction to generate, whose innermost sum may be a part of all turns. */
export interface Product extends Contraction {
  readonly from: Dim;
  readonly to: Dim;
}

/** How large the block of an invocation is, in vectors of four, and the shape of workgroups. */
export interface BlockShape {
  /** Vectors of rows and of columns of an invocation. */
  readonly rows: number;
  readonly cols: number;
  /** Invocations down and across a workgroup's tile. */
  readonly down: number;
  readonly across: number;
  /** Turns of the sum that are in workgroup memory at a time; 0 reads memory directly. */
  readonly depth: number;
}

/** The whole of a contraction. */
export const wholeProduct = (c: Contraction): Product => ({ ...c, from: 0, to: c.sum.end });

const ceilDiv = (a: Dim, b: number): Dim => floorDiv(addDim(a, b - 1), b);

const tileRows = (shape: BlockShape): number => 4 * shape.rows * shape.down;
const tileCols = (shape: BlockShape): number => 4 * shape.cols * shape.across;

/** Elements of a tile. */
export const tileSize = (shape: BlockShape): number => tileRows(shape) * tileCols(shape);

/** How many tiles a contraction has. */
export function tilesOf({ others, row, col }: Contraction, shape: BlockShape): Dim {
  const rows = ceilDiv(row.end, tileRows(shape));
  const cols = ceilDiv(col.end, tileCols(shape));
  return prodDims([...others.map((l) => l.end), rows, cols]);
}

/** A contraction as one dispatch. Buffers from number `own` on are scratch. */
export function emitProduct(
  kernel: Kernel,
  product: Product,
  shape: BlockShape,
  own: number,
): WgslDispatch {
  return new ProductEmitter(kernel, product, shape).dispatch(own);
}

const range = (n: number): readonly number[] => Array.from({ length: n }, (_, i) => i);
const LANES = ['x', 'y', 'z', 'w'] as const;

class ProductEmitter {
  private readonly e: Emitter;
  private readonly p: Product;
  private readonly shape: BlockShape;

  constructor(kernel: Kernel, product: Product, shape: BlockShape) {
    this.e = new Emitter(kernel);
    this.p = product;
    this.shape = shape;
  }

  dispatch(own: number): WgslDispatch {
    const { e, p, shape } = this;
    const names = e.params();
    const ends = [...p.others, p.row, p.col].map((l) => l.end);
    if (!ends.includes(0)) {
      e.atoms(e.kernel.body, names);
      this.tile(names);
      const rows = this.lines('r', p.row, names, 4 * shape.rows);
      const cols = this.lines('c', p.col, names, 4 * shape.cols);
      this.accumulators(rows, cols);
      this.sums(0, names, rows, cols);
      this.finish(names);
    }
    const workgroupSize = shape.down * shape.across;
    return assemble(e, { workgroups: tilesOf(p, shape), workgroupSize, buffers: own });
  }

  /** Which tile this workgroup has, and where in it this invocation's block begins. */
  private tile(names: Names): void {
    const { e, p, shape } = this;
    const [height, width] = [tileRows(shape), tileCols(shape)];
    const tilesDown = e.count(ceilDiv(p.row.end, height), names, 'n');
    const tilesAcross = e.count(ceilDiv(p.col.end, width), names, 'n');
    const counts = p.others.map((l) => e.count(l.end, names, 'n'));
    e.line('let tile = group.x + group.y * groups.x;');
    const all = [...counts, tilesDown, tilesAcross].join(' * ');
    e.nested(`if (tile >= ${all}) {`, () => e.line('return;'));
    e.line(`let row_tile = i32(tile / ${tilesAcross} % ${tilesDown}) * ${height};`);
    e.line(`let col_tile = i32(tile % ${tilesAcross}) * ${width};`);
    if (p.others.length > 0) {
      e.line(`let other = tile / ${tilesAcross} / ${tilesDown};`);
      e.axes(p.others, counts, 'other', names);
    }
    // Vectors of a block are as far apart as the workgroup is wide: neighbours read neighbouring memory.
    e.line(`let row_first = row_tile + i32(local_index) / ${shape.across} * 4;`);
    e.line(`let col_first = col_tile + i32(local_index) % ${shape.across} * 4;`);
    e.line(`let row_last = ${e.dim(subDim(p.row.end, 1), names)};`);
    e.line(`let col_last = ${e.dim(subDim(p.col.end, 1), names)};`);
    if (shape.depth > 0) return;
    e.nested('if (row_first > row_last || col_first > col_last) {', () => e.line('return;'));
  }

  private rowOffset(i: number): number {
    return (i >> 2) * 4 * this.shape.down + (i & 3);
  }

  private colOffset(j: number): number {
    return (j >> 2) * 4 * this.shape.across + (j & 3);
  }

  /** The rows or columns of this invocation, each in names of its own. */
  private lines(prefix: 'r' | 'c', loop: ForStmt, outer: Names, count: number): Names[] {
    const { e, p } = this;
    return range(count).map((i) => {
      const names = innerNames(outer);
      const at = prefix === 'r' ? this.rowOffset(i) : this.colOffset(i);
      const [first, last] = prefix === 'r' ? ['row_first', 'row_last'] : ['col_first', 'col_last'];
      e.line(`let ${prefix}${i} = min(${first} + ${at}, ${last});`);
      names.syms.set(loop.axis.id, `${prefix}${i}`);
      if (this.shape.depth === 0) {
        e.atoms([letStmt('', prefix === 'r' ? p.left : p.right)], names);
      }
      return names;
    });
  }

  private accumulators(rows: readonly Names[], cols: readonly Names[]): void {
    const { e, p, shape } = this;
    rows.forEach((row, i) => {
      for (const q of range(shape.cols)) {
        const init = range(4).map((j) => {
          const names = innerNames(row);
          const col = cols[4 * q + j];
          names.syms.set(p.col.axis.id, col.syms.get(p.col.axis.id) as string);
          return e.value(p.init.init, names);
        });
        const same = init.every((t) => t === init[0]);
        e.line(`var acc${i}_${q} = vec4<f32>(${same ? init[0] : init.join(', ')});`);
      }
    });
  }

  /** The loops of the sums from the outermost. */
  private sums(at: number, names: Names, rows: readonly Names[], cols: readonly Names[]): void {
    const { e, p, shape } = this;
    if (at === p.outer.length) {
      if (shape.depth > 0) this.shared(names);
      else this.direct(rows, cols);
      return;
    }
    const loop = p.outer[at];
    const name = e.fresh('s');
    const end = e.fresh('e');
    e.line(`let ${end} = ${e.dim(loop.end, names)};`);
    e.nested(`for (var ${name} = 0; ${name} < ${end}; ${name}++) {`, () => {
      const inner = (n: Names): Names => {
        const own = innerNames(n);
        own.syms.set(loop.axis.id, name);
        return own;
      };
      this.sums(at + 1, inner(names), rows.map(inner), cols.map(inner));
    });
  }

  private turns(names: Names, step: number, body: (turn: string, end: string) => void): void {
    const { e, p } = this;
    const turn = e.fresh('s');
    const end = e.fresh('e');
    e.line(`let ${end} = ${e.dim(p.to, names)};`);
    const start = e.dim(p.from, names);
    e.nested(`for (var ${turn} = ${start}; ${turn} < ${end}; ${turn} += ${step}) {`, () =>
      body(turn, end),
    );
  }

  /** Each turn reads a value for each row and column. */
  private direct(rows: readonly Names[], cols: readonly Names[]): void {
    const { e, p, shape } = this;
    this.turns(rows[0], 1, (turn) => {
      const read = (value: Expr, outer: Names): string => {
        const names = innerNames(outer);
        names.syms.set(p.sum.axis.id, turn);
        e.atoms([letStmt('', value)], names);
        return e.value(value, names);
      };
      const right = range(shape.cols).map((q) => {
        const parts = range(4).map((j) => read(p.right, cols[4 * q + j]));
        const name = e.fresh('v');
        e.line(`let ${name} = vec4<f32>(${parts.join(', ')});`);
        return name;
      });
      rows.forEach((names, i) => {
        const name = e.fresh('v');
        e.line(`let ${name} = ${read(p.left, names)};`);
        right.forEach((vector, q) => {
          e.line(`acc${i}_${q} += ${name} * ${vector};`);
        });
      });
    });
  }

  /** The workgroup reads a slab of both factors, then each invocation multiplies from there. */
  private shared(names: Names): void {
    const { e, p, shape } = this;
    const { depth } = shape;
    const tall = shape.rows * shape.down;
    const wide = shape.cols * shape.across;
    e.declarations.push(`var<workgroup> left_slab: array<vec4<f32>, ${depth * tall}>;`);
    e.declarations.push(`var<workgroup> right_slab: array<vec4<f32>, ${depth * wide}>;`);
    this.turns(names, depth, (turn, end) => {
      this.fill('left', p.left, p.row, tall, turn, end, names);
      this.fill('right', p.right, p.col, wide, turn, end, names);
      e.line('workgroupBarrier();');
      e.nested(`for (var k = 0; k < ${depth}; k++) {`, () => {
        const side = (name: string, vectors: number, count: number, at: string): string[] =>
          range(count).map((q) => {
            const v = e.fresh('v');
            const stride = name === 'left' ? shape.down : shape.across;
            e.line(`let ${v} = ${name}_slab[k * ${vectors} + ${q * stride} + ${at}];`);
            return v;
          });
        const lane = 'i32(local_index)';
        const left = side('left', tall, shape.rows, `${lane} / ${shape.across}`);
        const right = side('right', wide, shape.cols, `${lane} % ${shape.across}`);
        for (const i of range(4 * shape.rows)) {
          right.forEach((vector, q) => {
            e.line(`acc${i}_${q} += ${left[i >> 2]}.${LANES[i & 3]} * ${vector};`);
          });
        }
      });
      e.line('workgroupBarrier();');
    });
  }

  /** Reads a slab of a factor, four rows or columns at a time; turns past the end are zero. */
  private fill(
    side: 'left' | 'right',
    value: Expr,
    loop: ForStmt,
    vectors: number,
    turn: string,
    end: string,
    outer: Names,
  ): void {
    const { e, p, shape } = this;
    const { depth } = shape;
    const size = shape.down * shape.across;
    const i = e.fresh('f');
    const open = `for (var ${i} = i32(local_index); ${i} < ${depth * vectors}; ${i} += ${size}) {`;
    // Neighbouring invocations read along whatever runs along memory.
    const deep = side === 'left' && p.form === 'direct';
    e.nested(open, () => {
      const k = e.fresh('k');
      const at = e.fresh('k');
      e.line(`let ${k} = ${deep ? `${i} % ${depth}` : `${i} / ${vectors}`};`);
      e.line(`let ${at} = ${deep ? `${i} / ${depth}` : `${i} % ${vectors}`};`);
      const sum = e.fresh('k');
      e.line(`let ${sum} = min(${turn} + ${k}, ${end} - 1);`);
      const [first, last] = side === 'left' ? ['row_tile', 'row_last'] : ['col_tile', 'col_last'];
      const parts = range(4).map((j) => {
        const line = e.fresh('k');
        e.line(`let ${line} = min(${first} + ${at} * 4 + ${j}, ${last});`);
        const names = innerNames(outer);
        names.syms.set(loop.axis.id, line);
        names.syms.set(p.sum.axis.id, sum);
        e.atoms([letStmt('', value)], names);
        return e.value(value, names);
      });
      const read = `vec4<f32>(${parts.join(', ')})`;
      const live = `${turn} + ${k} < ${end}`;
      const to = `${side}_slab[${k} * ${vectors} + ${at}]`;
      e.line(`${to} = select(vec4<f32>(0.0f), ${read}, ${live});`);
    });
  }

  /** Does with each sum what the kernel does with it. */
  private finish(outer: Names): void {
    const { e, p, shape } = this;
    const [rows, cols] = [4 * shape.rows, shape.cols];
    const all = range(rows).flatMap((i) => range(cols).map((q) => `acc${i}_${q}`));
    e.line(`var sums = array<vec4<f32>, ${rows * cols}>(${all.join(', ')});`);
    e.nested(`for (var a = 0; a < ${rows * cols * 4}; a++) {`, () => {
      const row = `a / ${4 * cols}`;
      const vector = `a / 4 % ${cols}`;
      const down = rows > 4 ? `${row} / 4 * ${4 * shape.down} + ${row} % 4` : row;
      e.line(`let row_at = row_first + ${down};`);
      const across = cols > 1 ? `${vector} * ${4 * shape.across} + a % 4` : 'a % 4';
      e.line(`let col_at = col_first + ${across};`);
      e.nested('if (row_at <= row_last && col_at <= col_last) {', () => {
        e.line('let sum = sums[a / 4][a % 4];');
        const names = innerNames(outer);
        names.syms.set(p.row.axis.id, 'row_at');
        names.syms.set(p.col.axis.id, 'col_at');
        names.locals.set(p.init.name, 'sum');
        e.atoms(p.epilogue, names);
        e.block(p.epilogue, names);
      });
    });
  }
}
