// The module of a plan: one function per kernel, one entry per device segment that runs its steps
// without a return to JavaScript. Steps read sizes and addresses from the parameter block, so that
// buffers may move between runs. Loop turns are functions of their own: V8 swaps optimised code in
// only at a call, and a long loop must speed up midway.

import { type Dim, symDim } from '../../core/dim.ts';
import { dtypeInfo } from '../../core/dtype.ts';
import type { Kernel, Stmt, TiledKernel } from '../../kernel/ir.ts';
import type {
  BranchStep,
  BufferView,
  CheckStep,
  KernelStep,
  LoopStep,
  Plan,
  ReserveStep,
  Step,
} from '../../plan/types.ts';
import { type FunctionBuilder, ModuleBuilder } from './assembler.ts';
import { type BlockLayout, NO_FAIL, STATUS, walkSteps } from './block.ts';
import { DimEmitter } from './entry-dims.ts';
import { emitJobs, type Launch } from './jobs.ts';
import { sharedCode } from './shared-code.ts';

/** What makes kernels ready for the CPU and turns them into functions of a module. */
export interface KernelCompiler {
  /** Tells its code from that of others. */
  readonly name: string;
  schedule(kernel: Kernel): TiledKernel;
  emit(
    module: ModuleBuilder,
    kernel: TiledKernel,
    env: { fail: number; name: string },
  ): { func: FunctionBuilder; scratchBytes: number };
}

/** Where the module is going to run. */
export interface ModuleTarget {
  /** Limits of the memory in pages; shared memories have threads. */
  readonly memory: { readonly min: number; readonly max: number; readonly shared: boolean };
  /** Byte addresses of the parameter block and of the device's control block. */
  readonly block: number;
  readonly control: number;
  /** Number of the module on the job board. */
  readonly id: number;
}

/**
 * A compiled plan. The module imports `env.memory`, `env.poll: () -> status` and
 * `env.reserve: (buffer, elements) -> ()`, and exports `run0`, `run1`, … (one per device segment,
 * `() -> status`) and, for threads, `work` (see `jobs.ts`).
 */
export interface PlanModule {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Bytes of scratch that one thread needs. */
  readonly scratchBytes: number;
  /** The text of a kernel's function. */
  source(kernel: number): string;
}

/** More steps than this go into functions of their own, which keeps compile times linear. */
const STEPS_PER_FUNCTION = 48;

/** Turns of loops and tiles of kernels between two polls of deadline and abort. */
const TICKS_PER_POLL = 1024;

/** Compiles a plan. */
export function buildPlanModule(
  plan: Plan,
  layout: BlockLayout,
  target: ModuleTarget,
  compiler: KernelCompiler,
): PlanModule {
  return new Entry(plan, layout, target, compiler).build();
}

/** Whether a kernel contains a `fail` statement. */
export function canFail(kernel: Kernel): boolean {
  const inside = (body: readonly Stmt[]): boolean =>
    body.some(
      (s) =>
        s.kind === 'fail' ||
        (s.kind === 'if' && (inside(s.then) || inside(s.else))) ||
        ('body' in s && inside(s.body)),
    );
  return inside(kernel.body);
}

/** Position of the first step that writes a variable. */
export function firstWrite(plan: Plan): number {
  let first = Number.POSITIVE_INFINITY;
  walkSteps(plan, (step) => {
    if (step.kind !== 'kernel') return;
    const { buffers } = plan.kernels[step.kernel];
    const writes = step.views.some(
      (v, i) => buffers[i].access !== 'read' && plan.buffers[v.buffer].kind === 'variable',
    );
    if (writes) first = Math.min(first, step.position);
  });
  return first;
}

class Entry {
  readonly #plan: Plan;
  readonly #layout: BlockLayout;
  readonly #target: ModuleTarget;
  readonly #compiler: KernelCompiler;
  readonly #module = new ModuleBuilder();
  readonly #dims: DimEmitter;
  readonly #firstWrite: number;
  #launches: Launch[] = [];
  #poll = 0;
  #reserve = 0;
  #fail = 0;
  #tick = 0;
  #names = 0;

  constructor(plan: Plan, layout: BlockLayout, target: ModuleTarget, compiler: KernelCompiler) {
    this.#plan = plan;
    this.#layout = layout;
    this.#target = target;
    this.#compiler = compiler;
    this.#dims = new DimEmitter(this.#module);
    this.#firstWrite = firstWrite(plan);
  }

  build(): PlanModule {
    const module = this.#module;
    module.importMemory('env', 'memory', this.#target.memory);
    this.#poll = module.importFunc('env', 'poll', [], ['i32']);
    this.#reserve = module.importFunc('env', 'reserve', ['i32', 'i32'], []);
    this.#fail = this.#emitFail();
    this.#tick = this.#emitTick();
    let scratchBytes = 0;
    const kernels = this.#plan.kernels.map((kernel, i) => {
      const tiled = this.#compiler.schedule(kernel);
      const env = { fail: this.#fail, name: `k${i}_${kernel.name}` };
      const { func, scratchBytes: bytes } = this.#compiler.emit(module, tiled, env);
      scratchBytes = Math.max(scratchBytes, bytes);
      return { tiled, func: func.index, calls: () => func.callees };
    });
    this.#launches = emitJobs(module, this.#dims, this.#layout, this.#target, kernels);
    let runs = 0;
    for (const segment of this.#plan.segments) {
      if (segment.kind !== 'device') continue;
      const f = module.func(`run${runs++}`, [], ['i32'], { export: true });
      this.#steps(f, segment.steps, false);
      f.op('i32.const', STATUS.ok);
    }
    return {
      bytes: module.toBytes(),
      scratchBytes,
      source: (kernel) => {
        const { func, calls } = kernels[kernel];
        // With what it has in common with other kernels, such as the loop that multiplies.
        const shared = [...new Set(calls())].filter((f) => sharedCode(module).nameAt(f));
        return [func, ...shared].map((f) => module.funcWat(f)).join('\n');
      },
    };
  }

  /** `fail(code)` keeps the lowest code, so that the error does not depend on the order of tiles. */
  #emitFail(): number {
    const f = this.#module.func('fail', ['i32'], [], { paramNames: ['code'] });
    const at = this.#word(this.#layout.fail);
    const shared = this.#target.memory.shared;
    if (!shared) {
      f.op('local.get', 0).op('i32.const', 0).op('i32.load', at).op('i32.lt_u').if_();
      f.op('i32.const', 0).op('local.get', 0).op('i32.store', at).end();
      return f.index;
    }
    const old = f.local('i32', 'old');
    f.block().loop();
    f.op('local.get', 0).op('i32.const', 0).op('i32.atomic.load', at).op('local.tee', old);
    f.op('i32.ge_u').op('br_if', 1);
    f.op('i32.const', 0).op('local.get', old).op('local.get', 0);
    f.op('i32.atomic.rmw.cmpxchg', at).op('local.get', old).op('i32.ne').op('br_if', 0);
    f.end().end();
    return f.index;
  }

  /** `tick(n)` counts work and now and then asks the host whether to go on. */
  #emitTick(): number {
    const ticks = this.#module.global('i32', 0, true, 'ticks');
    const f = this.#module.func('tick', ['i32'], ['i32'], { paramNames: ['n'] });
    f.op('global.get', ticks).op('local.get', 0).op('i32.add').op('local.tee', 0);
    f.op('global.set', ticks).op('local.get', 0).op('i32.const', TICKS_PER_POLL).op('i32.ge_u');
    f.if_().op('i32.const', 0).op('global.set', ticks).op('call', this.#poll).op('return').end();
    f.op('i32.const', STATUS.ok);
    return f.index;
  }

  #word(word: number): number {
    return this.#target.block + 4 * word;
  }

  #loadWord(f: FunctionBuilder, word: number): void {
    f.op('i32.const', 0).op('i32.load', this.#word(word));
  }

  #dim(f: FunctionBuilder, dim: Dim): void {
    this.#dims.push(f, dim, (g, id) => this.#loadWord(g, this.#layout.sym(id)));
  }

  #setSym(f: FunctionBuilder, id: string, value: () => void): void {
    f.op('i32.const', 0);
    value();
    f.op('i32.store', this.#word(this.#layout.sym(id)));
  }

  #address(f: FunctionBuilder, view: BufferView): void {
    this.#loadWord(f, this.#layout.buffer(view.buffer));
    if (view.offset === 0) return;
    this.#dim(f, view.offset);
    const { bytes } = dtypeInfo(this.#plan.buffers[view.buffer].dtype);
    if (bytes !== 1) f.op('i32.const', bytes).op('i32.mul');
    f.op('i32.add');
  }

  /** Returns the status on the stack unless it is 0. */
  #returnUnlessOk(f: FunctionBuilder): void {
    const status = f.local('i32', 'status');
    f.op('local.tee', status).if_().op('local.get', status).op('return').end();
  }

  #steps(f: FunctionBuilder, steps: readonly Step[], inLoop: boolean): void {
    if (steps.length <= STEPS_PER_FUNCTION) {
      for (const step of steps) this.#step(f, step, inLoop);
      return;
    }
    for (let i = 0; i < steps.length; i += STEPS_PER_FUNCTION) {
      const part = this.#module.func(`part${this.#names++}`, [], ['i32']);
      this.#steps(part, steps.slice(i, i + STEPS_PER_FUNCTION), inLoop);
      part.op('i32.const', STATUS.ok);
      f.op('call', part.index);
      this.#returnUnlessOk(f);
    }
  }

  #step(f: FunctionBuilder, step: Step, inLoop: boolean): void {
    switch (step.kind) {
      case 'kernel':
        this.#kernel(f, step, inLoop);
        break;
      case 'bind':
        this.#setSym(f, step.sym.id, () => {
          this.#address(f, step.view);
          f.op('i32.load', 0);
        });
        break;
      case 'let':
        this.#setSym(f, step.sym.id, () => this.#dim(f, step.value));
        break;
      case 'check':
        this.#check(f, step);
        break;
      case 'loop':
        this.#loop(f, step);
        break;
      case 'branch':
        this.#branch(f, step, inLoop);
        break;
      case 'reserve':
        this.#grow(f, step);
        break;
      default:
        step satisfies never;
    }
  }

  #kernel(f: FunctionBuilder, step: KernelStep, inLoop: boolean): void {
    const launch = this.#launches[step.kernel];
    for (const view of step.views) this.#address(f, view);
    for (const arg of step.args) this.#dim(f, arg);
    f.op('call', launch.func);
    if (launch.counts) {
      // No polls once variables are being written outside loops: a run that is nearly done would
      // have to be undone.
      if (inLoop || step.position < this.#firstWrite) {
        f.op('call', this.#tick);
        this.#returnUnlessOk(f);
      } else {
        f.op('drop');
      }
    }
    if (canFail(this.#plan.kernels[step.kernel])) {
      this.#loadWord(f, this.#layout.fail);
      f.op('i32.const', NO_FAIL).op('i32.ne').if_();
      f.op('i32.const', STATUS.check).op('return').end();
    }
  }

  #check(f: FunctionBuilder, { constraint, code }: CheckStep): void {
    const a = f.local('i32');
    const b = f.local('i32');
    this.#dim(f, constraint.a);
    f.op('local.set', a);
    this.#dim(f, constraint.b);
    f.op('local.set', b);
    f.op('local.get', a).op('local.get', b);
    f.op(constraint.kind === 'le' ? 'i32.gt_s' : 'i32.ne');
    if (constraint.kind === 'bcast') {
      for (const x of [a, b]) f.op('local.get', x).op('i32.const', 1).op('i32.ne').op('i32.and');
    }
    f.if_().op('i32.const', code).op('call', this.#fail);
    f.op('i32.const', STATUS.check).op('return').end();
  }

  /** A turn is a function that returns 0 to go on, -1 where the predicate is false, or a status. */
  #loop(f: FunctionBuilder, step: LoopStep): void {
    const counter = step.counter.id;
    const turn = this.#module.func(`turn${this.#names++}_${counter}`, [], ['i32']);
    if (step.cond) {
      this.#steps(turn, step.cond.steps, true);
      this.#address(turn, step.cond.predicate);
      turn.op('i32.load8_u', 0).op('i32.eqz').if_();
      turn.op('i32.const', -1).op('return').end();
    }
    this.#steps(turn, step.body, true);
    this.#setSym(turn, counter, () => {
      this.#dim(turn, symOf(step));
      turn.op('i32.const', 1).op('i32.add');
    });
    turn.op('i32.const', 1).op('call', this.#tick);

    this.#setSym(f, counter, () => f.op('i32.const', 0));
    const status = f.local('i32', 'status');
    let limit = -1;
    if (step.limit !== null) {
      limit = f.local('i32', 'limit');
      this.#dim(f, step.limit);
      f.op('local.set', limit);
    }
    f.block().loop();
    if (limit >= 0) {
      this.#dim(f, symOf(step));
      f.op('local.get', limit).op('i32.ge_s').op('br_if', 1);
    }
    f.op('call', turn.index).op('local.tee', status).op('i32.eqz').op('br_if', 0);
    f.op('local.get', status).op('i32.const', -1).op('i32.eq').op('br_if', 1);
    f.op('local.get', status).op('return');
    f.end().end();
    if (step.trip) this.#setSym(f, step.trip.id, () => this.#dim(f, symOf(step)));
  }

  #branch(f: FunctionBuilder, step: BranchStep, inLoop: boolean): void {
    const count = step.branches.length;
    const index = f.local('i32', 'branch');
    this.#address(f, step.selector);
    if (step.selectorType === 'bool') f.op('i32.load8_u', 0).op('i32.eqz');
    else f.op('i32.load', 0);
    f.op('local.set', index);
    f.block();
    for (let i = 0; i < count; i++) f.block();
    // As unsigned ones, negative numbers are beyond the last branch too, and take it.
    f.op('local.get', index);
    const labels = Array.from({ length: count }, (_, i) => i);
    f.op('br_table', labels.slice(0, -1), count - 1);
    step.branches.forEach((branch, i) => {
      f.end();
      this.#steps(f, branch, inLoop);
      f.op('br', count - 1 - i);
    });
    f.end();
  }

  #grow(f: FunctionBuilder, step: ReserveStep): void {
    const wanted = f.local('i32', 'elements');
    this.#loadWord(f, this.#layout.capacity(step.buffer));
    this.#dim(f, step.elements);
    f.op('local.tee', wanted).op('i32.lt_u').if_();
    f.op('i32.const', step.buffer).op('local.get', wanted).op('call', this.#reserve).end();
  }
}

function symOf(step: LoopStep): Dim {
  return symDim(step.counter);
}
