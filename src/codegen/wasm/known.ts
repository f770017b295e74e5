// What the emitter of a kernel knows at a point of its code: where buffers stand, and which values
// locals hold. Plain data; scopes copy it.

import type { StorageType } from '../../core/dtype.ts';
import type { Expr } from '../../kernel/expr.ts';
import type { FunctionBuilder } from './assembler.ts';

/** What a kernel became. */
export interface EmittedKernel {
  readonly func: FunctionBuilder;
  /** Bytes of scratch that the kernel's arrays need on each thread. */
  readonly scratchBytes: number;
}

export interface KernelEnv {
  /** Index of the function `(code: i32) -> ()` that notes a failed check. */
  readonly fail: number;
  readonly name: string;
  /** Whether the machine has relaxed SIMD: `madd` is then one instruction. */
  readonly relaxed: boolean;
}

/** Where a buffer or scratch array stands. */
export interface BufferInfo {
  readonly type: StorageType;
  /** Local that holds the byte address. */
  readonly local: number;
  /** Added to the address: arrays stand at fixed places in scratch. */
  readonly offset: number;
}

/** Values that are held in locals, by expression, dim, or address. */
export interface Known {
  readonly exprs: Map<Expr, number>;
  readonly dims: Map<string, number>;
  readonly pointers: Map<string, number>;
}

/** Memory below this address is never a buffer's, so that small offsets can't wrap around. */
export const MAX_OFFSET = 512;
