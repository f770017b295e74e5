// The worker threads of a device. They share its memory and take tiles of jobs from the board in it
// (see `codegen/wasm/jobs.ts`); the calling thread is thread 0 and never waits for one that is slow
// to wake. Workers spin while there is work and for a while after it, then sleep until the next run
// that is worth waking them; they never keep a process alive.

import { CONTROL } from '../../codegen/wasm/block.ts';
import { invariant } from '../../core/error.ts';
import type { DeviceMemory } from './memory.ts';

/** Looks at the job board between two looks at the clock: about 33 µs. */
const SPINS = 100_000;
/** How long a worker without work stays awake. */
const AWAKE_MS = 10;
/** Shorter runs gain nothing from threads that sleep. */
export const WORTH_WAKING_NS = 100_000;
/**
 * A run alone must be as long as this: a worker that wakes is often put on the caller's core, which
 * costs a short run more than it gains. Shorter runs wake them when they come in a row.
 */
const LONG_RUN_NS = 3_000_000;
/** Runs that begin so soon after the end of the one before are in a row. */
const IN_A_ROW_MS = 5;
/** The longest that ending waits for tiles in progress. */
const HALT_MS = 1000;

/**
 * What a worker runs. It is a string because a file would have to be found both beside the sources
 * and in a bundle. The worker never returns to its event loop, so it takes modules from its port by
 * itself.
 */
const WORKER = `
const { receiveMessageOnPort, workerData } = require('node:worker_threads');
const { memory, control, port, thread, word, spins, awakeMs } = workerData;
const words = new Int32Array(memory.buffer, control, word.words);
const env = { memory, poll: () => 0, reserve: () => {} };
const works = new Map();
const find = (id) => {
  for (let m = receiveMessageOnPort(port); m; m = receiveMessageOnPort(port)) {
    const { id, module } = m.message;
    if (module) works.set(id, new WebAssembly.Instance(module, { env }).exports.work);
    else works.delete(id);
  }
  return works.get(id);
};
Atomics.add(words, word.awake, 1);
try {
  let seen = Atomics.load(words, word.wake);
  let generation = -1;
  let busy = performance.now();
  while (Atomics.load(words, word.stop) === 0) {
    const id = Atomics.load(words, word.module);
    const work = works.get(id) ?? find(id);
    if (work) work(spins, thread);
    const now = performance.now();
    const g = Atomics.load(words, word.generation);
    const w = Atomics.load(words, word.wake);
    if (g !== generation || w !== seen) {
      generation = g;
      seen = w;
      busy = now;
    } else if (now - busy > awakeMs) {
      Atomics.sub(words, word.awake, 1);
      Atomics.wait(words, word.wake, seen);
      Atomics.add(words, word.awake, 1);
      busy = performance.now();
    }
  }
} catch (error) {
  Atomics.store(words, word.trap, 1);
  throw error;
} finally {
  Atomics.sub(words, word.awake, 1);
}
`;

type Threads = typeof import('node:worker_threads');

/** Node's threads, if this is Node. Not a static import: bundles for pages could not resolve it. */
function nodeThreads(): Threads | undefined {
  return globalThis.process?.getBuiltinModule?.('node:worker_threads');
}

/** Whether this is a page's worker, or a worker of such a one, that may share memory with others. */
function isIsolated(): boolean {
  return globalThis.crossOriginIsolated === true && typeof Worker === 'function';
}

/** Whether there can be threads here. */
export function threadsSupported(): boolean {
  if (typeof SharedArrayBuffer !== 'function') return false;
  return nodeThreads() !== undefined || isIsolated();
}

/** As many threads as the machine has cores for this process, where there can be any. */
export function defaultThreads(): number {
  if (!threadsSupported()) return 1;
  if (!nodeThreads()) return Math.max(1, navigator.hardwareConcurrency);
  const os = globalThis.process?.getBuiltinModule?.('node:os');
  return Math.max(1, os?.availableParallelism() ?? 1);
}

interface Thread {
  post(message: ModuleMessage): void;
  end(): void;
}

/** A module that threads run, by number; null: it is gone. */
export interface ModuleMessage {
  readonly id: number;
  readonly module: WebAssembly.Module | null;
}

/** The first message to a thread of a page. */
export interface WebThreadStart extends ThreadStart {
  readonly thread: number;
}

/** What all threads get when they start, but for their number. */
interface ThreadStart {
  readonly memory: WebAssembly.Memory;
  readonly control: number;
  readonly word: typeof CONTROL;
  readonly spins: number;
  readonly awakeMs: number;
}

/** The threads of a device besides the calling one. */
export class ThreadPool {
  readonly #memory: DeviceMemory;
  readonly #control: number;
  readonly #count: number;
  readonly #modules = new Map<number, WebAssembly.Module>();
  #threads: Thread[] = [];
  #view: Int32Array | undefined;
  #halted = false;
  /** Resolves when threads that start with the device have started, or failed to. */
  readonly ready: Promise<void>;
  /** When the last run worth waking threads ended. */
  #lastEnd = Number.NEGATIVE_INFINITY;

  constructor(memory: DeviceMemory, control: number, count: number) {
    this.#memory = memory;
    this.#control = control;
    this.#count = count;
    // In a browser a worker's start waits for its maker's event loop, which a long run would block.
    if (nodeThreads()) this.ready = Promise.resolve();
    else this.ready = this.#startWeb();
  }

  add(id: number, module: WebAssembly.Module): void {
    this.#modules.set(id, module);
    for (const thread of this.#threads) thread.post({ id, module });
  }

  remove(id: number): void {
    this.#modules.delete(id);
    for (const thread of this.#threads) thread.post({ id, module: null });
  }

  /**
   * Says that a module has so many nanoseconds of work: starts or wakes the threads if that pays. Returns
   * whether the calling thread is left alone with it.
   */
  wake(id: number, nanoseconds: number): boolean {
    if (nanoseconds < WORTH_WAKING_NS || this.#halted) return true;
    const words = this.#words();
    const awake = Atomics.load(words, CONTROL.awake);
    if (this.#threads.length > 0 && awake >= this.#count) return false;
    const inARow = performance.now() - this.#lastEnd <= IN_A_ROW_MS;
    if (!inARow && nanoseconds < LONG_RUN_NS) return awake === 0;
    // The first run worth it starts the workers: short sessions never pay for them.
    if (this.#threads.length === 0) this.#start();
    // Threads look for the module of the current job; between jobs this one is the best guess.
    Atomics.store(words, CONTROL.module, id);
    Atomics.add(words, CONTROL.wake, 1);
    Atomics.notify(words, CONTROL.wake);
    return false;
  }

  /** Says that a run that was worth waking threads ended at the given time. */
  ended(now: number): void {
    this.#lastEnd = now;
  }

  /**
   * Wakes the threads if a run that has taken so long had jobs for them while they slept. Returns whether the
   * calling thread is left as it was.
   */
  wakeIfMissed(id: number, nanoseconds: number): boolean {
    const words = this.#words();
    if (words[CONTROL.missed] === 0 || nanoseconds < LONG_RUN_NS) return true;
    words[CONTROL.missed] = 0;
    return this.wake(id, nanoseconds);
  }

  /**
   * Ends all threads for good: when the device closes, and after a trap, which may leave a job that
   * never ends. Returns once none of them can touch the memory any more.
   */
  halt(): void {
    this.#halted = true;
    if (this.#threads.length === 0) return;
    const words = this.#words();
    Atomics.store(words, CONTROL.claim, 0);
    Atomics.store(words, CONTROL.stop, 1);
    Atomics.add(words, CONTROL.wake, 1);
    Atomics.notify(words, CONTROL.wake);
    const end = performance.now() + HALT_MS;
    while (Atomics.load(words, CONTROL.awake) > 0 && performance.now() < end);
    for (const thread of this.#threads) thread.end();
    this.#threads = [];
  }

  #start(): void {
    const node = nodeThreads();
    invariant(node, 'threads were started where there are none');
    for (let thread = 1; thread <= this.#count; thread++) {
      const { port1, port2 } = new node.MessageChannel();
      const worker = new node.Worker(WORKER, {
        eval: true,
        workerData: { ...this.#shared(), port: port2, thread },
        transferList: [port2],
        // Loaders of the main thread (tsx, vitest) would only slow the start down.
        execArgv: [],
        name: `tensorloom ${thread}`,
      });
      worker.unref();
      // A trap is reported by the trap word; without a listener it would end the process.
      worker.on('error', () => {});
      for (const [id, module] of this.#modules) port1.postMessage({ id, module });
      port1.unref();
      this.#threads.push({
        post: (message) => port1.postMessage(message),
        end: () => {
          port1.close();
          void worker.terminate();
        },
      });
    }
  }

  async #startWeb(): Promise<void> {
    const starts: Promise<unknown>[] = [];
    for (let thread = 1; thread <= this.#count; thread++) {
      const worker = new Worker(new URL('./page-thread.js', import.meta.url), {
        type: 'module',
        name: `tensorloom ${thread}`,
      });
      starts.push(
        new Promise((resolve) => {
          worker.onmessage = resolve;
          // Without this thread the others do its work.
          worker.onerror = resolve;
        }),
      );
      worker.postMessage({ ...this.#shared(), thread } satisfies WebThreadStart);
      this.#threads.push({
        post: (message) => worker.postMessage(message),
        end: () => worker.terminate(),
      });
    }
    await Promise.all(starts);
  }

  #shared(): ThreadStart {
    const { memory } = this.#memory;
    return { memory, control: this.#control, word: CONTROL, spins: SPINS, awakeMs: AWAKE_MS };
  }

  /** Shared memory that has grown leaves old views valid. */
  #words(): Int32Array {
    this.#view ??= this.#memory.words(this.#control, CONTROL.words);
    return this.#view;
  }
}
