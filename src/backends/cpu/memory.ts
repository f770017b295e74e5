// The linear memory of one device: one WebAssembly.Memory that grows on demand up to a limit, and an
// allocator of regions in it. Invariant: typed-array views are of the memory's current buffer:
// growth replaces it (and detaches one that is not shared), which `epoch` tells who keeps views.

import { type DType, dtypeInfo, type TypedArray } from '../../core/dtype.ts';
import { InternalError, invariant, OutOfMemoryError } from '../../core/error.ts';
import { keepFreedMemory } from './freed-memory.ts';

const PAGE = 65536;
/** What 32-bit addresses reach. */
const MAX_BYTES = 2 ** 32;
const INITIAL_PAGES = 4;
/** A cache line, so that threads never share one by accident; SIMD needs 16. */
export const ALIGN = 64;
/** Bytes a vector access may touch past the last element of a buffer. */
const SLACK = 16;

/** Default upper limit of device memory. */
export const DEFAULT_MEMORY_LIMIT = 2 ** 31;

interface Region {
  readonly address: number;
  readonly bytes: number;
}

/** Rounds up to a multiple of {@link ALIGN}. */
export function alignUp(bytes: number): number {
  return Math.ceil(bytes / ALIGN) * ALIGN;
}

type ArrayType = new (from: TypedArray) => TypedArray;

/**
 * The elements of a view in an array of their own, in unshared memory. Built from the view, the array
 * is not zeroed first, which takes half the time of allocating and filling it where it is large.
 */
export function freshCopy(view: TypedArray): TypedArray {
  keepFreedMemory(view.byteLength);
  return new (view.constructor as ArrayType)(view);
}

/** The memory of a device. */
export class DeviceMemory {
  readonly memory: WebAssembly.Memory;
  /** Limits in pages, as module imports must repeat them. */
  readonly limits: { readonly min: number; readonly max: number; readonly shared: boolean };
  readonly #used = new Map<number, number>();
  /** Free regions by address, never adjacent. */
  #free: Region[] = [];
  /** Where memory never handed out begins; address 0 stays unused. */
  #top = ALIGN;
  #epoch = 0;

  constructor(limitBytes: number, shared: boolean) {
    const max = Math.floor(Math.min(limitBytes, MAX_BYTES) / PAGE);
    if (!(max >= INITIAL_PAGES)) {
      throw new OutOfMemoryError(
        'memory/limit',
        `memoryLimit ${limitBytes} is too small. Use at least ${INITIAL_PAGES * PAGE} bytes.`,
      );
    }
    this.limits = { min: INITIAL_PAGES, max, shared };
    try {
      this.memory = new WebAssembly.Memory({ initial: INITIAL_PAGES, maximum: max, shared });
    } catch (cause) {
      throw new OutOfMemoryError(
        'memory/limit',
        `the system can't reserve ${max * PAGE} bytes of address space. Lower memoryLimit.`,
        { cause },
      );
    }
  }

  /** Hands out a region, aligned to 64 bytes; its contents are undefined. */
  alloc(bytes: number, what: string): number {
    const size = alignUp(Math.max(bytes, 1) + SLACK);
    let best = -1;
    for (let i = 0; i < this.#free.length; i++) {
      const room = this.#free[i].bytes;
      if (room >= size && (best < 0 || room < this.#free[best].bytes)) best = i;
    }
    let address: number;
    if (best >= 0) {
      const region = this.#free[best];
      address = region.address;
      if (region.bytes === size) this.#free.splice(best, 1);
      else this.#free[best] = { address: address + size, bytes: region.bytes - size };
    } else {
      // A free region at the end is taken along, so that a growing buffer does not leave holes.
      const last = this.#free.at(-1);
      const extend = last !== undefined && last.address + last.bytes === this.#top;
      address = extend ? last.address : this.#top;
      this.#reserve(address + size, bytes, what);
      if (extend) this.#free.pop();
      this.#top = address + size;
    }
    this.#used.set(address, size);
    return address;
  }

  /** Gives a region back. */
  free(address: number): void {
    const bytes = this.#used.get(address);
    if (bytes === undefined) throw new InternalError(`free of an unknown address ${address}`);
    this.#used.delete(address);
    let at = this.#free.findIndex((r) => r.address > address);
    if (at < 0) at = this.#free.length;
    this.#free.splice(at, 0, { address, bytes });
    this.#join(at);
    this.#join(at - 1);
  }

  /** Changes whenever the memory grows: views taken before are not to be used after. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Bytes that the memory has grown to. */
  get sizeBytes(): number {
    return this.memory.buffer.byteLength;
  }

  /** Bytes handed out. */
  get usedBytes(): number {
    let sum = 0;
    for (const bytes of this.#used.values()) sum += bytes;
    return sum;
  }

  /** The elements of a buffer, in place: valid until the memory grows. */
  view(dtype: DType, address: number, elements: number): TypedArray {
    return dtypeInfo(dtype).view(this.memory.buffer, address, elements);
  }

  /** A copy of the elements of a buffer, in memory of its own. */
  read(dtype: DType, address: number, elements: number): TypedArray {
    return freshCopy(this.view(dtype, address, elements));
  }

  /** Copies elements in, converted to the dtype. */
  write(dtype: DType, address: number, data: TypedArray): void {
    this.view(dtype, address, data.length).set(data);
  }

  copy(from: number, to: number, bytes: number): void {
    new Uint8Array(this.memory.buffer).copyWithin(to, from, from + bytes);
  }

  /** The words from an address on: valid until the memory grows. */
  words(address: number, count: number): Int32Array {
    return new Int32Array(this.memory.buffer, address, count);
  }

  #join(i: number): void {
    const a = this.#free[i];
    const b = this.#free[i + 1];
    if (!a || !b || a.address + a.bytes !== b.address) return;
    this.#free.splice(i, 2, { address: a.address, bytes: a.bytes + b.bytes });
  }

  /** Makes the memory reach up to an address. */
  #reserve(end: number, bytes: number, what: string): void {
    const size = this.memory.buffer.byteLength;
    if (end <= size) return;
    const limit = this.limits.max * PAGE;
    let cause: unknown;
    if (end <= limit) {
      // Growth by an eighth at least keeps a slowly growing session from growing at each step.
      const wanted = Math.min(limit, Math.max(end, size + size / 8));
      for (const target of [wanted, end]) {
        try {
          this.memory.grow(Math.ceil((target - size) / PAGE));
          this.#epoch++;
          invariant(this.memory.buffer.byteLength >= end, 'memory has not grown');
          return;
        } catch (error) {
          cause = error;
        }
      }
    }
    throw new OutOfMemoryError(
      'memory/limit',
      `${what} needs ${bytes} bytes; ${this.usedBytes} are in use and the limit is ${limit}. ` +
        'Use smaller batches, dispose what is unused, or raise memoryLimit (at most 4 GiB).',
      { cause },
    );
  }
}
