// What a run reads back: values, or one word on which its course depends, each with the word of checks in
// one go. Invariant: nothing is given of a run in which a check has failed.

import type { DType } from '../../core/dtype.ts';
import { type HostTensor, sizeOf } from '../../core/ndarray.ts';
import type { Commands } from './commands.ts';
import { MAP_READ } from './flags.ts';
import {
  elementBytes,
  fromWords,
  type GpuBuffer,
  type GpuMemory,
  WORD,
  wholeWords,
} from './memory.ts';

/** A value to read. */
export interface Source {
  readonly buffer: GpuBuffer;
  /** The byte of its first element. */
  readonly at: number;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

interface Parts {
  readonly memory: GpuMemory;
  readonly commands: Commands;
}

/** Reads of one executable, through a buffer that it keeps. */
export class Readback {
  readonly #parts: Parts;
  /** The error of a check, by its code. */
  readonly #failure: (code: number) => Error;
  #staging: GpuBuffer | undefined;

  constructor(parts: Parts, failure: (code: number) => Error) {
    this.#parts = parts;
    this.#failure = failure;
  }

  /** Submits what was recorded, and reads values. Throws what the word of checks tells. */
  async values(wanted: readonly Source[], failed: GpuBuffer): Promise<HostTensor[]> {
    const { commands } = this.#parts;
    let total = WORD;
    // Copies are of whole words; where a value begins in its first one is kept.
    const pieces = wanted.map((w) => {
      const first = w.at - (w.at % WORD);
      const bytes = wholeWords(w.at - first + sizeOf(w.shape) * elementBytes(w.dtype));
      const piece = { first, bytes, to: total, at: total + w.at - first };
      total += bytes;
      return piece;
    });
    const staging = this.#stage(total);
    wanted.forEach((w, i) => {
      commands.copy(w.buffer, pieces[i].first, staging, pieces[i].to, pieces[i].bytes);
    });
    commands.copy(failed, 0, staging, 0, WORD);
    commands.submit();
    return await this.#mapped(staging, total, (bytes) => {
      const [word] = new Uint32Array(bytes, 0, 1);
      if (word !== 0) throw this.#failure(~word >>> 0);
      return wanted.map((w, i) => fromWords(w.dtype, w.shape, bytes, pieces[i].at));
    });
  }

  /** Submits what was recorded, and reads the word at a byte as an integer. */
  async word(from: GpuBuffer, at: number, failed: GpuBuffer): Promise<number> {
    const { commands } = this.#parts;
    const staging = this.#stage(2 * WORD);
    commands.copy(from, at, staging, 0, WORD);
    commands.copy(failed, 0, staging, WORD, WORD);
    commands.submit();
    return await this.#mapped(staging, 2 * WORD, (bytes) => {
      const [word, code] = new Int32Array(bytes, 0, 2);
      if (code !== 0) throw this.#failure(~code >>> 0);
      return word;
    });
  }

  /** Forgets what a lost device held. */
  forget(): void {
    this.#staging = undefined;
  }

  dispose(): void {
    if (this.#staging) this.#parts.memory.free(this.#staging);
    this.#staging = undefined;
  }

  async #mapped<T>(b: GpuBuffer, bytes: number, use: (bytes: ArrayBuffer) => T): Promise<T> {
    await b.buffer.mapAsync(MAP_READ, 0, bytes);
    try {
      return use(b.buffer.getMappedRange(0, bytes));
    } finally {
      b.buffer.unmap();
    }
  }

  #stage(bytes: number): GpuBuffer {
    const { memory } = this.#parts;
    if (this.#staging && this.#staging.bytes >= bytes) return this.#staging;
    if (this.#staging) memory.free(this.#staging);
    this.#staging = memory.allocStaging(bytes);
    return this.#staging;
  }
}
