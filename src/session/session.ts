// Session: runs fetches of a graph against feeds on one backend, with the state of the variables. A
// warm run looks up its plan, binds sizes, writes feeds, executes and reads results; it does no graph
// work. Runs queue in order.

import type { Device } from '../backends/backend.ts';
import { getBackend } from '../backends/backend.ts';
import { dimOf } from '../core/dim.ts';
import type { DType } from '../core/dtype.ts';
import {
  AbortedError,
  FeedError,
  StateError,
  UnsupportedError,
  ValueError,
} from '../core/error.ts';
import { toNDArray } from '../core/from-nested.ts';
import { type DataOf, type HostTensor, NDArray } from '../core/ndarray.ts';
import { type TensorType, tensorType } from '../core/type.ts';
import { type Graph, getDefaultGraph } from '../graph/graph.ts';
import { refKey } from '../graph/walk.ts';
import { cutFunc } from '../passes/cut.ts';
import { mergeLoops } from '../passes/merge-loops.ts';
import type { PassOptions } from '../passes/pipeline.ts';
import { unifySizes } from '../passes/sizes.ts';
import { explainProgram } from './explain.ts';
import {
  bindSizes,
  collectFeeds,
  type Feed,
  type Feedable,
  type Feeds,
  feedTarget,
  feedValue,
  startValues,
} from './feeds.ts';
import { type Compiled, checkConstraints, Program } from './program.ts';
import { type FetchResult, type FlatFetches, flattenFetches } from './structure.ts';

export interface SessionOptions {
  /** The graph to run; the current default graph where absent. */
  readonly graph?: Graph;
  /** Name of a registered backend: `cpu` (the default) or `reference`. */
  readonly backend?: string;
  /** Threads of the cpu backend, the calling one included; 1 where absent. */
  readonly threads?: number;
  /** Upper limit of device memory in bytes. */
  readonly memoryLimit?: number;
  /** `false` gives every node a kernel and every value a buffer. */
  readonly fuse?: boolean;
  /** Names of passes to leave out: `stabilise`, `fold`, `simplify`, `cse`, `hoist`, `prune`. */
  readonly disablePasses?: readonly string[];
  /** Check each function after each pass (slow; for debugging the compiler). */
  readonly verify?: boolean;
  /** The reference backend keeps floats in float64: between ops, and in the results' data. */
  readonly exact?: boolean;
}

export interface RunOptions {
  /** Ends the run with a TimeoutError after this many milliseconds. */
  readonly timeoutMs?: number;
  /** Ends the run with an AbortedError. */
  readonly signal?: AbortSignal;
}

/** What the session has compiled and how much memory it takes. */
export interface SessionStats {
  readonly plans: number;
  /** Runs that found their plan. */
  readonly hits: number;
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
  }[];
}

/** A compiled entry for a hot loop; see {@link Session.makeCallable}. */
export interface Callable<F> {
  (feeds: { readonly [name: string]: unknown }, options?: RunOptions): Promise<FetchResult<F>>;
  /** The synchronous form. */
  sync(feeds: { readonly [name: string]: unknown }, options?: RunOptions): FetchResult<F>;
}

interface Prepared {
  readonly flat: FlatFetches;
  readonly program: Program;
}

/** Runs fetches of a graph. Close it when done; nothing else needs disposal. */
export class Session {
  readonly graph: Graph;
  readonly backend: string;
  /** Resolves when the backend is ready; a run waits for it by itself. */
  readonly ready: Promise<void>;
  private readonly device: Device;
  private readonly sync: boolean;
  private readonly options: { fuse: boolean; passes: PassOptions };
  private readonly programs = new Map<string, Program>();
  private tail: Promise<unknown> = Promise.resolve();
  private pending = 0;
  private busy = false;
  private closed = false;
  private runs = 0;

  constructor(options: SessionOptions = {}) {
    checkOptions(options);
    this.graph = (options.graph ?? getDefaultGraph()).root;
    this.backend = options.backend ?? 'cpu';
    const backend = getBackend(this.backend);
    const { threads, memoryLimit, exact } = options;
    this.device = backend.open({
      ...(threads === undefined ? {} : { threads }),
      ...(memoryLimit === undefined ? {} : { memoryLimit }),
      ...(exact === undefined ? {} : { exact }),
    });
    this.sync = backend.capabilities.sync;
    this.ready = this.device.ready;
    this.options = {
      fuse: options.fuse ?? true,
      passes: { disable: options.disablePasses ?? [], verify: options.verify ?? false },
    };
  }

  /**
   * Runs the fetches: any nesting of tensors, operations, variables and names; the result has the same
   * structure. Feeds are `[tensor, value]` pairs (a Map too) or a record by name; any tensor may be fed.
   * Rejects with FeedError, FetchError, StateError, ShapeError, ExecutionError, TimeoutError; after any
   * of them the session works and its variables are as they were.
   */
  async run<const F>(fetches: F, feeds?: Feeds, options: RunOptions = {}): Promise<FetchResult<F>> {
    return this.enqueue(() => {
      const { flat, program, values } = this.prepare(fetches, feeds);
      return this.execute(flat, program, values, options, false);
    }) as Promise<FetchResult<F>>;
  }

  /** Like `run`, at once. Throws StateError `session/busy` during another run. */
  runSync<const F>(fetches: F, feeds?: Feeds, options: RunOptions = {}): FetchResult<F> {
    this.beginSync();
    try {
      const { flat, program, values } = this.prepare(fetches, feeds);
      return this.execute(flat, program, values, options, true) as FetchResult<F>;
    } finally {
      this.busy = false;
    }
  }

  /**
   * A function for hot loops: names, fetches and plan lookup are settled once. `feeds` maps names of
   * its argument to tensors.
   */
  makeCallable<const F>(spec: {
    readonly feeds?: { readonly [name: string]: Feedable };
    readonly fetches: F;
  }): Callable<F> {
    this.checkOpen();
    const flat = flattenFetches(this.graph, spec.fetches);
    const targets = Object.entries(spec.feeds ?? {}).map(
      ([key, tensor]) => [key, feedTarget(this.graph, tensor)] as const,
    );
    const cache = new Map<string, Program>();
    const go = (
      given: { readonly [name: string]: unknown },
      options: RunOptions,
      sync: boolean,
    ) => {
      for (const key of Object.keys(given)) {
        if (!targets.some(([name]) => name === key)) {
          const names = targets.map(([name]) => name).join(', ');
          throw new FeedError(
            'feed/name',
            `the callable has no feed "${key}". It takes ${names || 'none'}.`,
          );
        }
      }
      const values = targets.map(([key, target]) => {
        if (!(key in given)) {
          throw new FeedError(
            'feed/missing',
            `${target.tensor.op.type} "${target.name}": the callable was given no "${key}". Pass all of its feeds.`,
          );
        }
        return feedValue(target, given[key]);
      });
      const ranks = values.map((f) => f.value.shape.length).join();
      let program = cache.get(ranks);
      if (!program) {
        program = this.programFor(flat, values);
        cache.set(ranks, program);
      }
      return this.execute(flat, program, values, options, sync);
    };
    const call = (given: { readonly [name: string]: unknown }, options: RunOptions = {}) =>
      this.enqueue(() => go(given, options, false)) as Promise<FetchResult<F>>;
    const sync = (given: { readonly [name: string]: unknown }, options: RunOptions = {}) => {
      this.beginSync();
      try {
        return go(given, options, true) as FetchResult<F>;
      } finally {
        this.busy = false;
      }
    };
    return Object.assign(call, { sync });
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
      programs,
    };
  }

  /**
   * How the fetches are compiled, as text: the function, what each pass changed, the kernels with their
   * loops and device code, the steps and the memory plan. Placeholders the fetches need count as fed.
   */
  explain(fetches: unknown, feeds: readonly Feedable[] = []): string {
    this.checkOpen();
    const flat = flattenFetches(this.graph, fetches);
    return explainProgram(this.graph, flat, feeds, this.device, this.options);
  }

  /** The value of a variable, as it is between runs. */
  variableValue(v: { readonly name: string }): NDArray | undefined {
    this.checkOpen();
    const value = this.device.readVariable(v.name);
    return value && toResult(value);
  }

  /** Sets a variable between runs. */
  setVariable(
    v: { readonly name: string; readonly dtype: DType; readonly shape: readonly number[] },
    value: unknown,
  ): void {
    this.checkOpen();
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

  private checkOpen(): void {
    if (!this.closed) return;
    throw new StateError(
      'session/closed',
      'the session is closed. Make a new Session; variables start uninitialized.',
    );
  }

  private beginSync(): void {
    this.checkOpen();
    if (!this.sync) {
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
    try {
      this.checkOpen();
    } catch (e) {
      return Promise.reject(e);
    }
    const first = this.pending === 0 && !this.busy;
    this.pending++;
    const turn = first ? this.device.ready.then(go) : this.tail.then(go);
    const done = turn.finally(() => {
      this.pending--;
    });
    this.tail = done.catch(() => undefined);
    return done;
  }

  private prepare(fetches: unknown, feeds: Feeds | undefined): Prepared & { values: Feed[] } {
    const flat = flattenFetches(this.graph, fetches);
    const values = collectFeeds(this.graph, feeds).map(([target, raw]) => feedValue(target, raw));
    return { flat, program: this.programFor(flat, values), values };
  }

  private programFor(flat: FlatFetches, feeds: readonly Feed[]): Program {
    const key = programKey(flat, feeds);
    let program = this.programs.get(key);
    if (!program) {
      const cut = cutFunc(
        this.graph,
        flat.refs,
        flat.effects,
        feeds.map((f) => ({ refs: f.refs, name: f.name, type: feedType(f) })),
      );
      program = new Program(unifySizes(mergeLoops(cut)), this.device, this.options);
      this.programs.set(key, program);
    }
    return program;
  }

  private execute(
    flat: FlatFetches,
    program: Program,
    feeds: readonly Feed[],
    options: RunOptions,
    sync: boolean,
  ): unknown {
    this.checkRun(options);
    const sizes = bindSizes(program.func, feeds);
    const compiled = program.compiledFor(sizes);
    const { plan, executable } = compiled;
    checkConstraints(plan, sizes);
    this.checkVariables(compiled);
    const { timeoutMs, signal } = options;
    const bindings = {
      feeds: feeds.map((f) => f.value),
      sizes: startValues(plan.startSyms, feeds),
      run: this.runs++,
      ...(timeoutMs === undefined ? {} : { deadline: performance.now() + timeoutMs }),
      ...(signal === undefined ? {} : { signal }),
    };
    this.graph.noteRun();
    if (sync) {
      if (!executable.runSync) {
        throw new UnsupportedError(
          'session/sync',
          'the plan has no synchronous form. Use await run().',
        );
      }
      return flat.pack(executable.runSync(bindings).map(toResult));
    }
    this.busy = true;
    let out: HostTensor[] | Promise<HostTensor[]>;
    try {
      out = executable.run(bindings);
    } catch (e) {
      this.busy = false;
      throw e;
    }
    if (!(out instanceof Promise)) {
      this.busy = false;
      return flat.pack(out.map(toResult));
    }
    return out
      .then((values) => flat.pack(values.map(toResult)))
      .finally(() => {
        this.busy = false;
      });
  }

  private checkRun({ timeoutMs, signal }: RunOptions): void {
    if (timeoutMs !== undefined && !(timeoutMs > 0)) {
      throw new ValueError(
        'run/timeout-value',
        `timeoutMs must be above 0, got ${timeoutMs}. Leave it out for no limit.`,
      );
    }
    if (signal?.aborted) {
      throw new AbortedError('run/aborted', 'the run was aborted before it began.');
    }
  }

  private checkVariables({ plan }: Compiled): void {
    for (const name of plan.reads) {
      if (this.device.hasVariable(name)) continue;
      throw new StateError(
        'variable/uninitialized',
        `Variable "${name}" holds no value yet. ` +
          'Run globalVariablesInitializer() (or its initializer) first.',
        { op: 'Variable', node: name },
      );
    }
  }
}

function checkOptions(options: SessionOptions): void {
  const { threads, memoryLimit } = options;
  if (threads !== undefined && (!Number.isInteger(threads) || threads < 1)) {
    throw new ValueError(
      'session/threads',
      `threads must be a whole number of at least 1, got ${threads}.`,
    );
  }
  if (memoryLimit !== undefined && !(memoryLimit > 0)) {
    throw new ValueError(
      'session/memory',
      `memoryLimit must be a number of bytes above 0, got ${memoryLimit}.`,
    );
  }
}

function programKey(flat: FlatFetches, feeds: readonly Feed[]): string {
  const fed = feeds.map((f) => `${f.refs.map(refKey)}/${f.value.shape.length}`);
  return `${flat.refs.map(refKey)}|${flat.effects}|${fed}`;
}

/** The type of a feed in its program: the tensor's, or with fresh sizes where its rank was open. */
function feedType(f: Feed): TensorType {
  const { dtype, shape } = f.tensor;
  return tensorType(dtype, shape ?? f.value.shape.map((_, i) => dimOf(`${f.name}:d${i}`, '?')));
}

/** The exact reference gives its floats as they are, in float64 storage. */
function toResult(v: HostTensor): NDArray {
  return v instanceof NDArray ? v : new NDArray(v.dtype, v.shape, v.data as DataOf[DType]);
}
