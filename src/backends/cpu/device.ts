// The state of one session on the CPU: its memory, variables, threads and scratch, and the compiling
// of plans against them. Invariant: the control block never moves, since compiled code knows its
// address.

import { CONTROL } from '../../codegen/wasm/block.ts';
import { buildPlanModule, type KernelCompiler, type PlanModule } from '../../codegen/wasm/entry.ts';
import { dtypeInfo } from '../../core/dtype.ts';
import { StateError, ValueError } from '../../core/error.ts';
import type { HostTensor } from '../../core/ndarray.ts';
import type { Plan } from '../../plan/types.ts';
import type { Device, DeviceOptions, DeviceStats, Executable } from '../backend.ts';
import { RegionPool } from './arena.ts';
import { CpuExecutable, type DeviceParts, type Place } from './executable.ts';
import { type KernelCounts, sharedKernels } from './kernel-cache.ts';
import { ALIGN, alignUp, DEFAULT_MEMORY_LIMIT, DeviceMemory } from './memory.ts';
import { PlanStorage } from './storage.ts';
import { defaultThreads, ThreadPool, threadsSupported } from './threads.ts';
import { CpuValue } from './value.ts';
import { Variables } from './variables.ts';

/** A session's device. */
export class CpuDevice implements Device {
  readonly ready: Promise<void>;
  readonly #memory: DeviceMemory;
  readonly #variables: Variables;
  readonly #threads: ThreadPool | undefined;
  readonly #threadCount: number;
  readonly #control: number;
  readonly #parts: DeviceParts;
  readonly #compiler: KernelCompiler;
  readonly #counts: KernelCounts = { compiled: 0, shared: 0 };
  #scratch = { address: 0, stride: 0 };
  #modules = 0;
  #closed = false;

  constructor(options: DeviceOptions, compiler: KernelCompiler) {
    const { threads = defaultThreads(), memoryLimit = DEFAULT_MEMORY_LIMIT } = options;
    if (!Number.isInteger(threads) || threads < 1) {
      throw new ValueError(
        'option/threads',
        `threads must be a positive integer, got ${threads}. Use 1 to run on the caller alone.`,
      );
    }
    this.#threadCount = threads > 1 && !threadsSupported() ? withoutThreads() : threads;
    const shared = this.#threadCount > 1;
    this.#memory = new DeviceMemory(memoryLimit, shared);
    this.#variables = new Variables(this.#memory);
    this.#control = this.#memory.alloc(4 * CONTROL.words, 'the control block');
    this.#memory.words(this.#control, CONTROL.words).fill(0);
    if (shared) this.#threads = new ThreadPool(this.#memory, this.#control, this.#threadCount - 1);
    this.ready = this.#threads?.ready ?? Promise.resolve();
    this.#compiler = sharedKernels(compiler, this.#counts);
    this.#parts = {
      memory: this.#memory,
      variables: this.#variables,
      regions: new RegionPool(this.#memory),
      control: this.#control,
      threads: this.#threads,
      reserveScratch: (bytes) => this.#reserveScratch(bytes),
    };
  }

  compile(plan: Plan): Executable {
    const place = this.place(plan);
    const { storage, target } = place;
    const built = buildPlanModule(plan, storage.words, target, this.#compiler);
    return this.load(plan, place, built);
  }

  /** The first half of {@link compile}: storage for a plan, which its module is built for. */
  place(plan: Plan): Place {
    this.#checkOpen();
    const storage = new PlanStorage(plan, this.#memory);
    const { limits } = this.#memory;
    const target = {
      memory: limits,
      block: storage.block,
      control: this.#control,
      id: ++this.#modules,
    };
    return { storage, target };
  }

  /** The second half: a module built for its place, by whomever, ready to run. */
  load(plan: Plan, place: Place, built: PlanModule): CpuExecutable {
    return new CpuExecutable(plan, this.#parts, place, built);
  }

  put({ dtype, shape, data }: HostTensor): CpuValue {
    this.#checkOpen();
    const bytes = data.length * dtypeInfo(dtype).bytes;
    const address = this.#memory.alloc(bytes, 'a value put on the device');
    this.#memory.write(dtype, address, data);
    return new CpuValue(this.#memory, address, dtype, shape);
  }

  hasVariable(name: string): boolean {
    return this.#variables.has(name);
  }

  readVariable(name: string): HostTensor | undefined {
    this.#checkOpen();
    return this.#variables.read(name);
  }

  writeVariable(name: string, value: HostTensor): void {
    this.#checkOpen();
    this.#variables.write(name, value);
  }

  stats(): DeviceStats {
    const { compiled, shared } = this.#counts;
    const { usedBytes, sizeBytes } = this.#memory;
    return { kernelsCompiled: compiled, kernelsShared: shared, usedBytes, memoryBytes: sizeBytes };
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#threads?.halt();
  }

  #checkOpen(): void {
    if (this.#closed)
      throw new StateError('session/closed', 'the session is closed. Open another.');
  }

  /** Scratch of all threads in a row, each on cache lines of its own. */
  #reserveScratch(bytes: number): void {
    if (bytes <= this.#scratch.stride && this.#scratch.address !== 0) return;
    const stride = alignUp(bytes) + ALIGN;
    const address = this.#memory.alloc(stride * this.#threadCount, 'scratch of kernels');
    if (this.#scratch.address !== 0) this.#memory.free(this.#scratch.address);
    this.#scratch = { address, stride };
    const words = this.#memory.words(this.#control, CONTROL.words);
    words[CONTROL.scratch] = address;
    words[CONTROL.stride] = stride;
  }
}

let warned = false;

/** One thread, with a word about it the first time: results are the same, only later. */
function withoutThreads(): 1 {
  if (!warned) console.warn('tensorloom: no threads here, the cpu backend runs on one.');
  warned = true;
  return 1;
}
