// What an executable needs of its device, which gives each of its plans the same.

import type { WgslLimits } from '../../codegen/wgsl/program.ts';
import type { HostTensor } from '../../core/ndarray.ts';
import type { Commands } from './commands.ts';
import type { CpuSide } from './cpu-side.ts';
import type { Gpu } from './gpu.ts';
import type { GpuMemory } from './memory.ts';
import type { ValueOwner } from './value.ts';
import type { Variables } from './variables.ts';

/** What an executable needs of its device. */
export interface GpuParts extends ValueOwner {
  /** The device; throws once it is lost or closed. */
  gpu(): Gpu;
  /** What shaders may use; the least there is before the device is open. */
  limits(): WgslLimits;
  /** Whether variables are read back with the runs that write them, for {@link noteVariable}. */
  readonly keepsCopies: boolean;
  noteVariable(name: string, value: HostTensor): void;
  /** Replaces a lost device, if variables have copies; says whether it did. */
  revive(): Promise<boolean>;
  /** Waits a moment for the news that the device is lost. */
  settleLoss(): Promise<void>;
  readonly memory: GpuMemory;
  readonly variables: Variables;
  readonly commands: Commands;
  /** What runs beside the GPU, and holds what it can't. */
  readonly cpu: CpuSide;
  hasVariable(name: string): boolean;
}
