// A tensor that stays on the device: what `session.put` and kept results give, and what may be fed
// without a copy. Invariant: the storage is freed when the handle is disposed, when nothing refers to
// it any more, or with its session.

import type { DeviceValue } from '../backends/backend.ts';
import type { DType, NumericDType } from '../core/dtype.ts';
import { StateError, UnsupportedError } from '../core/error.ts';
import { type HostTensor, NDArray, ndarrayOf } from '../core/ndarray.ts';

/** Frees the storage of handles that were forgotten. */
const forgotten = new FinalizationRegistry<DeviceValue>((value) => value.dispose());

/** What a handle belongs to. */
export interface Owner {
  readonly isClosed: boolean;
}

let look: (handle: DeviceTensor, owner: object) => DeviceValue | 'foreign' | 'disposed';

/**
 * A value in the memory of a session's device. Feed it like any value, to runs of the same session;
 * it is not copied. Dispose it to free its memory at once; a handle that is garbage-collected frees it
 * later.
 *
 * @example
 * ```ts
 * const weights = await session.put(new tl.NDArray('float32', [2], Float32Array.of(1, 2)));
 * const doubled = await session.run(y, { x: weights }, { keep: true });
 * console.log((await doubled.read()).toArray());
 * ```
 */
export class DeviceTensor<D extends DType = NumericDType> {
  readonly dtype: D;
  readonly shape: readonly number[];
  readonly #owner: Owner;
  #value: DeviceValue | undefined;

  static {
    look = (handle, owner) => (handle.#owner !== owner ? 'foreign' : (handle.#value ?? 'disposed'));
  }

  /** @internal */
  constructor(value: DeviceValue, owner: Owner) {
    this.dtype = value.dtype as D;
    this.shape = value.shape;
    this.#owner = owner;
    this.#value = value;
    forgotten.register(this, value, this);
  }

  /** Number of elements. */
  get size(): number {
    return this.shape.reduce((a, b) => a * b, 1);
  }

  /** Whether {@link dispose} was called. */
  get isDisposed(): boolean {
    return this.#value === undefined;
  }

  /** A copy on the host. Rejects with StateError `device/disposed` or `session/closed`. */
  async read(): Promise<NDArray<D>> {
    return toArray(await this.#open('read').read());
  }

  /** Like `read`, at once. Throws UnsupportedError `session/sync` where the device can't. */
  readSync(): NDArray<D> {
    const value = this.#open('readSync').read();
    if (!(value instanceof Promise)) return toArray(value);
    throw new UnsupportedError(
      'session/sync',
      `readSync: the device of ${this} can't be read at once. Use await read().`,
    );
  }

  /** Frees the memory, once no run in progress uses it. Twice is fine. */
  dispose(): void {
    if (!this.#value) return;
    forgotten.unregister(this);
    this.#value.dispose();
    this.#value = undefined;
  }

  toString(): string {
    return `DeviceTensor ${this.dtype}(${this.shape.join(', ')})`;
  }

  /** What `console.log` shows in Node. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.isDisposed ? `${this} (disposed)` : this.toString();
  }

  #open(what: string): DeviceValue {
    if (this.#owner.isClosed) {
      throw new StateError(
        'session/closed',
        `${what}: the session of ${this} is closed, and its memory with it. Read before closing.`,
      );
    }
    if (this.#value) return this.#value;
    throw new StateError(
      'device/disposed',
      `${what}: ${this} was disposed. Read it before, or keep it longer.`,
    );
  }
}

/** The device value behind a handle of `owner`, or why there is none. */
export function heldValue(
  handle: DeviceTensor,
  owner: object,
): DeviceValue | 'foreign' | 'disposed' {
  return look(handle, owner);
}

function toArray<D extends DType>(v: HostTensor): NDArray<D> {
  return (v instanceof NDArray ? v : ndarrayOf(v.dtype, v.shape, v.data)) as unknown as NDArray<D>;
}
