// Scalar expressions of the kernel IR: hash-consed trees (DAGs) of one to four lanes. Equal
// expressions are the same object, so sharing is `===` and common subexpressions cost nothing.
// Invariant: an expression is pure except that it may read buffers and mutable locals; a reader
// that moves expressions over stores must check that. Knows nothing of graphs.

import { type Atom, type Dim, dimKey } from '../core/dim.ts';
import type { ScalarType } from '../core/dtype.ts';
import { invariant } from '../core/error.ts';

/** The machine types of kernels. `bool` is a byte in memory on the CPU and a word in WGSL. */
export type { ScalarType } from '../core/dtype.ts';

/**
 * 1 for a scalar, 4 for a vector of a SIMD register; 2 in kernels that also compute in 64 bits, where
 * vectors of any type have as many lanes as those.
 */
export type Lanes = 1 | 2 | 4;

/** `exp`, `log`, `tanh` … stay symbolic until `expandMath` turns them into polynomials. */
export type UnaryOp =
  | 'neg'
  | 'abs'
  | 'sqrt'
  | 'floor'
  | 'ceil'
  | 'trunc'
  | 'nearest'
  | 'not'
  | 'isnan'
  | 'exp'
  | 'expm1'
  | 'log'
  | 'log1p'
  | 'tanh'
  | 'erf'
  | 'sin'
  | 'cos';

/**
 * Arithmetic and bits. Integer `div` truncates toward zero; division by zero gives 0 and
 * `-2^31 / -1` gives `-2^31`; `rem` has the sign of the dividend. `min` and `max` of floats give
 * NaN if either is NaN. `pow` is C's; of integers it wraps around, and a negative power truncates. Shifts take the count modulo 32; `shru` shifts in zeros; `mulhiu` is the
 * high word of the unsigned 64-bit product. `and`, `or`, `xor` also take bools.
 */
export type BinaryOp =
  | 'add'
  | 'sub'
  | 'mul'
  | 'div'
  | 'rem'
  | 'pow'
  | 'min'
  | 'max'
  | 'and'
  | 'or'
  | 'xor'
  | 'shl'
  | 'shr'
  | 'shru'
  | 'mulhiu';

/** Comparisons give `bool`. With NaN all but `ne` give false. */
export type CompareOp = 'eq' | 'ne' | 'lt' | 'le' | 'gt' | 'ge';

interface Base {
  /** Unique and increasing: operands always have smaller ids than their users. */
  readonly id: number;
  readonly type: ScalarType;
  readonly lanes: Lanes;
}

export interface ConstExpr extends Base {
  readonly op: 'const';
  /**
   * For `bool` 0 or 1, for i64 the number modulo 2^64 as a signed one that need not be exact: `bits`
   * has it. A vector constant has equal lanes; others are made by `pack`.
   */
  readonly value: number;
  /** The value of an i64. */
  readonly bits?: bigint;
}
/** The value of a dim: symbols are axes, i32 locals of that name, or parameters of the kernel. */
export interface DimValue extends Base {
  readonly op: 'dim';
  readonly dim: Dim;
}
/** A `let` (immutable) or `var` (mutable) local. */
export interface LocalExpr extends Base {
  readonly op: 'let' | 'var';
  readonly name: string;
}
/** One element, or with several lanes as many elements from `index` on. */
export interface LoadExpr extends Base {
  readonly op: 'load';
  readonly buffer: string;
  readonly index: Dim;
}
export interface UnaryExpr extends Base {
  readonly op: 'unary';
  readonly fn: UnaryOp;
  readonly args: readonly [Expr];
}
export interface BinaryExpr extends Base {
  readonly op: 'binary';
  readonly fn: BinaryOp;
  readonly args: readonly [Expr, Expr];
}
export interface CompareExpr extends Base {
  readonly op: 'compare';
  readonly fn: CompareOp;
  readonly args: readonly [Expr, Expr];
}
/**
 * `args[0] ? args[1] : args[2]`. With one lane `lazy` evaluates only the branch taken; with several it
 * evaluates the second operand only where some lane takes it, and the third always.
 */
export interface SelectExpr extends Base {
  readonly op: 'select';
  readonly lazy: boolean;
  readonly args: readonly [Expr, Expr, Expr];
}
/**
 * `args[0] * args[1] + args[2]` of floats, rounded once or twice as the machine does it faster: for
 * long sums of products, whose order is free within tolerance anyway.
 */
export interface MaddExpr extends Base {
  readonly op: 'madd';
  readonly args: readonly [Expr, Expr, Expr];
}
/**
 * Conversion by value. float to int truncates, saturates, and gives 0 for NaN; anything to bool is
 * `!= 0`; bool to a number is 0 or 1.
 */
export interface CastExpr extends Base {
  readonly op: 'cast';
  readonly args: readonly [Expr];
}
/** Reinterprets the bits of an f32, i32 or u32, or of an f64 or i64. */
export interface BitcastExpr extends Base {
  readonly op: 'bitcast';
  readonly args: readonly [Expr];
}
/** Equal lanes from one. */
export interface SplatExpr extends Base {
  readonly op: 'splat';
  readonly args: readonly [Expr];
}
/** A vector of as many scalars. */
export interface PackExpr extends Base {
  readonly op: 'pack';
  readonly args: readonly Expr[];
}
/** One lane of a vector. */
export interface ExtractExpr extends Base {
  readonly op: 'extract';
  readonly lane: 0 | 1 | 2 | 3;
  readonly args: readonly [Expr];
}

export type Expr =
  | ConstExpr
  | DimValue
  | LocalExpr
  | LoadExpr
  | UnaryExpr
  | BinaryExpr
  | CompareExpr
  | SelectExpr
  | MaddExpr
  | CastExpr
  | BitcastExpr
  | SplatExpr
  | PackExpr
  | ExtractExpr;

const NO_ARGS: readonly Expr[] = [];
let pool = new Map<string, Expr>();
let nextId = 1;

/** Forgets all interned expressions (those in use stay valid); called when a plan is begun. */
export function resetExprPool(): void {
  pool = new Map();
}

type Shaped<T extends Expr> = Omit<T, 'id'>;

function intern<T extends Expr>(key: string, make: Shaped<T>): T {
  const old = pool.get(key);
  if (old) return old as T;
  // Numbered, not copied: what was made for this call is nobody else's.
  const made = Object.assign(make, { id: nextId++ }) as unknown as T;
  pool.set(key, made);
  return made;
}

/**
 * Like {@link intern}, for what holds a dim: local names come again in other kernels with other ranges,
 * which the key does not show.
 */
function internAt<T extends DimValue | LoadExpr>(key: string, dim: Dim, make: Shaped<T>): T {
  const old = pool.get(key) as DimValue | LoadExpr | undefined;
  if (old && !sameRanges(old.op === 'dim' ? old.dim : old.index, dim)) pool.delete(key);
  return intern<T>(key, make);
}

/** Whether the symbols of two dims of one key have the same ranges. */
function sameRanges(a: Dim, b: Dim): boolean {
  if (a === b || typeof a === 'number' || typeof b === 'number') return true;
  return a.terms.every((t, i) => {
    const other = b.terms[i];
    return t === other || t.atoms.every((x, k) => sameAtomRanges(x, other.atoms[k]));
  });
}

function sameAtomRanges(x: Atom, y: Atom): boolean {
  if (x === y) return true;
  if (x.kind === 'fn') {
    return y.kind === 'fn' && x.args.every((a, i) => sameRanges(a, y.args[i]));
  }
  return y.kind === 'sym' && sameKey(x.extent, y.extent) && sameKey(x.bound, y.bound);
}

const sameKey = (a: Dim | undefined, b: Dim | undefined): boolean =>
  a === b || (a !== undefined && b !== undefined && dimKey(a) === dimKey(b));

/** The operand expressions of any expression. */
export function argsOf(e: Expr): readonly Expr[] {
  return (e as { args?: readonly Expr[] }).args ?? NO_ARGS;
}

/** What a constant's value becomes in each type: rounded, or wrapped around. */
const CONSTANT: Readonly<Record<Exclude<ScalarType, 'i64'>, (value: number) => number>> = {
  f32: Math.fround,
  f64: (value) => value,
  i32: (value) => value | 0,
  u32: (value) => value >>> 0,
  bool: (value) => (value ? 1 : 0),
};

/** A constant; for floats the value is rounded to their precision, for integers wrapped around. */
export function constant(type: ScalarType, value: number | bigint, lanes: Lanes = 1): Expr {
  if (type === 'i64') {
    const bits = BigInt.asIntN(64, BigInt(value));
    const made = { op: 'const', type, lanes, value: Number(bits), bits } as const;
    return intern<ConstExpr>(`c:${type}:${lanes}:${bits}`, made);
  }
  const v = CONSTANT[type](Number(value));
  const text = Object.is(v, -0) ? '-0' : String(v);
  return intern<ConstExpr>(`c:${type}:${lanes}:${text}`, { op: 'const', type, lanes, value: v });
}

export const f32 = (value: number): Expr => constant('f32', value);
export const i32 = (value: number): Expr => constant('i32', value);
export const bool = (value: boolean): Expr => constant('bool', value ? 1 : 0);

/** The i32 value of a dim. */
export function dimValue(dim: Dim): Expr {
  if (typeof dim === 'number') return i32(dim);
  return internAt<DimValue>(`d:${dimKey(dim)}`, dim, { op: 'dim', type: 'i32', lanes: 1, dim });
}

export function letRef(name: string, type: ScalarType, lanes: Lanes = 1): Expr {
  return intern<LocalExpr>(`l:${type}:${lanes}:${name}`, { op: 'let', type, lanes, name });
}

export function varRef(name: string, type: ScalarType, lanes: Lanes = 1): Expr {
  return intern<LocalExpr>(`v:${type}:${lanes}:${name}`, { op: 'var', type, lanes, name });
}

export function load(buffer: string, type: ScalarType, index: Dim, lanes: Lanes = 1): Expr {
  const key = `ld:${buffer}:${type}:${lanes}:${dimKey(index)}`;
  return internAt<LoadExpr>(key, index, { op: 'load', type, lanes, buffer, index });
}

export function unary(fn: UnaryOp, a: Expr): Expr {
  const type: ScalarType = fn === 'isnan' || fn === 'not' ? 'bool' : a.type;
  return intern<UnaryExpr>(`u:${fn}:${a.id}`, { op: 'unary', fn, type, lanes: a.lanes, args: [a] });
}

export function binary(fn: BinaryOp, a: Expr, b: Expr): Expr {
  invariant(a.type === b.type && a.lanes === b.lanes, `${fn} of ${a.type} and ${b.type}`);
  const key = `b:${fn}:${a.id}:${b.id}`;
  return intern<BinaryExpr>(key, { op: 'binary', fn, type: a.type, lanes: a.lanes, args: [a, b] });
}

export function compare(fn: CompareOp, a: Expr, b: Expr): Expr {
  invariant(a.type === b.type && a.lanes === b.lanes, `${fn} of ${a.type} and ${b.type}`);
  const key = `q:${fn}:${a.id}:${b.id}`;
  return intern<CompareExpr>(key, {
    op: 'compare',
    fn,
    type: 'bool',
    lanes: a.lanes,
    args: [a, b],
  });
}

export function select(c: Expr, a: Expr, b: Expr, lazy = false): Expr {
  invariant(c.type === 'bool' && a.type === b.type, `select of ${c.type}, ${a.type}, ${b.type}`);
  invariant(c.lanes === a.lanes && a.lanes === b.lanes, 'select of different lanes');
  const key = `s:${lazy}:${c.id}:${a.id}:${b.id}`;
  const { type, lanes } = a;
  return intern<SelectExpr>(key, { op: 'select', lazy, type, lanes, args: [c, a, b] });
}

export function madd(a: Expr, b: Expr, c: Expr): Expr {
  invariant(a.type === b.type && b.type === c.type, `madd of ${a.type}, ${b.type}, ${c.type}`);
  invariant(a.lanes === b.lanes && b.lanes === c.lanes, 'madd of different lanes');
  const key = `m:${a.id}:${b.id}:${c.id}`;
  const { type, lanes } = a;
  return intern<MaddExpr>(key, { op: 'madd', type, lanes, args: [a, b, c] });
}

export function cast(type: ScalarType, a: Expr): Expr {
  if (a.type === type) return a;
  return intern<CastExpr>(`k:${type}:${a.id}`, { op: 'cast', type, lanes: a.lanes, args: [a] });
}

export function bitcast(type: ScalarType, a: Expr): Expr {
  if (a.type === type) return a;
  return intern<BitcastExpr>(`r:${type}:${a.id}`, {
    op: 'bitcast',
    type,
    lanes: a.lanes,
    args: [a],
  });
}

export function splat(a: Expr, lanes: Lanes = 4): Expr {
  if (a.lanes !== 1 || lanes === 1) return a;
  if (a.op === 'const') return constant(a.type, a.bits ?? a.value, lanes);
  return intern<SplatExpr>(`p:${lanes}:${a.id}`, { op: 'splat', type: a.type, lanes, args: [a] });
}

export function pack(...args: readonly Expr[]): Expr {
  const [a] = args;
  const lanes = args.length as Lanes;
  if (args.every((x) => x === a)) return splat(a, lanes);
  const key = `g:${args.map((x) => x.id).join(':')}`;
  return intern<PackExpr>(key, { op: 'pack', type: a.type, lanes, args });
}

export function extract(a: Expr, lane: 0 | 1 | 2 | 3): Expr {
  const key = `x:${lane}:${a.id}`;
  return intern<ExtractExpr>(key, { op: 'extract', type: a.type, lanes: 1, lane, args: [a] });
}

export const add = (a: Expr, b: Expr): Expr => binary('add', a, b);
export const sub = (a: Expr, b: Expr): Expr => binary('sub', a, b);
export const mul = (a: Expr, b: Expr): Expr => binary('mul', a, b);
export const div = (a: Expr, b: Expr): Expr => binary('div', a, b);
