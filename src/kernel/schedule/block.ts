// Rewrites a loop body so that one pass of it does a block of points: `rows` turns of one axis times
// `vectors` vectors of turns of another, the latter in vector lanes. Loops inside stay single and serve all.
// Invariant: each point gets the operations it had, in order; what the copies share is computed once.

import { addDim, type Dim, makeSym, type Sym, substituteDim, symDim } from '../../core/dim.ts';
import { splitAffine } from '../../core/dim-affine.ts';
import {
  add,
  argsOf,
  dimValue,
  type Expr,
  extract,
  i32,
  type Lanes,
  letRef,
  load,
  mul,
  pack,
  select,
  splat,
  varRef,
} from '../expr.ts';
import type { ForStmt, Stmt } from '../ir.ts';
import { ifStmt, mapExpr, rebuild } from '../rewrite.ts';
import { letStmt, type Names, setStmt, storeStmt } from './build.ts';
import { explicitGuards, readsMemory } from './guards.ts';
import { COL, Dependence, ROW } from './vary.ts';

/** The shape of a block. Without `col` nothing is made a vector. */
export interface BlockShape {
  readonly row?: string;
  readonly rows: number;
  readonly col?: string;
  readonly vectors: number;
}

/** What the rewrite of a body costs, to weigh it against the scalar form. */
export interface BlockCost {
  /** Loads and stores of lanes that are not neighbours in memory. */
  gathers: number;
  /** Loads and stores of whole vectors. */
  contiguous: number;
  /** Arithmetic on vectors. */
  ops: number;
}

/** Why a body can't be rewritten; caught by {@link blockOf}. */
class Unfit extends Error {}

const unfit = (why: string): never => {
  throw new Unfit(why);
};

/** A mutable variable outside the body that the body updates, and its dependences. */
export type Outside = ReadonlyMap<string, number>;

/** The rewritten body and its cost, or undefined if the body does not fit. */
export function blockOf(
  body: readonly Stmt[],
  shape: BlockShape,
  names: Names,
  outside: Outside = new Map(),
): { stmts: Stmt[]; cost: BlockCost } | undefined {
  const seeds = new Map<string, number>(outside);
  if (shape.row !== undefined && shape.rows > 1) seeds.set(shape.row, ROW);
  if (shape.col !== undefined) seeds.set(shape.col, COL);
  const open = explicitGuards(body, new Dependence(seeds, body), names);
  const blocker = new Blocker(shape, names, new Dependence(seeds, open), outside);
  try {
    return { stmts: blocker.block(open), cost: blocker.cost };
  } catch (e) {
    if (e instanceof Unfit) return undefined;
    throw e;
  }
}

/** The name that copy (`r`, `u`) of a local has. */
export function copyName(name: string, mask: number, r: number, u: number): string {
  return name + (mask & ROW ? `_r${r}` : '') + (mask & COL ? `_u${u}` : '');
}

interface Copy {
  readonly r: number;
  readonly u: number;
}

class Blocker {
  readonly cost: BlockCost = { gathers: 0, contiguous: 0, ops: 0 };
  private readonly shape: BlockShape;
  private readonly names: Names;
  private readonly dep: Dependence;
  private readonly memos = new Map<string, Map<Expr, Expr>>();
  /** Locals that may be set: those of the body and those declared for it outside. */
  private readonly locals: Set<string>;

  constructor(shape: BlockShape, names: Names, dep: Dependence, outside: Outside) {
    this.shape = shape;
    this.names = names;
    this.dep = dep;
    this.locals = new Set(outside.keys());
  }

  block(stmts: readonly Stmt[]): Stmt[] {
    const out: Stmt[] = [];
    for (const s of stmts) this.stmt(s, out);
    return out;
  }

  private stmt(s: Stmt, out: Stmt[]): void {
    switch (s.kind) {
      case 'let': {
        const mask = this.dep.expr(s.value);
        this.values(s.value, mask, mask, out).forEach(({ copy, value }) =>
          out.push(letStmt(copyName(s.name, mask, copy.r, copy.u), value)),
        );
        return;
      }
      case 'var': {
        this.locals.add(s.name);
        const mask = this.dep.marks.get(s.name) ?? 0;
        for (const { copy, value } of this.values(s.init, mask, mask, out)) {
          const name = copyName(s.name, mask, copy.r, copy.u);
          out.push({ kind: 'var', name, type: s.type, lanes: value.lanes, init: value });
        }
        return;
      }
      case 'set': {
        if (!this.locals.has(s.name)) unfit(`${s.name} belongs to another loop`);
        const mask = this.dep.marks.get(s.name) ?? 0;
        for (const { copy, value } of this.values(s.value, mask, mask, out)) {
          out.push(setStmt(copyName(s.name, mask, copy.r, copy.u), value));
        }
        return;
      }
      case 'store':
        this.store(s.buffer, s.index, s.value, out);
        return;
      case 'for':
        out.push(this.loop(s));
        return;
      case 'if':
        if (this.dep.expr(s.cond)) unfit('a condition depends on the axis');
        out.push(ifStmt(s.cond, this.block(s.then), this.block(s.else)));
        return;
      case 'while':
        if (this.dep.expr(s.cond)) unfit('a condition depends on the axis');
        out.push({ ...s, body: this.block(s.body) });
        return;
      case 'fail': {
        if (this.dep.dim(s.code)) unfit('the code of a check depends on the axis');
        const mask = this.dep.expr(s.when);
        for (const { value } of this.values(s.when, mask, mask, out)) {
          out.push({ ...s, when: value });
        }
        return;
      }
      case 'array':
      case 'outline':
        unfit(`${s.kind} inside`);
        return;
      default:
        s satisfies never;
    }
  }

  private loop(s: ForStmt): Stmt {
    if (this.dep.dim(s.start) | this.dep.dim(s.end)) unfit('a range depends on the axis');
    const { combine, ...plain } = s;
    const body = this.block(s.body);
    if (!combine || this.shape.col !== undefined) return { ...plain, body };
    const all = combine.flatMap((c) => {
      const mask = this.dep.marks.get(c.variable) ?? 0;
      return this.copies(mask).map(({ r, u }) => ({
        ...c,
        variable: copyName(c.variable, mask, r, u),
      }));
    });
    return { ...plain, combine: all, body };
  }

  private copies(mask: number): Copy[] {
    const out: Copy[] = [];
    for (let r = 0; r < (mask & ROW ? this.shape.rows : 1); r++) {
      for (let u = 0; u < (mask & COL ? this.shape.vectors : 1); u++) out.push({ r, u });
    }
    return out;
  }

  /** The value in each copy that `mask` asks for; what copies share is bound to lets first. */
  private values(
    e: Expr,
    mask: number,
    wideMask: number,
    out: Stmt[],
  ): { copy: Copy; value: Expr }[] {
    const copies = this.copies(mask);
    const values = copies.map((c) => {
      const value = this.convert(e, c);
      return wideMask & COL ? splat(value, this.names.width) : value;
    });
    const shared = this.bindShared(values, out);
    return copies.map((copy, i) => ({ copy, value: shared[i] }));
  }

  private bindShared(values: readonly Expr[], out: Stmt[]): readonly Expr[] {
    if (values.length < 2) return values;
    const counts = new Map<Expr, number>();
    for (const v of values)
      for (const e of surelyEvaluated(v)) counts.set(e, (counts.get(e) ?? 0) + 1);
    const memo = new Map<Expr, Expr>();
    for (const v of values) {
      mapTop(v, (e) => {
        if (memo.has(e)) return true;
        const trivial = argsOf(e).length === 0 && e.op !== 'load';
        if (trivial || (counts.get(e) ?? 0) < 2) return false;
        const name = this.names.fresh('s');
        out.push(letStmt(name, e));
        memo.set(e, letRef(name, e.type, e.lanes));
        return true;
      });
    }
    if (memo.size === 0) return values;
    return values.map((v) => mapExpr(v, rebuild, memo));
  }

  private store(buffer: string, index: Dim, value: Expr, out: Stmt[]): void {
    const at = this.dep.dim(index);
    const mask = at | this.dep.expr(value);
    if (mask & COL && !(at & COL)) unfit('all lanes store to one place');
    const ready = this.values(value, mask, mask, out);
    for (const { copy, value } of ready) {
      const place = this.dim(index, copy);
      if (!(mask & COL)) out.push(storeStmt(buffer, place, value));
      else if (this.stride(index) === 1) {
        this.cost.contiguous++;
        out.push(storeStmt(buffer, place, value));
      } else {
        this.cost.gathers++;
        const name = this.names.fresh('v');
        out.push(letStmt(name, value));
        for (const lane of this.lanes()) {
          const one = extract(letRef(name, value.type, value.lanes), lane);
          out.push(storeStmt(buffer, this.dim(index, copy, lane), one));
        }
      }
    }
  }

  private stride(d: Dim): Dim | undefined {
    const { col } = this.shape;
    return col === undefined ? 0 : splitAffine(d, col)?.coef;
  }

  /** A dim as copy (`r`, `u`) sees it, in one lane. */
  private dim(d: Dim, copy: Copy, lane = 0): Dim {
    const { row, rows, col } = this.shape;
    return substituteDim(d, (s: Sym) => {
      if (s.id === col) return addDim(symDim(s), this.names.width * copy.u + lane);
      if (s.id === row) return rows > 1 ? addDim(symDim(s), copy.r) : undefined;
      const mask = this.dep.marks.get(s.id) ?? 0;
      if (mask & COL) return unfit('an index depends on computed lanes');
      return mask ? symDim(makeSym(copyName(s.id, mask, copy.r, 0))) : undefined;
    });
  }

  private convert(e: Expr, copy: Copy): Expr {
    const key = `${copy.r},${copy.u}`;
    let memo = this.memos.get(key);
    if (!memo) {
      memo = new Map();
      this.memos.set(key, memo);
    }
    return mapExpr(e, (x, args) => this.node(x, args, copy), memo);
  }

  private node(e: Expr, args: readonly Expr[], copy: Copy): Expr {
    const mask = this.dep.expr(e);
    if (mask === 0) return e;
    if (e.op === 'let' || e.op === 'var') {
      if (mask & COL && e.lanes !== 1) unfit('already a vector');
      const lanes: Lanes = mask & COL ? this.names.width : e.lanes;
      const name = copyName(e.name, mask, copy.r, copy.u);
      return e.op === 'let' ? letRef(name, e.type, lanes) : varRef(name, e.type, lanes);
    }
    if (!(mask & COL)) {
      if (e.op === 'dim') return dimValue(this.dim(e.dim, copy));
      if (e.op === 'load') return load(e.buffer, e.type, this.dim(e.index, copy), e.lanes);
      return rebuild(e, args);
    }
    if (e.lanes !== 1) unfit('already a vector');
    if (e.op === 'dim') return this.lanesOf(e.dim, copy);
    if (e.op === 'load') {
      if (this.stride(e.index) === 1) {
        this.cost.contiguous++;
        return load(e.buffer, e.type, this.dim(e.index, copy), this.names.width);
      }
      const crossed = mask & ROW ? this.crossed(e, copy) : undefined;
      if (crossed) return crossed;
      this.cost.gathers++;
      return pack(...this.lanes().map((l) => load(e.buffer, e.type, this.dim(e.index, copy, l))));
    }
    if (e.op === 'extract' || e.op === 'splat' || e.op === 'pack') unfit('already a vector');
    this.cost.ops++;
    const wide = args.map((a) => splat(a, this.names.width));
    if (e.op !== 'select' || !e.lazy) return rebuild(e, wide);
    // Both branches are evaluated in lanes, which a branch that guards a read must not be.
    if (e.args.slice(1).some(readsMemory)) unfit('a lazy select guards a read');
    return select(wide[0], wide[1], wide[2]);
  }

  /**
   * Lanes of a load that is contiguous along the rows of the block: whole vectors of four rows, which
   * the copies share, are read and transposed.
   */
  private crossed(e: Expr & { op: 'load' }, copy: Copy): Expr | undefined {
    const { row, rows } = this.shape;
    if (row === undefined || rows % 4 !== 0 || this.names.width !== 4) return undefined;
    if (splitAffine(e.index, row)?.coef !== 1) return undefined;
    this.cost.contiguous++;
    const first = { ...copy, r: copy.r - (copy.r % 4) };
    return pack(
      ...LANES.map((l) =>
        extract(load(e.buffer, e.type, this.dim(e.index, first, l), 4), LANES[copy.r % 4]),
      ),
    );
  }

  private lanes(): readonly (0 | 1 | 2 | 3)[] {
    return LANES.slice(0, this.names.width);
  }

  /** The values of a dim in the neighbouring turns of a vector. */
  private lanesOf(d: Dim, copy: Copy): Expr {
    const { col } = this.shape;
    const split = col === undefined ? undefined : splitAffine(d, col);
    if (!split) {
      return pack(...this.lanes().map((l) => dimValue(this.dim(d, copy, l))));
    }
    const coef = this.dim(split.coef, copy);
    const { width } = this.names;
    const steps = pack(...this.lanes().map(i32));
    const offset = coef === 1 ? steps : mul(steps, splat(dimValue(coef), width));
    return add(splat(dimValue(this.dim(d, copy)), width), offset);
  }
}

const LANES = [0, 1, 2, 3] as const;

/** Visits nodes from the root; `visit` says whether to stay away from the operands. */
function mapTop(root: Expr, visit: (e: Expr) => boolean): void {
  const seen = new Set<Expr>();
  const stack = [root];
  for (let e = stack.pop(); e; e = stack.pop()) {
    if (seen.has(e)) continue;
    seen.add(e);
    if (visit(e)) continue;
    stack.push(...(e.op === 'select' && e.lazy ? e.args.slice(0, 1) : argsOf(e)));
  }
}

/** The nodes that are evaluated whatever lazy selects decide. */
function surelyEvaluated(root: Expr): Set<Expr> {
  const out = new Set<Expr>();
  mapTop(root, (e) => {
    out.add(e);
    return false;
  });
  return out;
}
