// The options of sessions and runs, and what is refused of them.

import { ADAPTER_OPTIONS, type AdapterOptions } from '../backends/backend.ts';
import type { DType } from '../core/dtype.ts';
import { AbortedError, ValueError } from '../core/error.ts';
import { checkOptions } from '../core/options.ts';
import type { Graph } from '../graph/graph.ts';
import type { DeviceTensor } from './device-tensor.ts';
import type { Feedable } from './feeds.ts';
import type { Session } from './session.ts';

export interface SessionOptions {
  /** The graph to run; the current default graph where absent. */
  readonly graph?: Graph;
  /**
   * Name of a registered backend: `cpu` (the default), `webgpu`, `reference`, or `auto` for WebGPU where
   * there is a real GPU and else the CPU; {@link Session.backend} says which, once `ready`.
   */
  readonly backend?: string;
  /**
   * Threads of the cpu backend, the calling one included; as many as the machine has cores where
   * absent. They start with the first run that is worth it, and change no result.
   */
  readonly threads?: number;
  /** Upper limit of device memory in bytes. */
  readonly memoryLimit?: number;
  /**
   * Relaxed SIMD of the cpu backend: sums of products faster, rounded once instead of twice. Used where
   * the engine has it (Node 22, Chromium); `false` gives the bits that engines without it give, `true`
   * demands it.
   */
  readonly relaxedSimd?: boolean;
  /** Which adapter the webgpu backend takes. */
  readonly adapter?: AdapterOptions;
  /**
   * Reads variables back with each run that writes them, so that the session goes on where a GPU device
   * is lost; the run in progress then starts over. Other backends lose nothing.
   */
  readonly keepHostCopy?: boolean;
  /** `false` gives every node a kernel and every value a buffer. */
  readonly fuse?: boolean;
  /** Names of passes to leave out: `stabilise`, `fold`, `simplify`, `cse`, `hoist`, `prune`. */
  readonly disablePasses?: readonly string[];
  /** Check each function after each pass (slow; for debugging the compiler). */
  readonly verify?: boolean;
  /** The reference backend keeps floats in float64: between ops, and in the results' data. */
  readonly exact?: boolean;
}

export interface RunOptions {
  /** Ends the run with a TimeoutError after this many milliseconds. */
  readonly timeoutMs?: number;
  /**
   * Ends the run with an AbortedError. While the cpu backend computes in Node no event is handled, so that only
   * `timeoutMs` ends a long computation there.
   */
  readonly signal?: AbortSignal;
  /** Results stay on the device, as {@link DeviceTensor}s that can be fed again without a copy. */
  readonly keep?: boolean;
}

/** Options of {@link Session.put}. */
export interface PutOptions<D extends DType = DType> {
  /** The dtype of the value; without it the value's own, float32 for numbers. */
  readonly dtype?: D;
  /** A shape for flat data. */
  readonly shape?: readonly number[];
}

/** Options of a run whose results stay on the device. */
export type Keep = RunOptions & { readonly keep: true };

/** What {@link Session.makeCallable} compiles. */
export interface CallableSpec<F> {
  /** Tensors to feed, by the names that calls give them. */
  readonly feeds?: { readonly [name: string]: Feedable };
  readonly fetches: F;
}

const SESSION_OPTIONS: readonly (keyof SessionOptions)[] = [
  'graph',
  'backend',
  'threads',
  'memoryLimit',
  'relaxedSimd',
  'adapter',
  'keepHostCopy',
  'fuse',
  'disablePasses',
  'verify',
  'exact',
];
/** The names of {@link RunOptions}. */
export const RUN_OPTIONS: readonly (keyof RunOptions)[] = ['timeoutMs', 'signal', 'keep'];
export const PUT_OPTIONS: readonly (keyof PutOptions)[] = ['dtype', 'shape'];
export const CALLABLE_SPEC: readonly (keyof CallableSpec<unknown>)[] = ['fetches', 'feeds'];

/** Refuses options of a session that there are not, or that make no sense. */
export function checkSessionOptions(options: SessionOptions): void {
  checkOptions('Session', options, SESSION_OPTIONS);
  const { threads, memoryLimit, adapter } = options;
  if (adapter !== undefined) checkOptions('adapter', adapter, ADAPTER_OPTIONS);
  if (threads !== undefined && (!Number.isInteger(threads) || threads < 1)) {
    throw new ValueError(
      'session/threads',
      `threads must be a whole number of at least 1, got ${threads}.`,
    );
  }
  if (memoryLimit !== undefined && !(memoryLimit > 0)) {
    throw new ValueError(
      'session/memory',
      `memoryLimit must be a number of bytes above 0, got ${memoryLimit}.`,
    );
  }
}

/** Refuses options of a run that there are not, or that make no sense. */
export function checkRunOptions(options: RunOptions): void {
  checkOptions('run', options, RUN_OPTIONS);
  const { timeoutMs, signal } = options;
  if (timeoutMs !== undefined && !(timeoutMs > 0)) {
    throw new ValueError(
      'run/timeout-value',
      `timeoutMs must be above 0, got ${timeoutMs}. Leave it out for no limit.`,
    );
  }
  if (signal?.aborted) {
    throw new AbortedError('run/aborted', 'the run was aborted before it began.');
  }
}
