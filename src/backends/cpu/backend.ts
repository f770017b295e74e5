// The CPU backend: plans compiled to WebAssembly over one memory per session, on one or more
// threads. This file joins the parts: the CPU scheduler, the WebAssembly generator and the device.

import type { KernelCompiler } from '../../codegen/wasm/entry.ts';
import { emitKernel } from '../../codegen/wasm/kernel.ts';
import { scheduleCpu } from '../../kernel/schedule/schedule.ts';
import type { Backend } from '../backend.ts';
import { CpuDevice } from './device.ts';

/** How this backend compiles kernels. Relaxed SIMD stays off: its bits differ between machines. */
const COMPILER: KernelCompiler = {
  schedule: scheduleCpu,
  emit: (module, kernel, env) => emitKernel(module, kernel, { ...env, relaxed: false }),
};

/** Makes the CPU backend. */
export function cpuBackend(): Backend {
  return {
    name: 'cpu',
    capabilities: { sync: true, kernels: true },
    open: (options) => new CpuDevice(options, COMPILER),
  };
}
