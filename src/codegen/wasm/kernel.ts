// Turns one scheduled kernel into one function of a module: it runs one tile. Loops get pointers that
// advance instead of index arithmetic, what does not change in a loop is computed before it, and what is
// used twice is computed once. The order of floating-point operations is the IR's.

import { type Dim, dimKey, makeSym, symDim } from '../../core/dim.ts';
import { splitAffine } from '../../core/dim-affine.ts';
import { InternalError, invariant } from '../../core/error.ts';
import {
  argsOf,
  type Expr,
  type Lanes,
  type LocalExpr,
  type ScalarType,
} from '../../kernel/expr.ts';
import type {
  ForStmt,
  LetStmt,
  OutlineStmt,
  Stmt,
  TiledKernel,
  WhileStmt,
} from '../../kernel/ir.ts';
import { type ElementaryCall, expandMath, isElementary } from '../../kernel/math.ts';
import { scalarInfo, storageBytes } from '../../kernel/scalar.ts';
import type { FunctionBuilder, ModuleBuilder, ValType } from './assembler.ts';
import { emitCast } from './conversions.ts';
import { dimEmitter } from './entry-dims.ts';
import {
  emitBinary,
  emitBound,
  emitCompare,
  emitConst,
  emitLoad,
  emitSelect,
  emitShift,
  emitStore,
  emitUnary,
  laneShape,
  valType,
} from './instructions.ts';
import { KernelDims } from './kernel-dims.ts';
import {
  type BufferInfo,
  type EmittedKernel,
  type KernelEnv,
  type Known,
  MAX_OFFSET,
} from './known.ts';
import { invariantDims, invariantExprs, pointerRows } from './loops.ts';
import {
  chooseCalls,
  definition,
  type ElementaryName,
  elementaryName,
  isPair,
} from './math-calls.ts';
import { type Interface, interfaceOf } from './outlined.ts';
import { advance, type Step, setPointers } from './pointers.ts';
import { sharedCode } from './shared-code.ts';
import { emitLane, emitLaneOfFour, laneOfFour } from './shuffles.ts';
import {
  countExprs,
  countUses,
  type Effects,
  effectsOf,
  isUntouched,
  isWorthALocal,
  splitConstant,
} from './uses.ts';

/**
 * Emits a kernel. The function's parameters are i32: a byte address per buffer, the kernel's params, the
 * address of scratch, the number of the tile.
 */
export function emitKernel(
  module: ModuleBuilder,
  kernel: TiledKernel,
  env: KernelEnv,
): EmittedKernel {
  const called = chooseCalls(kernel.body);
  return new KernelEmitter(module, expandMath(kernel, called), env).run();
}

/** The index of the function of a module that computes an elementary function of its parameters. */
export function elementaryFunction(module: ModuleBuilder, name: ElementaryName): number {
  return sharedCode(module).index(name, () => {
    const [params, values] = definition(name);
    const f = module.func(name, typesOf(params), typesOf(values));
    part(module, { fail: 0, name, relaxed: false }, f).give(params, values);
    return f;
  });
}

const typesOf = (list: readonly Expr[]): ValType[] => list.map((e) => valType(e.type, e.lanes));

/** The emitter of a function that is no whole kernel. */
function part(module: ModuleBuilder, env: KernelEnv, f: FunctionBuilder): KernelEmitter {
  const { name } = env;
  const tile = makeSym('tile', 'tile');
  const nothing = { name, buffers: [], params: [], body: [], flops: 0, bytes: 0, tile, tiles: 0 };
  return new KernelEmitter(module, nothing, env, f);
}

class KernelEmitter {
  private readonly module: ModuleBuilder;
  private readonly kernel: TiledKernel;
  private readonly env: KernelEnv;
  private readonly sizes: KernelDims;
  private readonly f: FunctionBuilder;
  private readonly syms = new Map<string, number>();
  private readonly values = new Map<string, number>();
  private readonly buffers = new Map<string, BufferInfo>();
  private readonly scratchLocals = new Map<string, number>();
  private readonly scratchBase: number;
  private scratchBytes = 0;
  private known: Known = { exprs: new Map(), dims: new Map(), pointers: new Map() };
  /** How often an expression is used in the block being emitted. */
  private counts = new Map<Expr, number>();
  /** Locals that hold interleaved vectors in the block being emitted. */
  private interleaves = new Map<string, number>();

  constructor(module: ModuleBuilder, kernel: TiledKernel, env: KernelEnv, into?: FunctionBuilder) {
    this.module = module;
    this.kernel = kernel;
    this.env = env;
    const names = [
      ...kernel.buffers.map((b) => b.name),
      ...kernel.params.map((p) => p.id),
      'scratch',
      kernel.tile.id,
    ];
    const types = names.map((): ValType => 'i32');
    this.f = into ?? module.func(env.name, types, [], { paramNames: names });
    kernel.buffers.forEach((b, i) => {
      this.buffers.set(b.name, { type: b.type, local: i, offset: 0 });
    });
    kernel.params.forEach((p, i) => {
      this.syms.set(p.id, kernel.buffers.length + i);
    });
    this.scratchBase = names.length - 2;
    this.syms.set(kernel.tile.id, names.length - 1);
    const known = (): ReadonlyMap<string, number> => this.known.dims;
    this.sizes = new KernelDims(this.f, dimEmitter(module), this.syms, known, kernel.name);
  }

  run(): EmittedKernel {
    this.block(this.kernel.body);
    return { func: this.f, scratchBytes: this.scratchBytes };
  }

  /** Makes values of the function's own parameters its results. */
  give(params: readonly LocalExpr[], values: readonly Expr[]): void {
    params.forEach((p, i) => {
      this.values.set(`${p.name}:${p.type}:${p.lanes}`, i);
    });
    this.counts = countExprs(values);
    for (const value of values) this.expr(value);
  }

  /** Emits statements as the whole function: its parameters are what they take, its results what they set. */
  outlined(body: readonly Stmt[], io: Interface, bufferOf: (name: string) => BufferInfo): void {
    let local = 0;
    for (const name of io.buffers) {
      this.buffers.set(name, { type: bufferOf(name).type, local: local++, offset: 0 });
    }
    for (const id of io.syms) this.syms.set(id, local++);
    for (const { name, type, lanes } of io.locals) {
      this.values.set(`${name}:${type}:${lanes}`, local++);
    }
    this.block(body);
    for (const e of io.results) this.expr(e);
  }

  private scratch = (type: ValType, slot: number): number => {
    const key = `${type}${slot}`;
    let local = this.scratchLocals.get(key);
    if (local === undefined) {
      local = this.f.local(type, `tmp_${key}`);
      this.scratchLocals.set(key, local);
    }
    return local;
  };

  private valueLocal(name: string, type: ScalarType, lanes: Lanes): number {
    const key = `${name}:${type}:${lanes}`;
    let local = this.values.get(key);
    if (local === undefined) {
      local = this.f.local(valType(type, lanes), name);
      this.values.set(key, local);
    }
    return local;
  }

  /** Emits statements in a scope: what becomes known in it is forgotten at its end. */
  private scoped(known: Known, make: () => void): void {
    const outer = this.known;
    this.known = known;
    make();
    this.known = outer;
  }

  /** What is known, for code that may not run. */
  private copied(): Known {
    return { ...this.known, exprs: new Map(this.known.exprs) };
  }

  /** What stays known while statements with such effects run again and again. */
  private surviving(effects: Effects): Known {
    const exprs = new Map<Expr, number>();
    for (const [e, local] of this.known.exprs) if (isUntouched(e, effects)) exprs.set(e, local);
    return { exprs, dims: new Map(this.known.dims), pointers: new Map(this.known.pointers) };
  }

  private block(stmts: readonly Stmt[]): void {
    const outer = { counts: this.counts, interleaves: this.interleaves };
    this.counts = countUses(stmts);
    this.interleaves = new Map();
    for (let i = 0; i < stmts.length; i++) {
      if (isPair(stmts[i], stmts[i + 1])) this.pair(stmts[i++] as LetStmt, stmts[i] as LetStmt);
      else this.stmt(stmts[i]);
    }
    this.counts = outer.counts;
    this.interleaves = outer.interleaves;
  }

  /** Two lets of the same function by one call. */
  private pair(a: LetStmt, b: LetStmt): void {
    for (const { value } of [a, b]) for (const arg of argsOf(value)) this.expr(arg);
    const name = elementaryName(a.value as ElementaryCall, 2);
    this.f.op('call', elementaryFunction(this.module, name));
    for (const { name: local, value } of [b, a]) {
      this.f.op('local.set', this.valueLocal(local, value.type, value.lanes));
    }
  }

  private stmt(s: Stmt): void {
    const { f } = this;
    switch (s.kind) {
      case 'for':
        this.loop(s);
        return;
      case 'while':
        this.whileLoop(s);
        return;
      case 'let': {
        const local = this.valueLocal(s.name, s.value.type, s.value.lanes);
        this.expr(s.value);
        f.op('local.set', local);
        if (s.value.type === 'i32' && s.value.lanes === 1) this.syms.set(s.name, local);
        return;
      }
      case 'var':
      case 'set': {
        const value = s.kind === 'var' ? s.init : s.value;
        this.expr(value);
        f.op('local.set', this.valueLocal(s.name, value.type, value.lanes));
        this.forget({ names: new Set([s.name]), buffers: new Set() });
        return;
      }
      case 'store': {
        const b = this.buffer(s.buffer);
        const offset = this.address(s.buffer, s.index);
        this.expr(s.value);
        emitStore(f, b.type, s.value.lanes, offset, this.scratch);
        this.forget({ names: new Set(), buffers: new Set([s.buffer]) });
        return;
      }
      case 'if': {
        this.expr(s.cond);
        f.if_();
        this.scoped(this.surviving(effectsOf(s.then)), () => this.block(s.then));
        if (s.else.length > 0) {
          f.else_();
          this.scoped(this.surviving(effectsOf(s.else)), () => this.block(s.else));
        }
        f.end();
        this.forget(effectsOf([s]));
        return;
      }
      case 'array': {
        invariant(typeof s.length === 'number', `the array ${s.name} has no fixed length`);
        const bytes = s.length * scalarInfo(s.type).bytes;
        const start = this.scratchBytes;
        this.buffers.set(s.name, { type: s.type, local: this.scratchBase, offset: start });
        this.scratchBytes += (bytes + 15) & ~15;
        for (const inner of s.body) this.stmt(inner);
        return;
      }
      case 'outline':
        this.outline(s);
        return;
      case 'fail':
        this.expr(s.when);
        if (s.when.lanes !== 1) f.op('v128.any_true');
        f.if_();
        this.dim(s.code);
        f.op('call', this.env.fail).end();
        return;
      default:
        s satisfies never;
    }
  }

  /** A call of a function that has the statements. */
  private outline(s: OutlineStmt): void {
    const { f, module } = this;
    const io = interfaceOf(s.body);
    const info = (name: string): BufferInfo => this.buffer(name);
    for (const name of io.buffers) {
      const { local, offset } = info(name);
      f.op('local.get', local);
      if (offset > 0) f.op('i32.const', offset).op('i32.add');
    }
    for (const id of io.syms) this.dim(symDim(makeSym(id)));
    for (const e of io.locals) this.expr(e);
    const name = this.env.relaxed ? `${s.name}_relaxed` : s.name;
    const index = sharedCode(module).index(name, () => {
      const addresses = [...io.buffers, ...io.syms].map((): ValType => 'i32');
      const made = module.func(name, [...addresses, ...typesOf(io.locals)], typesOf(io.results));
      part(module, { ...this.env, name }, made).outlined(s.body, io, info);
      return made;
    });
    f.op('call', index);
    for (const { name: local, type, lanes } of [...io.results].reverse()) {
      f.op('local.set', this.valueLocal(local, type, lanes));
    }
    this.forget(effectsOf([s]));
  }

  private forget(effects: Effects): void {
    for (const e of this.known.exprs.keys()) {
      if (!isUntouched(e, effects)) this.known.exprs.delete(e);
    }
  }

  private loop(s: ForStmt): void {
    const { f } = this;
    const axis = this.f.local('i32', s.axis.id);
    const end = this.f.local('i32', `${s.axis.id}_end`);
    const effects = effectsOf([s]);
    this.dim(s.start);
    f.op('local.set', axis);
    this.dim(s.end);
    f.op('local.set', end);
    this.syms.set(s.axis.id, axis);
    const outerAxis = this.currentAxis;
    f.block().op('local.get', axis).op('local.get', end).op('i32.ge_s').op('br_if', 0);
    this.scoped(this.surviving(effects), () => {
      const moved = this.hoistLets(s.body, effects);
      const body = s.body.filter((x) => !moved.has(x));
      this.hoist(s, body, effects);
      const steps = this.pointers(s, body, effects);
      f.loop();
      this.scoped(this.surviving(effects), () => this.block(body));
      advance(f, steps);
      f.op('local.get', axis).op('i32.const', s.step).op('i32.add').op('local.tee', axis);
      f.op('local.get', end).op('i32.lt_s').op('br_if', 0).end();
    });
    f.end();
    this.currentAxis = outerAxis;
    this.forget(effects);
  }

  private whileLoop(s: WhileStmt): void {
    const { f } = this;
    const effects = effectsOf([s]);
    f.block().loop();
    this.scoped(this.surviving(effects), () => {
      this.expr(s.cond);
      f.op('i32.eqz').op('br_if', 1);
      this.block(s.body);
    });
    f.op('br', 0).end().end();
    this.forget(effects);
  }

  /** Emits the lets of a loop body whose values never change in the loop; returns them. */
  private hoistLets(body: readonly Stmt[], effects: Effects): Set<Stmt> {
    const moved = new Set<Stmt>();
    const names = new Set(effects.names);
    const outer = this.counts;
    for (const s of body) {
      if (s.kind !== 'let') continue;
      if (!isUntouched(s.value, { names, buffers: effects.buffers })) continue;
      // What the value uses twice is computed once here too, or a deep one would grow without bounds.
      this.counts = countExprs([s.value]);
      this.stmt(s);
      names.delete(s.name);
      moved.add(s);
    }
    this.counts = outer;
    return moved;
  }

  /** Computes before a loop what its body would compute again in each turn. */
  private hoist(s: ForStmt, body: readonly Stmt[], effects: Effects): void {
    const wanted = invariantExprs(body, effects, (e) => this.known.exprs.has(e));
    // What they share is computed once: without that the code would grow with their size as trees.
    const outer = this.counts;
    this.counts = countExprs([...wanted]);
    for (const e of wanted) {
      const local = this.f.local(valType(e.type, e.lanes), 'inv');
      this.expr(e);
      this.f.op('local.set', local);
      this.known.exprs.set(e, local);
    }
    this.counts = outer;
    for (const [key, d] of invariantDims(s.axis.id, body, effects)) {
      if (this.known.dims.has(key)) continue;
      const local = this.f.local('i32', 'dim');
      this.dim(d);
      this.f.op('local.set', local);
      this.known.dims.set(key, local);
    }
  }

  /** Sets up the pointers of a loop, and returns how they advance. */
  private pointers(s: ForStmt, body: readonly Stmt[], effects: Effects): Step[] {
    const rows = pointerRows(s.axis.id, body, effects);
    const parts = {
      f: this.f,
      buffer: (name: string) => this.buffer(name),
      dim: this.dim,
      pointers: this.known.pointers,
    };
    const steps = setPointers(s, rows, parts);
    this.currentAxis = s.axis.id;
    return steps;
  }

  private currentAxis = '';

  private buffer(name: string): BufferInfo {
    const b = this.buffers.get(name);
    if (!b) throw new InternalError(`kernel "${this.kernel.name}": no buffer ${name}`);
    return b;
  }

  /** Pushes the byte address of an element; returns the constant offset that goes with it. */
  private address(buffer: string, index: Dim): number {
    const { f } = this;
    const info = this.buffer(buffer);
    const size = storageBytes(info.type);
    const split = this.currentAxis ? splitAffine(index, this.currentAxis) : undefined;
    if (split) {
      const { base, constant } = splitConstant(split.rest);
      const key = `${buffer}:${dimKey(base)}:${dimKey(split.coef)}:${this.currentAxis}`;
      const pointer = this.known.pointers.get(key);
      if (pointer !== undefined) {
        const offset = (constant - (this.known.pointers.get(`${key}:least`) as number)) * size;
        f.op('local.get', pointer);
        if (offset < MAX_OFFSET) return offset;
        f.op('i32.const', offset).op('i32.add');
        return 0;
      }
    }
    f.op('local.get', info.local);
    if (info.offset > 0) f.op('i32.const', info.offset).op('i32.add');
    if (index !== 0) {
      this.dim(index);
      if (size > 1) f.op('i32.const', Math.log2(size)).op('i32.shl');
      f.op('i32.add');
    }
    return 0;
  }

  private dim = (d: Dim): void => this.sizes.push(d);

  /** Pushes the value of an expression. */
  private expr(e: Expr): void {
    const { f } = this;
    const known = this.known.exprs.get(e);
    if (known !== undefined) {
      f.op('local.get', known);
      return;
    }
    this.compute(e);
    if ((this.counts.get(e) ?? 0) < 2 || !isWorthALocal(e)) return;
    const local = f.local(valType(e.type, e.lanes), 'cse');
    f.op('local.tee', local);
    this.known.exprs.set(e, local);
  }

  private compute(e: Expr): void {
    const { f } = this;
    switch (e.op) {
      case 'const':
        emitConst(f, e);
        return;
      case 'dim':
        this.dim(e.dim);
        return;
      case 'let':
      case 'var':
        f.op('local.get', this.valueLocal(e.name, e.type, e.lanes));
        return;
      case 'load': {
        emitLoad(f, this.buffer(e.buffer).type, e.lanes, this.address(e.buffer, e.index));
        return;
      }
      case 'unary':
        this.expr(e.args[0]);
        if (this.call(e)) return;
        emitUnary(f, e.fn, e.args[0].type, e.lanes, this.scratch);
        return;
      case 'binary':
        this.expr(e.args[0]);
        if (emitShift(f, e)) return;
        this.expr(e.args[1]);
        if (this.call(e)) return;
        if (!emitBound(f, e)) emitBinary(f, e.fn, e.type, e.lanes, this.scratch);
        return;
      case 'compare':
        this.expr(e.args[0]);
        this.expr(e.args[1]);
        emitCompare(f, e.fn, e.args[0].type, e.lanes);
        return;
      case 'select':
        emitSelect(
          f,
          e,
          (x) => this.expr(x),
          (make) => this.scoped(this.copied(), make),
          this.scratch,
        );
        return;
      case 'madd':
        this.madd(e.args, e.lanes);
        return;
      case 'cast':
        this.expr(e.args[0]);
        emitCast(f, e.args[0].type, e.type, e.lanes, this.scratch);
        return;
      case 'bitcast':
        this.expr(e.args[0]);
        if (e.lanes === 1) f.op(`${e.type}.reinterpret_${e.args[0].type}`);
        return;
      case 'splat':
        this.splat(e.args[0], e.lanes);
        return;
      case 'pack': {
        const taken = laneOfFour(e);
        if (taken) {
          emitLaneOfFour(f, taken, (x) => this.expr(x), this.interleaves);
          return;
        }
        this.splat(e.args[0], e.lanes);
        for (let lane = 1; lane < e.lanes; lane++) {
          emitLane(f, e.args[lane], e.lanes, (x) => this.expr(x));
          f.op(`${laneShape(e.type, e.lanes)}.replace_lane`, lane);
        }
        return;
      }
      case 'extract':
        this.expr(e.args[0]);
        f.op(`${laneShape(e.type, e.args[0].lanes)}.extract_lane`, e.lane);
        if (e.type !== 'bool') return;
        if (e.args[0].lanes === 2) f.op('i64.const', 0n).op('i64.ne');
        else f.op('i32.const', 0).op('i32.ne');
        return;
      default:
        e satisfies never;
    }
  }

  /** Calls an elementary function that was not expanded. */
  private call(e: Expr): boolean {
    if (!isElementary(e)) return false;
    this.f.op('call', elementaryFunction(this.module, elementaryName(e)));
    return true;
  }

  private madd([a, b, c]: readonly [Expr, Expr, Expr], lanes: Lanes): void {
    const { f } = this;
    this.expr(a);
    this.expr(b);
    const relaxed = this.env.relaxed && lanes !== 1;
    if (!relaxed) emitBinary(f, 'mul', a.type, lanes, this.scratch);
    this.expr(c);
    if (relaxed) f.op(`${laneShape(a.type, lanes)}.relaxed_madd`);
    else emitBinary(f, 'add', a.type, lanes, this.scratch);
  }

  private splat(e: Expr, lanes: Lanes): void {
    if (
      e.op === 'load' &&
      this.buffer(e.buffer).type === e.type &&
      e.type !== 'bool' &&
      !this.known.exprs.has(e) &&
      (this.counts.get(e) ?? 0) < 2
    ) {
      const offset = this.address(e.buffer, e.index);
      const { bytes } = scalarInfo(e.type);
      this.f.op(`v128.load${8 * bytes}_splat`, offset, bytes);
      return;
    }
    emitLane(this.f, e, lanes, (x) => this.expr(x));
    this.f.op(`${laneShape(e.type, lanes)}.splat`);
  }
}
