// Reductions along columns, as in moments or softmax over the first axis: each pass streams rows in the
// order of memory; what columns hold between rows and passes waits in scratch, a strip of columns wide.
// Invariant: each column's values are taken in the order of the loop, so results are exactly equal.

import { addDim, type Dim, type Sym, subDim, symDim } from '../../core/dim.ts';
import { collectSyms } from '../../core/dim-syms.ts';
import { binary, type Expr, letRef, load, type ScalarType, varRef } from '../expr.ts';
import type { ForStmt, Stmt } from '../ir.ts';
import {
  collectExprSyms,
  dimsOf,
  exprsOf,
  mapExpr,
  rebuild,
  substituteSyms,
  walkExprs,
} from '../rewrite.ts';
import { blockOf } from './block.ts';
import { forLoop, letStmt, type Names, type Nest, nestOf, setStmt, storeStmt } from './build.ts';
import { type GridPlan, steps } from './grid.ts';
import { type Accumulator, accumulatorsOf, rewrap } from './reduce.ts';
import { type Range, tileGrid } from './tile.ts';

/** Columns of a tile: a row's part is long enough to be read as a stream. */
const STRIP = 512;
/** Rows taken per pass over the accumulators. */
const ROWS = 8;

/** A part of a body: straight code, a reduction over rows, or independent work at each row. */
type Stage =
  | { readonly kind: 'straight'; readonly stmts: readonly Stmt[] }
  | { readonly kind: 'rows'; readonly nest: Nest; readonly turn: Turn };

/** What is done at a row: code, or updates of accumulators by values in terms of loads. */
type Turn =
  | { readonly stmts: readonly Stmt[] }
  | { readonly accs: readonly Accumulator[]; readonly values: ReadonlyMap<string, Expr> };

/** The tiles of a kernel of column reductions, or undefined if it is none. */
export function scheduleColumns(
  nest: Nest,
  plan: GridPlan,
  budget: Dim,
  tile: Sym,
  names: Names,
): { body: Stmt[]; tiles: Dim } | undefined {
  const col = nest.loops.find((l) => l.axis.id === plan.shape?.col);
  if (!col || plan.shape?.row !== undefined) return undefined;
  const stages = stagesOf(nest.body);
  if (!stages) return undefined;
  const loops = [...nest.loops.filter((l) => l !== col), col];
  const chunking = (l: ForStmt) => (l === col ? { fixed: STRIP } : { grain: 1 });
  const { tiles, prelude, ranges } = tileGrid(loops, chunking, budget, tile, names);
  const inner = emitColumns(stages, col, ranges[loops.length - 1], names);
  if (!inner) return undefined;
  let body = inner;
  for (let k = loops.length - 2; k >= 0; k--) {
    const { axis, role } = loops[k];
    body = [forLoop(axis, ranges[k].start, ranges[k].end, 1, role, body)];
  }
  return { body: [...prelude, ...body], tiles };
}

/** Takes the body apart; undefined if it is not all straight code and passes over rows. */
function stagesOf(body: readonly Stmt[]): Stage[] | undefined {
  const out: Stage[] = [];
  let straight: Stmt[] = [];
  for (const s of body) {
    if (s.kind === 'let' || s.kind === 'var' || s.kind === 'store') {
      straight.push(s);
      continue;
    }
    if (s.kind !== 'for' || (s.role !== 'reduce' && s.role !== 'lane')) return undefined;
    const nest = nestOf([s], s.role);
    const turn = nest.loops.some((l) => l.step !== 1) ? undefined : turnOf(s, nest);
    if (!turn) return undefined;
    out.push({ kind: 'straight', stmts: straight }, { kind: 'rows', nest, turn });
    straight = [];
  }
  out.push({ kind: 'straight', stmts: straight });
  return out.some((s) => s.kind === 'rows' && 'accs' in s.turn) ? out : undefined;
}

function turnOf(loop: ForStmt, nest: Nest): Turn | undefined {
  if (loop.role === 'lane') {
    const plain = nest.body.every((s) => s.kind === 'let' || s.kind === 'store');
    return plain ? { stmts: nest.body } : undefined;
  }
  const accs = loop.combine && accumulatorsOf(nest.body, loop.combine);
  const values = accs && termsOf(nest.body);
  return values && { accs, values };
}

/** What a body adds to each of its accumulators, without the lets in between. */
export function termsOf(body: readonly Stmt[]): Map<string, Expr> | undefined {
  const lets = new Map<string, Expr>();
  const out = new Map<string, Expr>();
  for (const s of body) {
    const syms = new Map<string, Sym>();
    collectExprSyms(exprsOf(s), syms);
    // A local that an index uses has no expression to put in its place.
    if ([...syms.keys()].some((id) => lets.has(id))) return undefined;
    if (s.kind !== 'let' && s.kind !== 'set') return undefined;
    const value = mapExpr(
      s.value,
      (x, args) => (x.op === 'let' && lets.get(x.name)) || rebuild(x, args),
    );
    if (s.kind === 'let') lets.set(s.name, value);
    else if (value.op === 'binary') {
      const term = value.args.find((e) => !(e.op === 'var' && e.name === s.name));
      if (term) out.set(s.name, term);
    }
  }
  return out;
}

/** A local of a column as it waits in scratch between the passes. */
interface Held {
  readonly array: string;
  readonly type: ScalarType;
  readonly kind: 'let' | 'var';
}

function emitColumns(
  stages: readonly Stage[],
  col: ForStmt,
  range: Range,
  names: Names,
): Stmt[] | undefined {
  const place = subDim(symDim(col.axis), range.start);
  const held = new Map<string, Held>();
  for (const stage of stages) {
    for (const s of stage.kind === 'straight' ? stage.stmts : []) {
      if (s.kind !== 'let' && s.kind !== 'var') continue;
      const { type, lanes } = s.kind === 'let' ? s.value : s.init;
      if (lanes !== 1) return undefined;
      held.set(s.name, { array: names.fresh('strip'), type, kind: s.kind });
    }
  }
  // A local that waits in scratch is no size, which an index could use.
  const syms = new Map<string, Sym>();
  for (const s of stages) collectStageSyms(s, syms);
  if ([...held.keys()].some((name) => syms.has(name))) return undefined;
  const users = stages.map((s) => localsOf(s, held));
  const kept = (name: string, after: number): boolean =>
    users.some((u, i) => i > after && u.has(name));
  const get = (name: string): Stmt => {
    const { array, type, kind } = held.get(name)!;
    const init = load(array, type, place);
    return kind === 'let' ? letStmt(name, init) : { kind, name, type, lanes: 1, init };
  };
  const put = (name: string): Stmt => {
    const { array, type, kind } = held.get(name)!;
    return storeStmt(array, place, (kind === 'let' ? letRef : varRef)(name, type));
  };
  let fits = true;
  const across = (body: readonly Stmt[], vectors: number): Stmt[] => {
    const wide = blockOf(body, { rows: 1, col: col.axis.id, vectors }, names);
    const one = blockOf(body, { rows: 1, col: col.axis.id, vectors: 1 }, names);
    if (!wide || !one) {
      fits = false;
      return [];
    }
    const { width } = names;
    const made = (n: number): readonly Stmt[] =>
      n === width * vectors ? wide.stmts : n === width ? one.stmts : body;
    const widths = vectors > 1 ? [width * vectors, width, 1] : [width, 1];
    return steps(col, range, widths, made, names);
  };
  const arrays = new Set<Held>();
  let out: Stmt[] = [];
  stages.forEach((stage, i) => {
    for (const name of users[i]) arrays.add(held.get(name)!);
    if (stage.kind === 'rows') {
      out.push(...emitRows(stage.nest, stage.turn, [...users[i]], { get, put, across }, names));
      return;
    }
    const own = stage.stmts.flatMap((s) => (s.kind === 'let' || s.kind === 'var' ? s.name : []));
    const before = [...users[i]].filter((n) => !own.includes(n)).map(get);
    const after = own.filter((n) => kept(n, i)).map(put);
    if (stage.stmts.length > 0) out.push(...across([...before, ...stage.stmts, ...after], 1));
  });
  if (!fits) return undefined;
  for (const { array, type } of arrays) {
    out = [{ kind: 'array', name: array, type, length: STRIP, body: out }];
  }
  return out;
}

interface Strip {
  get(name: string): Stmt;
  put(name: string): Stmt;
  across(body: readonly Stmt[], vectors: number): Stmt[];
}

/** A pass over the rows: several at once, so that accumulators move less often. */
function emitRows(
  nest: Nest,
  turn: Turn,
  used: readonly string[],
  strip: Strip,
  names: Names,
): Stmt[] {
  const inner = nest.loops[nest.loops.length - 1];
  const { combine: _, ...plain } = inner;
  const range = { start: inner.start, end: inner.end };
  const pass = (rows: number): Stmt[] => {
    const body = used.map(strip.get);
    for (let r = 0; r < rows; r++) {
      const there = addDim(symDim(inner.axis), r);
      const stmts =
        'stmts' in turn
          ? turn.stmts
          : turn.accs.map((a) => {
              const value = turn.values.get(a.variable)!;
              return setStmt(a.variable, binary(a.op, varRef(a.variable, a.type), value));
            });
      body.push(...substituteSyms(stmts, (s) => (s.id === inner.axis.id ? there : undefined)));
    }
    if ('accs' in turn) body.push(...turn.accs.map((a) => strip.put(a.variable)));
    return strip.across(body, 'accs' in turn && turn.accs.length === 1 ? 2 : 1);
  };
  const widths = 'accs' in turn ? [ROWS, 1] : [1];
  const rows = steps({ ...plain, role: 'serial' }, range, widths, pass, names);
  return [...rewrap(nest.loops.slice(0, -1), rows)];
}

function collectStageSyms(stage: Stage, into: Map<string, Sym>): void {
  const stmts = stage.kind === 'straight' ? stage.stmts : [...stage.nest.loops, ...stage.nest.body];
  collectExprSyms(stmts.flatMap(exprsOf), into);
  for (const d of stmts.flatMap(dimsOf)) collectSyms(d, into);
}

/** The locals of columns that a stage reads, writes or declares. */
function localsOf(stage: Stage, held: ReadonlyMap<string, Held>): Set<string> {
  const out = new Set<string>();
  const note = (e: Expr): void => {
    if ((e.op === 'let' || e.op === 'var') && held.has(e.name)) out.add(e.name);
  };
  if (stage.kind === 'rows') {
    walkExprs(stage.nest.body.flatMap(exprsOf), note);
    return out;
  }
  walkExprs(stage.stmts.flatMap(exprsOf), note);
  return out;
}
