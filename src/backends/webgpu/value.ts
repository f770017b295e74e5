// A value on the GPU that the user holds. Invariant: its buffer is freed exactly once, when the value is
// disposed and no run uses it.

import type { DType } from '../../core/dtype.ts';
import { invariant, StateError } from '../../core/error.ts';
import type { HostTensor } from '../../core/ndarray.ts';
import type { DeviceValue } from '../backend.ts';
import type { GpuBuffer } from './memory.ts';

/** The error of a use of a value whose device is gone. */
export function valueLost(): StateError {
  return new StateError(
    'device/lost',
    'a device tensor was lost with its GPU device. Put or compute it again.',
  );
}

/** What a value needs of its device. */
export interface ValueOwner {
  readBuffer(from: GpuBuffer, dtype: DType, shape: readonly number[]): Promise<HostTensor>;
  freeBuffer(buffer: GpuBuffer): void;
}

/** A device value of the WebGPU backend. */
export class GpuValue implements DeviceValue {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly #owner: ValueOwner;
  #buffer: GpuBuffer | undefined;
  #users = 0;
  #disposed = false;

  /** Takes over a buffer. */
  constructor(owner: ValueOwner, buffer: GpuBuffer, dtype: DType, shape: readonly number[]) {
    this.#owner = owner;
    this.#buffer = buffer;
    this.dtype = dtype;
    this.shape = shape;
  }

  /** Whether the device it stood on is gone. */
  lost(era: number): boolean {
    return this.#buffer !== undefined && this.#buffer.era !== era;
  }

  /** Where the value stands, until it is disposed. */
  get buffer(): GpuBuffer {
    invariant(this.#buffer, 'a device value was used after its end');
    return this.#buffer;
  }

  async read(): Promise<HostTensor> {
    this.retain();
    try {
      return await this.#owner.readBuffer(this.buffer, this.dtype, this.shape);
    } finally {
      this.release();
    }
  }

  dispose(): void {
    this.#disposed = true;
    this.#freeIfUnused();
  }

  /** Keeps the buffer while a run needs it; each call is matched by one of {@link release}. */
  retain(): void {
    this.#users++;
  }

  release(): void {
    this.#users--;
    this.#freeIfUnused();
  }

  #freeIfUnused(): void {
    if (!this.#disposed || this.#users > 0 || !this.#buffer) return;
    this.#owner.freeBuffer(this.#buffer);
    this.#buffer = undefined;
  }
}
