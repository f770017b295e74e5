// The WebGPU backend: plans as WGSL kernels, one submit per segment.

import type { Backend } from '../backend.ts';
import { LACKS } from './cpu-side.ts';
import { GpuDevice } from './device.ts';
import { LEAST_LIMITS } from './gpu.ts';

/** Makes the WebGPU backend. */
export function webgpuBackend(): Backend {
  return {
    name: 'webgpu',
    capabilities: {
      sync: false,
      kernels: true,
      lacks: LACKS,
      maxBuffers: LEAST_LIMITS.storageBuffers,
    },
    open: (options) => new GpuDevice(options, options.adapter ?? {}),
  };
}
