// The interface of a backend, on one page, and the registry. A backend compiles plans to executables
// and keeps the variables of a session; all else (feeds, fetches, caching, checks of sizes) is done
// above it. A backend may ignore the lowering and evaluate `plan.func` (the reference does).

import type { DType } from '../core/dtype.ts';
import { UnsupportedError } from '../core/error.ts';
import type { HostTensor } from '../core/ndarray.ts';
import type { Plan } from '../plan/types.ts';

/**
 * Which WebGPU adapter to take, as the standard's `requestAdapter` has it, and which of its features to use.
 * Features change no result; each is used where the adapter has it, unless it is `false`; `true` demands it.
 */
export interface AdapterOptions {
  readonly powerPreference?: 'low-power' | 'high-performance';
  readonly forceFallbackAdapter?: boolean;
  /** `shader-f16`: elements of float16 are loaded and stored one by one, rather than as parts of words. */
  readonly float16?: boolean;
  /** `subgroups`: invocations that share a row combine what they have by shuffles. On real GPUs alone. */
  readonly subgroups?: boolean;
}

/** The names of {@link AdapterOptions}. */
export const ADAPTER_OPTIONS: readonly (keyof AdapterOptions)[] = [
  'powerPreference',
  'forceFallbackAdapter',
  'float16',
  'subgroups',
];

export interface DeviceOptions {
  /** Threads including the calling one, as many as there are cores where absent; 1: the caller alone. */
  readonly threads?: number;
  /** Upper limit of device memory in bytes. */
  readonly memoryLimit?: number;
  /**
   * Cpu only: products and sums in one instruction, faster and rounded once. Used where the engine has
   * it, unless this is `false`; `true` demands it.
   */
  readonly relaxedSimd?: boolean;
  /** WebGPU only: which adapter to take. */
  readonly adapter?: AdapterOptions;
  /** WebGPU only: keep a copy of the variables on the host, from which a lost device is replaced. */
  readonly keepHostCopy?: boolean;
  /** Reference only: keep floats in float64 between ops (for finite differences). */
  readonly exact?: boolean;
}

/** A value in storage of its own on a device. It outlives runs and never changes. */
export interface DeviceValue {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** A copy on the host. */
  read(): HostTensor | Promise<HostTensor>;
  /** Frees the storage, once no run uses it. Twice is fine, and after the device has closed. */
  dispose(): void;
}

/** What one run binds. */
export interface RunBindings {
  /** One value per `plan.feeds` entry; device values are of the same device, and not disposed. */
  readonly feeds: readonly (HostTensor | DeviceValue)[];
  /** The value of each `plan.startSyms` entry; the same array stands for the same sizes. */
  readonly sizes: readonly number[];
  /** Number of the run within its session. */
  readonly run: number;
  /** `performance.now()` time after which the run must end with a TimeoutError. */
  readonly deadline?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ExecutableStats {
  readonly kernels: number;
  readonly segments: number;
  /** Bytes of the arena for the largest sizes run so far, and the liveness lower bound of them. */
  readonly arenaBytes: number;
  readonly arenaLowerBound: number;
  /** Bytes of tapes and other growable storage. */
  readonly slotBytes: number;
  /** What runs on the CPU because the device lacks a dtype; absent where nothing does. */
  readonly placed?: PlacedStats | undefined;
}

/** How much of a plan is placed on another device than its own. */
export interface PlacedStats {
  /** Segments among the plan's. */
  readonly segments: number;
  /** Nodes of the graph in them. */
  readonly nodes: number;
}

/** Counters of a device. */
export interface DeviceStats {
  /** Kernels compiled for this device, and those that were taken from the process's cache. */
  readonly kernelsCompiled: number;
  readonly kernelsShared: number;
  /** Bytes handed out (constants, variables, device tensors, arenas), and bytes taken for them. */
  readonly usedBytes: number;
  readonly memoryBytes: number;
  /** WebGPU: what was made and done since the session began; pipelines are shared by sessions. */
  readonly gpu?: {
    readonly submits: number;
    readonly dispatches: number;
    readonly bindGroups: number;
    readonly buffers: number;
    readonly pipelines: number;
  };
}

export interface Executable {
  /**
   * Runs the plan and gives the results in order, as fresh host values. Throws TimeoutError,
   * AbortedError, ExecutionError (a check failed; see `plan.checks`) or OutOfMemoryError.
   */
  run(bindings: RunBindings): HostTensor[] | Promise<HostTensor[]>;
  /** Like `run`, but the results stay on the device, to be fed or read later. */
  keep(bindings: RunBindings): DeviceValue[] | Promise<DeviceValue[]>;
  /** Sync forms; absent where the device can't. */
  runSync?(bindings: RunBindings): HostTensor[];
  keepSync?(bindings: RunBindings): DeviceValue[];
  stats(): ExecutableStats;
  /** The device code of a kernel, as text (WAT, WGSL), where there is any. */
  source?(kernel: number): string;
  dispose(): void;
}

/** The state of one session on one backend. */
export interface Device {
  readonly ready: Promise<void>;
  /** The backend that a choosing one came to, once it is ready. */
  readonly chosen?: Backend | undefined;
  compile(plan: Plan): Executable;
  /** Copies a value to the device. */
  put(value: HostTensor): DeviceValue | Promise<DeviceValue>;
  hasVariable(name: string): boolean;
  /**
   * A copy of a variable's value; undefined where it holds none. Throws UnsupportedError where the
   * device can't be read at once.
   */
  readVariable(name: string): HostTensor | undefined;
  writeVariable(name: string, value: HostTensor): void;
  /** Counters, where the device keeps any. */
  stats?(): DeviceStats | undefined;
  close(): void;
}

export interface Backend {
  readonly name: string;
  readonly capabilities: {
    /** Whether `runSync` works. */
    readonly sync: boolean;
    /** Whether plans are executed from kernels (else from `plan.func`). */
    readonly kernels: boolean;
    /**
     * Dtypes that its kernels can't compute with. What needs them is placed on the CPU: plans then have
     * `placed` segments. Plans that only give variables first values are left whole, for the backend to
     * run on the CPU itself.
     */
    readonly lacks?: ReadonlySet<DType>;
    /** Buffers that one kernel may bind on any of its devices: fusion stops there. */
    readonly maxBuffers?: number;
  };
  open(options: DeviceOptions): Device;
}

const registry = new Map<string, () => Backend>();

/** Plugs in a backend under a name; the factory is called when a session first asks for it. */
export function registerBackend(name: string, factory: () => Backend): void {
  registry.set(name, factory);
}

/** The backend of a name. Throws UnsupportedError listing the names there are. */
export function getBackend(name: string): Backend {
  const factory = registry.get(name);
  if (!factory) {
    throw new UnsupportedError(
      'backend/unknown',
      `no backend "${name}". Known: ${[...registry.keys()].join(', ')}; ` +
        'registerBackend(name, factory) plugs in another.',
    );
  }
  return factory();
}
