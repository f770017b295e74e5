// The variables of a session in device memory, and what a run does to them: storage for those it
// writes, and copies from which a failed run is undone. Invariant: a variable is in the map exactly
// while it holds a value that a finished run or a caller gave it.

import type { DType } from '../../core/dtype.ts';
import { dtypeInfo } from '../../core/dtype.ts';
import { type HostTensor, type NDArray, ndarrayOf, sizeOf } from '../../core/ndarray.ts';
import { uninitialized } from '../variable-error.ts';
import type { DeviceMemory } from './memory.ts';

/** Where a variable stands. */
export interface Variable {
  readonly address: number;
  readonly bytes: number;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** What a run is going to write. */
export interface WriteRequest {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Whether the run may fail after the write, so that the old value must be kept. */
  readonly keep: boolean;
}

/** The variables by name. */
export class Variables {
  readonly #memory: DeviceMemory;
  readonly #byName = new Map<string, Variable>();

  constructor(memory: DeviceMemory) {
    this.#memory = memory;
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** The shape of a variable's value, if it holds one. */
  shape(name: string): readonly number[] | undefined {
    return this.#byName.get(name)?.shape;
  }

  /** Where a variable stands. Throws StateError where it holds no value. */
  get(name: string): Variable {
    const variable = this.#byName.get(name);
    if (variable) return variable;
    throw uninitialized(name);
  }

  read(name: string): NDArray | undefined {
    const v = this.#byName.get(name);
    if (!v) return undefined;
    const data = this.#memory.read(v.dtype, v.address, sizeOf(v.shape));
    return ndarrayOf(v.dtype, v.shape, data);
  }

  write(name: string, { dtype, shape, data }: HostTensor): void {
    const bytes = data.length * dtypeInfo(dtype).bytes;
    const old = this.#byName.get(name);
    const address =
      old?.bytes === bytes ? old.address : this.#memory.alloc(bytes, `variable "${name}"`);
    if (old && old.address !== address) this.#memory.free(old.address);
    this.#memory.write(dtype, address, data);
    this.#byName.set(name, { address, bytes, dtype, shape: [...shape] });
  }

  /** Prepares the writes of a run. */
  begin(requests: readonly WriteRequest[]): WriteSet {
    const set = new WriteSet(this.#memory, this.#byName);
    try {
      for (const request of requests) set.add(request);
    } catch (error) {
      set.undo();
      throw error;
    }
    return set;
  }
}

interface Write {
  readonly name: string;
  readonly next: Variable;
  /** The value before the run, and where a copy of it stands if it is overwritten in place. */
  readonly old: Variable | undefined;
  readonly copy: number | undefined;
}

/** The writes of one run: {@link commit} or {@link undo} ends it. */
export class WriteSet {
  readonly #memory: DeviceMemory;
  readonly #byName: Map<string, Variable>;
  readonly #writes: Write[] = [];

  constructor(memory: DeviceMemory, byName: Map<string, Variable>) {
    this.#memory = memory;
    this.#byName = byName;
  }

  add({ name, dtype, shape, keep }: WriteRequest): void {
    const bytes = sizeOf(shape) * dtypeInfo(dtype).bytes;
    const old = this.#byName.get(name);
    if (old?.bytes !== bytes) {
      const address = this.#memory.alloc(bytes, `variable "${name}"`);
      this.#memory.view('bool', address, bytes).fill(0);
      const next = { address, bytes, dtype, shape };
      this.#writes.push({ name, next, old, copy: undefined });
      return;
    }
    let copy: number | undefined;
    if (keep) {
      copy = this.#memory.alloc(bytes, `the copy of variable "${name}" kept during a run`);
      this.#memory.copy(old.address, copy, bytes);
    }
    this.#writes.push({ name, next: { ...old, dtype, shape }, old, copy });
  }

  /** Where a variable of this run stands, if the run writes it. */
  address(name: string): number | undefined {
    return this.#writes.find((w) => w.name === name)?.next.address;
  }

  /** Makes the written values the variables' values. */
  commit(): void {
    for (const { name, next, old, copy } of this.#writes) {
      this.#byName.set(name, next);
      if (old && old.address !== next.address) this.#memory.free(old.address);
      if (copy !== undefined) this.#memory.free(copy);
    }
  }

  /** Puts the old values back. */
  undo(): void {
    for (const { next, old, copy } of this.#writes) {
      if (old?.address !== next.address) this.#memory.free(next.address);
      if (copy === undefined) continue;
      this.#memory.copy(copy, next.address, next.bytes);
      this.#memory.free(copy);
    }
  }
}
