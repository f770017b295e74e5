// The page's end of a device: plans become modules here, and all else is asked of a coordinator worker
// (see `page-coordinator.ts`), so that the page never waits. Invariant: requests are posted in the
// order of the calls; what the interface wants at once (names of variables, counters) is kept here.

import { layoutBlock } from '../../codegen/wasm/block.ts';
import { buildPlanModule, type KernelCompiler, type PlanModule } from '../../codegen/wasm/entry.ts';
import { InternalError, UnsupportedError, ValueError } from '../../core/error.ts';
import type { HostTensor } from '../../core/ndarray.ts';
import type { Plan } from '../../plan/types.ts';
import type { Device, DeviceOptions, DeviceStats, DeviceValue, Executable } from '../backend.ts';
import { type KernelCounts, sharedKernels } from './kernel-cache.ts';
import { PageExecutable, PageValue } from './page-executable.ts';
import {
  type Answers,
  buffersOf,
  errorOf,
  type Port,
  packHost,
  type Request,
  type ToPage,
  type ToWorker,
  toArray,
} from './page-protocol.ts';

/** Whether this is a page's main thread, which must not block, nor may it wait for threads. */
export function isPage(): boolean {
  const isNode = globalThis.process?.versions?.node !== undefined;
  return !isNode && typeof document === 'object' && typeof Worker === 'function';
}

/** What a request waits with. */
interface Waiting {
  resolve(answer: unknown): void;
  reject(error: unknown): void;
}

/** A port with what ends it. */
export type CoordinatorPort = Port & {
  terminate(): void;
  onerror?: ((event: ErrorEvent) => void) | null;
};

/** Starts a coordinator worker. */
export function startCoordinator(): CoordinatorPort {
  return new Worker(new URL('./page-worker.js', import.meta.url), {
    type: 'module',
    name: 'tensorloom',
  });
}

/** A session's device in a page. */
export class PageDevice implements Device {
  readonly ready: Promise<void>;
  /** What each run of a host function that failed threw, for the error of its run. */
  hostCause: unknown;
  readonly #port: CoordinatorPort;
  readonly #waiting = new Map<number, Waiting>();
  readonly #plans = new Map<number, Plan>();
  readonly #variables = new Set<string>();
  readonly #counts: KernelCounts = { compiled: 0, shared: 0 };
  readonly #compiler: KernelCompiler;
  readonly #abort: Int32Array | undefined;
  #memory = { usedBytes: 0, memoryBytes: 0 };
  #last = 0;
  /** Why the worker can't be used any more. */
  #broken: Error | undefined;
  /** A failure that had nobody to hear of it: the next run reports it. */
  #unheard: unknown;

  constructor(options: DeviceOptions, compiler: KernelCompiler, port: CoordinatorPort) {
    const { threads } = options;
    if (threads !== undefined && (!Number.isInteger(threads) || threads < 1)) {
      throw new ValueError(
        'option/threads',
        `threads must be a positive integer, got ${threads}. Use 1 for the coordinator alone.`,
      );
    }
    this.#port = port;
    this.#compiler = sharedKernels(compiler, this.#counts);
    const isolated = globalThis.crossOriginIsolated === true;
    if (isolated) this.#abort = new Int32Array(new SharedArrayBuffer(4));
    if (!isolated && threads !== 1) warnOnce();
    port.onmessage = ({ data }) => this.#take(data as ToPage);
    port.onerror = (event) => {
      event.preventDefault();
      this.#break(
        new UnsupportedError(
          'cpu/worker',
          `the worker of the cpu backend failed: ${event.message || 'its script was not loaded'}. ` +
            'Serve the whole of dist/ from the origin of the page.',
        ),
      );
    };
    const at = { ...options, ...(isolated ? {} : { threads: 1 }) };
    this.ready = this.ask({ kind: 'open', options: at, abort: this.#abort });
    // Each run waits for it too, and reports it.
    this.ready.catch(() => {});
  }

  compile(plan: Plan): Executable {
    const id = this.number();
    this.#plans.set(id, plan);
    return new PageExecutable(plan, id, this);
  }

  async put(value: HostTensor): Promise<DeviceValue> {
    const id = this.number();
    const own = { ...value, data: value.data.slice() };
    await this.ask({ kind: 'put', id, value: own }, buffersOf([own]));
    return new PageValue(id, value.dtype, value.shape, this);
  }

  hasVariable(name: string): boolean {
    return this.#variables.has(name);
  }

  readVariable(name: string): HostTensor | undefined {
    if (!this.#variables.has(name)) return undefined;
    throw new UnsupportedError(
      'session/sync',
      `variable "${name}": a page can't wait for the worker that holds it. ` +
        'Fetch it: await session.run(variable).',
      { node: name },
    );
  }

  writeVariable(name: string, value: HostTensor): void {
    const own = { dtype: value.dtype, shape: [...value.shape], data: value.data.slice() };
    this.#variables.add(name);
    this.ask({ kind: 'write', name, value: own }, buffersOf([own])).catch((error) => {
      this.#unheard ??= error;
    });
  }

  stats(): DeviceStats {
    const { compiled, shared } = this.#counts;
    return { kernelsCompiled: compiled, kernelsShared: shared, ...this.#memory };
  }

  close(): void {
    this.#port.terminate();
    this.#break(new UnsupportedError('session/closed', 'the session is closed. Open another.'));
  }

  /** A number that the device has not given before. */
  number(): number {
    return ++this.#last;
  }

  /** Builds the module of a plan for its place on the device. */
  build(plan: Plan, target: Answers['place']): PlanModule {
    return buildPlanModule(plan, layoutBlock(plan), target, this.#compiler);
  }

  /** Posts a request; `transfer` holds the buffers that are given away. */
  ask<R extends Request>(request: R, transfer: ArrayBuffer[] = []): Promise<Answers[R['kind']]> {
    if (this.#broken) return Promise.reject(this.#broken);
    const n = this.number();
    return new Promise((resolve, reject) => {
      this.#waiting.set(n, { resolve: resolve as (answer: unknown) => void, reject });
      try {
        this.#post({ n, request }, transfer);
      } catch (error) {
        this.#waiting.delete(n);
        reject(new InternalError('a request could not be posted', { cause: error }));
      }
    });
  }

  /** Like {@link ask} where nothing hangs on the answer, or on there being one. */
  tell(request: Request): void {
    this.ask(request).catch(() => {});
  }

  /** Ends a run as soon as the worker looks. */
  abort(token: number): void {
    if (this.#abort) Atomics.store(this.#abort, 0, token);
    this.#post({ aborted: token }, []);
  }

  /** Throws what went wrong since the last run without anybody hearing of it. */
  throwUnheard(): void {
    const error = this.#unheard;
    this.#unheard = undefined;
    if (error) throw error;
  }

  /** Takes note of the variables that a run has written. */
  wrote(names: readonly string[]): void {
    for (const name of names) this.#variables.add(name);
  }

  forget(plan: number): void {
    this.#plans.delete(plan);
  }

  #take(message: ToPage): void {
    if ('call' in message) {
      void this.#call(message.call, message.plan, message.step, message.inputs);
      return;
    }
    const waiting = this.#waiting.get(message.n);
    this.#waiting.delete(message.n);
    if ('error' in message) {
      const { error } = message;
      waiting?.reject(errorOf(error, error.code === 'host/threw' ? this.hostCause : undefined));
    } else {
      this.#memory = message.memory;
      waiting?.resolve(message.answer);
    }
  }

  async #call(
    called: number,
    plan: number,
    at: number,
    inputs: readonly HostTensor[],
  ): Promise<void> {
    try {
      const segment = this.#plans.get(plan)?.segments[at];
      if (segment?.kind !== 'host') throw new InternalError('a call of an unknown host function');
      const out = packHost(await segment.step.fn(...inputs.map(toArray)));
      this.#post({ called, out }, []);
    } catch (cause) {
      this.hostCause = cause;
      this.#post({ called, threw: cause instanceof Error ? cause.message : String(cause) }, []);
    }
  }

  #post(message: ToWorker, transfer: ArrayBuffer[]): void {
    this.#port.postMessage(message, transfer);
  }

  #break(error: Error): void {
    this.#broken ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#broken);
    this.#waiting.clear();
  }
}

let warned = false;

function warnOnce(): void {
  if (!warned) {
    console.warn(
      'tensorloom: this page is not cross-origin isolated, so the cpu backend runs on one thread. ' +
        'Send the headers Cross-Origin-Opener-Policy: same-origin and ' +
        'Cross-Origin-Embedder-Policy: require-corp.',
    );
  }
  warned = true;
}
