// A value in device memory that the user holds: storage of its own, apart from arenas and variables.
// Invariant: the storage is freed exactly once, when the value is disposed and no run uses it.

import type { DType } from '../../core/dtype.ts';
import { invariant } from '../../core/error.ts';
import { type HostTensor, ndarrayOf, sizeOf } from '../../core/ndarray.ts';
import type { DeviceValue } from '../backend.ts';
import type { DeviceMemory } from './memory.ts';

/** A device value of the CPU backend. */
export class CpuValue implements DeviceValue {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly #memory: DeviceMemory;
  #address: number;
  #users = 0;
  #disposed = false;

  /** Takes over the storage at an address of the memory. */
  constructor(memory: DeviceMemory, address: number, dtype: DType, shape: readonly number[]) {
    this.#memory = memory;
    this.#address = address;
    this.dtype = dtype;
    this.shape = shape;
  }

  /** Where the value stands, until it is disposed. */
  get address(): number {
    invariant(this.#address !== 0, 'a device value was used after its end');
    return this.#address;
  }

  read(): HostTensor {
    const data = this.#memory.read(this.dtype, this.address, sizeOf(this.shape));
    return ndarrayOf(this.dtype, this.shape, data);
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
    if (!this.#disposed || this.#users > 0 || this.#address === 0) return;
    this.#memory.free(this.#address);
    this.#address = 0;
  }
}
