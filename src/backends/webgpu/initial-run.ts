// A plan that gives variables their first values, run on the CPU and uploaded. Invariant: variables
// change together, after the run is done.

import type { HostTensor } from '../../core/ndarray.ts';
import type { Plan } from '../../plan/types.ts';
import type { Device, DeviceValue, Executable, ExecutableStats, RunBindings } from '../backend.ts';

/** An initializer's plan. */
export class InitialRun implements Executable {
  readonly #plan: Plan;
  readonly #cpu: Device;
  readonly #inner: Executable;
  readonly #target: Pick<Device, 'writeVariable'>;

  constructor(plan: Plan, cpu: Device, target: Pick<Device, 'writeVariable'>) {
    this.#plan = plan;
    this.#cpu = cpu;
    this.#inner = cpu.compile(plan);
    this.#target = target;
  }

  async run(bindings: RunBindings): Promise<HostTensor[]> {
    const results = await this.#inner.run(bindings);
    for (const name of this.#plan.writes) {
      const value = this.#cpu.readVariable(name);
      if (value) this.#target.writeVariable(name, value);
    }
    return results;
  }

  async keep(bindings: RunBindings): Promise<DeviceValue[]> {
    await this.run(bindings);
    return [];
  }

  stats(): ExecutableStats {
    return this.#inner.stats();
  }

  source(kernel: number): string {
    return this.#inner.source?.(kernel) ?? '';
  }

  dispose(): void {
    this.#inner.dispose();
  }
}
