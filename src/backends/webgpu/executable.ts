// A plan compiled for the GPU and its runs: uploads feeds, records the steps of a segment as dispatches,
// submits them at once, and reads what was fetched. Steps whose course depends on values (bound sizes,
// predicates) are read back in between. Invariant: a run that fails leaves variables as they were.

import type { Dim, Sym } from '../../core/dim.ts';
import { evalDim } from '../../core/dim-value.ts';
import { InternalError, invariant, StateError, TensorloomError } from '../../core/error.ts';
import { type HostTensor, sizeOf } from '../../core/ndarray.ts';
import type { TensorType } from '../../core/type.ts';
import { constraintHolds } from '../../graph/constraint.ts';
import {
  type BufferView,
  type KernelStep,
  type PlacedStep,
  type Plan,
  RUN_SYM,
  type Step,
} from '../../plan/types.ts';
import type { Executable, ExecutableStats, RunBindings } from '../backend.ts';
import { chosenBranch } from '../chosen-branch.ts';
import { type Risks, risksOf, variableShape } from '../cpu/analysis.ts';
import { callHost } from '../host-call.ts';
import { uninitialized } from '../variable-error.ts';
import type { Pack } from './bound-kernel.ts';
import { PlanBuffers } from './buffers.ts';
import { LACKS } from './cpu-side.ts';
import { checkError, checkTime } from './ends.ts';
import { bytesOf, elementBytes, type GpuBuffer, toWords, WORD } from './memory.ts';
import type { GpuParts } from './parts.ts';
import { type PlacedRun, PlacedSteps } from './placed.ts';
import { type PreparedStep, prepareSteps, wgslSource } from './prepare.ts';
import { Readback, type Source } from './readback.ts';
import { CountedValue, GpuValue, valueLost } from './value.ts';
import type { WriteRequest, WriteSet } from './variables.ts';

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
  readonly placed: PlacedRun;
  /** Whether results stay on their devices. */
  readonly keep: boolean;
}

type Results = HostTensor[] | CountedValue[];

/** A plan that runs as WGSL. */
export class GpuExecutable implements Executable {
  readonly #plan: Plan;
  readonly #parts: GpuParts;
  readonly #buffers: PlanBuffers;
  readonly #risks: Risks;
  readonly #placed: PlacedSteps;
  readonly #readback: Readback;
  /** Whether anything at all runs on the GPU. */
  readonly #onGpu: boolean;
  #steps: Promise<ReadonlyMap<KernelStep, PreparedStep>> | undefined;
  #prepared: ReadonlyMap<KernelStep, PreparedStep> = new Map();
  #failed: GpuBuffer | undefined;
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
    this.#placed = new PlacedSteps(plan, parts.cpu);
    this.#readback = new Readback(parts, (code) => checkError(plan, code));
    this.#onGpu = plan.segments.some((s) => s.kind !== 'placed');
  }

  run(bindings: RunBindings): Promise<HostTensor[]> {
    return this.#execute(bindings, false) as Promise<HostTensor[]>;
  }

  keep(bindings: RunBindings): Promise<CountedValue[]> {
    return this.#execute(bindings, true) as Promise<CountedValue[]>;
  }

  stats(): ExecutableStats {
    const bytes = this.#buffers.bytes('arena');
    return {
      kernels: this.#plan.kernels.length,
      segments: this.#plan.segments.length,
      arenaBytes: bytes,
      arenaLowerBound: bytes,
      slotBytes: this.#buffers.bytes('tape'),
      placed: this.#placed.stats,
    };
  }

  source(kernel: number): string {
    return wgslSource(this.#plan.kernels[kernel], this.#parts.limits());
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#buffers.free();
    this.#placed.dispose();
    this.#readback.dispose();
    for (const b of [this.#failed, ...this.#scratch.values()]) {
      if (b) this.#parts.memory.free(b);
    }
  }

  async #execute(bindings: RunBindings, keep: boolean): Promise<Results> {
    if (this.#disposed) throw new StateError('run/disposed', 'the executable is disposed.');
    const parts = this.#parts;
    // At once: the caller may dispose of them as soon as it has the promise.
    const held = bindings.feeds.filter((v) => v instanceof CountedValue);
    for (const value of held) value.retain();
    try {
      await parts.revive();
      return await this.#attempt(bindings, keep);
    } catch (error) {
      if (!(error instanceof TensorloomError)) await parts.settleLoss();
      const again = this.#mayRepeat(bindings) && (await parts.revive());
      if (again) return await this.#attempt(bindings, keep);
      // A lost device makes everything fail; that it is lost is what matters.
      parts.gpu();
      throw error;
    } finally {
      for (const value of held) value.release();
    }
  }

  /** Whether a run may start over on another device. */
  #mayRepeat(bindings: RunBindings): boolean {
    const onHost = (plan: Plan): boolean =>
      plan.segments.some((s) => s.kind === 'host' || (s.kind === 'placed' && onHost(s.step.plan)));
    return !onHost(this.#plan) && !bindings.feeds.some((v) => v instanceof GpuValue);
  }

  async #attempt(bindings: RunBindings, keep: boolean): Promise<Results> {
    const { commands, memory } = this.#parts;
    if (this.#era !== memory.era) this.#forget();
    if (bindings.feeds.some((v) => v instanceof GpuValue && v.lost(memory.era))) {
      throw valueLost();
    }
    let run: Run | undefined;
    try {
      this.#steps ??= prepareSteps(this.#plan, this.#parts.gpu());
      this.#prepared = await this.#steps;
      run = await this.#begin(bindings, keep);
      for (const segment of this.#plan.segments) {
        checkTime(run.bindings, run.started);
        if (segment.kind === 'device') await this.#segment(segment.steps, run);
        else if (segment.kind === 'placed') await this.#runPlaced(segment.step, run);
        else await this.#host(segment.step, run);
      }
      const out = await (keep ? this.#keep(run) : this.#fetch(run));
      await memory.check();
      run.writes.commit();
      run.placed.commit();
      return out;
    } catch (error) {
      commands.drop();
      run?.writes.undo();
      await run?.placed.undo();
      throw error;
    } finally {
      run?.placed.end();
    }
  }

  /** Forgets what a lost device held. */
  #forget(): void {
    this.#era = this.#parts.memory.era;
    this.#steps = undefined;
    this.#failed = undefined;
    this.#readback.forget();
    this.#constants.clear();
    this.#scratch.clear();
    this.#buffers.free();
  }

  async #begin(bindings: RunBindings, keep: boolean): Promise<Run> {
    const plan = this.#plan;
    for (const name of plan.reads) if (!this.#parts.hasVariable(name)) throw uninitialized(name);
    const placed = await this.#placed.begin(keep);
    try {
      return this.#bind(bindings, keep, placed);
    } catch (error) {
      await placed.undo();
      throw error;
    }
  }

  #bind(bindings: RunBindings, keep: boolean, placed: PlacedRun): Run {
    const plan = this.#plan;
    const { away } = this.#placed;
    const { variables, commands, memory } = this.#parts;
    const { device } = this.#parts.gpu();
    const sizes = new Map<string, number>([[RUN_SYM, bindings.run]]);
    plan.startSyms.forEach(({ sym }, i) => {
      sizes.set(sym.id, bindings.sizes[i]);
    });
    const elements = plan.buffers.map((b) => evalDim(b.elements, (id) => sizes.get(id) ?? 0));
    for (const b of plan.buffers) {
      if (b.kind !== 'variable' && !away.has(b.id))
        this.#buffers.get(b, b.kind === 'tape' ? 0 : elements[b.id]);
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
      if (!(value instanceof GpuValue) || away.has(buffer)) placed.hold(buffer, value);
      if (away.has(buffer)) return;
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
    if (this.#onGpu) commands.clear(this.#failed);
    const started = performance.now();
    return { bindings, started, sizes, elements, buffers, writes, placed, keep };
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
      checkTime(run.bindings, run.started);
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
        case 'let':
          run.sizes.set(s.sym.id, valueAt(s.value, run.sizes));
          break;
        case 'check': {
          const [a, b] = [valueAt(s.constraint.a, run.sizes), valueAt(s.constraint.b, run.sizes)];
          if (!constraintHolds(s.constraint.kind, a, b)) throw checkError(this.#plan, s.code);
          break;
        }
        case 'reserve':
          this.#reserve(s.buffer, valueAt(s.elements, run.sizes), run);
          break;
        case 'branch': {
          const v = yield s.selector;
          yield* this.#walk(s.branches[chosenBranch(s.selectorType, v, s.branches.length)], run);
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

  async #runPlaced(step: PlacedStep, run: Run): Promise<void> {
    const { bindings, keep, sizes, placed } = run;
    await this.#placed.run(step, placed, {
      bindings,
      keep,
      sizes,
      has: (name) => this.#parts.hasVariable(name),
      read: (values) => this.#read(values.map((v) => this.#source(v, run))),
      write: ({ buffer }, { dtype, data }) => {
        // What is recorded may still use the buffer.
        this.#parts.commands.submit();
        this.#reserve(buffer, data.length, run);
        const { device } = this.#parts.gpu();
        device.queue.writeBuffer(run.buffers[buffer].buffer, 0, toWords(dtype, data));
      },
    });
  }

  async #host(step: Parameters<typeof callHost>[0], run: Run): Promise<void> {
    const inputs = await this.#read(step.inputs.map((input) => this.#source(input, run)));
    const values = await callHost(step, inputs, (id) => run.sizes.get(id));
    checkTime(run.bindings, run.started);
    const { device } = this.#parts.gpu();
    step.outputs.forEach(({ view }, i) => {
      const { dtype, data } = values[i];
      const at = valueAt(view.offset, run.sizes) * elementBytes(dtype);
      invariant(at % WORD === 0, `a result of host function "${step.node}" begins inside a word`);
      device.queue.writeBuffer(run.buffers[view.buffer].buffer, at, toWords(dtype, data));
    });
  }

  async #fetch(run: Run): Promise<HostTensor[]> {
    const { results } = this.#plan;
    const here = results.filter(({ view }) => !this.#placed.away.has(view.buffer));
    const read = await this.#finish(
      here.map((r) => this.#source(r, run)),
      run,
    );
    if (here.length === results.length) return read;
    const ready = new Map(here.map((r, i) => [r, read[i]]));
    return Promise.all(results.map((r) => ready.get(r) ?? run.placed.read(r.view.buffer)));
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

  async #keep(run: Run): Promise<CountedValue[]> {
    const kept: CountedValue[] = [];
    // What begins inside a word can't be copied there: it goes by way of the host.
    const inside: { readonly value: GpuValue; readonly source: Source }[] = [];
    try {
      for (const { view, type } of this.#plan.results) {
        if (this.#placed.away.has(view.buffer)) {
          const stays = LACKS.has(type.dtype);
          kept.push(await (stays ? run.placed.keep(view.buffer) : this.#keepAway(view, run)));
          continue;
        }
        const source = this.#source({ view, type }, run);
        const value = this.#keepHere(source);
        if (source.at % WORD !== 0) inside.push({ value, source });
        kept.push(value);
      }
      const values = await this.#finish(
        inside.map(({ source }) => source),
        run,
      );
      inside.forEach(({ value }, i) => {
        const { dtype, data } = values[i];
        this.#parts.gpu().device.queue.writeBuffer(value.buffer.buffer, 0, toWords(dtype, data));
      });
      await this.#parts.memory.check();
    } catch (error) {
      for (const value of kept) value.dispose();
      throw error;
    }
    return kept;
  }

  #keepHere({ buffer, at, dtype, shape }: Source): GpuValue {
    const { commands, memory } = this.#parts;
    const bytes = bytesOf(dtype, sizeOf(shape));
    const own = memory.alloc(bytes, 'a value kept on the device');
    if (at % WORD === 0) commands.copy(buffer, at, own, 0, bytes);
    return new GpuValue(this.#parts, own, dtype, shape);
  }

  /** A value that was computed on the CPU, but belongs on the GPU. */
  async #keepAway(view: BufferView, run: Run): Promise<GpuValue> {
    const { dtype, shape, data } = await run.placed.read(view.buffer);
    const { device } = this.#parts.gpu();
    const bytes = bytesOf(dtype, data.length);
    const buffer = this.#parts.memory.alloc(bytes, 'a value kept on the device');
    device.queue.writeBuffer(buffer.buffer, 0, toWords(dtype, data));
    return new GpuValue(this.#parts, buffer, dtype, shape);
  }

  /** Submits what was recorded, and reads values and the word of checks in one go. */
  async #read(wanted: readonly Source[]): Promise<HostTensor[]> {
    if (wanted.length === 0 && this.#parts.commands.idle) return [];
    return await this.#readback.values(wanted, this.#failed as GpuBuffer);
  }

  /** One word of a buffer as an integer. Sizes, selectors and predicates are whole words. */
  async #word(view: BufferView, run: Run): Promise<number> {
    const at = valueAt(view.offset, run.sizes) * WORD;
    return await this.#readback.word(run.buffers[view.buffer], at, this.#failed as GpuBuffer);
  }

  #shape(type: TensorType, run: Run): number[] {
    return (type.shape ?? []).map((d) => valueAt(d, run.sizes));
  }
}

function valueAt(dim: Dim, sizes: ReadonlyMap<string, number>): number {
  return evalDim(dim, (id) => {
    const value = sizes.get(id);
    if (value === undefined) throw new InternalError(`size "${id}" has no value`);
    return value;
  });
}
