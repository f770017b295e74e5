// Values that the user holds: those on the GPU, and what they share with those on the CPU beside it.
// Invariant: storage is freed exactly once, when the value is disposed and no run uses it.

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

/** A value whose storage is freed when it is disposed and no run uses it. */
export abstract class CountedValue implements DeviceValue {
  readonly dtype: DType;
  readonly shape: readonly number[];
  #users = 0;
  #disposed = false;
  #freed = false;

  constructor(dtype: DType, shape: readonly number[]) {
    this.dtype = dtype;
    this.shape = shape;
  }

  protected abstract fetch(): HostTensor | Promise<HostTensor>;
  protected abstract free(): void;

  async read(): Promise<HostTensor> {
    invariant(!this.#freed, 'a device value was used after its end');
    this.retain();
    try {
      return await this.fetch();
    } finally {
      this.release();
    }
  }

  dispose(): void {
    this.#disposed = true;
    this.#freeIfUnused();
  }

  /** Keeps the storage while a run needs it; each call is matched by one of {@link release}. */
  retain(): void {
    this.#users++;
  }

  release(): void {
    this.#users--;
    this.#freeIfUnused();
  }

  #freeIfUnused(): void {
    if (!this.#disposed || this.#users > 0 || this.#freed) return;
    this.#freed = true;
    this.free();
  }
}

/** A value in a buffer of the GPU. */
export class GpuValue extends CountedValue {
  readonly buffer: GpuBuffer;
  readonly #owner: ValueOwner;

  /** Takes over a buffer. */
  constructor(owner: ValueOwner, buffer: GpuBuffer, dtype: DType, shape: readonly number[]) {
    super(dtype, shape);
    this.#owner = owner;
    this.buffer = buffer;
  }

  /** Whether the device it stood on is gone. */
  lost(era: number): boolean {
    return this.buffer.era !== era;
  }

  protected fetch(): Promise<HostTensor> {
    return this.#owner.readBuffer(this.buffer, this.dtype, this.shape);
  }

  protected free(): void {
    this.#owner.freeBuffer(this.buffer);
  }
}
