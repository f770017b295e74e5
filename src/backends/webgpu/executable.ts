// A plan compiled for the GPU and its runs: uploads feeds, records the steps of a segment as dispatches,
// submits them at once, and reads what was fetched. Steps whose course depends on values (bound sizes,
// predicates) are read back in between. Invariant: a run that fails leaves variables as they were.

import type { WgslLimits } from '../../codegen/wgsl/program.ts';
import type { Dim, Sym } from '../../core/dim.ts';
import { evalDim } from '../../core/dim-value.ts';
import type { DType } from '../../core/dtype.ts';
import {
  AbortedError,
  ExecutionError,
  InternalError,
  invariant,
  StateError,
  TensorloomError,
  TimeoutError,
} from '../../core/error.ts';
import { type HostTensor, sizeOf } from '../../core/ndarray.ts';
import type { TensorType } from '../../core/type.ts';
import {
  type BufferView,
  type KernelStep,
  type Plan,
  RUN_SYM,
  type Step,
} from '../../plan/types.ts';
import type { Executable, ExecutableStats, RunBindings } from '../backend.ts';
import { type Risks, risksOf, variableShape } from '../cpu/analysis.ts';
import { callHost } from '../host-call.ts';
import type { Pack } from './bound-kernel.ts';
import { PlanBuffers } from './buffers.ts';
import type { Commands } from './commands.ts';
import { MAP_READ } from './flags.ts';
import type { Gpu } from './gpu.ts';
import {
  bytesOf,
  elementBytes,
  fromWords,
  type GpuBuffer,
  type GpuMemory,
  toWords,
  WORD,
  wholeWords,
} from './memory.ts';
import { type PreparedStep, prepareSteps, wgslSource } from './prepare.ts';
import { GpuValue, type ValueOwner, valueLost } from './value.ts';
import type { Variables, WriteRequest, WriteSet } from './variables.ts';

/** What an executable needs of its device. */
export interface GpuParts extends ValueOwner {
  /** The device; throws once it is lost or closed. */
  gpu(): Gpu;
  /** What shaders may use; the least there is before the device is open. */
  limits(): WgslLimits;
  /** Whether variables are read back with the runs that write them, for {@link noteVariable}. */
  readonly keepsCopies: boolean;
  noteVariable(name: string, value: HostTensor): void;
  /** Replaces a lost device, if variables have copies; says whether it did. */
  revive(): Promise<boolean>;
  /** Waits a moment for the news that the device is lost. */
  settleLoss(): Promise<void>;
  readonly memory: GpuMemory;
  readonly variables: Variables;
  readonly commands: Commands;
}

/** A value to read. */
interface Source {
  readonly buffer: GpuBuffer;
  /** The byte of its first element. */
  readonly at: number;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** Loops are submitted in pieces of about so many dispatches. */
const MAX_PENDING = 16384;
/** Bytes of scratch at least: what two stages need for most sizes. */
const LEAST_SCRATCH = 65536;

interface Run {
  readonly bindings: RunBindings;
  readonly started: number;
  readonly sizes: Map<string, number>;
  readonly elements: readonly number[];
  readonly buffers: GpuBuffer[];
  readonly writes: WriteSet;
}

/** A plan that runs as WGSL. */
export class GpuExecutable implements Executable {
  readonly #plan: Plan;
  readonly #parts: GpuParts;
  readonly #buffers: PlanBuffers;
  readonly #risks: Risks;
  #steps: Promise<ReadonlyMap<KernelStep, PreparedStep>> | undefined;
  #prepared: ReadonlyMap<KernelStep, PreparedStep> = new Map();
  #failed: GpuBuffer | undefined;
  #staging: GpuBuffer | undefined;
  readonly #constants = new Set<number>();
  /** Memory between dispatches by place, and of packs. */
  readonly #scratch = new Map<string, GpuBuffer>();
  /** The era of the memory that the buffers are of. */
  #era: number;
  #disposed = false;

  constructor(plan: Plan, parts: GpuParts) {
    this.#plan = plan;
    this.#parts = parts;
    this.#era = parts.memory.era;
    this.#buffers = new PlanBuffers(plan, parts.memory);
    this.#risks = risksOf(plan);
  }

  run(bindings: RunBindings): Promise<HostTensor[]> {
    return this.#execute(bindings, (run) => this.#fetch(run));
  }

  keep(bindings: RunBindings): Promise<GpuValue[]> {
    return this.#execute(bindings, (run) => this.#keep(run));
  }

  stats(): ExecutableStats {
    const bytes = this.#buffers.bytes('arena');
    return {
      kernels: this.#plan.kernels.length,
      segments: this.#plan.segments.length,
      arenaBytes: bytes,
      arenaLowerBound: bytes,
      slotBytes: this.#buffers.bytes('tape'),
    };
  }

  source(kernel: number): string {
    return wgslSource(this.#plan.kernels[kernel], this.#parts.limits());
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#buffers.free();
    for (const b of [this.#failed, this.#staging, ...this.#scratch.values()]) {
      if (b) this.#parts.memory.free(b);
    }
  }

  async #execute<R>(bindings: RunBindings, results: (run: Run) => Promise<R>): Promise<R> {
    if (this.#disposed) throw new StateError('run/disposed', 'the executable is disposed.');
    const parts = this.#parts;
    await parts.revive();
    try {
      return await this.#attempt(bindings, results);
    } catch (error) {
      if (!(error instanceof TensorloomError)) await parts.settleLoss();
      const again = this.#mayRepeat(bindings) && (await parts.revive());
      if (again) return await this.#attempt(bindings, results);
      // A lost device makes everything fail; that it is lost is what matters.
      parts.gpu();
      throw error;
    }
  }

  /** Whether a run may start over on another device. */
  #mayRepeat(bindings: RunBindings): boolean {
    const onHost = this.#plan.segments.some((s) => s.kind === 'host');
    return !onHost && !bindings.feeds.some((v) => v instanceof GpuValue);
  }

  async #attempt<R>(bindings: RunBindings, results: (run: Run) => Promise<R>): Promise<R> {
    const { commands, memory } = this.#parts;
    if (this.#era !== memory.era) this.#forget();
    const held = bindings.feeds.filter((v) => v instanceof GpuValue);
    if (held.some((v) => v.lost(memory.era))) {
      throw valueLost();
    }
    for (const value of held) value.retain();
    let run: Run | undefined;
    try {
      this.#steps ??= prepareSteps(this.#plan, this.#parts.gpu());
      this.#prepared = await this.#steps;
      run = this.#begin(bindings);
      this.#checkTime(run);
      for (const segment of this.#plan.segments) {
        if (segment.kind === 'device') await this.#segment(segment.steps, run);
        else await this.#host(segment.step, run);
      }
      const out = await results(run);
      await memory.check();
      run.writes.commit();
      return out;
    } catch (error) {
      commands.drop();
      run?.writes.undo();
      throw error;
    } finally {
      for (const value of held) value.release();
    }
  }

  /** Forgets what a lost device held. */
  #forget(): void {
    this.#era = this.#parts.memory.era;
    this.#steps = undefined;
    this.#failed = undefined;
    this.#staging = undefined;
    this.#constants.clear();
    this.#scratch.clear();
    this.#buffers.free();
  }

  #begin(bindings: RunBindings): Run {
    const plan = this.#plan;
    const { variables, commands, memory } = this.#parts;
    const { device } = this.#parts.gpu();
    for (const name of plan.reads) variables.get(name);
    const sizes = new Map<string, number>([[RUN_SYM, bindings.run]]);
    plan.startSyms.forEach(({ sym }, i) => {
      sizes.set(sym.id, bindings.sizes[i]);
    });
    const elements = plan.buffers.map((b) => evalDim(b.elements, (id) => sizes.get(id) ?? 0));
    for (const b of plan.buffers) {
      if (b.kind !== 'variable') this.#buffers.get(b, b.kind === 'tape' ? 0 : elements[b.id]);
    }
    const writes = variables.begin(
      this.#writeRequests(sizes, elements),
      this.#mayFail(bindings),
      commands,
    );
    const buffers = plan.buffers.map((b) => {
      if (b.kind !== 'variable') return this.#buffers.current(b) as GpuBuffer;
      const name = b.variable as string;
      return writes.buffer(name) ?? variables.get(name).buffer;
    });
    plan.feeds.forEach(({ buffer }, i) => {
      const value = bindings.feeds[i];
      if (value instanceof GpuValue) buffers[buffer] = value.buffer;
      else {
        const { dtype, data } = value as HostTensor;
        device.queue.writeBuffer(buffers[buffer].buffer, 0, toWords(dtype, data));
      }
    });
    for (const b of plan.buffers) {
      if (b.kind !== 'const' || this.#constants.has(b.id) || !b.data) continue;
      device.queue.writeBuffer(buffers[b.id].buffer, 0, toWords(b.dtype, b.data));
      this.#constants.add(b.id);
    }
    this.#failed ??= memory.alloc(WORD, 'the word of checks');
    commands.clear(this.#failed);
    return { bindings, started: performance.now(), sizes, elements, buffers, writes };
  }

  /** Whether a run may end after it has written variables. */
  #mayFail({ deadline, signal }: RunBindings): boolean {
    return this.#risks.checks >= 0 || deadline !== undefined || signal !== undefined;
  }

  #writeRequests(sizes: ReadonlyMap<string, number>, elements: readonly number[]): WriteRequest[] {
    const plan = this.#plan;
    return plan.writes.flatMap((name) => {
      const buffer = plan.buffers.find((b) => b.variable === name);
      if (!buffer) return [];
      const n = elements[buffer.id];
      const old = this.#parts.variables.find(name)?.shape;
      const dims = variableShape(plan.func, name);
      const shape =
        dims?.map((d) => valueAt(d, sizes)) ?? (old && sizeOf(old) === n ? [...old] : [n]);
      return [{ name, dtype: buffer.dtype, shape }];
    });
  }

  async #segment(steps: readonly Step[], run: Run): Promise<void> {
    const walk = this.#walk(steps, run);
    let next = walk.next(0);
    while (!next.done) {
      const wanted = next.value;
      if (wanted === 'submit') {
        this.#parts.commands.submit();
        await this.#parts.gpu().device.queue.onSubmittedWorkDone();
        next = walk.next(0);
      } else next = walk.next(await this.#word(wanted, run));
      this.#checkTime(run);
    }
  }

  /** Records steps; yields where it needs a word of the device, or what was recorded is enough. */
  *#walk(steps: readonly Step[], run: Run): Generator<BufferView | 'submit', void, number> {
    const { commands } = this.#parts;
    for (const s of steps) {
      switch (s.kind) {
        case 'kernel':
          this.#kernel(s, run);
          break;
        case 'bind':
          run.sizes.set(s.sym.id, yield s.view);
          break;
        case 'check': {
          const [a, b] = [valueAt(s.constraint.a, run.sizes), valueAt(s.constraint.b, run.sizes)];
          const fits = a === b || (s.constraint.kind === 'bcast' && (a === 1 || b === 1));
          if (!fits) throw this.#checkError(s.code);
          break;
        }
        case 'reserve':
          this.#reserve(s.buffer, valueAt(s.elements, run.sizes), run);
          break;
        case 'branch': {
          const v = yield s.selector;
          const at = s.selectorType === 'bool' ? (v ? 0 : 1) : v;
          yield* this.#walk(s.branches[Math.max(0, Math.min(s.branches.length - 1, at))], run);
          break;
        }
        case 'loop': {
          const limit = s.limit === null ? Number.POSITIVE_INFINITY : valueAt(s.limit, run.sizes);
          let turn = 0;
          for (; turn < limit; turn++) {
            run.sizes.set(s.counter.id, turn);
            if (s.cond) {
              yield* this.#walk(s.cond.steps, run);
              if ((yield s.cond.predicate) === 0) break;
            }
            yield* this.#walk(s.body, run);
            if (commands.pending >= MAX_PENDING) yield 'submit';
          }
          if (s.trip) run.sizes.set(s.trip.id, turn);
          break;
        }
        default:
          s satisfies never;
      }
    }
  }

  #kernel(step: KernelStep, run: Run): void {
    const prepared = this.#prepared.get(step);
    if (!prepared) throw new InternalError('a step was not prepared');
    const { bound, program, pipelines } = prepared;
    const { params } = bound.kernel;
    const values = new Map(bound.args.map((arg, i) => [params[i].id, valueAt(arg, run.sizes)]));
    const bindings = bound.buffers.map((b, i) =>
      typeof b === 'number'
        ? run.buffers[b]
        : this.#pack(b, `${step.kernel}:pack${i}`, values, run),
    );
    const at = program.variants.findIndex(
      ({ applies }) => applies === undefined || valueAt(applies, values) > 0,
    );
    const { commands } = this.#parts;
    program.variants.forEach(({ dispatches, scratch }, v) => {
      // Ways that have memory of their own are made ready for sizes that ask for them.
      if (v !== at && scratch.length === 0) return;
      const own = scratch.map((s, i) =>
        this.#scratchBuffer(`${i}`, WORD * valueAt(s.elements, values)),
      );
      dispatches.forEach((d, i) => {
        const buffers = d.bindings.map((b) => (b.source === 'scratch' ? own : bindings)[b.index]);
        const failed = d.fails ? this.#failed : undefined;
        if (v !== at) {
          commands.foresee(pipelines[v][i], buffers, failed, d.uniformWords);
          return;
        }
        const groups = valueAt(d.workgroups, values);
        commands.dispatch(pipelines[v][i], buffers, failed, groups, d.uniformWords, (words, to) => {
          d.params.forEach((p: Sym, word) => {
            words[to + word] = values.get(p.id) as number;
          });
        });
      });
    });
    bound.buffers.forEach((b, i) => {
      if (typeof b !== 'number') this.#unpack(b, bindings[i], values, run);
    });
  }

  /** Copies the members of a pack into its buffer, and notes where each begins. */
  #pack(pack: Pack, key: string, values: Map<string, number>, run: Run): GpuBuffer {
    const { commands } = this.#parts;
    let total = 0;
    const starts = pack.members.map(({ buffer, start }) => {
      const at = total;
      // Members begin with a word, so the first element of each has a whole number.
      values.set(start.id, at / elementBytes(this.#plan.buffers[buffer].dtype));
      total += this.#extent(buffer, run);
      return at;
    });
    const into = this.#scratchBuffer(key, total);
    pack.members.forEach(({ buffer }, i) => {
      commands.copy(run.buffers[buffer], 0, into, starts[i], this.#extent(buffer, run));
    });
    return into;
  }

  /** Copies what a kernel has written back from a pack. */
  #unpack(pack: Pack, from: GpuBuffer, values: ReadonlyMap<string, number>, run: Run): void {
    for (const { buffer, start, written } of pack.members) {
      if (!written) continue;
      const at = (values.get(start.id) as number) * elementBytes(this.#plan.buffers[buffer].dtype);
      this.#parts.commands.copy(from, at, run.buffers[buffer], 0, this.#extent(buffer, run));
    }
  }

  /** Bytes of a buffer that matter. */
  #extent(buffer: number, run: Run): number {
    const { kind, dtype } = this.#plan.buffers[buffer];
    return kind === 'tape' ? run.buffers[buffer].bytes : bytesOf(dtype, run.elements[buffer]);
  }

  /** Memory between dispatches, at its largest so far: kernels share it, as they run in order. */
  #scratchBuffer(key: string, bytes: number): GpuBuffer {
    const { memory } = this.#parts;
    const old = this.#scratch.get(key);
    if (old && old.bytes >= bytes) return old;
    const made = memory.alloc(Math.max(LEAST_SCRATCH, bytes), 'scratch of a kernel');
    if (old) {
      // What is recorded may still use it.
      this.#parts.commands.submit();
      memory.free(old);
    }
    this.#scratch.set(key, made);
    return made;
  }

  #reserve(id: number, elements: number, run: Run): void {
    const buffer = this.#plan.buffers[id];
    const old = run.buffers[id];
    const bytes = bytesOf(buffer.dtype, elements);
    if (old.bytes >= bytes) return;
    const { memory, commands } = this.#parts;
    const made = memory.alloc(2 * bytes, `the tape of "${buffer.label}"`);
    commands.copy(old, 0, made, 0, old.bytes);
    commands.submit();
    memory.free(old);
    this.#buffers.replace(buffer, made);
    run.buffers[id] = made;
  }

  async #host(step: Parameters<typeof callHost>[0], run: Run): Promise<void> {
    const inputs = await this.#read(step.inputs.map((input) => this.#source(input, run)));
    const values = await callHost(step, inputs, (id) => run.sizes.get(id));
    this.#checkTime(run);
    const { device } = this.#parts.gpu();
    step.outputs.forEach(({ view }, i) => {
      const { dtype, data } = values[i];
      const at = valueAt(view.offset, run.sizes) * elementBytes(dtype);
      invariant(at % WORD === 0, `a result of host function "${step.node}" begins inside a word`);
      device.queue.writeBuffer(run.buffers[view.buffer].buffer, at, toWords(dtype, data));
    });
  }

  async #fetch(run: Run): Promise<HostTensor[]> {
    const results = this.#plan.results.map((r) => this.#source(r, run));
    return await this.#finish(results, run);
  }

  /** Reads the last values of a run, and those of the variables it writes if copies are kept. */
  async #finish(results: readonly Source[], run: Run): Promise<HostTensor[]> {
    const { keepsCopies, noteVariable } = this.#parts;
    const written = keepsCopies ? run.writes.written : [];
    const values = await this.#read([
      ...results,
      ...written.map(({ next }) => ({ ...next, at: 0 })),
    ]);
    written.forEach(({ name }, i) => {
      noteVariable.call(this.#parts, name, values[results.length + i]);
    });
    return values.slice(0, results.length);
  }

  #source({ view, type }: { view: BufferView; type: TensorType }, run: Run): Source {
    return {
      buffer: run.buffers[view.buffer],
      at: valueAt(view.offset, run.sizes) * elementBytes(type.dtype),
      dtype: type.dtype,
      shape: this.#shape(type, run),
    };
  }

  async #keep(run: Run): Promise<GpuValue[]> {
    const { commands, memory } = this.#parts;
    const sources = this.#plan.results.map((r) => this.#source(r, run));
    const kept = sources.map(({ buffer, at, dtype, shape }) => {
      const bytes = bytesOf(dtype, sizeOf(shape));
      const own = memory.alloc(bytes, 'a value kept on the device');
      if (at % WORD === 0) commands.copy(buffer, at, own, 0, bytes);
      return new GpuValue(this.#parts, own, dtype, shape);
    });
    // What begins inside a word can't be copied there: it goes by way of the host.
    const inside = sources.flatMap(({ at }, i) => (at % WORD === 0 ? [] : [i]));
    try {
      const values = await this.#finish(
        inside.map((i) => sources[i]),
        run,
      );
      const { queue } = this.#parts.gpu().device;
      inside.forEach((i, k) => {
        queue.writeBuffer(kept[i].buffer.buffer, 0, toWords(values[k].dtype, values[k].data));
      });
      await memory.check();
    } catch (error) {
      for (const value of kept) value.dispose();
      throw error;
    }
    return kept;
  }

  /** Submits what was recorded, and reads values and the word of checks in one go. */
  async #read(wanted: readonly Source[]): Promise<HostTensor[]> {
    const { commands } = this.#parts;
    let total = WORD;
    // Copies are of whole words; where a value begins in its first one is kept.
    const pieces = wanted.map((w) => {
      const first = w.at - (w.at % WORD);
      const bytes = wholeWords(w.at - first + sizeOf(w.shape) * elementBytes(w.dtype));
      const piece = { first, bytes, to: total, at: total + w.at - first };
      total += bytes;
      return piece;
    });
    const staging = this.#stage(total);
    wanted.forEach((w, i) => {
      commands.copy(w.buffer, pieces[i].first, staging, pieces[i].to, pieces[i].bytes);
    });
    commands.copy(this.#failed as GpuBuffer, 0, staging, 0, WORD);
    commands.submit();
    return this.#mapped(staging, total, (bytes) => {
      const [word] = new Uint32Array(bytes, 0, 1);
      if (word !== 0) throw this.#checkError(~word >>> 0);
      return wanted.map((w, i) => fromWords(w.dtype, w.shape, bytes, pieces[i].at));
    });
  }

  /** One word of a buffer as an integer. */
  async #word(view: BufferView, run: Run): Promise<number> {
    const { commands } = this.#parts;
    const staging = this.#stage(2 * WORD);
    // Sizes, selectors and predicates are whole words.
    const from = valueAt(view.offset, run.sizes) * WORD;
    commands.copy(run.buffers[view.buffer], from, staging, 0, WORD);
    commands.copy(this.#failed as GpuBuffer, 0, staging, WORD, WORD);
    commands.submit();
    return this.#mapped(staging, 2 * WORD, (bytes) => {
      const [word, failed] = new Int32Array(bytes, 0, 2);
      if (failed !== 0) throw this.#checkError(~failed >>> 0);
      return word;
    });
  }

  async #mapped<T>(b: GpuBuffer, bytes: number, use: (bytes: ArrayBuffer) => T): Promise<T> {
    await b.buffer.mapAsync(MAP_READ, 0, bytes);
    try {
      return use(b.buffer.getMappedRange(0, bytes));
    } finally {
      b.buffer.unmap();
    }
  }

  #stage(bytes: number): GpuBuffer {
    const { memory } = this.#parts;
    if (this.#staging && this.#staging.bytes >= bytes) return this.#staging;
    if (this.#staging) memory.free(this.#staging);
    this.#staging = memory.allocStaging(bytes);
    return this.#staging;
  }

  #shape(type: TensorType, run: Run): number[] {
    return (type.shape ?? []).map((d) => valueAt(d, run.sizes));
  }

  #checkError(code: number): ExecutionError {
    const check = this.#plan.checks[code];
    if (!check) throw new InternalError(`a check failed with the unknown code ${code}`);
    const { op, node, site } = check;
    return new ExecutionError('run/check', check.message, { op, node, site });
  }

  #checkTime({ bindings: { deadline, signal }, started }: Run): void {
    if (signal?.aborted) {
      throw new AbortedError('run/aborted', 'the run was ended by its signal.', {
        cause: signal.reason,
      });
    }
    const now = performance.now();
    if (deadline === undefined || now <= deadline) return;
    throw new TimeoutError(
      'run/timeout',
      `the run was not done after ${Math.round(now - started)} ms. Raise timeoutMs, or look for a ` +
        'loop that never ends.',
    );
  }
}

function valueAt(dim: Dim, sizes: ReadonlyMap<string, number>): number {
  return evalDim(dim, (id) => {
    const value = sizes.get(id);
    if (value === undefined) throw new InternalError(`size "${id}" has no value`);
    return value;
  });
}
