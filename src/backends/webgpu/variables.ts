// The variables of a session on the GPU, and what a run does to them. Invariant: a variable is in the
// map exactly while it holds a value that a finished run or a caller gave it; a run that may fail writes
// to the second of two buffers, which change places when it is done.

import type { DType } from '../../core/dtype.ts';
import { type HostTensor, sizeOf } from '../../core/ndarray.ts';
import { uninitialized } from '../variable-error.ts';
import type { Commands } from './commands.ts';
import { bytesOf, type GpuBuffer, type GpuMemory } from './memory.ts';

/** Where a variable stands. */
export interface Variable {
  readonly buffer: GpuBuffer;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** A buffer of the same size for the next run that may fail. */
  readonly spare: GpuBuffer | undefined;
}

/** What a run is going to write. */
export interface WriteRequest {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** The variables by name. */
export class Variables {
  readonly #memory: GpuMemory;
  readonly #byName = new Map<string, Variable>();

  constructor(memory: GpuMemory) {
    this.#memory = memory;
  }

  get names(): string[] {
    return [...this.#byName.keys()];
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** Where a variable stands. Throws StateError where it holds no value. */
  get(name: string): Variable {
    const variable = this.#byName.get(name);
    if (!variable) throw uninitialized(name);
    return variable;
  }

  find(name: string): Variable | undefined {
    return this.#byName.get(name);
  }

  /** A buffer for a value given from outside, which the caller fills. */
  replace(name: string, { dtype, shape }: HostTensor): GpuBuffer {
    const old = this.#byName.get(name);
    const n = sizeOf(shape);
    const keep = old && sizeOf(old.shape) === n;
    const bytes = bytesOf(dtype, n);
    const buffer = keep ? old.buffer : this.#memory.alloc(bytes, `variable "${name}"`);
    if (!keep) this.#free(old);
    this.#byName.set(name, {
      buffer,
      dtype,
      shape: [...shape],
      spare: keep ? old.spare : undefined,
    });
    return buffer;
  }

  /** Prepares the writes of a run; `keep`: it may fail after them. */
  begin(requests: readonly WriteRequest[], keep: boolean, commands: Commands): WriteSet {
    const writes: Write[] = [];
    try {
      for (const { name, dtype, shape } of requests) {
        const old = this.#byName.get(name);
        const n = sizeOf(shape);
        if (old && sizeOf(old.shape) === n && !keep) {
          writes.push({ name, next: { ...old, dtype, shape }, old, made: undefined });
          continue;
        }
        const fits = old && sizeOf(old.shape) === n;
        const spare = fits ? old.spare : undefined;
        const bytes = bytesOf(dtype, n);
        const buffer = spare ?? this.#memory.alloc(bytes, `variable "${name}"`);
        if (fits) commands.copy(old.buffer, 0, buffer, 0, bytes);
        const next = { buffer, dtype, shape, spare: fits ? old.buffer : undefined };
        writes.push({ name, next, old, made: spare ? undefined : buffer });
      }
    } catch (error) {
      for (const { made } of writes) if (made) this.#memory.free(made);
      throw error;
    }
    return new WriteSet(writes, this.#byName, this.#memory);
  }

  #free(v: Variable | undefined): void {
    if (!v) return;
    this.#memory.free(v.buffer);
    if (v.spare) this.#memory.free(v.spare);
  }

  /** Forgets all buffers, which went with their device. */
  forget(): void {
    this.#byName.clear();
  }

  clear(): void {
    for (const v of this.#byName.values()) this.#free(v);
    this.#byName.clear();
  }
}

interface Write {
  readonly name: string;
  readonly next: Variable;
  readonly old: Variable | undefined;
  readonly made: GpuBuffer | undefined;
}

/** The writes of one run: {@link commit} or {@link undo} ends it. */
export class WriteSet {
  readonly #writes: readonly Write[];
  readonly #byName: Map<string, Variable>;
  readonly #memory: GpuMemory;

  constructor(writes: readonly Write[], byName: Map<string, Variable>, memory: GpuMemory) {
    this.#writes = writes;
    this.#byName = byName;
    this.#memory = memory;
  }

  /** What the run writes. */
  get written(): readonly { readonly name: string; readonly next: Variable }[] {
    return this.#writes;
  }

  /** Where a variable of this run stands, if the run writes it. */
  buffer(name: string): GpuBuffer | undefined {
    return this.#writes.find((w) => w.name === name)?.next.buffer;
  }

  /** Makes the written values the variables' values. */
  commit(): void {
    for (const { name, next, old } of this.#writes) {
      this.#byName.set(name, next);
      for (const b of [old?.buffer, old?.spare]) {
        if (b && b !== next.buffer && b !== next.spare) this.#memory.free(b);
      }
    }
  }

  /** Leaves the old values. */
  undo(): void {
    for (const { made } of this.#writes) if (made) this.#memory.free(made);
  }
}
