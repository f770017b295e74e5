// The loop IR: statements over a loop nest. A kernel comes from the plan as a plain nest whose axes
// carry roles (the portable form, which the interpreter runs and WGSL is made from); the CPU
// scheduler rewrites it into tiled and vectorised statements of the same language. Plain data.

import type { Dim, Sym } from '../core/dim.ts';
import type { StorageType } from '../core/dtype.ts';
import type { Expr, Lanes, ScalarType } from './expr.ts';

/**
 * What a loop's turns may assume: `grid` turns are independent of each other (parallel work);
 * `lane` turns too, but they belong to one grid point; `reduce` turns update accumulators whose
 * order is free within tolerance; `serial` turns run in order.
 */
export type AxisRole = 'grid' | 'lane' | 'reduce' | 'serial';

/** How partial accumulators of a split `reduce` loop are put together. */
export interface Combine {
  readonly variable: string;
  readonly op: 'add' | 'mul' | 'max' | 'min' | 'and' | 'or';
}

export interface ForStmt {
  readonly kind: 'for';
  /** The loop variable; its symbol may occur in any index and dim value of the body. */
  readonly axis: Sym;
  readonly start: Dim;
  /** The loop runs while `axis < end`. */
  readonly end: Dim;
  readonly step: number;
  readonly role: AxisRole;
  /** On a `reduce` loop: its accumulators. Absent, the loop can't be split along this axis. */
  readonly combine?: readonly Combine[];
  readonly body: readonly Stmt[];
}
/** Binds an immutable local; an i32 let of one lane may also be used as a symbol in dims. */
export interface LetStmt {
  readonly kind: 'let';
  readonly name: string;
  readonly value: Expr;
}
/** Declares a mutable local. */
export interface VarStmt {
  readonly kind: 'var';
  readonly name: string;
  readonly type: ScalarType;
  readonly lanes: Lanes;
  readonly init: Expr;
}
export interface SetStmt {
  readonly kind: 'set';
  readonly name: string;
  readonly value: Expr;
}
/** Stores one element, or with a vector as many elements from `index` on. */
export interface StoreStmt {
  readonly kind: 'store';
  readonly buffer: string;
  readonly index: Dim;
  readonly value: Expr;
}
export interface IfStmt {
  readonly kind: 'if';
  readonly cond: Expr;
  readonly then: readonly Stmt[];
  readonly else: readonly Stmt[];
}
export interface WhileStmt {
  readonly kind: 'while';
  readonly cond: Expr;
  readonly body: readonly Stmt[];
}
/** A scratch array, private to one tile of work on the CPU; in scope in `body`. */
export interface ArrayStmt {
  readonly kind: 'array';
  readonly name: string;
  readonly type: ScalarType;
  readonly length: Dim;
  readonly body: readonly Stmt[];
}
/** Marks the run as failed with a check's number where `when` holds; execution goes on. */
export interface FailStmt {
  readonly kind: 'fail';
  readonly when: Expr;
  readonly code: Dim;
}
/**
 * Asks the code generator to put the body into a function of its own, which kernels share: bodies of
 * outlines of one name are the same but for the names in them, and have no arrays and no checks. Changes
 * no meaning.
 */
export interface OutlineStmt {
  readonly kind: 'outline';
  readonly name: string;
  readonly body: readonly Stmt[];
}

export type Stmt =
  | ForStmt
  | LetStmt
  | VarStmt
  | SetStmt
  | StoreStmt
  | IfStmt
  | WhileStmt
  | ArrayStmt
  | FailStmt
  | OutlineStmt;

export interface BufferParam {
  /** `b0`, `b1`, …: the order of the list is the order of binding. */
  readonly name: string;
  /** How elements stand in memory; those of part of a word are loaded and stored as i32. */
  readonly type: StorageType;
  readonly access: 'read' | 'write' | 'readwrite';
}

/**
 * A kernel in portable form. Every symbol that no axis and no local of the body binds is a
 * parameter and stands in `params`. Names are local (`b0`, `d0`, `i0`), so equal kernels are equal
 * text. A `readwrite` buffer, or a `read` and a `write` buffer that share memory, is only ever
 * read at the index that the same grid point writes, before the write.
 */
export interface Kernel {
  readonly name: string;
  readonly buffers: readonly BufferParam[];
  readonly params: readonly Sym[];
  readonly body: readonly Stmt[];
  /** Floating-point operations and bytes moved, as dims of the params. */
  readonly flops: Dim;
  readonly bytes: Dim;
}

/**
 * A kernel scheduled for the CPU: `body` is one tile of the work, for each value of the symbol
 * `tile` in `0 .. tiles-1`, in any order and on any thread. The tiling does not depend on the
 * number of threads.
 */
export interface TiledKernel extends Kernel {
  readonly tile: Sym;
  readonly tiles: Dim;
}
