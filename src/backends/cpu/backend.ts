// The CPU backend: plans compiled to WebAssembly over one memory per session, on one or more
// threads; in a page all but code generation is a worker's. This file joins the parts: the CPU
// scheduler, the WebAssembly generator and the device.

import type { KernelCompiler } from '../../codegen/wasm/entry.ts';
import { emitKernel } from '../../codegen/wasm/kernel.ts';
import { relaxedSimdSupported } from '../../codegen/wasm/probe.ts';
import { UnsupportedError } from '../../core/error.ts';
import { scheduleCpu } from '../../kernel/schedule/schedule.ts';
import type { Backend } from '../backend.ts';
import { CpuDevice } from './device.ts';
import { isPage, PageDevice, startCoordinator } from './page-device.ts';

/** How this backend compiles kernels. */
function compiler(relaxed: boolean): KernelCompiler {
  return {
    name: relaxed ? 'relaxed simd' : 'simd',
    schedule: scheduleCpu,
    emit: (module, kernel, env) => emitKernel(module, kernel, { ...env, relaxed }),
  };
}

/** Whether to use relaxed SIMD: as asked for, else wherever the engine has it. */
function choose(wanted: boolean | undefined): boolean {
  const there = wanted !== false && relaxedSimdSupported();
  if (wanted && !there) {
    throw new UnsupportedError(
      'option/relaxed-simd',
      'relaxedSimd: true, but this engine has no relaxed SIMD (Node has it from version 22 on). ' +
        'Leave the option out to use it where it is.',
    );
  }
  return there;
}

/** Makes the CPU backend. */
export function cpuBackend(): Backend {
  return {
    name: 'cpu',
    capabilities: { sync: !isPage(), kernels: true },
    open: (options) => {
      const made = compiler(choose(options.relaxedSimd));
      if (isPage()) return new PageDevice(options, made, startCoordinator());
      return new CpuDevice(options, made);
    },
  };
}

/** A CPU device of one thread on the calling thread itself, in a page too. */
export function localCpuDevice(): CpuDevice {
  return new CpuDevice({ threads: 1 }, compiler(choose(undefined)));
}
