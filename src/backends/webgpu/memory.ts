// Buffers of a session on the GPU. Each holds a whole tensor from its first byte: an element takes a word of
// 32 bits, or part of one. Invariant: a failure to allocate is reported by the run that asked, with what it
// was for; buffers are whole words, and what is in the last one behind the tensor never shows.

import { elementBits } from '../../codegen/wgsl/parts.ts';
import { type DType, dtypeInfo, type TypedArray } from '../../core/dtype.ts';
import { InternalError, OutOfMemoryError } from '../../core/error.ts';
import { type NDArray, ndarrayOf, sizeOf } from '../../core/ndarray.ts';
import { BufferUsage } from './flags.ts';
import type { Gpu } from './gpu.ts';

/** A buffer; its id tells it from all others of the process. */
export interface GpuBuffer {
  readonly id: number;
  readonly buffer: GPUBuffer;
  readonly bytes: number;
  /** The {@link GpuMemory.era} it is of. */
  readonly era: number;
}

/** Bytes of a word, the least that can be bound or copied. */
export const WORD = 4;

/** Bytes of an element on the GPU. */
export function elementBytes(dtype: DType): number {
  return elementBits(dtypeInfo(dtype).storage) / 8;
}

/** Rounds bytes up to whole words. */
export const wholeWords = (bytes: number): number => Math.ceil(bytes / WORD) * WORD;

/** Bytes that so many elements take on the GPU, in whole words. */
export function bytesOf(dtype: DType, elements: number): number {
  return wholeWords(elements * elementBytes(dtype));
}

let ids = 0;

/** Allocates and counts the buffers of a session. */
export class GpuMemory {
  readonly #gpu: () => Gpu;
  readonly #limit: number;
  #open: Promise<Error | undefined>[] = [];
  /** Buffers ever made, and the bytes of those that are there. */
  made = 0;
  usedBytes = 0;
  /** Rises when the device is replaced; buffers of an earlier one are gone. */
  era = 0;

  constructor(gpu: () => Gpu, limit: number) {
    this.#gpu = gpu;
    this.#limit = limit;
  }

  /**
   * A buffer for storage, copies and uploads. Throws OutOfMemoryError `memory/binding` past what one
   * binding may hold, `memory/limit` past the session's limit.
   */
  alloc(bytes: number, what: string): GpuBuffer {
    return this.#make(bytes, what, BufferUsage.storage | BufferUsage.copyDst | BufferUsage.copySrc);
  }

  /** A buffer for uniform blocks. */
  allocUniform(bytes: number): GpuBuffer {
    return this.#make(bytes, 'sizes', BufferUsage.uniform | BufferUsage.copyDst);
  }

  /** A buffer that the host reads. */
  allocStaging(bytes: number): GpuBuffer {
    return this.#make(bytes, 'results', BufferUsage.mapRead | BufferUsage.copyDst);
  }

  free(b: GpuBuffer): void {
    if (b.era !== this.era) return;
    this.usedBytes -= b.bytes;
    b.buffer.destroy();
  }

  /** Forgets all buffers, which went with their device. */
  forget(): void {
    this.era++;
    this.usedBytes = 0;
    this.#open = [];
  }

  /** Throws what went wrong with the buffers made since the last call. */
  async check(): Promise<void> {
    if (this.#open.length === 0) return;
    const open = this.#open;
    this.#open = [];
    for (const error of await Promise.all(open)) if (error) throw error;
  }

  #make(least: number, what: string, usage: number): GpuBuffer {
    const { device, maxBinding } = this.#gpu();
    const bytes = Math.max(WORD, wholeWords(least));
    if (bytes > maxBinding) {
      throw new OutOfMemoryError(
        'memory/binding',
        `${what} takes ${bytes} bytes; one buffer of this GPU device holds at most ${maxBinding}. ` +
          'Split the tensor, for example along its batch, or use backend "cpu".',
      );
    }
    if (this.usedBytes + bytes > this.#limit) {
      throw new OutOfMemoryError(
        'memory/limit',
        `${what} takes ${bytes} bytes, with ${this.usedBytes} in use of the memoryLimit of ` +
          `${this.#limit}. Raise memoryLimit, or use smaller batches.`,
      );
    }
    device.pushErrorScope('out-of-memory');
    device.pushErrorScope('validation');
    const buffer = device.createBuffer({ size: bytes, usage });
    const invalid = device.popErrorScope();
    const full = device.popErrorScope();
    this.#open.push(
      Promise.all([invalid, full]).then(
        ([wrong, short]) => {
          if (short) {
            return new OutOfMemoryError(
              'memory/gpu',
              `the GPU has no ${bytes} bytes for ${what}: ${short.message}. Use smaller batches.`,
            );
          }
          return wrong ? new InternalError(`a buffer for ${what}: ${wrong.message}`) : undefined;
        },
        // A lost device is reported as such.
        () => undefined,
      ),
    );
    this.made++;
    this.usedBytes += bytes;
    return { id: ids++, buffer, bytes, era: this.era };
  }
}

/** Host elements as the words of a GPU buffer. */
export function toWords(dtype: DType, data: TypedArray): ArrayBufferView<ArrayBuffer> {
  const { kind } = dtypeInfo(dtype);
  if (kind === 'bool') return Uint32Array.from(data);
  const { buffer, byteOffset, byteLength } = data;
  if (byteLength % WORD === 0 && buffer instanceof ArrayBuffer) {
    return new Uint8Array(buffer, byteOffset, byteLength);
  }
  // A view of shared memory can't be uploaded, nor part of a word.
  const words = new Uint8Array(wholeWords(byteLength));
  words.set(new Uint8Array(buffer, byteOffset, byteLength));
  return words;
}

/** Elements from a byte of what was copied from a GPU buffer on, as a host value. */
export function fromWords(
  dtype: DType,
  shape: readonly number[],
  bytes: ArrayBuffer,
  offset: number,
): NDArray {
  const n = sizeOf(shape);
  const { alloc, view, kind } = dtypeInfo(dtype);
  const data = alloc(n);
  data.set(kind === 'bool' ? new Int32Array(bytes, offset, n) : view(bytes, offset, n));
  return ndarrayOf(dtype, shape, data);
}
