// Splits a reduction over contiguous memory into partial accumulators in vector lanes, which are
// combined at the end; the turns that are left over update the scalar accumulator.
// Invariant: only a loop with `combine` is split, and the split depends on nothing but its range.

import type { Dim } from '../../core/dim.ts';
import { exprCost } from '../cost.ts';
import {
  binary,
  compare,
  constant,
  type Expr,
  extract,
  letRef,
  type ScalarType,
  select,
  varRef,
} from '../expr.ts';
import type { Combine, ForStmt, Stmt } from '../ir.ts';
import {
  exprsOf,
  ifStmt,
  mapExpr,
  mapStmtExprs,
  mapStmts,
  rebuild,
  walkExprs,
  walkStmts,
} from '../rewrite.ts';
import { isFloatType, scalarInfo } from '../scalar.ts';
import { blockOf, copyName } from './block.ts';
import {
  bindDim,
  forLoop,
  letStmt,
  type Names,
  type Nest,
  nestOf,
  setStmt,
  unlessEmpty,
  wholeEnd,
} from './build.ts';
import { COL } from './vary.ts';

/** The value that changes nothing: what a partial accumulator starts from. */
export function identityOf(op: Combine['op'], type: ScalarType): number | bigint {
  switch (op) {
    case 'add':
      // Minus zero, since 0 + -0 is 0 but a sum of nothing but -0 is -0.
      return isFloatType(type) ? -0 : 0;
    case 'mul':
      return 1;
    case 'max':
      return scalarInfo(type).lowest;
    case 'min':
      return scalarInfo(type).highest;
    case 'and':
      return type === 'bool' ? 1 : -1;
    case 'or':
      return 0;
    default:
      return op satisfies never;
  }
}

/** An accumulator of a loop: how it is combined, and its type. */
export interface Accumulator extends Combine {
  readonly type: ScalarType;
}

/**
 * The accumulators of a loop body, if it does nothing but update each once, by its operation and a
 * value without accumulators.
 */
export function accumulatorsOf(
  body: readonly Stmt[],
  combine: readonly Combine[],
): Accumulator[] | undefined {
  const found = new Map<string, Accumulator>();
  const byName = new Map(combine.map((c) => [c.variable, c]));
  let fits = true;
  const free = (e: Expr): boolean => {
    let clean = true;
    walkExprs([e], (x) => {
      if (x.op === 'var' && byName.has(x.name)) clean = false;
    });
    return clean;
  };
  for (const s of body) {
    if (s.kind === 'let') fits &&= free(s.value);
    else if (s.kind === 'set') {
      const c = byName.get(s.name);
      const { value } = s;
      if (!c || found.has(s.name) || value.op !== 'binary' || value.fn !== c.op) return undefined;
      if (value.lanes !== 1) return undefined;
      const own = value.args.findIndex((a) => a.op === 'var' && a.name === s.name);
      if (own < 0 || !free(value.args[1 - own])) return undefined;
      found.set(s.name, { ...c, type: value.type });
    } else return undefined;
  }
  return fits && found.size === combine.length ? [...found.values()] : undefined;
}

/** Whether expressions use an accumulator. */
function usesAny(exprs: readonly Expr[], accs: readonly Accumulator[]): boolean {
  let found = false;
  walkExprs(exprs, (e) => {
    if (e.op === 'var') found ||= accs.some((a) => a.variable === e.name);
  });
  return found;
}

/** Operations a turn of a loop takes. */
function workOf(body: readonly Stmt[]): number {
  const values: Expr[] = [];
  walkStmts(body, (s) => {
    if (s.kind === 'let' || s.kind === 'set') values.push(s.value);
  });
  return exprCost(values);
}

/** Cheap bodies leave the registers for more accumulators, which hide the latency of additions. */
function unroll(ops: number, accumulators: number): number {
  if (ops > 12 || accumulators > 2) return 1;
  return ops <= 4 && accumulators === 1 ? 4 : 2;
}

/** The nest of a reduction in vector form, or undefined if it does not fit. */
export function splitReduction(loop: ForStmt, names: Names): Stmt[] | undefined {
  const nest = nestOf([loop], 'reduce');
  const inner = nest.loops[nest.loops.length - 1];
  const { combine } = loop;
  const outer = nest.loops.slice(0, -1);
  if (!combine || inner.step !== 1 || nest.loops.some((l) => l.combine === undefined)) {
    return undefined;
  }
  if (outer.some((l) => JSON.stringify(l.combine) !== JSON.stringify(combine))) return undefined;
  // Stores beside the updates are turns like others, as long as they store no accumulator.
  const stores = nest.body.filter((s) => s.kind === 'store');
  const accs = accumulatorsOf(
    nest.body.filter((s) => s.kind !== 'store'),
    combine,
  );
  if (!accs || stores.some((s) => usesAny(exprsOf(s), accs))) return undefined;
  const ops = workOf(nest.body);
  const [only] = accs;
  if (ops <= 4 && stores.length === 0 && accs.length === 1 && isExtremum(only)) {
    const quick = quickExtremum(nest, only, names);
    const found = split(nest, quick.accs, quick.body, 4, names);
    const exact = split(nest, accs, nest.body, 1, names);
    return found && exact && [...quick.before, ...found, ifStmt(quick.unsure, exact)];
  }
  return split(nest, accs, nest.body, unroll(ops, accs.length), names);
}

/** Loops that update accumulators in `vectors` vectors at once, and their combination. */
function split(
  { loops }: Nest,
  accs: readonly Accumulator[],
  stmts: readonly Stmt[],
  most: number,
  names: Names,
): Stmt[] | undefined {
  const inner = loops[loops.length - 1];
  const outer = loops.slice(0, -1);
  const { axis, start, end } = inner;
  const { width } = names;
  // Accumulators that a short range would leave as they begin change nothing.
  const vectors = wholeEnd(start, end, width * most) === start ? 1 : most;
  const col = inner.axis.id;
  // Several loops may update one accumulator in turn, so the partial ones have names of their own.
  const alias = new Map(accs.map((a) => [a.variable, names.fresh(a.variable)]));
  const outside = new Map([...alias.values()].map((name) => [name, COL]));
  const partial = renameVars(stmts, alias);
  const one = blockOf(partial, { rows: 1, col, vectors: 1 }, names, outside);
  const many = vectors > 1 ? blockOf(partial, { rows: 1, col, vectors }, names, outside) : one;
  if (!many || !one) return undefined;
  if (one.cost.contiguous === 0 || one.cost.gathers > 0) return undefined;

  const out: Stmt[] = [];
  const part = (a: Accumulator, u: number): string => copyName(alias.get(a.variable)!, COL, 0, u);
  for (const a of accs) {
    const init = constant(a.type, identityOf(a.op, a.type), width);
    for (let u = 0; u < vectors; u++) {
      out.push({ kind: 'var', name: part(a, u), type: a.type, lanes: width, init });
    }
  }
  const body: Stmt[] = [];
  const wide =
    vectors > 1 ? bindDim(body, names, 'e', wholeEnd(start, end, width * vectors)) : start;
  const whole = bindDim(body, names, 'e', wholeEnd(start, end, width));
  const turns = (from: Dim, to: Dim, step: number, inside: readonly Stmt[]): void => {
    body.push(...unlessEmpty(forLoop(axis, from, to, step, 'serial', inside)));
  };
  if (vectors > 1) turns(start, wide, width * vectors, many.stmts);
  turns(wide, whole, width, one.stmts);
  turns(whole, end, 1, stmts);
  out.push(...rewrap(outer, body));
  for (const a of accs) {
    const ref = (u: number): Expr => varRef(part(a, u), a.type, width);
    let sum = ref(0);
    for (let u = 1; u < vectors; u++) sum = binary(a.op, sum, ref(u));
    const name = names.fresh('h');
    out.push({ kind: 'let', name, value: sum });
    out.push(setStmt(a.variable, binary(a.op, varRef(a.variable, a.type), across(name, a, width))));
  }
  return out;
}

const isExtremum = ({ op, type }: Accumulator): boolean =>
  isFloatType(type) && (op === 'max' || op === 'min');

/**
 * A maximum or minimum of floats by comparisons alone, which is one instruction where an exact one is
 * eight. It may lose a NaN, and the sign of a zero: `unsure` tells both, and the exact loop then follows.
 */
function quickExtremum(
  { body }: Nest,
  acc: Accumulator,
  names: Names,
): { before: Stmt[]; accs: Accumulator[]; body: Stmt[]; unsure: Expr } {
  const { variable, op, type } = acc;
  const nan = names.fresh('nan');
  const old = varRef(variable, type);
  const found = varRef(nan, 'bool');
  const quick = body.flatMap((s): Stmt[] => {
    if (s.kind !== 'set' || s.value.op !== 'binary') return [s];
    const name = names.fresh('v');
    const value = s.value.args.find((a) => a !== old) ?? old;
    const v = letRef(name, type);
    const better = op === 'max' ? compare('lt', old, v) : compare('lt', v, old);
    return [
      letStmt(name, value),
      setStmt(variable, select(better, v, old)),
      setStmt(nan, binary('or', found, compare('ne', v, v))),
    ];
  });
  return {
    before: [{ kind: 'var', name: nan, type: 'bool', lanes: 1, init: constant('bool', 0) }],
    accs: [acc, { variable: nan, op: 'or', type: 'bool' }],
    body: quick,
    unsure: binary('or', found, compare('eq', old, constant(type, 0))),
  };
}

function renameVars(stmts: readonly Stmt[], to: ReadonlyMap<string, string>): Stmt[] {
  const memo = new Map<Expr, Expr>();
  return mapStmts(stmts, (s) => {
    const next = mapStmtExprs(s, (e) =>
      mapExpr(
        e,
        (x, args) => {
          const name = x.op === 'var' ? to.get(x.name) : undefined;
          return name === undefined ? rebuild(x, args) : varRef(name, x.type, x.lanes);
        },
        memo,
      ),
    );
    return next.kind === 'set' ? { ...next, name: to.get(next.name) ?? next.name } : next;
  });
}

/** The lanes of a vector local combined, in pairs. */
function across(name: string, a: Accumulator, width: 2 | 4): Expr {
  const v = letRef(name, a.type, width);
  const low = binary(a.op, extract(v, 0), extract(v, 1));
  if (width === 2) return low;
  return binary(a.op, low, binary(a.op, extract(v, 2), extract(v, 3)));
}

/** Puts loops around statements again. */
export function rewrap(loops: readonly ForStmt[], body: readonly Stmt[]): readonly Stmt[] {
  let out = body;
  for (let i = loops.length - 1; i >= 0; i--) {
    const { combine: _, ...plain } = loops[i];
    out = [{ ...plain, body: out }];
  }
  return out;
}
