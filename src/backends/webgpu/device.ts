// The state of one session on the GPU: its buffers, variables and commands, on a device that sessions
// share. Invariant: what a lost device held is never given back as zeros; each use says what is gone.

import type { WgslLimits } from '../../codegen/wgsl/program.ts';
import type { DType } from '../../core/dtype.ts';
import { StateError, UnsupportedError } from '../../core/error.ts';
import { type HostTensor, sizeOf } from '../../core/ndarray.ts';
import { isInitializer } from '../../plan/build.ts';
import type { Plan } from '../../plan/types.ts';
import type { AdapterOptions, Device, DeviceOptions, DeviceStats, Executable } from '../backend.ts';
import { localCpuDevice } from '../cpu/backend.ts';
import type { CpuDevice } from '../cpu/device.ts';
import { Commands, type GpuCounts } from './commands.ts';
import { CpuSide, LACKS } from './cpu-side.ts';
import { GpuExecutable } from './executable.ts';
import { MAP_READ } from './flags.ts';
import { type Gpu, LEAST_LIMITS, type Lease, leaseGpu } from './gpu.ts';
import { InitialRun } from './initial-run.ts';
import { bytesOf, fromWords, type GpuBuffer, GpuMemory, toWords } from './memory.ts';
import type { GpuParts } from './parts.ts';
import { type CountedValue, GpuValue, valueLost } from './value.ts';
import { Variables } from './variables.ts';

/** How long to wait for the reason of a failure, in ms. */
const LOSS_MS = 100;

/** A session's device. */
export class GpuDevice implements Device, GpuParts {
  readonly ready: Promise<void>;
  readonly memory: GpuMemory;
  readonly variables: Variables;
  readonly commands: Commands;
  readonly cpu: CpuSide;
  readonly #counts: GpuCounts = { submits: 0, dispatches: 0, bindGroups: 0 };
  readonly #adapter: AdapterOptions;
  /** The variables' values after the last run, if they are wanted. */
  readonly #copies: Map<string, HostTensor> | undefined;
  #lease: Lease | undefined;
  /** Runs initializers, here even in a page: their values are uploaded at once. */
  #initial: CpuDevice | undefined;
  #closed = false;

  constructor(options: DeviceOptions, adapter: AdapterOptions) {
    this.memory = new GpuMemory(() => this.gpu(), options.memoryLimit ?? Number.POSITIVE_INFINITY);
    this.variables = new Variables(this.memory);
    this.commands = new Commands(() => this.gpu().device, this.memory, this.#counts);
    this.cpu = new CpuSide(options);
    this.#adapter = adapter;
    this.#copies = options.keepHostCopy ? new Map() : undefined;
    this.ready = this.#open();
  }

  async #open(): Promise<void> {
    const lease = await leaseGpu(this.#adapter);
    this.#lease = lease;
    if (this.#closed) lease.end();
  }

  get keepsCopies(): boolean {
    return this.#copies !== undefined;
  }

  limits(): WgslLimits {
    return this.#lease?.gpu.limits ?? LEAST_LIMITS;
  }

  noteVariable(name: string, value: HostTensor): void {
    this.#copies?.set(name, value);
  }

  async revive(): Promise<boolean> {
    const old = this.#lease;
    if (this.#closed || !this.#copies || !old?.gpu.lost) return false;
    old.end();
    await this.#open();
    this.memory.forget();
    this.commands.forgetDevice();
    this.variables.forget();
    for (const [name, value] of this.#copies) this.#upload(name, value);
    await this.memory.check();
    return true;
  }

  async settleLoss(): Promise<void> {
    const gpu = this.#lease?.gpu;
    if (!gpu || gpu.lost) return;
    // What a lost device fails with comes before the news of its loss.
    await Promise.race([gpu.device.lost, new Promise((done) => setTimeout(done, LOSS_MS))]);
  }

  gpu(): Gpu {
    if (this.#closed)
      throw new StateError('session/closed', 'the session is closed. Open another.');
    const gpu = this.#lease?.gpu;
    if (!gpu) throw new StateError('session/not-ready', 'the GPU device is not open. Await ready.');
    if (!gpu.lost) return gpu;
    const { names } = this.variables;
    throw new StateError(
      'device/lost',
      `the GPU device was lost (${gpu.lost.message || gpu.lost.reason}), and with it ` +
        `${names.length > 0 ? `the variables ${names.join(', ')}` : 'what the session held'}. ` +
        'Open another session and initialize or restore its variables; with keepHostCopy: true a ' +
        'session recovers by itself.',
    );
  }

  compile(plan: Plan): Executable {
    if (!isInitializer(plan)) return new GpuExecutable(plan, this);
    // Equal seeds then give equal weights on every backend, bit for bit.
    this.#initial ??= localCpuDevice();
    return new InitialRun(plan, this.#initial, this);
  }

  async put(value: HostTensor): Promise<CountedValue> {
    if (LACKS.has(value.dtype)) return await this.cpu.put(value);
    await this.revive();
    const { device } = this.gpu();
    const { dtype, shape, data } = value;
    const buffer = this.memory.alloc(bytesOf(dtype, data.length), 'a value put on the device');
    await this.memory.check();
    device.queue.writeBuffer(buffer.buffer, 0, toWords(dtype, data));
    return new GpuValue(this, buffer, dtype, shape);
  }

  hasVariable(name: string): boolean {
    return this.cpu.has(name) || (this.#copies ?? this.variables).has(name);
  }

  readVariable(name: string): HostTensor | undefined {
    if (this.cpu.has(name)) return this.cpu.readVariable(name);
    if (!this.variables.has(name)) return undefined;
    const copy = this.#copies?.get(name);
    if (copy) return copyOf(copy);
    throw new UnsupportedError(
      'device/sync-read',
      `variable "${name}": a GPU can't be read at once. Fetch it with await session.run(variable).`,
    );
  }

  writeVariable(name: string, value: HostTensor): void {
    if (LACKS.has(value.dtype)) {
      this.cpu.writeVariable(name, value);
      return;
    }
    this.#copies?.set(name, copyOf(value));
    // Whatever comes next brings a new device up, with the copies.
    if (this.#copies && this.#lease?.gpu.lost) return;
    this.#upload(name, value);
  }

  #upload(name: string, value: HostTensor): void {
    const { device } = this.gpu();
    const { buffer } = this.variables.replace(name, value);
    device.queue.writeBuffer(buffer, 0, toWords(value.dtype, value.data));
  }

  async readBuffer(from: GpuBuffer, dtype: DType, shape: readonly number[]): Promise<HostTensor> {
    const bytes = bytesOf(dtype, sizeOf(shape));
    const { device } = this.gpu();
    if (from.era !== this.memory.era) throw valueLost();
    const staging = this.memory.allocStaging(bytes);
    try {
      await this.memory.check();
      const encoder = device.createCommandEncoder();
      if (bytes > 0) encoder.copyBufferToBuffer(from.buffer, 0, staging.buffer, 0, bytes);
      device.queue.submit([encoder.finish()]);
      await staging.buffer.mapAsync(MAP_READ);
      return fromWords(dtype, shape, staging.buffer.getMappedRange(), 0);
    } finally {
      this.gpu();
      this.memory.free(staging);
    }
  }

  freeBuffer(buffer: GpuBuffer): void {
    this.memory.free(buffer);
  }

  stats(): DeviceStats {
    const { usedBytes, made } = this.memory;
    const pipelines = this.#lease?.gpu.pipelines.size ?? 0;
    return {
      kernelsCompiled: pipelines,
      kernelsShared: 0,
      usedBytes,
      memoryBytes: usedBytes,
      gpu: { ...this.#counts, pipelines, buffers: made },
    };
  }

  close(): void {
    if (this.#closed) return;
    if (!this.#lease?.gpu.lost) this.variables.clear();
    this.#initial?.close();
    this.cpu.close();
    this.#closed = true;
    this.#lease?.end();
  }
}

function copyOf({ dtype, shape, data }: HostTensor): HostTensor {
  return { dtype, shape, data: data.slice() };
}
