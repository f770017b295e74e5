// A whole backend from six functions: memory, copies, and kernels. It walks the steps of plans, keeps
// variables, grows tapes and calls the host; the target only compiles and launches. Memory is given out
// anew for each run, which is simple rather than fast. Invariant: variables change when a run has ended
// well, all together.

import type { Dim } from '../core/dim.ts';
import { evalDim } from '../core/dim-value.ts';
import type { DType, TypedArray } from '../core/dtype.ts';
import {
  AbortedError,
  ExecutionError,
  InternalError,
  StateError,
  TimeoutError,
  UnsupportedError,
} from '../core/error.ts';
import { type HostTensor, ndarrayOf, sizeOf } from '../core/ndarray.ts';
import type { TensorType } from '../core/type.ts';
import { constraintHolds } from '../graph/constraint.ts';
import type { Kernel } from '../kernel/ir.ts';
import { type BufferView, type HostStep, type Plan, RUN_SYM, type Step } from '../plan/types.ts';
import type { Backend, Device, DeviceValue, Executable, RunBindings } from './backend.ts';
import { chosenBranch } from './chosen-branch.ts';
import { variableShape } from './cpu/analysis.ts';
import { callHost } from './host-call.ts';
import { uninitialized } from './variable-error.ts';

/** What a kernel is bound to: elements of a target's memory from `offset` on. */
export interface Binding<Memory> {
  readonly memory: Memory;
  readonly offset: number;
}

/** A device as {@link backendFromKernels} needs it. `Memory` and `Compiled` are the target's own. */
export interface KernelTarget<Memory, Compiled> {
  readonly name: string;
  /** Memory for so many elements, with any contents. */
  alloc(dtype: DType, elements: number): Memory;
  free(memory: Memory): void;
  /** Copies host elements to memory, from element `at` on. */
  write(memory: Memory, at: number, data: TypedArray): void;
  /** Copies elements to the host, as the dtype's typed array. */
  read(
    memory: Memory,
    dtype: DType,
    at: number,
    elements: number,
  ): TypedArray | Promise<TypedArray>;
  /** Prepares a kernel, once per plan. Throws UnsupportedError for what the device can't do. */
  compile(kernel: Kernel): Compiled | Promise<Compiled>;
  /**
   * Runs a kernel on what its buffers are bound to, with the values of its params. Gives the code of a
   * `fail` statement whose condition held, if any did. Launches take effect in order.
   */
  launch(
    kernel: Compiled,
    buffers: readonly Binding<Memory>[],
    params: readonly number[],
  ): number | undefined | Promise<number | undefined>;
}

/** Makes a backend of a target. Runs are asynchronous. */
export function backendFromKernels<M, C>(target: KernelTarget<M, C>): Backend {
  return {
    name: target.name,
    capabilities: { sync: false, kernels: true },
    open: () => new KernelDevice(target),
  };
}

/** A value in a target's memory. */
interface Stored<M> {
  readonly memory: M;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

class KernelValue<M, C> implements DeviceValue {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly #target: KernelTarget<M, C>;
  #memory: M | undefined;

  constructor(target: KernelTarget<M, C>, { memory, dtype, shape }: Stored<M>) {
    this.#target = target;
    this.#memory = memory;
    this.dtype = dtype;
    this.shape = shape;
  }

  get memory(): M {
    if (this.#memory === undefined)
      throw new InternalError('a device value was used after its end');
    return this.#memory;
  }

  async read(): Promise<HostTensor> {
    return await readValue(this.#target, this.memory, 0, this.dtype, this.shape);
  }

  dispose(): void {
    if (this.#memory !== undefined) this.#target.free(this.#memory);
    this.#memory = undefined;
  }
}

async function readValue<M, C>(
  target: KernelTarget<M, C>,
  memory: M,
  at: number,
  dtype: DType,
  shape: readonly number[],
): Promise<HostTensor> {
  const data = await target.read(memory, dtype, at, sizeOf(shape));
  return ndarrayOf(dtype, shape, data);
}

class KernelDevice<M, C> implements Device {
  readonly ready = Promise.resolve();
  readonly target: KernelTarget<M, C>;
  readonly variables = new Map<string, Stored<M>>();

  constructor(target: KernelTarget<M, C>) {
    this.target = target;
  }

  compile(plan: Plan): Executable {
    return new KernelExecutable(plan, this);
  }

  put(value: HostTensor): DeviceValue {
    return new KernelValue(this.target, this.store(value));
  }

  store({ dtype, shape, data }: HostTensor): Stored<M> {
    const memory = this.target.alloc(dtype, data.length);
    this.target.write(memory, 0, data);
    return { memory, dtype, shape: [...shape] };
  }

  hasVariable(name: string): boolean {
    return this.variables.has(name);
  }

  readVariable(name: string): HostTensor | undefined {
    if (!this.variables.has(name)) return undefined;
    throw new UnsupportedError(
      'device/sync-read',
      `variable "${name}": this backend can't be read at once. Fetch it with await session.run(variable).`,
    );
  }

  writeVariable(name: string, value: HostTensor): void {
    const old = this.variables.get(name);
    this.variables.set(name, this.store(value));
    if (old) this.target.free(old.memory);
  }

  close(): void {
    for (const { memory } of this.variables.values()) this.target.free(memory);
    this.variables.clear();
  }
}

class KernelExecutable<M, C> implements Executable {
  readonly #plan: Plan;
  readonly #device: KernelDevice<M, C>;
  #kernels: readonly C[] | undefined;
  readonly #constants = new Map<number, M>();
  #arenaBytes = 0;

  constructor(plan: Plan, device: KernelDevice<M, C>) {
    this.#plan = plan;
    this.#device = device;
  }

  run(bindings: RunBindings): Promise<HostTensor[]> {
    return this.#go(bindings, (run) => run.results());
  }

  keep(bindings: RunBindings): Promise<DeviceValue[]> {
    return this.#go(bindings, async (run) => {
      const values = await run.results();
      return values.map((v) => this.#device.put(v));
    });
  }

  async #go<R>(bindings: RunBindings, results: (run: PlanRun<M, C>) => Promise<R>): Promise<R> {
    const { target } = this.#device;
    const kernels =
      this.#kernels ?? (await Promise.all(this.#plan.kernels.map((k) => target.compile(k))));
    this.#kernels = kernels;
    const run = new PlanRun(this.#plan, kernels, this.#device, bindings, this.#constants);
    try {
      await run.segments();
      const out = await results(run);
      run.commit();
      this.#arenaBytes = Math.max(this.#arenaBytes, run.arenaBytes);
      return out;
    } finally {
      run.free();
    }
  }

  stats() {
    return {
      kernels: this.#plan.kernels.length,
      segments: this.#plan.segments.length,
      arenaBytes: this.#arenaBytes,
      arenaLowerBound: 0,
      slotBytes: 0,
    };
  }

  dispose(): void {
    for (const memory of this.#constants.values()) this.#device.target.free(memory);
    this.#constants.clear();
  }
}

/** One run: its memory by plan buffer, and the values of sizes. */
class PlanRun<M, C> {
  readonly #plan: Plan;
  readonly #kernels: readonly C[];
  readonly #device: KernelDevice<M, C>;
  readonly #bindings: RunBindings;
  readonly #started = performance.now();
  readonly #sizes = new Map<string, number>();
  readonly #memory: M[] = [];
  readonly #elements: number[] = [];
  /** What this run allocated and nobody else holds, by plan buffer. */
  readonly #own = new Map<number, M>();
  arenaBytes = 0;

  constructor(
    plan: Plan,
    kernels: readonly C[],
    device: KernelDevice<M, C>,
    bindings: RunBindings,
    constants: Map<number, M>,
  ) {
    this.#plan = plan;
    this.#kernels = kernels;
    this.#device = device;
    this.#bindings = bindings;
    this.#sizes.set(RUN_SYM, bindings.run);
    plan.startSyms.forEach(({ sym }, i) => {
      this.#sizes.set(sym.id, bindings.sizes[i]);
    });
    const { target, variables } = device;
    for (const name of plan.reads) if (!variables.has(name)) throw uninitialized(name);
    const fed = new Map(plan.feeds.map(({ buffer }, i) => [buffer, bindings.feeds[i]]));
    for (const b of plan.buffers) {
      const n = b.kind === 'tape' ? 0 : this.#size(b.elements);
      this.#elements.push(n);
      const feed = fed.get(b.id);
      if (feed instanceof KernelValue) {
        this.#memory.push(feed.memory);
        continue;
      }
      const old = b.kind === 'const' ? constants.get(b.id) : undefined;
      if (old !== undefined) {
        this.#memory.push(old);
        continue;
      }
      const name = b.variable as string;
      const variable = b.kind === 'variable' ? variables.get(name) : undefined;
      if (variable && !plan.writes.includes(name)) {
        this.#memory.push(variable.memory);
        continue;
      }
      const made = target.alloc(b.dtype, n);
      this.#memory.push(made);
      if (b.kind === 'const') {
        if (b.data) target.write(made, 0, b.data);
        constants.set(b.id, made);
      } else this.#own.set(b.id, made);
      if (b.kind === 'arena') this.arenaBytes += n * 4;
      if (feed) target.write(made, 0, (feed as HostTensor).data);
    }
  }

  #size(d: Dim): number {
    return evalDim(d, (id) => {
      const value = this.#sizes.get(id);
      if (value === undefined) throw new InternalError(`size "${id}" has no value`);
      return value;
    });
  }

  async segments(): Promise<void> {
    // Writes begin from what the variables hold: a run may change a part, or fail.
    for (const name of this.#plan.writes) {
      const b = this.#plan.buffers.find((x) => x.variable === name);
      const old = this.#device.variables.get(name);
      if (!b || !old || sizeOf(old.shape) !== this.#elements[b.id]) continue;
      const { target } = this.#device;
      const data = await target.read(old.memory, b.dtype, 0, this.#elements[b.id]);
      target.write(this.#memory[b.id], 0, data);
    }
    for (const s of this.#plan.segments) {
      if (s.kind === 'device') await this.#steps(s.steps);
      else if (s.kind === 'host') await this.#host(s.step);
      else throw new InternalError(`${this.#device.target.name} places nothing elsewhere`);
    }
  }

  async #steps(steps: readonly Step[]): Promise<void> {
    for (const s of steps) {
      this.#checkTime();
      await this.#step(s);
    }
  }

  async #step(s: Step): Promise<void> {
    switch (s.kind) {
      case 'kernel': {
        const buffers = s.views.map((v) => ({
          memory: this.#memory[v.buffer],
          offset: this.#size(v.offset),
        }));
        const params = s.args.map((d) => this.#size(d));
        const { target } = this.#device;
        const failed = await target.launch(this.#kernels[s.kernel], buffers, params);
        if (failed !== undefined) this.#fail(failed);
        return;
      }
      case 'bind':
        this.#sizes.set(s.sym.id, await this.#scalar(s.view));
        return;
      case 'let':
        this.#sizes.set(s.sym.id, this.#size(s.value));
        return;
      case 'check': {
        const [a, b] = [this.#size(s.constraint.a), this.#size(s.constraint.b)];
        if (!constraintHolds(s.constraint.kind, a, b)) this.#fail(s.code);
        return;
      }
      case 'reserve':
        await this.#reserve(s.buffer, this.#size(s.elements));
        return;
      case 'branch': {
        const v = await this.#scalar(s.selector);
        await this.#steps(s.branches[chosenBranch(s.selectorType, v, s.branches.length)]);
        return;
      }
      case 'loop': {
        const limit = s.limit === null ? Number.POSITIVE_INFINITY : this.#size(s.limit);
        let turn = 0;
        for (; turn < limit; turn++) {
          this.#sizes.set(s.counter.id, turn);
          if (s.cond) {
            await this.#steps(s.cond.steps);
            if ((await this.#scalar(s.cond.predicate)) === 0) break;
          }
          await this.#steps(s.body);
        }
        if (s.trip) this.#sizes.set(s.trip.id, turn);
        return;
      }
      default:
        s satisfies never;
    }
  }

  async #scalar({ buffer, offset }: BufferView): Promise<number> {
    const { dtype } = this.#plan.buffers[buffer];
    const at = this.#size(offset);
    return (await this.#device.target.read(this.#memory[buffer], dtype, at, 1))[0];
  }

  async #reserve(buffer: number, elements: number): Promise<void> {
    const had = this.#elements[buffer];
    if (had >= elements) return;
    const { target } = this.#device;
    const { dtype } = this.#plan.buffers[buffer];
    const made = target.alloc(dtype, 2 * elements);
    target.write(made, 0, await target.read(this.#memory[buffer], dtype, 0, had));
    target.free(this.#memory[buffer]);
    this.#memory[buffer] = made;
    this.#own.set(buffer, made);
    this.#elements[buffer] = 2 * elements;
  }

  async #host(step: HostStep): Promise<void> {
    const inputs: HostTensor[] = [];
    for (const { view, type } of step.inputs) inputs.push(await this.#value(view, type));
    const values = await callHost(step, inputs, (id) => this.#sizes.get(id));
    step.outputs.forEach(({ view }, i) => {
      const at = this.#size(view.offset);
      this.#device.target.write(this.#memory[view.buffer], at, values[i].data);
    });
  }

  #value({ buffer, offset }: BufferView, type: TensorType): Promise<HostTensor> {
    const shape = (type.shape ?? []).map((d) => this.#size(d));
    const { target } = this.#device;
    return readValue(target, this.#memory[buffer], this.#size(offset), type.dtype, shape);
  }

  async results(): Promise<HostTensor[]> {
    const out: HostTensor[] = [];
    for (const { view, type } of this.#plan.results) out.push(await this.#value(view, type));
    return out;
  }

  /** Makes what was written the variables' values. */
  commit(): void {
    const { variables, target } = this.#device;
    for (const name of this.#plan.writes) {
      const b = this.#plan.buffers.find((x) => x.variable === name);
      if (!b) continue;
      const old = variables.get(name);
      const n = this.#elements[b.id];
      const dims = variableShape(this.#plan.func, name);
      const shape =
        dims?.map((d) => this.#size(d)) ?? (old && sizeOf(old.shape) === n ? old.shape : [n]);
      variables.set(name, { memory: this.#memory[b.id], dtype: b.dtype, shape });
      this.#own.delete(b.id);
      if (old) target.free(old.memory);
    }
  }

  free(): void {
    for (const memory of this.#own.values()) this.#device.target.free(memory);
    this.#own.clear();
  }

  #fail(code: number): never {
    const check = this.#plan.checks[code];
    if (!check) throw new StateError('run/check', `a kernel failed with the unknown code ${code}`);
    const { op, node, site } = check;
    throw new ExecutionError('run/check', check.message, { op, node, site });
  }

  #checkTime(): void {
    const { deadline, signal } = this.#bindings;
    if (signal?.aborted) {
      throw new AbortedError('run/aborted', 'the run was aborted.', { cause: signal.reason });
    }
    const now = performance.now();
    if (deadline === undefined || now < deadline) return;
    throw new TimeoutError(
      'run/timeout',
      `the run was not done after ${Math.round(now - this.#started)} ms. Raise timeoutMs, or look for a ` +
        'loop that never ends.',
    );
  }
}
