// A backend whose kernels change nothing: what the kit must find.

import { backendFromKernels } from '../../src/backends/from-kernels.ts';

export const backend = () =>
  backendFromKernels<Float32Array, null>({
    name: 'idle',
    alloc: (_dtype, n) => new Float32Array(n),
    free: () => undefined,
    write: (memory, at, data) => memory.set(data, at),
    read: (memory, _dtype, at, n) => memory.slice(at, at + n),
    compile: () => null,
    launch: () => undefined,
  });
