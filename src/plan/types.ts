// The plan: what a backend compiles and runs. Kernels in portable form, steps in order, buffers with
// sizes as dims, and the symbols that a run binds. Plain data, without sizes of any one run.

import type { Dim, Sym } from '../core/dim.ts';
import type { DType, TypedArray } from '../core/dtype.ts';
import type { Site } from '../core/error.ts';
import type { TensorType } from '../core/type.ts';
import type { Constraint, Func } from '../graph/func.ts';
import type { Kernel } from '../kernel/ir.ts';

/**
 * Where a buffer lives. `feed`: written by the run's caller. `const`: written once per plan.
 * `variable`: the session's, by name, outlives runs. `arena`: at an offset from liveness.
 * `tape`: its size is known only while the run goes on; a `reserve` step grows it, and it keeps
 * its contents.
 */
export type BufferKind = 'feed' | 'const' | 'variable' | 'arena' | 'tape';

export interface PlanBuffer {
  readonly id: number;
  readonly kind: BufferKind;
  readonly dtype: DType;
  /** Elements to hold; late symbols are replaced by their bounds (0 for a `tape`). */
  readonly elements: Dim;
  /** `variable`: its name. */
  readonly variable?: string;
  /** `const`: its contents. */
  readonly data?: TypedArray;
  /** `arena`: first and last position in which the contents matter (inclusive). */
  readonly live: readonly [number, number];
  /** What it holds, for people: the name of a node. */
  readonly label: string;
}

/** Row-major elements `offset ..` of a buffer. The offset may depend on loop counters. */
export interface BufferView {
  readonly buffer: number;
  readonly offset: Dim;
}

/**
 * Runs a kernel: `views[i]` is bound to `kernel.buffers[i]`, `args[i]` to `kernel.params[i]`.
 * `position` counts steps in execution order, bodies inline.
 */
export interface KernelStep {
  readonly kind: 'kernel';
  readonly position: number;
  readonly kernel: number;
  readonly views: readonly BufferView[];
  readonly args: readonly Dim[];
  /** Names of the nodes computed here, for explain and traces. */
  readonly nodes: readonly string[];
}

/** Reads an int32 scalar computed in this run as the value of a size symbol. */
export interface BindStep {
  readonly kind: 'bind';
  readonly position: number;
  readonly sym: Sym;
  readonly view: BufferView;
}

/** Gives a size to a symbol: what the branch taken or a turn makes it, 0 before the first turn. */
export interface LetStep {
  readonly kind: 'let';
  readonly position: number;
  readonly sym: Sym;
  readonly value: Dim;
}

/** Fails the run where a constraint on sizes known only now does not hold. */
export interface CheckStep {
  readonly kind: 'check';
  readonly position: number;
  readonly constraint: Constraint;
  /** Index into `Plan.checks`. */
  readonly code: number;
}

/**
 * Turns `counter` from 0 while it is less than `limit` (null: no limit) and, if there is a
 * predicate, while the bool scalar that `cond` computes is true. After the loop `trip`, if given,
 * is bound to the number of turns.
 */
export interface LoopStep {
  readonly kind: 'loop';
  readonly position: number;
  readonly counter: Sym;
  readonly limit: Dim | null;
  readonly cond: { readonly steps: readonly Step[]; readonly predicate: BufferView } | null;
  readonly body: readonly Step[];
  readonly trip: Sym | null;
}

/**
 * Runs one of the branches: a bool selector takes branch 0 where true and 1 where false, an int32
 * selector its own number (clamped to the last).
 */
export interface BranchStep {
  readonly kind: 'branch';
  readonly position: number;
  readonly selector: BufferView;
  readonly selectorType: DType;
  readonly branches: readonly (readonly Step[])[];
}

/** Calls a JavaScript function on host values: a boundary between segments. Top level only. */
export interface HostStep {
  readonly kind: 'host';
  readonly position: number;
  readonly node: string;
  // biome-ignore lint/suspicious/noExplicitAny: the user's function
  readonly fn: (...args: any[]) => unknown;
  readonly inputs: readonly { readonly view: BufferView; readonly type: TensorType }[];
  readonly outputs: readonly { readonly view: BufferView; readonly type: TensorType }[];
}

/**
 * Runs nodes that the device can't on another one, by a plan of their own: a boundary between segments. Top
 * level only.
 */
export interface PlacedStep {
  readonly kind: 'placed';
  readonly position: number;
  readonly device: 'cpu';
  /** Its feeds are the inputs, its results the outputs and then the sizes, as int32 scalars. */
  readonly plan: Plan;
  readonly inputs: readonly PlacedInput[];
  readonly outputs: readonly { readonly view: BufferView; readonly type: TensorType }[];
  /** Sizes that the plan finds. */
  readonly sizes: readonly Sym[];
  /** Variables that live on the device and are used in bodies here. All others live where this runs. */
  readonly shared: readonly SharedVariable[];
  /** The nodes, and why they are here: the dtype that the device lacks. */
  readonly nodes: readonly { readonly name: string; readonly why: string }[];
}

/** A value that stands in a buffer, or int32 elements that are sizes. */
export type PlacedInput =
  | { readonly type: TensorType; readonly view: BufferView; readonly values?: undefined }
  | { readonly type: TensorType; readonly values: readonly Dim[]; readonly view?: undefined };

export interface SharedVariable {
  readonly name: string;
  readonly view: BufferView;
  readonly type: TensorType;
  readonly written: boolean;
}

/** Makes a `tape` hold at least this many elements, a size known only now; keeps its contents. */
export interface ReserveStep {
  readonly kind: 'reserve';
  readonly position: number;
  readonly buffer: number;
  readonly elements: Dim;
}

/** What a device runs by itself. */
export type Step =
  | KernelStep
  | BindStep
  | LetStep
  | CheckStep
  | LoopStep
  | BranchStep
  | ReserveStep;

/** Steps that run without a return to JavaScript, one host call, or what runs on another device. */
export type Segment =
  | { readonly kind: 'device'; readonly steps: readonly Step[] }
  | { readonly kind: 'host'; readonly step: HostStep }
  | { readonly kind: 'placed'; readonly step: PlacedStep };

/** A feed of the plan: the n-th `param` of its func. */
export interface PlanFeed {
  readonly name: string;
  readonly type: TensorType;
  readonly buffer: number;
}

/** A fetched value; its buffer may also be a feed's, a constant's or a variable's. */
export interface PlanResult {
  readonly view: BufferView;
  readonly type: TensorType;
}

/** A check of the run, by code: what a failure means. */
export interface PlanCheck {
  readonly code: number;
  readonly node: string;
  readonly op: string;
  readonly message: string;
  readonly site?: Site;
}

/** A symbol with a value before the run starts: a size of a feed, or an element of a fed shape. */
export interface StartSym {
  readonly sym: Sym;
  /** Null where whoever runs the plan knows the value from elsewhere: a size around a placed step. */
  readonly feed: number | null;
  /** The axis that tells it, or null where the contents do. */
  readonly axis: number | null;
  readonly element: number | null;
}

/** A constraint on sizes known at the start, with the node that demands it. */
export interface PlanConstraint extends Constraint {
  readonly op: string;
  readonly node: string;
  readonly site?: Site;
}

/** Symbol that every run binds to its number within the session. */
export const RUN_SYM = '$run';

export interface Plan {
  /** The function after the passes, sizes specialised to the plan's shape class. */
  readonly func: Func;
  readonly feeds: readonly PlanFeed[];
  readonly results: readonly PlanResult[];
  readonly kernels: readonly Kernel[];
  readonly buffers: readonly PlanBuffer[];
  readonly segments: readonly Segment[];
  readonly startSyms: readonly StartSym[];
  /** Checked on the host before the run. */
  readonly constraints: readonly PlanConstraint[];
  readonly checks: readonly PlanCheck[];
  /** Names of variables that must hold a value before the run, and of those it writes. */
  readonly reads: readonly string[];
  readonly writes: readonly string[];
  /** Number of positions (see {@link KernelStep.position}). */
  readonly positions: number;
}
