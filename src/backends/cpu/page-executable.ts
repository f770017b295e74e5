// Plans and values of a page's device, as the page holds them: numbers of what the coordinator worker
// has. A plan goes to the worker with its first run: the worker gives it a place in memory, the page
// builds the module for that place.

import type { ModuleTarget, PlanModule } from '../../codegen/wasm/entry.ts';
import type { DType } from '../../core/dtype.ts';
import { AbortedError, StateError } from '../../core/error.ts';
import type { HostTensor } from '../../core/ndarray.ts';
import type { Plan } from '../../plan/types.ts';
import type { DeviceValue, Executable, ExecutableStats, RunBindings } from '../backend.ts';
import { barePlan } from './analysis.ts';
import { type Answers, buffersOf, type Request, toArray } from './page-protocol.ts';

/** What executables and values need of their device. */
export interface PageParts {
  number(): number;
  build(plan: Plan, target: ModuleTarget): PlanModule;
  ask<R extends Request>(request: R, transfer?: ArrayBuffer[]): Promise<Answers[R['kind']]>;
  tell(request: Request): void;
  abort(token: number): void;
  throwUnheard(): void;
  wrote(names: readonly string[]): void;
  forget(plan: number): void;
}

/** A value that the worker holds. */
export class PageValue implements DeviceValue {
  readonly id: number;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly #device: PageParts;
  #users = 0;
  #disposed = false;
  #released = false;

  constructor(id: number, dtype: DType, shape: readonly number[], device: PageParts) {
    this.id = id;
    this.dtype = dtype;
    this.shape = shape;
    this.#device = device;
  }

  async read(): Promise<HostTensor> {
    return toArray(await this.#device.ask({ kind: 'read', id: this.id }));
  }

  dispose(): void {
    this.#disposed = true;
    this.#releaseIfUnused();
  }

  /** Keeps the value while a run that has not been posted needs it, until {@link release}. */
  retain(): void {
    this.#users++;
  }

  release(): void {
    this.#users--;
    this.#releaseIfUnused();
  }

  #releaseIfUnused(): void {
    if (!this.#disposed || this.#users > 0 || this.#released) return;
    this.#released = true;
    this.#device.tell({ kind: 'release', id: this.id });
  }
}

/** A plan that the worker runs. */
export class PageExecutable implements Executable {
  readonly #plan: Plan;
  readonly #id: number;
  readonly #device: PageParts;
  /** The plan's way to the worker, once it has begun. */
  #loaded: Promise<void> | undefined;
  #placed = false;
  #built: PlanModule | undefined;
  #stats: ExecutableStats;
  #disposed = false;

  constructor(plan: Plan, id: number, device: PageParts) {
    this.#plan = plan;
    this.#id = id;
    this.#device = device;
    this.#stats = {
      kernels: plan.kernels.length,
      segments: plan.segments.length,
      arenaBytes: 0,
      arenaLowerBound: 0,
      slotBytes: 0,
    };
  }

  async run(bindings: RunBindings): Promise<HostTensor[]> {
    return (await this.#run(bindings, null)).map(toArray);
  }

  async keep(bindings: RunBindings): Promise<DeviceValue[]> {
    const ids = this.#plan.results.map(() => this.#device.number());
    const results = await this.#run(bindings, ids);
    return results.map((r, i) => new PageValue(ids[i], r.dtype, r.shape, this.#device));
  }

  stats(): ExecutableStats {
    return this.#stats;
  }

  /** The text is the same wherever the plan's storage stands, but for addresses. */
  source(kernel: number): string {
    const memory = { min: 1, max: 1, shared: false };
    this.#built ??= this.#device.build(this.#plan, { memory, block: 0, control: 0, id: 0 });
    return this.#built.source(kernel);
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    if (this.#placed) this.#device.tell({ kind: 'dispose', id: this.#id });
    this.#device.forget(this.#id);
  }

  async #run(bindings: RunBindings, keep: readonly number[] | null) {
    if (this.#disposed) throw new StateError('run/disposed', 'the executable is disposed.');
    const { sizes, run, signal, deadline } = bindings;
    this.#device.throwUnheard();
    // Copied now, as everywhere: the caller may change what it fed once it has the promise.
    const own: HostTensor[] = [];
    const feeds = bindings.feeds.map((f) => {
      if (f instanceof PageValue) return f.id;
      const { dtype, shape, data } = f as HostTensor;
      own.push({ dtype, shape: [...shape], data: data.slice() });
      return own[own.length - 1];
    });
    const held = bindings.feeds.filter((f) => f instanceof PageValue);
    for (const value of held) value.retain();
    const release = (): void => {
      for (const value of held.splice(0)) value.release();
    };
    const token = this.#device.number();
    const onAbort = (): void => this.#device.abort(token);
    signal?.addEventListener('abort', onAbort);
    try {
      await this.#whenLoaded();
      if (signal?.aborted) onAbort();
      const left = deadline === undefined ? undefined : deadline - performance.now();
      const answer = this.#device.ask(
        {
          kind: 'run',
          id: this.#id,
          token,
          keep,
          feeds,
          sizes,
          run,
          left,
          signal: signal !== undefined,
        },
        buffersOf(own),
      );
      // The worker gets what is asked in order, so the values live until the run has them.
      release();
      const { results, stats } = await answer;
      this.#stats = stats;
      this.#device.wrote(this.#plan.writes);
      return results;
    } catch (error) {
      if (error instanceof AbortedError && error.code === 'run/aborted') {
        throw new AbortedError(error.code, error.message, { cause: signal?.reason });
      }
      throw error;
    } finally {
      release();
      signal?.removeEventListener('abort', onAbort);
    }
  }

  #whenLoaded(): Promise<void> {
    if (!this.#loaded) {
      this.#loaded = this.#load();
      this.#loaded.catch(() => {
        this.#loaded = undefined;
      });
    }
    return this.#loaded;
  }

  async #load(): Promise<void> {
    const id = this.#id;
    // A try before this one may have got as far as its place.
    if (this.#placed) this.#device.tell({ kind: 'dispose', id });
    this.#placed = false;
    const plan = barePlan(this.#plan);
    const target = await this.#device.ask({ kind: 'place', id, plan });
    this.#placed = true;
    this.#built = this.#device.build(this.#plan, target);
    const { bytes, scratchBytes } = this.#built;
    await this.#device.ask({ kind: 'load', id, bytes, scratchBytes });
  }
}
