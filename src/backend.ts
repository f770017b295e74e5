// `tensorloom/backend`: what writers of backends need beyond the package's main entry. A backend takes
// plans (`Backend`, of the main entry), or only kernels (`backendFromKernels`).

export {
  type Binding,
  backendFromKernels,
  type KernelTarget,
} from './backends/from-kernels.ts';
export { applyFn, type Dim, type Sym } from './core/dim.ts';
export { evalDim } from './core/dim-value.ts';
export {
  type DTypeInfo,
  type DTypeKind,
  dtypeInfo,
  type HalfFloat,
  type StorageType,
  type TypedArray,
} from './core/dtype.ts';
export {
  binaryFn,
  bitcastFn,
  castFn,
  compareFn,
  type Fn1,
  type Fn2,
  unaryFn,
} from './kernel/arithmetic.ts';
export { argsOf, type Expr, type ScalarType } from './kernel/expr.ts';
export { type InterpretOptions, interpretKernel, type NumberBuffer } from './kernel/interpret.ts';
export type { BufferParam, Kernel, Stmt, TiledKernel } from './kernel/ir.ts';
export { type ElementaryCall, expandMath } from './kernel/math.ts';
export { printKernel } from './kernel/print.ts';
