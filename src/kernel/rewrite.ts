// Walking and rewriting of kernel IR: maps over expression DAGs and statements, substitution of
// symbols, free symbols. Invariant: sharing is kept (each node is visited once per memo), what a
// rewrite leaves alone stays the same object, and expression walks never recurse.

import { type Dim, makeSym, type Sym, substituteDim, symDim } from '../core/dim.ts';
import { collectSyms } from '../core/dim-syms.ts';
import {
  argsOf,
  binary,
  bitcast,
  cast,
  compare,
  dimValue,
  type Expr,
  extract,
  load,
  madd,
  pack,
  select,
  splat,
  unary,
} from './expr.ts';
import type { IfStmt, Stmt } from './ir.ts';

/** The node `e` with other operands; `e` itself if they are the same. */
export function rebuild(e: Expr, args: readonly Expr[]): Expr {
  const old = argsOf(e);
  if (old.every((a, i) => a === args[i])) return e;
  switch (e.op) {
    case 'unary':
      return unary(e.fn, args[0]);
    case 'binary':
      return binary(e.fn, args[0], args[1]);
    case 'compare':
      return compare(e.fn, args[0], args[1]);
    case 'select':
      return select(args[0], args[1], args[2], e.lazy);
    case 'madd':
      return madd(args[0], args[1], args[2]);
    case 'cast':
      return cast(e.type, args[0]);
    case 'bitcast':
      return bitcast(e.type, args[0]);
    case 'splat':
      return splat(args[0], e.lanes);
    case 'pack':
      return pack(...args);
    case 'extract':
      return extract(args[0], e.lane);
    case 'const':
    case 'dim':
    case 'let':
    case 'var':
    case 'load':
      return e;
    default:
      return e satisfies never;
  }
}

/**
 * Maps a DAG from the leaves up: `fn` gets each node once, with its operands already mapped, and
 * gives the node's replacement. A `memo` shared between calls keeps the sharing between them.
 */
export function mapExpr(
  e: Expr,
  fn: (e: Expr, mappedArgs: readonly Expr[]) => Expr,
  memo: Map<Expr, Expr> = new Map(),
): Expr {
  const stack: Expr[] = [e];
  while (stack.length > 0) {
    const top = stack[stack.length - 1];
    if (memo.has(top)) {
      stack.pop();
      continue;
    }
    const args = argsOf(top);
    let ready = true;
    // Pushed in reverse, so that operands are mapped in the order they are written.
    for (let i = args.length - 1; i >= 0; i--) {
      if (memo.has(args[i])) continue;
      stack.push(args[i]);
      ready = false;
    }
    if (!ready) continue;
    stack.pop();
    memo.set(
      top,
      fn(
        top,
        args.map((a) => memo.get(a)!),
      ),
    );
  }
  return memo.get(e)!;
}

/** Visits every node of the DAGs once, operands before users; `seen` is shared between calls. */
export function walkExprs(
  roots: readonly Expr[],
  visit: (e: Expr) => void,
  seen: Set<Expr> = new Set(),
): void {
  for (const root of roots) {
    const stack: { e: Expr; next: number }[] = [];
    const enter = (e: Expr): void => {
      if (seen.has(e)) return;
      seen.add(e);
      stack.push({ e, next: 0 });
    };
    enter(root);
    while (stack.length > 0) {
      const top = stack[stack.length - 1];
      const args = argsOf(top.e);
      if (top.next < args.length) enter(args[top.next++]);
      else {
        stack.pop();
        visit(top.e);
      }
    }
  }
}

/** Makes an `if`. */
export function ifStmt(cond: Expr, yes: readonly Stmt[], no: readonly Stmt[] = []): IfStmt {
  // biome-ignore lint/suspicious/noThenProperty: the field of `IfStmt`; never awaited
  return { kind: 'if', cond, then: yes, else: no };
}

/** The expressions a statement itself evaluates (not those of the statements inside it). */
export function exprsOf(s: Stmt): readonly Expr[] {
  switch (s.kind) {
    case 'let':
    case 'set':
    case 'store':
      return [s.value];
    case 'var':
      return [s.init];
    case 'if':
    case 'while':
      return [s.cond];
    case 'fail':
      return [s.when];
    case 'for':
    case 'array':
    case 'outline':
      return [];
    default:
      return s satisfies never;
  }
}

/** The dims a statement itself has, outside its expressions. */
export function dimsOf(s: Stmt): readonly Dim[] {
  switch (s.kind) {
    case 'for':
      return [s.start, s.end];
    case 'store':
      return [s.index];
    case 'array':
      return [s.length];
    case 'fail':
      return [s.code];
    default:
      return [];
  }
}

/** The blocks inside a statement. */
export function blocksOf(s: Stmt): readonly (readonly Stmt[])[] {
  switch (s.kind) {
    case 'for':
    case 'while':
    case 'array':
    case 'outline':
      return [s.body];
    case 'if':
      return [s.then, s.else];
    default:
      return [];
  }
}

/** The statement with its own expressions mapped; the same object if none changes. */
export function mapStmtExprs(s: Stmt, fn: (e: Expr) => Expr): Stmt {
  switch (s.kind) {
    case 'let':
    case 'set':
    case 'store': {
      const value = fn(s.value);
      return value === s.value ? s : { ...s, value };
    }
    case 'var': {
      const init = fn(s.init);
      return init === s.init ? s : { ...s, init };
    }
    case 'if':
    case 'while': {
      const cond = fn(s.cond);
      return cond === s.cond ? s : { ...s, cond };
    }
    case 'fail': {
      const when = fn(s.when);
      return when === s.when ? s : { ...s, when };
    }
    case 'for':
    case 'array':
    case 'outline':
      return s;
    default:
      return s satisfies never;
  }
}

function mapBlocks(s: Stmt, fn: (block: readonly Stmt[]) => readonly Stmt[]): Stmt {
  switch (s.kind) {
    case 'for':
    case 'while':
    case 'array':
    case 'outline': {
      const body = fn(s.body);
      return sameList(body, s.body) ? s : { ...s, body };
    }
    case 'if': {
      const yes = fn(s.then);
      const no = fn(s.else);
      if (sameList(yes, s.then) && sameList(no, s.else)) return s;
      return ifStmt(s.cond, yes, no);
    }
    default:
      return s;
  }
}

const sameList = (a: readonly Stmt[], b: readonly Stmt[]): boolean =>
  a === b || (a.length === b.length && a.every((s, i) => s === b[i]));

/**
 * Maps statements from the inside out: `fn` gets each one with its blocks already mapped, and gives
 * its replacement, or the list of them (empty to drop it).
 */
export function mapStmts(stmts: readonly Stmt[], fn: (s: Stmt) => Stmt | readonly Stmt[]): Stmt[] {
  const out: Stmt[] = [];
  for (const s of stmts) {
    const next = fn(mapBlocks(s, (block) => mapStmts(block, fn)));
    if (isList(next)) out.push(...next);
    else out.push(next);
  }
  return out;
}

// `Array.isArray` does not narrow readonly arrays.
const isList = (x: Stmt | readonly Stmt[]): x is readonly Stmt[] => Array.isArray(x);

/** Visits every statement, outer ones before those inside them. */
export function walkStmts(stmts: readonly Stmt[], visit: (s: Stmt) => void): void {
  for (const s of stmts) {
    visit(s);
    for (const block of blocksOf(s)) walkStmts(block, visit);
  }
}

type Substitution = (sym: Sym) => Dim | undefined;

/** `to` for everything but one symbol, which becomes `dim` (undefined: stays itself). */
const except =
  (to: Substitution, id: string, dim: Dim | undefined): Substitution =>
  (s) =>
    s.id === id ? dim : to(s);

function substituteExpr(e: Expr, to: Substitution, memo: Map<Expr, Expr>): Expr {
  return mapExpr(
    e,
    (x, args) => {
      if (x.op === 'dim') {
        const dim = substituteDim(x.dim, to);
        return dim === x.dim ? x : dimValue(dim);
      }
      if (x.op === 'load') {
        const index = substituteDim(x.index, to);
        return index === x.index ? x : load(x.buffer, x.type, index, x.lanes);
      }
      return rebuild(x, args);
    },
    memo,
  );
}

/** The axis with the dims of its range substituted, so that what they prove stays true. */
function substituteAxis(axis: Sym, to: Substitution): Sym {
  const { extent, bound } = axis;
  const newExtent = extent === undefined ? undefined : substituteDim(extent, to);
  const newBound = bound === undefined ? undefined : substituteDim(bound, to);
  if (newExtent === extent && newBound === bound) return axis;
  return makeSym(axis.id, axis.name, {
    ...(newExtent === undefined ? {} : { extent: newExtent }),
    ...(newBound === undefined ? {} : { bound: newBound }),
  });
}

/**
 * Replaces the free symbols in all dims: indices, dim values, loop bounds. A symbol that a loop or
 * a let of `stmts` binds is kept where it is bound. The replacements must not mention symbols that
 * `stmts` bind around a use.
 */
export function substituteSyms(stmts: readonly Stmt[], to: Substitution): Stmt[] {
  return substituteBlock(stmts, to, new Map());
}

function substituteBlock(
  stmts: readonly Stmt[],
  outer: Substitution,
  outerMemo: Map<Expr, Expr>,
): Stmt[] {
  // What a let hides changes within the block, and with it what the memo holds.
  let to = outer;
  let memo = outerMemo;
  const out: Stmt[] = [];
  for (const s of stmts) {
    const next = mapStmtExprs(s, (e) => substituteExpr(e, to, memo));
    out.push(substituteStmt(next, to, memo));
    if (s.kind === 'let' && to(makeSym(s.name)) !== undefined) {
      to = except(to, s.name, undefined);
      memo = new Map();
    }
  }
  return out;
}

function substituteStmt(s: Stmt, to: Substitution, memo: Map<Expr, Expr>): Stmt {
  const inside = (block: readonly Stmt[]): readonly Stmt[] => {
    const next = substituteBlock(block, to, memo);
    return sameList(next, block) ? block : next;
  };
  switch (s.kind) {
    case 'for': {
      const start = substituteDim(s.start, to);
      const end = substituteDim(s.end, to);
      const axis = substituteAxis(s.axis, to);
      const changed = axis !== s.axis;
      const plain = !changed && to(s.axis) === undefined;
      const body = plain
        ? inside(s.body)
        : substituteBlock(
            s.body,
            except(to, axis.id, changed ? symDim(axis) : undefined),
            new Map(),
          );
      if (start === s.start && end === s.end && !changed && sameList(body, s.body)) return s;
      return { ...s, axis, start, end, body };
    }
    case 'store': {
      const index = substituteDim(s.index, to);
      return index === s.index ? s : { ...s, index };
    }
    case 'array': {
      const length = substituteDim(s.length, to);
      const body = inside(s.body);
      return length === s.length && body === s.body ? s : { ...s, length, body };
    }
    case 'fail': {
      const code = substituteDim(s.code, to);
      return code === s.code ? s : { ...s, code };
    }
    default:
      return mapBlocks(s, inside);
  }
}

/** The symbols of an expression's dims, added to `into` by id. */
export function collectExprSyms(roots: readonly Expr[], into: Map<string, Sym>): void {
  walkExprs(roots, (e) => {
    if (e.op === 'dim') collectSyms(e.dim, into);
    else if (e.op === 'load') collectSyms(e.index, into);
  });
}

/** The symbols that `stmts` use and that no axis and no let of theirs binds, by id. */
export function freeSyms(stmts: readonly Stmt[]): Map<string, Sym> {
  const free = new Map<string, Sym>();
  collectFree(stmts, new Set(), free);
  return free;
}

function collectFree(
  stmts: readonly Stmt[],
  outer: ReadonlySet<string>,
  free: Map<string, Sym>,
): void {
  const bound = new Set(outer);
  for (const s of stmts) {
    const used = new Map<string, Sym>();
    collectExprSyms(exprsOf(s), used);
    for (const d of dimsOf(s)) collectSyms(d, used);
    for (const [id, sym] of used) if (!bound.has(id)) free.set(id, sym);
    for (const block of blocksOf(s)) {
      const inner = s.kind === 'for' ? new Set(bound).add(s.axis.id) : bound;
      collectFree(block, inner, free);
    }
    if (s.kind === 'let') bound.add(s.name);
  }
}
