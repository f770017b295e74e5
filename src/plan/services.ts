// What the planner offers to the planning of one function body: buffers, kernels, positions, sizes that
// become known. One planner serves all bodies of a plan.

import type { Dim, Sym } from '../core/dim.ts';
import type { DType } from '../core/dtype.ts';
import type { Func, Node } from '../graph/func.ts';
import type { Kernel } from '../kernel/ir.ts';
import type {
  BufferKind,
  BufferView,
  HostStep,
  PlacedStep,
  Plan,
  PlanCheck,
  PlanConstraint,
  Step,
} from './types.ts';

/** A size symbol around a body, which the size of a result along an axis tells. */
export interface ToldSize {
  readonly sym: Sym;
  readonly result: number;
  readonly axis: number;
}

/** What results of a body tell those around it. */
export interface Told {
  readonly sizes: readonly ToldSize[];
  /** Of a loop, all of whose turns must tell the same: 0 in the first turn, then 1; and what demands it. */
  readonly turns: {
    readonly again: Dim;
    readonly demand: Omit<PlanConstraint, 'kind' | 'a' | 'b'>;
  } | null;
}

export const NOTHING_TOLD: Told = { sizes: [], turns: null };

/** What planning one function or body needs from around it. */
export interface Scope {
  readonly func: Func;
  /** Views of the params, by node id. */
  readonly params: ReadonlyMap<number, BufferView>;
  /** Params that stand for sizes (loop positions). */
  readonly sizes: ReadonlyMap<number, Dim>;
  /** Where results must go (bodies), or null where any buffer will do. */
  readonly targets: readonly (BufferView | null)[];
  readonly tells: Told;
  /** Buffers of targets that grow to hold what is stored to them. */
  readonly grows: ReadonlySet<number>;
  /** What the node that holds the body demands of sizes that the body finds. */
  readonly demands: readonly PlanConstraint[];
  readonly iteration: Dim;
  readonly top: boolean;
}

/** The planner's state, as bodies use it. */
export interface Services {
  planFunc(scope: Scope): BufferView[];
  allocate(kind: BufferKind, dtype: DType, size: Dim, label: string): number;
  touch(buffer: number, at: number): void;
  isTape(buffer: number): boolean;
  variable(node: Node, name: string): BufferView;
  constant(node: Node): BufferView;
  kernelId(kernel: Kernel): number;
  next(): number;
  push(step: Step): void;
  collect(make: () => void): Step[];
  host(step: HostStep): void;
  placed(step: PlacedStep): void;
  /**
   * Plans a function for another device: `given` are the sizes that its runs are told. Of the `wanted` ones
   * those that it finds are results after its own.
   */
  subplan(
    func: Func,
    given: readonly Sym[],
    wanted: readonly Sym[],
  ): { readonly plan: Plan; readonly told: readonly Sym[] };
  /** Dtypes that must be placed elsewhere. */
  readonly lacks: ReadonlySet<DType>;
  counter(): Sym;
  isKnown(id: string): boolean;
  /** Whether a size is known before the run. */
  isStart(id: string): boolean;
  learn(sym: Sym, late: boolean): void;
  announce(sym: Sym): void;
  hostConstraint(c: PlanConstraint): void;
  check(check: Omit<PlanCheck, 'code'>): number;
  extend(from: number, to: number): void;
  pin(buffer: number, from: number, to: number): void;
}
