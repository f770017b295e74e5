// The placed steps of a plan on the GPU: each is a plan of the CPU device beside it. Values that no step of
// the GPU touches are held here, so that they never go there. Invariant: what a run has made here is
// disposed with it, but for what the user keeps.

import { walkSteps } from '../../codegen/wasm/block.ts';
import type { Dim } from '../../core/dim.ts';
import { evalDim } from '../../core/dim-value.ts';
import { type HostTensor, ndarrayOf } from '../../core/ndarray.ts';
import type {
  BufferView,
  PlacedInput,
  PlacedStep,
  Plan,
  PlanResult,
  Step,
} from '../../plan/types.ts';
import type { VariableType } from '../../plan/variable-plans.ts';
import type { DeviceValue, Executable, PlacedStats, RunBindings } from '../backend.ts';
import { variableShape } from '../cpu/analysis.ts';
import { copyOf } from '../host-value.ts';
import { type CpuSide, CpuSideValue, type CpuWrites, LACKS } from './cpu-side.ts';
import { CountedValue } from './value.ts';

type Located = Extract<PlacedInput, { readonly view: BufferView }>;

/** A value beside the GPU. */
export type Held = HostTensor | DeviceValue;

/** The run around a placed step. */
export interface Around {
  readonly bindings: RunBindings;
  /** Whether results stay on their devices. */
  readonly keep: boolean;
  /** Sizes bound so far; the step adds what it finds. */
  readonly sizes: Map<string, number>;
  /** Whether a variable of the GPU holds a value. */
  has(variable: string): boolean;
  /** Reads values of the GPU; throws if a check there has failed. */
  read(values: readonly PlanResult[]): Promise<HostTensor[]>;
  /** Writes a value to the GPU, from a buffer's first element on. */
  write(view: BufferView, value: HostTensor): void;
}

/** The placed steps of one plan. */
export class PlacedSteps {
  /** Buffers of the plan that have no place on the GPU. */
  readonly away: ReadonlySet<number>;
  readonly stats: PlacedStats | undefined;
  readonly #plan: Plan;
  readonly #cpu: CpuSide;
  readonly #steps: readonly PlacedStep[];
  /** Buffers that one placed step writes and another reads. */
  readonly #between: ReadonlySet<number>;
  readonly #results: ReadonlySet<number>;
  /** The variables written on the CPU alone. */
  readonly #written: readonly VariableType[];
  readonly #executables = new Map<PlacedStep, Executable>();
  /** The sizes that each step ran with last: the same array stands for the same sizes. */
  readonly #sizes = new Map<PlacedStep, readonly number[]>();

  constructor(plan: Plan, cpu: CpuSide) {
    this.#plan = plan;
    this.#cpu = cpu;
    this.#steps = plan.segments.flatMap((s) => (s.kind === 'placed' ? [s.step] : []));
    this.away = awayBuffers(plan, this.#steps);
    const read = new Set(this.#steps.flatMap((s) => s.inputs.map(({ view }) => view?.buffer)));
    const written = this.#steps.flatMap((s) => s.outputs.map(({ view }) => view.buffer));
    this.#between = new Set(written.filter((b) => read.has(b)));
    this.#results = new Set(plan.results.map(({ view }) => view.buffer));
    this.#written = variablesWritten(this.#steps);
    const nodes = this.#steps.reduce((n, s) => n + s.nodes.length, 0);
    this.stats = nodes > 0 ? { segments: this.#steps.length, nodes } : undefined;
  }

  /** Begins a run; `keep`: its results stay on their devices. */
  async begin(keep: boolean): Promise<PlacedRun> {
    if (this.#written.length === 0) return new PlacedRun(this.#cpu, undefined);
    return new PlacedRun(this.#cpu, await this.#cpu.begin(this.#written, this.#mayFailLater(keep)));
  }

  /** Whether a run may fail when a step has already written variables; a step by itself is undone. */
  #mayFailLater(keep: boolean): boolean {
    const { segments, results } = this.#plan;
    if (segments.length > 1 || this.#steps[0].shared.length > 0) return true;
    return keep && results.some(({ type }) => !LACKS.has(type.dtype));
  }

  /** Runs a step: what it needs of the GPU is read first, what the GPU needs of it is written there. */
  async run(step: PlacedStep, run: PlacedRun, around: Around): Promise<void> {
    const { device } = this.#cpu;
    await device.ready;
    // Reading fails if a check of the GPU has, before anything is written here.
    const missing = step.inputs.filter(
      (v): v is Located => v.view !== undefined && run.get(v.view.buffer) === undefined,
    );
    const shared = step.shared.filter(({ name }) => around.has(name));
    const read = await around.read([...missing, ...shared]);
    shared.forEach(({ name }, i) => {
      device.writeVariable(name, read[missing.length + i]);
    });
    const feeds: Held[] = [];
    for (const v of step.inputs) {
      const at = missing.indexOf(v as Located);
      if (v.values) feeds.push(sizesValue(v, around.sizes));
      else feeds.push(at >= 0 ? read[at] : await cpuValue(run.get(v.view.buffer) as Held));
    }
    const sizes = this.#sizesOf(step, around.sizes);
    const results = await this.#resultsOf(step, { ...around.bindings, feeds, sizes }, around.keep);
    for (const [i, { view }] of step.outputs.entries()) {
      run.own(view.buffer, results[i]);
      if (!this.away.has(view.buffer)) around.write(view, await run.read(view.buffer));
    }
    for (const [i, sym] of step.sizes.entries()) {
      const value = results[step.outputs.length + i];
      around.sizes.set(sym.id, (await hostValue(value)).data[0]);
      if ('read' in value) value.dispose();
    }
    for (const { name, view, type, written } of step.shared) {
      if (!written) continue;
      const shape = type.shape as readonly number[];
      around.write(view, await this.#cpu.fetchVariable({ name, dtype: type.dtype, shape }));
    }
  }

  /** Results come to the host, unless some are for the device. */
  async #resultsOf(step: PlacedStep, bindings: RunBindings, keep: boolean): Promise<Held[]> {
    let executable = this.#executables.get(step);
    if (!executable) {
      executable = this.#cpu.device.compile(step.plan);
      this.#executables.set(step, executable);
    }
    const stay = step.outputs.some(
      ({ view: { buffer } }) =>
        this.away.has(buffer) && (this.#between.has(buffer) || (keep && this.#results.has(buffer))),
    );
    return await (stay ? executable.keep(bindings) : executable.run(bindings));
  }

  #sizesOf(step: PlacedStep, sizes: ReadonlyMap<string, number>): readonly number[] {
    const now = step.plan.startSyms.map(({ sym }) => sizes.get(sym.id) as number);
    const last = this.#sizes.get(step);
    if (last && now.every((n, i) => n === last[i])) return last;
    this.#sizes.set(step, now);
    return now;
  }

  dispose(): void {
    for (const e of this.#executables.values()) e.dispose();
    this.#executables.clear();
  }
}

/** What one run holds beside the GPU: {@link commit} or {@link undo} ends it, then {@link end}. */
export class PlacedRun {
  readonly #cpu: CpuSide;
  readonly #writes: CpuWrites | undefined;
  readonly #values = new Map<number, Held>();
  readonly #made = new Set<DeviceValue>();

  constructor(cpu: CpuSide, writes: CpuWrites | undefined) {
    this.#cpu = cpu;
    this.#writes = writes;
  }

  /** Holds what the caller owns as the value of a buffer. */
  hold(buffer: number, value: Held): void {
    this.#values.set(buffer, value);
  }

  /** Holds what the run has made. */
  own(buffer: number, value: Held): void {
    this.hold(buffer, value);
    if ('read' in value) this.#made.add(value);
  }

  get(buffer: number): Held | undefined {
    return this.#values.get(buffer);
  }

  /** A fresh host value of what a buffer holds. */
  async read(buffer: number): Promise<HostTensor> {
    const value = this.#values.get(buffer) as Held;
    return 'read' in value ? await value.read() : copyOf(value);
  }

  /** What a buffer holds as a value of the CPU device, to be given away. */
  async keep(buffer: number): Promise<CpuSideValue> {
    const value = this.#values.get(buffer) as Held;
    if (!('read' in value) || !this.#made.delete(value)) {
      return await this.#cpu.put(await this.read(buffer));
    }
    return new CpuSideValue(value);
  }

  commit(): void {
    this.#writes?.commit();
  }

  async undo(): Promise<void> {
    await this.#writes?.undo();
  }

  end(): void {
    for (const value of this.#made) value.dispose();
  }
}

/** Sizes as the elements of a value. */
function sizesValue(
  { type, values }: Extract<PlacedInput, { readonly values: readonly Dim[] }>,
  sizes: ReadonlyMap<string, number>,
): HostTensor {
  const at = (d: Dim): number => evalDim(d, (id) => sizes.get(id) as number);
  return ndarrayOf(type.dtype, (type.shape ?? []).map(at), Int32Array.from(values, at));
}

/** A value as the CPU device takes it. */
async function cpuValue(value: Held): Promise<Held> {
  if (value instanceof CpuSideValue) return value.inner;
  return value instanceof CountedValue ? await value.read() : value;
}

/** A value on the host, as it is. */
async function hostValue(value: Held): Promise<HostTensor> {
  return 'read' in value ? await value.read() : value;
}

/** Feeds and outputs of placed steps that neither the GPU's steps nor the user's functions touch. */
function awayBuffers(plan: Plan, steps: readonly PlacedStep[]): Set<number> {
  const here = new Set<number>();
  walkSteps(plan, (step) => {
    for (const id of buffersOf(step)) here.add(id);
  });
  for (const s of plan.segments) {
    if (s.kind !== 'host') continue;
    for (const { view } of [...s.step.inputs, ...s.step.outputs]) here.add(view.buffer);
  }
  const away = steps.flatMap((s) => s.outputs.map(({ view }) => view.buffer));
  for (const { buffer, type } of plan.feeds) {
    // Where nothing is placed, a fed value that is fetched goes to the GPU and back as it always did.
    if (steps.length > 0 || LACKS.has(type.dtype)) away.push(buffer);
  }
  return new Set(away.filter((b) => !here.has(b)));
}

function buffersOf(step: Step): number[] {
  switch (step.kind) {
    case 'kernel':
      return step.views.map((v) => v.buffer);
    case 'bind':
      return [step.view.buffer];
    case 'loop':
      return step.cond ? [step.cond.predicate.buffer] : [];
    case 'branch':
      return [step.selector.buffer];
    case 'reserve':
      return [step.buffer];
    case 'let':
    case 'check':
      return [];
    default:
      return step satisfies never;
  }
}

function variablesWritten(steps: readonly PlacedStep[]): VariableType[] {
  const out = new Map<string, VariableType>();
  for (const { plan, shared } of steps) {
    for (const name of plan.writes) {
      const buffer = plan.buffers.find((b) => b.variable === name);
      if (!buffer || shared.some((s) => s.name === name)) continue;
      const shape = (variableShape(plan.func, name) ?? []) as readonly number[];
      out.set(name, { name, dtype: buffer.dtype, shape });
    }
  }
  return [...out.values()];
}
