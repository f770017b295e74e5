// Device values of backends whose memory is the host's: a host value that nobody else holds.

import type { DType } from '../core/dtype.ts';
import { InternalError } from '../core/error.ts';
import type { HostTensor } from '../core/ndarray.ts';
import type { DeviceValue, RunBindings } from './backend.ts';

/** A host value as a device value. */
export class HostValue implements DeviceValue {
  readonly dtype: DType;
  readonly shape: readonly number[];
  #value: HostTensor | undefined;

  constructor(value: HostTensor) {
    this.dtype = value.dtype;
    this.shape = value.shape;
    this.#value = value;
  }

  get value(): HostTensor {
    if (!this.#value) throw new InternalError('a device value was used after its end');
    return this.#value;
  }

  read(): HostTensor {
    return copyOf(this.value);
  }

  dispose(): void {
    this.#value = undefined;
  }
}

/** The feeds of a run on a device that holds its values as {@link HostValue}. */
export function hostFeeds({ feeds }: RunBindings): HostTensor[] {
  return feeds.map((v) => (v instanceof HostValue ? v.value : (v as HostTensor)));
}

/** A host value with storage of its own. */
export function copyOf({ dtype, shape, data }: HostTensor): HostTensor {
  return { dtype, shape, data: data.slice() };
}
