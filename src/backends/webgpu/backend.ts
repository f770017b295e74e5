// The WebGPU backend: plans as WGSL kernels, one submit per segment.

import type { Backend } from '../backend.ts';
import { LACKS } from './cpu-side.ts';
import { GpuDevice } from './device.ts';

/** Makes the WebGPU backend. */
export function webgpuBackend(): Backend {
  return {
    name: 'webgpu',
    capabilities: { sync: false, kernels: true, lacks: LACKS },
    open: (options) => new GpuDevice(options, options.adapter ?? {}),
  };
}
