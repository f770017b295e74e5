// What WebGPU runs for a kernel: the ways there are to run it, each a list of dispatches. Invariant:
// a program is a function of the kernel and the limits alone; sizes enter as dims of the kernel's
// params, so that which way is taken is decided per run, and nothing is generated for a new size.

import type { Dim, Sym } from '../../core/dim.ts';
import type { ScalarType } from '../../kernel/expr.ts';

/** A storage buffer of a dispatch: one of the kernel's buffers, or one of the variant's scratch. */
export interface WgslBinding {
  readonly source: 'buffer' | 'scratch';
  readonly index: number;
  readonly access: 'read' | 'readwrite';
}

/**
 * A compute shader with the entry point `main`, and how to run it. In bind group 0 `bindings[i]` is
 * storage binding `i`; binding `n` is the uniform block; binding `n+1`, only where `fails`, one
 * read-write storage word.
 */
export interface WgslDispatch {
  readonly code: string;
  readonly bindings: readonly WgslBinding[];
  /**
   * Workgroups to dispatch, as a dim of the kernel's params. More than 65535 go as `x` = 65535 by
   * as many rows as it takes; surplus invocations do nothing.
   */
  readonly workgroups: Dim;
  readonly workgroupSize: number;
  /** What the i32 words of the uniform block are, in order. */
  readonly params: readonly Sym[];
  /** Words of the uniform block, a multiple of 4; those after the params must be zero. */
  readonly uniformWords: number;
  /**
   * Whether the dispatch has checks. Their word must be zero before; after, it is zero if all held,
   * or else the complement (`~word`) of the lowest code of a check that failed.
   */
  readonly fails: boolean;
}

/** Memory of a variant's own, between its dispatches; its contents before do not matter. */
export interface WgslScratch {
  readonly type: ScalarType;
  readonly elements: Dim;
}

/** A way to run a kernel: dispatches in order, with scratch buffers of their own. */
export interface WgslVariant {
  readonly name: string;
  /** A dim of the kernel's params: the variant is taken where it is positive. Absent: always. */
  readonly applies?: Dim;
  readonly scratch: readonly WgslScratch[];
  readonly dispatches: readonly WgslDispatch[];
}

/** The first variant that applies runs; the last has no `applies`. */
export interface WgslProgram {
  readonly variants: readonly WgslVariant[];
}

/** What the device allows and has. */
export interface WgslLimits {
  /** Bytes of workgroup memory. */
  readonly workgroupMemory: number;
  readonly workgroupInvocations: number;
  readonly workgroupSizeX: number;
  readonly workgroupsPerDimension: number;
  /** Storage buffers of one dispatch, the word of checks included. */
  readonly storageBuffers: number;
  /** Whether shaders may have floats of 16 bits in buffers, whose bits then survive. */
  readonly float16?: boolean;
  /**
   * How many neighbours share a subgroup, a power of two: in workgroups of 256 along one axis, invocation `i`
   * and as many after it do, in order, for each `i` that is a multiple. Without subgroups 1, or absent.
   */
  readonly subgroup?: number;
  /** Whether the adapter runs on the CPU, where barriers are slow: variants without come first. */
  readonly software?: boolean;
}
