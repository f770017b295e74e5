// A backend whose kernels change nothing: what the kit must find.

import { backendFromKernels } from '../../src/backends/from-kernels.ts';
import { dtypeInfo } from '../../src/core/dtype.ts';

export const backend = () =>
  backendFromKernels<Float32Array, null>({
    name: 'idle',
    alloc: (dtype, n) => dtypeInfo(dtype).alloc(n) as Float32Array,
    free: () => undefined,
    write: (memory, at, data) => memory.set(data, at),
    read: (memory, _dtype, at, n) => memory.slice(at, at + n),
    compile: () => null,
    launch: () => undefined,
  });
