// Session: runs fetches of a graph against feeds on one backend, with the state of the variables. A
// warm run looks up its plan, binds sizes, writes feeds, executes and reads results; it does no graph
// work. Runs queue in order.

import type {
  Backend,
  Device,
  DeviceStats,
  DeviceValue,
  PlacedStats,
  RunBindings,
} from '../backends/backend.ts';
import { getBackend } from '../backends/backend.ts';
import { uninitialized } from '../backends/variable-error.ts';
import type { DType, NumericDType } from '../core/dtype.ts';
import { GraphError, StateError, UnsupportedError, ValueError } from '../core/error.ts';
import { toNDArray } from '../core/from-nested.ts';
import { type HostTensor, NDArray, ndarrayOf } from '../core/ndarray.ts';
import { checkList, checkOptions, nameOf } from '../core/options.ts';
import { type Graph, getDefaultGraph } from '../graph/graph.ts';
import { Tensor } from '../graph/tensor.ts';
import { cutFunc } from '../passes/cut.ts';
import { mergeLoops } from '../passes/merge-loops.ts';
import type { PassOptions } from '../passes/pipeline.ts';
import { unifySizes } from '../passes/sizes.ts';
import {
  type CallSite,
  CallSites,
  callFeeds,
  feedType,
  fitting,
  type Given,
  programKey,
  type Shaped,
  sameShape,
} from './call-site.ts';
import { DeviceTensor } from './device-tensor.ts';
import { explainProgram } from './explain.ts';
import {
  bindSizes,
  type Feedable,
  type Feeds,
  type FeedValue,
  feedValue,
  startValues,
} from './feeds.ts';
import {
  CALLABLE_SPEC,
  type CallableSpec,
  checkRunOptions,
  checkSessionOptions,
  type Keep,
  PUT_OPTIONS,
  type PutOptions,
  type RunOptions,
  type SessionOptions,
} from './options.ts';
import {
  type Bound,
  type Compiled,
  checkConstraints,
  Program,
  type ProgramOptions,
} from './program.ts';
import { type FetchResult, flattenFetches, type KeptResult } from './structure.ts';

/** What the session has compiled and how much memory it takes. */
export interface SessionStats {
  readonly plans: number;
  /** Runs that found their plan. */
  readonly hits: number;
  /** What the device counts: kernels compiled and shared, bytes of memory; undefined if nothing. */
  readonly device: DeviceStats | undefined;
  readonly programs: readonly ProgramStats[];
}

/** Counters of one set of fetches and feeds. */
export interface ProgramStats {
  readonly fetches: readonly string[];
  readonly plans: number;
  readonly hits: number;
  readonly perPlan: readonly {
    readonly shapeClass: string;
    readonly kernels: number;
    readonly segments: number;
    readonly arenaBytes: number;
    /** The least an arena for the largest sizes so far could be, by liveness. */
    readonly arenaLowerBound: number;
    readonly slotBytes: number;
    /** Segments and nodes that run on the CPU because the device lacks a dtype; absent if none do. */
    readonly placed?: PlacedStats | undefined;
  }[];
}

type Results = HostTensor[] | DeviceValue[];
/** A compiled entry for a hot loop; see {@link Session.makeCallable}. */
export interface Callable<F> {
  (feeds: Given, options: Keep): Promise<KeptResult<F>>;
  (feeds: Given, options?: RunOptions): Promise<FetchResult<F>>;
  /** The synchronous form. */
  sync: {
    (feeds: Given, options: Keep): KeptResult<F>;
    (feeds: Given, options?: RunOptions): FetchResult<F>;
  };
}

const NO_OPTIONS: RunOptions = Object.freeze({});
const IDLE: Promise<unknown> = Promise.resolve();

/** Runs fetches of a graph. Close it when done; nothing else needs disposal. */
export class Session {
  readonly graph: Graph;
  /** Resolves when the backend is ready; a run waits for it by itself. */
  readonly ready: Promise<void>;
  private readonly device: Device;
  private readonly opened: Backend;
  private readonly options: { fuse: boolean; passes: PassOptions };
  private readonly programs = new Map<string, Program>();
  private readonly sites: CallSites;
  /** Settles when the runs that queue now are done. */
  private tail = IDLE;
  private isReady = false;
  private pending = 0;
  private busy = false;
  private closed = false;
  private runs = 0;

  constructor(options: SessionOptions = {}) {
    checkSessionOptions(options);
    this.graph = (options.graph ?? getDefaultGraph()).root;
    this.opened = getBackend(options.backend ?? 'cpu');
    const { threads, memoryLimit, relaxedSimd, adapter, keepHostCopy, exact } = options;
    this.device = this.opened.open({
      ...(threads === undefined ? {} : { threads }),
      ...(memoryLimit === undefined ? {} : { memoryLimit }),
      ...(relaxedSimd === undefined ? {} : { relaxedSimd }),
      ...(adapter === undefined ? {} : { adapter }),
      ...(keepHostCopy === undefined ? {} : { keepHostCopy }),
      ...(exact === undefined ? {} : { exact }),
    });
    this.ready = this.device.ready.then(() => {
      this.isReady = true;
    });
    // Whoever awaits it hears of a failure, and so does every run.
    this.ready.catch(() => {});
    this.sites = new CallSites(this.graph);
    this.options = {
      fuse: options.fuse ?? true,
      passes: { disable: options.disablePasses ?? [], verify: options.verify ?? false },
    };
  }

  /**
   * Runs the fetches: any nesting of tensors, operations, variables and names; the result has the same
   * structure. Feeds are `[tensor, value]` pairs (a Map too) or a record by name; any tensor may be fed.
   * With `keep: true` the results are device tensors.
   * Rejects with FeedError, FetchError, StateError, ShapeError, ExecutionError, TimeoutError; after any
   * of them the session works and its variables are as they were.
   */
  run<const F>(fetches: F, feeds: Feeds | undefined, options: Keep): Promise<KeptResult<F>>;
  run<const F>(fetches: F, feeds?: Feeds, options?: RunOptions): Promise<FetchResult<F>>;
  run(fetches: unknown, feeds?: Feeds, options = NO_OPTIONS): Promise<unknown> {
    return this.enqueue(() => {
      const [site, given] = this.sites.find(fetches, feeds);
      return this.execute(site, given, options, false);
    });
  }

  /** Like `run`, at once. Throws StateError `session/busy` during another run. */
  runSync<const F>(fetches: F, feeds: Feeds | undefined, options: Keep): KeptResult<F>;
  runSync<const F>(fetches: F, feeds?: Feeds, options?: RunOptions): FetchResult<F>;
  runSync(fetches: unknown, feeds?: Feeds, options = NO_OPTIONS): unknown {
    this.beginSync();
    try {
      const [site, given] = this.sites.find(fetches, feeds);
      return this.execute(site, given, options, true);
    } finally {
      this.busy = false;
    }
  }

  /**
   * A function for hot loops: names, fetches and plan lookup are settled once, and a plan that is
   * the same whatever is fed is compiled here, so that the first call takes little more than the next.
   * `feeds` maps names of its argument to tensors.
   */
  makeCallable<const F>(spec: CallableSpec<F>): Callable<F> {
    this.checkOpen();
    checkOptions('makeCallable', spec, CALLABLE_SPEC);
    const site = this.sites.named(spec.fetches, spec.feeds ?? {});
    this.prepare(site);
    const call = (given: Given, options = NO_OPTIONS) =>
      this.enqueue(() => this.execute(site, callFeeds(site, given), options, false));
    const sync = (given: Given, options = NO_OPTIONS) => {
      this.beginSync();
      try {
        return this.execute(site, callFeeds(site, given), options, true);
      } finally {
        this.busy = false;
      }
    };
    return Object.assign(call, { sync }) as Callable<F>;
  }

  /**
   * Copies a value to the device, to be fed any number of times without another copy. Rejects with
   * ValueError or DTypeError where it is no tensor value, OutOfMemoryError where it does not fit.
   */
  async put<D extends DType = NumericDType>(
    value: unknown,
    options: PutOptions<D> = {},
  ): Promise<DeviceTensor<D>> {
    checkOptions('put', options, PUT_OPTIONS);
    await this.ready;
    this.checkOpen();
    const { dtype, shape } = options;
    return new DeviceTensor<D>(await this.device.put(toNDArray(value, dtype, shape)), this);
  }

  /** The name of the backend; `auto` becomes that of its choice with {@link ready}. */
  get backend(): string {
    return (this.device.chosen ?? this.opened).name;
  }

  /** Whether {@link close} was called. */
  get isClosed(): boolean {
    return this.closed;
  }

  toString(): string {
    const state = this.closed ? ', closed' : '';
    return `Session backend=${this.backend} plans=${this.stats.plans}${state}`;
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }

  /** What was compiled so far, and memory. */
  get stats(): SessionStats {
    const programs = [...this.programs.values()].map((p): ProgramStats => {
      const perPlan = [...p.plans.values()].map(({ shapeClass, executable }) => ({
        shapeClass,
        ...executable.stats(),
      }));
      const names = p.func.results.map((r) => p.func.nodes[r.node].name);
      const effects = p.func.effects.map((e) => p.func.nodes[e].name);
      return { fetches: [...names, ...effects], plans: p.plans.size, hits: p.hits, perPlan };
    });
    return {
      plans: programs.reduce((n, p) => n + p.plans, 0),
      hits: programs.reduce((n, p) => n + p.hits, 0),
      device: this.device.stats?.(),
      programs,
    };
  }

  /**
   * How the fetches are compiled, as text: the function, what each pass changed, the kernels with their
   * loops and device code, the steps and the memory plan. Placeholders the fetches need count as fed.
   */
  explain(fetches: unknown, feeds: readonly Feedable[] = []): string {
    this.checkOpen();
    checkList('explain: feeds', feeds);
    const flat = flattenFetches(this.graph, fetches);
    return explainProgram(this.graph, flat, feeds, this.device, this.programOptions());
  }

  /** How programs are compiled on the device, which a choosing backend knows once it is ready. */
  private programOptions(): ProgramOptions {
    const { lacks, maxBuffers } = (this.device.chosen ?? this.opened).capabilities;
    return { ...this.options, lacks, maxBuffers };
  }

  /**
   * The value of a variable, as it is between runs. Throws UnsupportedError `session/sync` where the
   * device can't be read at once, as in a page: fetch the variable with `run` there.
   */
  variableValue(v: { readonly name: string }): NDArray | undefined {
    this.checkOpen();
    this.checkVariable('variableValue', v);
    const value = this.device.readVariable(v.name);
    return value && toResult(value);
  }

  /**
   * Sets a variable between runs, to a value of its dtype and shape. Throws ValueError `variable/shape`,
   * GraphError `graph/foreign`.
   */
  setVariable(
    v: { readonly name: string; readonly dtype: DType; readonly shape: readonly number[] },
    value: unknown,
  ): void {
    this.checkOpen();
    this.checkVariable('setVariable', v);
    const array = toNDArray(value, v.dtype);
    if (array.shape.length !== v.shape.length || array.shape.some((d, i) => d !== v.shape[i])) {
      throw new ValueError(
        'variable/shape',
        `the variable "${v.name}" has shape (${v.shape.join(', ')}), got (${array.shape.join(', ')}). Pass a value of its shape.`,
      );
    }
    this.device.writeVariable(v.name, array);
  }

  /** Waits for queued runs, then frees everything. Closing twice is fine. */
  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await this.tail.catch(() => undefined);
    for (const p of this.programs.values()) p.dispose();
    this.programs.clear();
    this.device.close();
  }

  private checkVariable(what: string, v: unknown): void {
    const given =
      typeof v === 'object' && v !== null ? (v as { name?: unknown; graph?: unknown }) : {};
    if (v instanceof Tensor || typeof given.name !== 'string') {
      throw new ValueError(
        'variable/none',
        `${what} takes the variable itself, got ${v instanceof Tensor ? v : nameOf(v)}. Pass what variable() gave.`,
      );
    }
    if (given.graph !== undefined && given.graph !== this.graph) {
      throw new GraphError(
        'graph/foreign',
        `${what}: the variable "${given.name}" belongs to another graph. Use a session of that graph.`,
      );
    }
  }

  private checkOpen(): void {
    if (!this.closed) return;
    throw new StateError(
      'session/closed',
      'the session is closed. Make a new Session; variables start uninitialized.',
    );
  }

  private beginSync(): void {
    this.checkOpen();
    if (!(this.device.chosen ?? this.opened).capabilities.sync) {
      throw new UnsupportedError(
        'session/sync',
        `the backend "${this.backend}" has no synchronous runs. Use await run().`,
      );
    }
    if (this.busy || this.pending > 0) {
      throw new StateError(
        'session/busy',
        'runSync: another run of this session is in progress. Await it first.',
      );
    }
    this.busy = true;
  }

  /** Runs queue in order; one with nothing before it starts at once. */
  private enqueue(go: () => unknown): Promise<unknown> {
    const first = this.pending === 0 && !this.busy && this.isReady;
    if (!first || this.closed) return this.enqueueLater(go);
    this.pending++;
    let done: Promise<unknown>;
    try {
      const out = go();
      if (out instanceof Promise) {
        done = out.finally(() => this.leave());
        this.tail = done;
        return done;
      }
      done = Promise.resolve(out);
    } catch (e) {
      done = Promise.reject(e);
    }
    // Until those who wait for it hear of it, the run is in progress.
    this.tail = IDLE.then(() => this.leave());
    return done;
  }

  private enqueueLater(go: () => unknown): Promise<unknown> {
    try {
      this.checkOpen();
    } catch (e) {
      return Promise.reject(e);
    }
    this.pending++;
    const turn = this.tail.then(
      () => this.ready,
      () => this.ready,
    );
    const done = turn.then(go).finally(() => this.leave());
    this.tail = done.catch(() => undefined);
    return done;
  }

  /** The end of a queued run; the last forgets the queue, which would hold on to its result. */
  private leave(): void {
    if (--this.pending === 0) this.tail = IDLE;
  }

  private programFor(site: CallSite, values: readonly Shaped[]): Program {
    const { flat, targets } = site;
    const key = programKey(site, values);
    let program = this.programs.get(key);
    if (!program) {
      const cut = cutFunc(
        this.graph,
        flat.refs,
        flat.effects,
        targets.map((t, i) => ({ refs: t.refs, name: t.name, type: feedType(t, values[i]) })),
      );
      program = new Program(unifySizes(mergeLoops(cut)), this.device, this.programOptions());
      this.programs.set(key, program);
    }
    if (site.ranked) site.program = program;
    return program;
  }

  /** Compiles what a callable runs, where that is the same whatever it is fed. */
  private prepare(site: CallSite): void {
    if (!site.ranked || !this.opened.capabilities.sync || this.busy || this.pending > 0) return;
    try {
      const feeds = site.targets.map(({ tensor }) => ({ shape: tensor.shape ?? [] }));
      this.programFor(site, feeds).prepare();
    } catch {
      // The first call meets the same error, and can say more about it.
    }
  }

  private execute(
    site: CallSite,
    given: readonly unknown[],
    options: RunOptions,
    sync: boolean,
  ): unknown {
    if (options !== NO_OPTIONS) checkRunOptions(options);
    const { targets } = site;
    const known = site.program?.bound;
    const values: FeedValue[] = [];
    let same = known !== undefined;
    for (let i = 0; i < targets.length; i++) {
      const value = fitting(targets[i], given[i], known?.shapes[i], this);
      values.push(value ?? feedValue(targets[i], given[i], this));
      if (value === undefined) same &&= sameShape(values[i].shape, known?.shapes[i]);
    }
    let bound = known;
    if (bound === undefined || !same) bound = this.bind(site, values);
    else if (site.program) site.program.hits++;
    const { executable, plan } = bound.compiled;
    if (plan.reads.length > 0) this.checkVariables(bound.compiled);
    const { timeoutMs, signal, keep } = options;
    const bindings: RunBindings = {
      feeds: values,
      sizes: bound.sizes,
      run: this.runs++,
      deadline: timeoutMs === undefined ? undefined : performance.now() + timeoutMs,
      signal,
    };
    this.graph.noteRun();
    if (sync) {
      const out = keep ? executable.keepSync?.(bindings) : executable.runSync?.(bindings);
      if (!out) {
        throw new UnsupportedError(
          'session/sync',
          'the plan has no synchronous form. Use await run().',
        );
      }
      return this.pack(site, out, keep);
    }
    this.busy = true;
    let out: Results | Promise<Results>;
    try {
      out = keep ? executable.keep(bindings) : executable.run(bindings);
    } catch (e) {
      this.busy = false;
      throw e;
    }
    if (!(out instanceof Promise)) {
      this.busy = false;
      return this.pack(site, out, keep);
    }
    return out
      .then((results) => this.pack(site, results, keep))
      .finally(() => {
        this.busy = false;
      });
  }

  /** Binds the shapes of feeds: the program, its plan and the sizes. */
  private bind(site: CallSite, values: readonly FeedValue[]): Bound {
    const program = site.program ?? this.programFor(site, values);
    const feeds = site.targets.map((t, i) => ({ ...t, value: values[i] }));
    const sizes = bindSizes(program.func, feeds);
    const compiled = program.compiledFor(sizes);
    checkConstraints(compiled.plan, sizes);
    const bound = {
      compiled,
      shapes: values.map((v) => v.shape),
      sizes: startValues(compiled.plan.startSyms, feeds),
    };
    if (!program.readsFeeds) program.bound = bound;
    return bound;
  }

  private pack(site: CallSite, results: Results, keep = false): unknown {
    if (keep) {
      return site.flat.pack(results.map((v) => new DeviceTensor(v as DeviceValue, this)));
    }
    return site.flat.pack((results as HostTensor[]).map(toResult));
  }

  private checkVariables({ plan }: Compiled): void {
    for (const name of plan.reads) {
      if (this.device.hasVariable(name)) continue;
      throw uninitialized(name);
    }
  }
}

/** The exact reference gives its floats as they are, in float64 storage. */
function toResult(v: HostTensor): NDArray {
  return v instanceof NDArray ? v : ndarrayOf(v.dtype, v.shape, v.data);
}
