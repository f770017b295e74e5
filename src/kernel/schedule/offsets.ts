// Offsets of memory along an axis whose index is no multiple of a stride, such as the pixels that the
// rows of a convolution start from: computed once for a stretch of the axis and read from a table.
// Invariant: tables are filled before the loops that read them; what a table can't hold is left alone.

import { addDim, type Dim, makeSym, type Sym, subDim, symDim } from '../../core/dim.ts';
import { splitAffine } from '../../core/dim-affine.ts';
import { mentions } from '../../core/dim-syms.ts';
import { dimValue, type Expr, load } from '../expr.ts';
import type { Stmt } from '../ir.ts';
import { mapExpr, rebuild, substituteSyms } from '../rewrite.ts';
import { forLoop, letStmt, type Names, storeStmt } from './build.ts';

interface Table {
  readonly name: string;
  /** The terms of an index that depend on the axis. */
  readonly part: Dim;
}

/** The tables of one axis. */
export class Offsets {
  private readonly axis: Sym;
  /** Other axes inside which the tables are read: what depends on them too stays as it is. */
  private readonly inside: readonly Sym[];
  private readonly capacity: number;
  private readonly names: Names;
  private readonly tables = new Map<string, Table>();

  constructor(axis: Sym, inside: readonly Sym[], capacity: number, names: Names) {
    this.axis = axis;
    this.inside = inside;
    this.capacity = capacity;
    this.names = names;
  }

  /** The expression with its loads reading their offsets at position `at`, which `out` binds. */
  apply(e: Expr, at: Dim, out: Stmt[]): Expr {
    const bound = new Map<string, Dim>();
    return mapExpr(e, (x, args) => {
      if (x.op !== 'load') return rebuild(x, args);
      const part = this.partOf(x.index);
      if (part === undefined) return x;
      const { name } = this.table(part);
      let offset = bound.get(name);
      if (offset === undefined) {
        const local = this.names.fresh('o');
        out.push(letStmt(local, load(name, 'i32', at)));
        offset = symDim(makeSym(local));
        bound.set(name, offset);
      }
      return load(x.buffer, x.type, addDim(subDim(x.index, part), offset), x.lanes);
    });
  }

  /** Fills the tables used so far, `length` positions whose axis `axisAt` gives. */
  fill(length: Dim, axisAt: (position: Dim) => Dim): Stmt[] {
    return [...this.tables.values()].map(({ name, part }) => {
      const position = makeSym(this.names.fresh('x'));
      const store = storeStmt(name, symDim(position), dimValue(part));
      const body = substituteSyms([store], (s) =>
        s.id === this.axis.id ? axisAt(symDim(position)) : undefined,
      );
      return forLoop(position, 0, length, 1, 'serial', body);
    });
  }

  /** Declares the tables around statements that use them. */
  around(body: readonly Stmt[]): Stmt[] {
    let out = [...body];
    for (const { name } of this.tables.values()) {
      out = [{ kind: 'array', name, type: 'i32', length: this.capacity, body: out }];
    }
    return out;
  }

  private table(part: Dim): Table {
    const key = typeof part === 'number' ? String(part) : part.key;
    let table = this.tables.get(key);
    if (!table) {
      table = { name: this.names.fresh('offsets'), part };
      this.tables.set(key, table);
    }
    return table;
  }

  /** The terms that depend on the axis, if no stride describes them and a table can. */
  private partOf(index: Dim): Dim | undefined {
    const { id } = this.axis;
    if (typeof index === 'number' || !mentions(index, id) || splitAffine(index, id)) {
      return undefined;
    }
    let part: Dim = 0;
    for (const t of index.terms) {
      const term: Dim = { key: '', terms: [t] };
      if (mentions(term, id)) part = addDim(part, term);
    }
    return this.inside.some((s) => mentions(part, s.id)) ? undefined : part;
  }
}
