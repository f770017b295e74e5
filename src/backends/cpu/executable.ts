// A plan compiled for the CPU and its runs: binds feeds, sizes and addresses in the parameter block,
// calls the entries of device segments and the user's functions between them, and copies results
// out. Invariant: whatever ends a run early, variables that a check guards are as before.

import { STATUS } from '../../codegen/wasm/block.ts';
import type { ModuleTarget, PlanModule } from '../../codegen/wasm/entry.ts';
import type { Dim } from '../../core/dim.ts';
import { evalDim } from '../../core/dim-value.ts';
import {
  AbortedError,
  ExecutionError,
  InternalError,
  StateError,
  TensorloomError,
  TimeoutError,
} from '../../core/error.ts';
import { type HostTensor, sizeOf } from '../../core/ndarray.ts';
import type { HostStep, Plan, PlanBuffer } from '../../plan/types.ts';
import type { DeviceValue, Executable, ExecutableStats, RunBindings } from '../backend.ts';
import { asyncHostError, callHost } from '../host-call.ts';
import { estimateTime, type Risks, risksOf, variableShape } from './analysis.ts';
import { type Layout, LayoutCache, type RegionPool, type RunRegion } from './arena.ts';
import { Frame } from './frame.ts';
import type { DeviceMemory } from './memory.ts';
import type { PlanStorage } from './storage.ts';
import { type ThreadPool, WORTH_WAKING_NS } from './threads.ts';
import { CpuValue } from './value.ts';
import type { Variables, WriteRequest, WriteSet } from './variables.ts';

/** What an executable needs of its device. */
export interface DeviceParts {
  readonly memory: DeviceMemory;
  readonly variables: Variables;
  readonly regions: RegionPool;
  /** Address of the control block. */
  readonly control: number;
  /** Makes the scratch of each thread hold at least so many bytes. */
  reserveScratch(bytes: number): void;
  /** The threads besides the calling one, if there are any. */
  readonly threads: ThreadPool | undefined;
}

/** What is in progress: the run's bindings and where its buffers are. */
interface Run {
  readonly bindings: RunBindings;
  readonly layout: Layout;
  readonly region: RunRegion;
  readonly writes: WriteSet | undefined;
  /** Storage of the results that outlive the run; undefined where they are copied to the host. */
  readonly kept: number[] | undefined;
  /** When the run began or was first polled; 0 where nothing has asked for the time. */
  started: number;
  /** Whether the calling thread has the run to itself. */
  alone: boolean;
}

/** A plan's place on a device, for which its module is then built. */
export interface Place {
  readonly storage: PlanStorage;
  readonly target: ModuleTarget;
}

interface Written {
  readonly name: string;
  readonly buffer: PlanBuffer;
  readonly dims: readonly Dim[] | undefined;
}

/** A plan that runs as WebAssembly. */
export class CpuExecutable implements Executable {
  readonly #parts: DeviceParts;
  readonly #plan: Plan;
  readonly #storage: PlanStorage;
  readonly #id: number;
  readonly #frame: Frame;
  readonly #layouts: LayoutCache;
  readonly #risks: Risks;
  /** The variables that a run writes, with their shapes where the plan's function tells them. */
  readonly #written: readonly Written[];
  readonly #entries: (() => number)[] = [];
  readonly #source: (kernel: number) => string;
  /** Whether a run never leaves the device, so that it needs no coroutine. */
  readonly #direct: boolean;
  #run: Run | undefined;
  #disposed = false;
  #arenaBytes = 0;
  #arenaLowerBound = 0;

  constructor(plan: Plan, parts: DeviceParts, { storage, target }: Place, built: PlanModule) {
    this.#plan = plan;
    this.#parts = parts;
    const { memory } = parts;
    this.#storage = storage;
    this.#frame = new Frame(plan, this.#storage, memory);
    this.#layouts = new LayoutCache(plan);
    this.#direct = plan.segments.every((s) => s.kind === 'device');
    this.#risks = risksOf(plan);
    this.#written = plan.writes.flatMap((name) => {
      const buffer = plan.buffers.find((b) => b.variable === name);
      return buffer ? [{ name, buffer, dims: variableShape(plan.func, name) }] : [];
    });
    this.#id = target.id;
    this.#source = built.source;
    parts.reserveScratch(built.scratchBytes);
    const module = new WebAssembly.Module(built.bytes);
    const { exports } = new WebAssembly.Instance(module, {
      env: {
        memory: memory.memory,
        poll: () => this.#poll(),
        reserve: (buffer: number, elements: number) =>
          this.#storage.reserve(buffer, elements >>> 0),
      },
    });
    for (let i = 0; ; i++) {
      const entry = exports[`run${i}`];
      if (typeof entry !== 'function') break;
      this.#entries.push(entry as () => number);
    }
    parts.threads?.add(this.#id, module);
  }

  run(bindings: RunBindings): HostTensor[] | Promise<HostTensor[]> {
    return this.#start(bindings, false) as HostTensor[] | Promise<HostTensor[]>;
  }

  keep(bindings: RunBindings): DeviceValue[] | Promise<DeviceValue[]> {
    return this.#start(bindings, true) as CpuValue[] | Promise<CpuValue[]>;
  }

  runSync(bindings: RunBindings): HostTensor[] {
    return this.#startSync(bindings, false) as HostTensor[];
  }

  keepSync(bindings: RunBindings): DeviceValue[] {
    return this.#startSync(bindings, true) as CpuValue[];
  }

  stats(): ExecutableStats {
    return {
      kernels: this.#plan.kernels.length,
      segments: this.#plan.segments.length,
      arenaBytes: this.#arenaBytes,
      arenaLowerBound: this.#arenaLowerBound,
      slotBytes: this.#storage.slotBytes,
    };
  }

  source(kernel: number): string {
    return this.#source(kernel);
  }

  dispose(): void {
    if (this.#disposed) return;
    if (this.#run) throw this.#busy('dispose');
    this.#disposed = true;
    this.#parts.threads?.remove(this.#id);
    this.#storage.dispose();
  }

  #start(bindings: RunBindings, keep: boolean): Results | Promise<Results> {
    if (this.#direct) return this.#runDirect(bindings, keep);
    const steps = this.#execute(bindings, keep);
    const first = steps.next();
    return first.done ? first.value : this.#finish(steps, first.value);
  }

  #startSync(bindings: RunBindings, keep: boolean): Results {
    if (this.#direct) return this.#runDirect(bindings, keep);
    const steps = this.#execute(bindings, keep);
    const first = steps.next();
    if (first.done) return first.value;
    // The function's own failure has nobody left to hear of it.
    first.value.promise.catch(() => {});
    steps.throw(asyncHostError(first.value.step));
    throw new InternalError('a run went on after its end');
  }

  async #finish(steps: Steps, first: Waiting): Promise<Results> {
    let waiting = first;
    for (;;) {
      let next: IteratorResult<Waiting, Results>;
      try {
        next = steps.next(await waiting.promise);
      } catch (error) {
        next = steps.throw(error);
      }
      if (next.done) return next.value;
      waiting = next.value;
    }
  }

  #runDirect(bindings: RunBindings, keep: boolean): Results {
    const run = this.#begin(bindings, keep);
    let done = false;
    try {
      for (let i = 0; i < this.#entries.length; i++) this.#device(this.#entries[i], run);
      const results = this.#results(run);
      done = true;
      return results;
    } finally {
      this.#end(run, done);
    }
  }

  /** A run; yields where it must wait for a host function, and gets what that gave. */
  *#execute(bindings: RunBindings, keep: boolean): Steps {
    const storage = this.#storage;
    const held = bindings.feeds.filter((v) => v instanceof CpuValue);
    const run = this.#begin(bindings, keep);
    for (const value of held) value.retain();
    let done = false;
    try {
      let entry = 0;
      for (const segment of this.#plan.segments) {
        if (segment.kind === 'device') {
          this.#device(this.#entries[entry++], run);
          continue;
        }
        if (segment.kind !== 'host') throw new InternalError('the CPU places nothing elsewhere');
        const { step } = segment;
        const inputs = step.inputs.map(({ view, type }) => storage.read(view, type));
        const out = callHost(step, inputs, (id) => storage.value(id));
        const values = out instanceof Promise ? yield { step, promise: out } : out;
        step.outputs.forEach(({ view }, i) => storage.write(view, values[i], step.node));
        this.#throwIfEnded(this.#poll(), run);
      }
      const results = this.#results(run);
      done = true;
      return results;
    } finally {
      for (const value of held) value.release();
      this.#end(run, done);
    }
  }

  #results({ kept }: Run): Results {
    return kept ? this.#frame.takeKept(kept) : this.#frame.read();
  }

  #end(run: Run, done: boolean): void {
    if (done) {
      run.writes?.commit();
      if (run.started !== 0) this.#learnTime(run);
    } else {
      run.writes?.undo();
      if (run.kept) this.#frame.freeKept(run.kept);
    }
    this.#parts.regions.give(run.region);
    this.#run = undefined;
  }

  #begin(bindings: RunBindings, keep: boolean): Run {
    if (this.#disposed) throw new StateError('run/disposed', 'the executable is disposed.');
    if (this.#run) throw this.#busy('run');
    const plan = this.#plan;
    const { regions, variables, threads } = this.#parts;
    for (const name of plan.reads) variables.get(name);
    const layout = this.#layouts.get(bindings.sizes);
    const region = regions.take(layout.regionBytes);
    let writes: WriteSet | undefined;
    let kept: number[] | undefined;
    try {
      // All that may make the memory grow comes before the frame takes views of it.
      if (this.#written.length > 0) writes = variables.begin(this.#writeRequests(bindings, layout));
      if (keep) kept = this.#frame.reserveKept(layout);
      this.#frame.bind(
        bindings,
        layout,
        region,
        (name) => writes?.address(name) ?? variables.get(name).address,
      );
      if (kept) this.#frame.bindKept(kept);
      const run: Run = { bindings, layout, region, writes, kept, started: 0, alone: true };
      this.#run = run;
      if (layout.arenaBytes > this.#arenaBytes) this.#arenaBytes = layout.arenaBytes;
      if (layout.arenaLowerBound > this.#arenaLowerBound) {
        this.#arenaLowerBound = layout.arenaLowerBound;
      }
      if (bindings.deadline !== undefined || bindings.signal !== undefined) {
        this.#throwIfEnded(this.#poll(), run);
      }
      if (threads) {
        const work = layout.time ?? this.#estimate(layout);
        if (work >= WORTH_WAKING_NS) {
          run.started ||= performance.now();
          run.alone = threads.wake(this.#id, work);
        }
      }
      return run;
    } catch (error) {
      writes?.undo();
      if (kept) this.#frame.freeKept(kept);
      regions.give(region);
      this.#run = undefined;
      throw error;
    }
  }

  #writeRequests(bindings: RunBindings, layout: Layout): WriteRequest[] {
    const { checks, polls, writes } = this.#risks;
    const ends = bindings.deadline !== undefined || bindings.signal !== undefined;
    const last = ends ? Math.max(checks, polls) : checks;
    return this.#written.map(({ name, buffer, dims }) => {
      const elements = layout.elements[buffer.id];
      const old = this.#parts.variables.shape(name);
      let shape = dims?.map((d) => evalDim(d, (id) => startValue(this.#plan, bindings, id)));
      shape ??= old && sizeOf(old) === elements ? [...old] : [elements];
      const keep = (writes.get(name) ?? Number.POSITIVE_INFINITY) <= last;
      return { name, dtype: buffer.dtype, shape, keep };
    });
  }

  #device(entry: () => number, run: Run): void {
    let status: number;
    try {
      status = entry();
    } catch (error) {
      // What an import threw, such as OutOfMemoryError, is no trap.
      if (error instanceof TensorloomError) throw error;
      this.#parts.threads?.halt();
      throw new InternalError('the code of a plan trapped', { cause: error });
    }
    if (status === STATUS.check) throw this.#checkError();
    this.#throwIfEnded(status, run);
  }

  #checkError(): ExecutionError {
    const code = this.#storage.failCode;
    const check = this.#plan.checks[code];
    if (!check) throw new InternalError(`a check failed with the unknown code ${code}`);
    const { op, node, site } = check;
    return new ExecutionError('run/check', check.message, { op, node, site });
  }

  #throwIfEnded(status: number, run: Run): void {
    if (status === STATUS.timeout) {
      const took = Math.round(performance.now() - run.started);
      throw new TimeoutError(
        'run/timeout',
        `the run was not done after ${took} ms. Raise timeoutMs, or look for a loop that never ends.`,
      );
    }
    if (status === STATUS.aborted) {
      throw new AbortedError('run/aborted', 'the run was ended by its signal.', {
        cause: run.bindings.signal?.reason,
      });
    }
  }

  /** Called by the entry now and then. */
  #poll(): number {
    const run = this.#run;
    if (!run) return STATUS.ok;
    const { bindings } = run;
    if (bindings.signal?.aborted) return STATUS.aborted;
    const now = performance.now();
    if (run.started === 0) run.started = now;
    if (bindings.deadline !== undefined && now > bindings.deadline) return STATUS.timeout;
    // A run that has taken long is going to go on: that may be worth waking the threads for.
    const spent = (now - run.started) * 1e6;
    if (this.#parts.threads?.wakeIfMissed(this.#id, spent) === false) run.alone = false;
    return STATUS.ok;
  }

  /** What a run has taken on one thread tells more than an estimate of its operations. */
  #learnTime({ layout, started, alone }: Run): void {
    const now = performance.now();
    this.#parts.threads?.ended(now);
    const took = (now - started) * 1e6;
    if (alone && took < (layout.time ?? this.#estimate(layout))) layout.time = took;
  }

  #estimate(layout: Layout): number {
    layout.time = estimateTime(this.#plan, (id) => this.#storage.value(id) ?? 0);
    return layout.time;
  }

  #busy(what: string): StateError {
    return new StateError(
      'run/busy',
      `${what}: a run of the same plan is waiting for a host function. Await it first.`,
    );
  }
}

interface Waiting {
  readonly step: HostStep;
  readonly promise: Promise<HostTensor[]>;
}
type Results = HostTensor[] | CpuValue[];
type Steps = Generator<Waiting, Results, HostTensor[]>;

function startValue(plan: Plan, bindings: RunBindings, id: string): number {
  const i = plan.startSyms.findIndex(({ sym }) => sym.id === id);
  if (i < 0) throw new InternalError(`the shape of a variable depends on "${id}"`);
  return bindings.sizes[i];
}
