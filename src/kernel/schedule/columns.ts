// Reductions along columns, as in a sum over the first axis: rows are streamed in the order of
// memory into accumulators for a strip of columns, which wait in scratch arrays.
// Invariant: each column's values are taken in the order of the loop, so results are exactly equal.

import { addDim, type Dim, type Sym, subDim, symDim } from '../../core/dim.ts';
import { binary, type Expr, load, varRef } from '../expr.ts';
import type { ForStmt, Stmt, VarStmt } from '../ir.ts';
import { collectExprSyms, exprsOf, mapExpr, rebuild, substituteSyms } from '../rewrite.ts';
import { blockOf } from './block.ts';
import { forLoop, type Names, type Nest, nestOf, setStmt, storeStmt } from './build.ts';
import { type GridPlan, steps } from './grid.ts';
import { type Accumulator, accumulatorsOf, rewrap } from './reduce.ts';
import { type Range, tileGrid } from './tile.ts';

/** Columns of a tile: a row's part is long enough to be read as a stream. */
const STRIP = 256;
/** Rows taken per pass over the accumulators. */
const ROWS = 4;

interface Columns {
  readonly vars: readonly VarStmt[];
  readonly reduction: Nest;
  readonly accs: readonly Accumulator[];
  /** What each accumulator takes in, in terms of loads. */
  readonly values: ReadonlyMap<string, Expr>;
  readonly rest: readonly Stmt[];
}

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
  const parts = columnsOf(nest.body);
  if (!parts) return undefined;
  const loops = [...nest.loops.filter((l) => l !== col), col];
  const chunking = (l: ForStmt) => (l === col ? { fixed: STRIP } : { grain: 1 });
  const { tiles, prelude, ranges } = tileGrid(loops, chunking, budget, tile, names);
  const inner = emitColumns(parts, col, ranges[loops.length - 1], names);
  if (!inner) return undefined;
  let body = inner;
  for (let k = loops.length - 2; k >= 0; k--) {
    const { axis, role } = loops[k];
    body = [forLoop(axis, ranges[k].start, ranges[k].end, 1, role, body)];
  }
  return { body: [...prelude, ...body], tiles };
}

/** Takes the body apart: variables, one nest of reductions into them, straight code. */
function columnsOf(body: readonly Stmt[]): Columns | undefined {
  const at = body.findIndex((s) => s.kind !== 'var');
  const loop = body[at];
  const vars = body.slice(0, at).filter((s) => s.kind === 'var');
  const rest = body.slice(at + 1);
  if (loop?.kind !== 'for' || loop.role !== 'reduce' || !loop.combine) return undefined;
  if (vars.some((v) => v.type === 'bool' || v.lanes !== 1)) return undefined;
  if (rest.some((s) => s.kind !== 'let' && s.kind !== 'store')) return undefined;
  const reduction = nestOf([loop], 'reduce');
  if (reduction.loops.some((l) => l.step !== 1)) return undefined;
  const accs = accumulatorsOf(reduction.body, loop.combine);
  if (accs?.length !== vars.length) return undefined;
  const values = termsOf(reduction.body);
  return values && { vars, reduction, accs, values, rest };
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

function emitColumns(parts: Columns, col: ForStmt, range: Range, names: Names): Stmt[] | undefined {
  const { vars, reduction, accs, values, rest } = parts;
  const arrays = new Map(vars.map((v) => [v.name, names.fresh('strip')]));
  const place = subDim(symDim(col.axis), range.start);
  const held = (v: VarStmt): Expr => load(arrays.get(v.name)!, v.type, place);
  let fits = true;
  const across = (body: readonly Stmt[]): Stmt[] => {
    const block = blockOf(body, { rows: 1, col: col.axis.id, vectors: 1 }, names);
    fits &&= block !== undefined;
    return steps(col, range, [4, 1], (n) => (n === 4 && block ? block.stmts : body), names);
  };
  const inner = reduction.loops[reduction.loops.length - 1];
  const pass = (rows: number): Stmt[] => {
    const body: Stmt[] = vars.map((v) => ({ ...v, init: held(v) }));
    for (let r = 0; r < rows; r++) {
      const turn = accs.map((a) => {
        const value = values.get(a.variable)!;
        return setStmt(a.variable, binary(a.op, varRef(a.variable, a.type), value));
      });
      const there = addDim(symDim(inner.axis), r);
      body.push(...substituteSyms(turn, (s) => (s.id === inner.axis.id ? there : undefined)));
    }
    for (const v of vars) {
      body.push(storeStmt(arrays.get(v.name)!, place, varRef(v.name, v.type)));
    }
    return across(body);
  };
  const { combine: _, ...plain } = inner;
  const rows = steps(
    { ...plain, role: 'serial' },
    { start: inner.start, end: inner.end },
    [ROWS, 1],
    pass,
    names,
  );
  let out: Stmt[] = [
    ...across(vars.map((v) => storeStmt(arrays.get(v.name)!, place, v.init))),
    ...rewrap(reduction.loops.slice(0, -1), rows),
    ...across([...vars.map((v) => ({ ...v, init: held(v) })), ...rest]),
  ];
  if (!fits) return undefined;
  for (const v of vars) {
    out = [{ kind: 'array', name: arrays.get(v.name)!, type: v.type, length: STRIP, body: out }];
  }
  return out;
}
