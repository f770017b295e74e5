// The backend "auto": WebGPU where there is a real GPU, else the CPU. Invariant: the choice is made once,
// before `ready`, and what a session then runs on is the chosen backend's device itself.

import { StateError } from '../core/error.ts';
import type { HostTensor } from '../core/ndarray.ts';
import type { Plan } from '../plan/types.ts';
import type {
  Backend,
  Device,
  DeviceOptions,
  DeviceStats,
  DeviceValue,
  Executable,
} from './backend.ts';
import { getBackend } from './backend.ts';
import { hardwareAvailable } from './webgpu/gpu.ts';

/** Makes the choosing backend. */
export function autoBackend(): Backend {
  return {
    name: 'auto',
    capabilities: { sync: false, kernels: true },
    open: (options) => new AutoDevice(options),
  };
}

class AutoDevice implements Device {
  readonly ready: Promise<void>;
  #chosen: Backend | undefined;
  #device: Device | undefined;
  #closed = false;

  constructor(options: DeviceOptions) {
    this.ready = this.#open(options);
  }

  get chosen(): Backend | undefined {
    return this.#chosen;
  }

  async #open(options: DeviceOptions): Promise<void> {
    const hardware = await hardwareAvailable(options.adapter ?? {});
    if (this.#closed) return;
    const chosen = getBackend(hardware ? 'webgpu' : 'cpu');
    this.#device = chosen.open(options);
    await this.#device.ready;
    this.#chosen = chosen;
  }

  #inner(): Device {
    if (this.#device) return this.#device;
    throw new StateError(
      'session/not-ready',
      'backend "auto": the choice is not made yet. Await session.ready first.',
    );
  }

  compile(plan: Plan): Executable {
    return this.#inner().compile(plan);
  }

  put(value: HostTensor): DeviceValue | Promise<DeviceValue> {
    return this.#inner().put(value);
  }

  hasVariable(name: string): boolean {
    return this.#inner().hasVariable(name);
  }

  readVariable(name: string): HostTensor | undefined {
    return this.#inner().readVariable(name);
  }

  writeVariable(name: string, value: HostTensor): void {
    this.#inner().writeVariable(name, value);
  }

  stats(): DeviceStats | undefined {
    return this.#device?.stats?.();
  }

  close(): void {
    this.#closed = true;
    this.#device?.close();
  }
}
