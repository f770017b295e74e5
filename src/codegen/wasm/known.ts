// What the emitter of a kernel knows at a point of its code: where buffers stand, and which values
// locals hold. Plain data; scopes copy it.

import type { Expr, ScalarType } from '../../kernel/expr.ts';

/** Where a buffer or scratch array stands. */
export interface BufferInfo {
  readonly type: ScalarType;
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
