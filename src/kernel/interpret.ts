// The reference meaning of kernels: compiles kernel IR to closures and runs them over arrays.
// Invariant: every f32 result is rounded to single precision, every i32 result wrapped, in the
// order the IR says; nothing outside an array is ever touched. Slow on purpose, exact on purpose.

import { type Atom, type Dim, dimKey } from '../core/dim.ts';
import { InternalError, invariant } from '../core/error.ts';
import { checkOptions } from '../core/options.ts';
import { binaryFn, bitcastFn, castFn, compareFn, unaryFn } from './arithmetic.ts';
import { argsOf, type Expr, type ScalarType } from './expr.ts';
import type { Kernel, Stmt, TiledKernel } from './ir.ts';

/** What a kernel reads and writes: a typed array, or anything indexed like one. */
export interface NumberBuffer {
  readonly length: number;
  [index: number]: number;
}

export interface InterpretOptions {
  /** Called with the code of each `fail` statement whose condition holds. */
  readonly onFail?: (code: number) => void;
}

const INTERPRET_OPTIONS: readonly (keyof InterpretOptions)[] = ['onFail'];

/** A scalar (bool: 0 or 1; i64: a bigint, see `arithmetic.ts`), or the lanes of a vector. */
type Value = number | readonly number[];
type Thunk = () => Value;
type NumThunk = () => number;
type VecThunk = () => readonly number[];
type Action = () => void;

/** Fills fresh scratch memory with what no program should read: a NaN, a huge number, `true`. */
function makeArray(type: ScalarType, length: number): NumberBuffer {
  switch (type) {
    case 'f32':
      return new Float32Array(length).fill(Number.NaN);
    case 'f64':
      return new Float64Array(length).fill(Number.NaN);
    case 'i32':
      return new Int32Array(length).fill(0x7f000001);
    case 'u32':
      return new Uint32Array(length).fill(0x7f000001);
    case 'i64':
      return new BigInt64Array(length).fill(0x7f00000000000001n) as unknown as NumberBuffer;
    case 'bool':
      return new Uint8Array(length).fill(1);
    default:
      return type satisfies never;
  }
}

/** Where names live at run time; a block copies the scope it is in and adds to it. */
interface Scope {
  readonly syms: Map<string, number>;
  readonly locals: Map<string, number>;
  readonly arrays: Map<string, number>;
}

const childScope = (s: Scope): Scope => ({
  syms: new Map(s.syms),
  locals: new Map(s.locals),
  arrays: new Map(s.arrays),
});

/** Nodes at multiples of this depth are evaluated up front, so that evaluation never nests deep. */
const CHECKPOINT = 200;

class Compiler {
  readonly kernel: Kernel | TiledKernel;
  /** Values of symbols and locals. */
  readonly slots: Value[] = [];
  /** The buffers and scratch arrays. */
  readonly arrays: (NumberBuffer | undefined)[] = [];
  onFail: ((code: number) => void) | undefined;
  /** Counts executions of statements: a memoised value counts only in the epoch it was made in. */
  private epoch = 0;

  constructor(kernel: Kernel | TiledKernel) {
    this.kernel = kernel;
  }

  compile(): (buffers: readonly NumberBuffer[], params: readonly number[]) => void {
    const k = this.kernel;
    const scope: Scope = { syms: new Map(), locals: new Map(), arrays: new Map() };
    for (const p of k.params) scope.syms.set(p.id, this.slot());
    for (const b of k.buffers) scope.arrays.set(b.name, this.arraySlot());
    // Tiles need the count in terms of the params only, so it is compiled before `tile` is bound.
    let tiles: NumThunk = () => 1;
    let tileSlot = -1;
    if ('tile' in k) {
      tiles = this.dim(k.tiles, scope);
      tileSlot = this.slot();
      scope.syms.set(k.tile.id, tileSlot);
    }
    const body = this.block(k.body, scope);
    return (buffers, params) => {
      for (let i = 0; i < k.params.length; i++) this.slots[i] = params[i];
      for (let i = 0; i < k.buffers.length; i++) this.arrays[i] = buffers[i];
      const count = tiles();
      for (let tile = 0; tile < count; tile++) {
        if (tileSlot >= 0) this.slots[tileSlot] = tile;
        body();
      }
    };
  }

  private slot(): number {
    return this.slots.push(0) - 1;
  }

  private arraySlot(): number {
    return this.arrays.push(undefined) - 1;
  }

  private fail(message: string): never {
    throw new InternalError(`kernel "${this.kernel.name}": ${message}`);
  }

  private lookup(map: Map<string, number>, name: string, what: string): number {
    const slot = map.get(name);
    return slot === undefined ? this.fail(`${what} "${name}" is not bound`) : slot;
  }

  // ---- dims ----

  private dim(d: Dim, scope: Scope): NumThunk {
    if (typeof d === 'number') return () => d;
    const terms = d.terms.map((t): NumThunk => {
      const { coef } = t;
      const atoms = t.atoms.map((a) => this.atom(a, scope));
      if (atoms.length === 0) return () => coef;
      if (atoms.length === 1) {
        const [a] = atoms;
        return coef === 1 ? a : () => coef * a();
      }
      return () => {
        let p = coef;
        for (const a of atoms) p *= a();
        return p;
      };
    });
    if (terms.length === 1) return terms[0];
    if (terms.length === 2) {
      const [a, b] = terms;
      return () => a() + b();
    }
    return () => {
      let sum = 0;
      for (const t of terms) sum += t();
      return sum;
    };
  }

  private atom(a: Atom, scope: Scope): NumThunk {
    if (a.kind === 'sym') {
      const slot = this.lookup(scope.syms, a.id, 'symbol');
      return () => this.slots[slot] as number;
    }
    const x = this.dim(a.args[0], scope);
    if (a.fn === 'ne1') return () => (x() === 1 ? 0 : 1);
    const y = this.dim(a.args[1], scope);
    switch (a.fn) {
      case 'floordiv':
        return () => {
          const b = y();
          return b === 0 ? 0 : Math.floor(x() / b);
        };
      case 'mod':
        return () => {
          const b = y();
          if (b === 0) return 0;
          const v = x();
          return v - b * Math.floor(v / b);
        };
      case 'max':
        return () => Math.max(x(), y());
      case 'min':
        return () => Math.min(x(), y());
      case 'bcast':
        return () => {
          const v = x();
          return v === 1 ? y() : v;
        };
      default:
        return a.fn satisfies never;
    }
  }

  // ---- memory ----

  /** The place of `width` elements, checked against the array. */
  private place(what: string, name: string, index: NumThunk, text: string, width: number) {
    return (a: NumberBuffer): number => {
      const i = index();
      if (!(i >= 0 && i + width <= a.length && Number.isInteger(i))) {
        const count = width === 1 ? '' : ` (${width} lanes)`;
        this.fail(`${what} ${name}[${i}]${count} outside its ${a.length} elements, index ${text}`);
      }
      return i;
    };
  }

  private load(e: Expr & { op: 'load' }, scope: Scope): Thunk {
    const slot = this.lookup(scope.arrays, e.buffer, 'buffer');
    const index = this.dim(e.index, scope);
    const place = this.place('load of', e.buffer, index, dimKey(e.index), e.lanes);
    // Memory may hold any non-zero byte or word for true.
    const get: (x: number) => number = e.type === 'bool' ? (x) => (x === 0 ? 0 : 1) : (x) => x;
    if (e.lanes === 1) {
      return () => {
        const a = this.arrays[slot]!;
        return get(a[place(a)]);
      };
    }
    return () => {
      const a = this.arrays[slot]!;
      const i = place(a);
      return Array.from({ length: e.lanes }, (_, lane) => get(a[i + lane]));
    };
  }

  // ---- expressions ----

  /** Compiles an expression for one statement; a shared node is evaluated once per execution. */
  private expr(root: Expr, scope: Scope): Thunk {
    const thunks = new Map<Expr, Thunk>();
    const depth = new Map<Expr, number>();
    const { order, uses, eager } = analyse(root);
    const early: Thunk[] = [];
    for (const e of order) {
      const args = argsOf(e);
      const level = 1 + args.reduce((m, a) => Math.max(m, depth.get(a)!), 0);
      const checkpoint = level >= CHECKPOINT && eager.has(e);
      // A checkpoint is ready when its users run, so for them it is a leaf.
      depth.set(e, checkpoint ? 0 : level);
      let thunk = this.node(
        e,
        args.map((a) => thunks.get(a)!),
        scope,
      );
      if ((uses.get(e)! > 1 && (args.length > 0 || e.op === 'load')) || checkpoint) {
        thunk = this.memo(thunk);
      }
      if (checkpoint) early.push(thunk);
      thunks.set(e, thunk);
    }
    const top = thunks.get(root)!;
    if (early.length === 0) {
      return () => {
        this.epoch++;
        return top();
      };
    }
    return () => {
      this.epoch++;
      for (const t of early) t();
      return top();
    };
  }

  private memo(thunk: Thunk): Thunk {
    let at = -1;
    let value: Value = 0;
    return () => {
      if (at !== this.epoch) {
        value = thunk();
        at = this.epoch;
      }
      return value;
    };
  }

  private node(e: Expr, args: readonly Thunk[], scope: Scope): Thunk {
    switch (e.op) {
      case 'const': {
        const one = (e.bits ?? e.value) as number;
        const v: Value = e.lanes === 1 ? one : new Array<number>(e.lanes).fill(one);
        return () => v;
      }
      case 'dim': {
        const d = this.dim(e.dim, scope);
        return () => d() | 0;
      }
      case 'let':
      case 'var': {
        const slot = this.lookup(scope.locals, e.name, e.op);
        return () => this.slots[slot];
      }
      case 'load':
        return this.load(e, scope);
      case 'unary':
        return lift1(unaryFn(e.fn, e.args[0].type), args[0], e.lanes);
      case 'binary':
        return lift2(binaryFn(e.fn, e.type), args[0], args[1], e.lanes);
      case 'compare':
        return lift2(compareFn(e.fn), args[0], args[1], e.lanes);
      case 'madd': {
        const product = lift2(binaryFn('mul', e.type), args[0], args[1], e.lanes);
        return lift2(binaryFn('add', e.type), product, args[2], e.lanes);
      }
      case 'cast':
        return lift1(castFn(e.type, e.args[0].type), args[0], e.lanes);
      case 'bitcast':
        return lift1(bitcastFn(e.type), args[0], e.lanes);
      case 'select': {
        const [c, a, b] = args;
        if (e.lazy && e.lanes === 1) return () => (c() !== 0 ? a() : b());
        if (e.lanes === 1) {
          return () => {
            const x = a();
            const y = b();
            return c() !== 0 ? x : y;
          };
        }
        return () => {
          const y = (b as VecThunk)();
          if (e.lazy && (c as VecThunk)().every((v) => v === 0)) return y;
          const x = (a as VecThunk)();
          return (c as VecThunk)().map((v, i) => (v !== 0 ? x[i] : y[i]));
        };
      }
      case 'splat': {
        const a = args[0] as NumThunk;
        return () => {
          return new Array<number>(e.lanes).fill(a());
        };
      }
      case 'pack': {
        return () => (args as readonly NumThunk[]).map((a) => a());
      }
      case 'extract': {
        const a = args[0] as VecThunk;
        const { lane } = e;
        return () => a()[lane];
      }
      default:
        return e satisfies never;
    }
  }

  // ---- statements ----

  private block(stmts: readonly Stmt[], outer: Scope): Action {
    const scope = childScope(outer);
    const actions = stmts.map((s) => this.stmt(s, scope));
    if (actions.length === 1) return actions[0];
    return () => {
      for (const a of actions) a();
    };
  }

  private stmt(s: Stmt, scope: Scope): Action {
    const { slots } = this;
    switch (s.kind) {
      case 'for':
        return this.forStmt(s, scope);
      case 'let': {
        const value = this.expr(s.value, scope);
        const slot = this.slot();
        scope.locals.set(s.name, slot);
        if (s.value.type === 'i32' && s.value.lanes === 1) scope.syms.set(s.name, slot);
        return () => {
          slots[slot] = value();
        };
      }
      case 'var': {
        const value = this.expr(s.init, scope);
        const slot = this.slot();
        scope.locals.set(s.name, slot);
        return () => {
          slots[slot] = value();
        };
      }
      case 'set': {
        const value = this.expr(s.value, scope);
        const slot = this.lookup(scope.locals, s.name, 'variable');
        return () => {
          slots[slot] = value();
        };
      }
      case 'store':
        return this.store(s, scope);
      case 'if': {
        const cond = this.expr(s.cond, scope);
        const yes = this.block(s.then, scope);
        const no = this.block(s.else, scope);
        return () => (cond() !== 0 ? yes() : no());
      }
      case 'while': {
        const cond = this.expr(s.cond, scope);
        const body = this.block(s.body, scope);
        return () => {
          while (cond() !== 0) body();
        };
      }
      case 'array': {
        const length = this.dim(s.length, scope);
        const inner = childScope(scope);
        const slot = this.arraySlot();
        inner.arrays.set(s.name, slot);
        const body = this.block(s.body, inner);
        return () => {
          this.arrays[slot] = makeArray(s.type, length());
          body();
        };
      }
      case 'fail': {
        const when = this.expr(s.when, scope);
        const code = this.dim(s.code, scope);
        return () => {
          const v = when();
          const failed = typeof v === 'number' ? v !== 0 : v.some((x) => x !== 0);
          if (failed) this.onFail?.(code());
        };
      }
      case 'outline':
        return this.block(s.body, scope);
      default:
        return s satisfies never;
    }
  }

  private forStmt(s: Stmt & { kind: 'for' }, scope: Scope): Action {
    invariant(s.step > 0, `kernel "${this.kernel.name}": step ${s.step} of ${s.axis.id}`);
    const start = this.dim(s.start, scope);
    const end = this.dim(s.end, scope);
    const inner = childScope(scope);
    const slot = this.slot();
    inner.syms.set(s.axis.id, slot);
    const body = this.block(s.body, inner);
    const { slots } = this;
    const { step } = s;
    return () => {
      const last = end();
      for (let i = start(); i < last; i += step) {
        slots[slot] = i;
        body();
      }
    };
  }

  private store(s: Stmt & { kind: 'store' }, scope: Scope): Action {
    const value = this.expr(s.value, scope);
    const slot = this.lookup(scope.arrays, s.buffer, 'buffer');
    const index = this.dim(s.index, scope);
    const { lanes } = s.value;
    const place = this.place('store to', s.buffer, index, dimKey(s.index), lanes);
    if (lanes === 1) {
      return () => {
        const a = this.arrays[slot]!;
        const v = value() as number;
        a[place(a)] = v;
      };
    }
    return () => {
      const a = this.arrays[slot]!;
      const v = value() as readonly number[];
      const i = place(a);
      for (let lane = 0; lane < lanes; lane++) a[i + lane] = v[lane];
    };
  }
}

function lift1(f: (a: number) => number, a: Thunk, lanes: number): Thunk {
  if (lanes === 1) return () => f((a as NumThunk)());
  return () => {
    const x = (a as VecThunk)();
    return x.map((v) => f(v));
  };
}

function lift2(f: (a: number, b: number) => number, a: Thunk, b: Thunk, lanes: number): Thunk {
  if (lanes === 1) return () => f((a as NumThunk)(), (b as NumThunk)());
  return () => {
    const x = (a as VecThunk)();
    const y = (b as VecThunk)();
    return x.map((v, i) => f(v, y[i]));
  };
}

/**
 * Operands before users, how often each is used, and which nodes are evaluated whatever lazy
 * selects decide.
 */
function analyse(root: Expr): { order: Expr[]; uses: Map<Expr, number>; eager: Set<Expr> } {
  const order: Expr[] = [];
  const uses = new Map<Expr, number>([[root, 1]]);
  const stack: { e: Expr; next: number }[] = [{ e: root, next: 0 }];
  while (stack.length > 0) {
    const top = stack[stack.length - 1];
    const args = argsOf(top.e);
    if (top.next === args.length) {
      order.push(top.e);
      stack.pop();
      continue;
    }
    const arg = args[top.next++];
    const seen = uses.get(arg) ?? 0;
    uses.set(arg, seen + 1);
    if (seen === 0) stack.push({ e: arg, next: 0 });
  }
  const eager = new Set<Expr>([root]);
  for (let i = order.length - 1; i >= 0; i--) {
    const e = order[i];
    if (!eager.has(e)) continue;
    const args = argsOf(e);
    const sure = e.op === 'select' && e.lazy ? args.slice(0, 1) : args;
    for (const a of sure) eager.add(a);
  }
  return { order, uses, eager };
}

interface Compiled {
  readonly compiler: Compiler;
  readonly run: (buffers: readonly NumberBuffer[], params: readonly number[]) => void;
}

const compiled = new WeakMap<Kernel, Compiled>();

/**
 * Runs a kernel: `buffers` in the order of `kernel.buffers`, `params` in that of `kernel.params`. A
 * tiled kernel runs all its tiles in order. Scratch arrays start out as NaN (or 0x7f000001, or
 * true), so that a read of what was never written shows. Throws an `InternalError` on an index out
 * of range. Not reentrant for one kernel.
 */
export function interpretKernel(
  kernel: Kernel | TiledKernel,
  buffers: readonly NumberBuffer[],
  params: readonly number[],
  options: InterpretOptions = {},
): void {
  checkOptions('interpretKernel', options, INTERPRET_OPTIONS);
  const { name } = kernel;
  invariant(buffers.length === kernel.buffers.length, `kernel "${name}": wrong count of buffers`);
  invariant(params.length === kernel.params.length, `kernel "${name}": wrong count of params`);
  let entry = compiled.get(kernel);
  if (!entry) {
    const compiler = new Compiler(kernel);
    entry = { compiler, run: compiler.compile() };
    compiled.set(kernel, entry);
  }
  const { compiler, run } = entry;
  compiler.onFail = options.onFail;
  try {
    run(buffers, params);
  } finally {
    // The cache must not keep the memory of a run alive.
    compiler.arrays.fill(undefined);
    compiler.onFail = undefined;
  }
}
