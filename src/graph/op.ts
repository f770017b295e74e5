// What an op record is, and the registry. A record says everything there is to know of an op: its
// documentation, inference, reference, gradient and form. Passes, planner and backends ask the
// record; none of them knows an op by name.

import type { Dim } from '../core/dim.ts';
import type { DType } from '../core/dtype.ts';
import { InternalError } from '../core/error.ts';
import type { HostTensor } from '../core/ndarray.ts';
import type { Dims, TensorType } from '../core/type.ts';
import type { Expr, ScalarType } from '../kernel/expr.ts';
import type { Kernel } from '../kernel/ir.ts';
import type { Attrs } from './func.ts';
import type { Tensor } from './tensor.ts';

/** An input type whose rank is known. */
export interface KnownType {
  readonly dtype: DType;
  readonly shape: Dims;
}

export interface InferContext<A extends Attrs = Attrs> {
  readonly types: readonly KnownType[];
  readonly attrs: A;
  /** Symbolic contents of the inputs where known (small int32 tensors that hold sizes). */
  readonly values: readonly (readonly Dim[] | null)[];
  /** A size that only the run can tell; the same symbol at each inference of this node. */
  fresh(label: string, bound?: Dim): Dim;
  /** Takes a value that the run computes or is fed as a size, and demands that it be one: not negative. */
  asSize(value: Dim): Dim;
  /** Demands that two sizes be equal; returns the more specific one. Throws if they never are. */
  equal(a: Dim, b: Dim, why: string): Dim;
  /** Demands that two sizes broadcast; returns the result's size. Throws if they never do. */
  broadcast(a: Dim, b: Dim, why: string): Dim;
  /** Demands that a size be at most another. Throws if it never is. */
  atMost(a: Dim, b: Dim, why: string): void;
}

export interface InferResult {
  readonly types: readonly TensorType[];
  /** Symbolic contents of the outputs, where they follow from the inputs'. */
  readonly values?: readonly (readonly Dim[] | null)[];
}

export interface ReferenceContext {
  /** Zeroed storage: the dtype's own, or float64 for floats when the reference runs exact. */
  alloc(dtype: DType, size: number): HostTensor['data'];
  /** Number of the run within its session, from 0. */
  readonly run: number;
  /** Number of the loop turn, 0 outside of loops. */
  readonly iteration: number;
  /** Whether floats are computed in float64 and never rounded to their dtype. */
  readonly exact?: boolean;
}

export interface GradientContext<A extends Attrs = Attrs> {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** The gradient of each output, null where nothing depends on it. */
  readonly grads: readonly (Tensor | null)[];
  /** The gradient of output 0 (never null when a gradient function is called). */
  readonly grad: Tensor;
  readonly attrs: A;
}

/** What index-level forms may ask while they describe the value at an index. */
export interface IndexContext<A extends Attrs = Attrs> {
  readonly inputs: readonly KnownType[];
  readonly output: KnownType;
  readonly attrs: A;
  /** Symbolic contents of inputs where known. */
  readonly values: readonly (readonly Dim[] | null)[];
  /** The value of input `i` at an index (one dim per axis; it must be within bounds). */
  read(i: number, index: readonly Dim[]): Expr;
  /** Binds an i32 expression, for use within indices. */
  local(value: Expr): Dim;
  /** An i32 that the kernel is given when it is launched: kernels that differ in nothing else are one. */
  argument(value: number): Expr;
  /** Number of the loop turn and of the run, for random ops. */
  readonly iteration: Dim;
  readonly run: Dim;
}

/** One accumulator of a reduction. */
export interface Accumulator {
  readonly type: ScalarType;
  readonly init: Expr;
  /** How a value enters the accumulator, and how partial accumulators are combined. */
  readonly op?: 'add' | 'mul' | 'max' | 'min' | 'and' | 'or';
}

/** A reduction, at a symbolic output index, over axes of given extents. */
export interface ReduceSpec {
  /** Extents of the reduced axes, outermost first. */
  readonly extents: readonly Dim[];
  readonly accumulators: readonly Accumulator[];
  /** The values that enter the accumulators at an output index and a position of the reduced axes. */
  values(out: readonly Dim[], red: readonly Dim[]): readonly Expr[];
  /**
   * New accumulators from old ones, for reductions whose accumulators depend on each other; where
   * absent each takes its value by its own `op`.
   */
  step?(accs: readonly Expr[], values: readonly Expr[]): readonly Expr[];
  /** The result from the accumulators; the first of them where absent. */
  finish?(accs: readonly Expr[]): Expr;
}

export type OpForm<A extends Attrs = Attrs> =
  /** Elementwise with broadcasting: a scalar expression of scalar expressions. */
  | { readonly kind: 'scalar'; scalar(args: readonly Expr[], attrs: A): Expr }
  /** Every output element is one input element: the input index for an output index. */
  | {
      readonly kind: 'view';
      view(ctx: Omit<IndexContext<A>, 'read' | 'local'>, index: readonly Dim[]): Dim[];
    }
  /** The value at an output index in general (concat, gather, iota, random bits). */
  | { readonly kind: 'index'; at(ctx: IndexContext<A>, index: readonly Dim[]): Expr }
  /**
   * A reduction. `contraction` says that every input element is read many times, so that producers
   * are materialised rather than recomputed.
   */
  | {
      readonly kind: 'reduce';
      readonly contraction?: boolean;
      reduce(ctx: IndexContext<A>): ReduceSpec;
    }
  /**
   * A kernel written by hand in the IR: buffers are the inputs, then the outputs. Outputs of int32
   * scalars listed in `sizeOutputs` (port to label) bind that `fresh` symbol in mid-run.
   */
  | {
      readonly kind: 'kernel';
      readonly sizeOutputs?: Readonly<Record<number, string>>;
      lower(ctx: LowerContext<A>): Kernel;
    }
  /** A composition of smaller ops. */
  | { readonly kind: 'expand'; expand(inputs: readonly Tensor[], attrs: A): readonly Tensor[] }
  /** A value from outside: placeholder, parameter, constant. */
  | { readonly kind: 'leaf' }
  /** Variables: `attrs.variable` is the variable's name. */
  | { readonly kind: 'readVariable' }
  | { readonly kind: 'assign' }
  /** Bodies: see `attrs` of the records `loop` and `cond`. */
  | { readonly kind: 'loop' }
  | { readonly kind: 'branch' }
  /** A JavaScript function: `attrs.fn`. */
  | { readonly kind: 'host' }
  /** Nothing but control dependencies. */
  | { readonly kind: 'noOp' };

export interface LowerContext<A extends Attrs = Attrs> {
  readonly inputs: readonly KnownType[];
  readonly outputs: readonly KnownType[];
  readonly attrs: A;
}

/**
 * Effects a node has beside its outputs. `random` draws advance between runs. `check` may fail the
 * run. `read` and `write` concern the variable `attrs.variable`. Nodes with an effect are not
 * merged, folded or dropped when fetched.
 */
export type Effect = 'none' | 'random' | 'read' | 'write' | 'check' | 'host';

export interface OpRecord<A extends Attrs = Attrs> {
  readonly name: string;
  /** The base of automatic node names, TF1's: `MatMul`. */
  readonly nodeName: string;
  /** One sentence, then shapes, dtypes and errors. */
  readonly doc: string;
  /** Names of the inputs; a last one ending in `...` takes any number. */
  readonly inputs: readonly string[];
  /** Documentation of each attribute. */
  readonly attrs: Readonly<Record<string, string>>;
  readonly effect?: Effect;
  /** What it means that the check of an op with the effect `check` fails, and how to mend it. */
  readonly failure?: string;
  /** Output types from input types; throws ShapeError, DTypeError or ValueError without names. */
  infer(ctx: InferContext<A>): InferResult;
  /** Output dtypes where an input's rank is unknown; the first input's where absent. */
  dtypes?(inputs: readonly DType[], attrs: A): readonly DType[];
  /** Output values from input values: the oracle and the constant folder. Absent for bodies. */
  reference?(ctx: ReferenceContext, values: readonly HostTensor[], attrs: A): readonly HostTensor[];
  /** One symbolic gradient or null per input; absent where the op has no gradient at all. */
  gradient?(ctx: GradientContext<A>): readonly (Tensor | null)[];
  /**
   * For ops with bodies: what the node's inputs say of the parameters of each body, by attribute;
   * undefined for parameters that keep what they have.
   */
  bodyInputs?(
    inputs: readonly { readonly type: TensorType; readonly value: readonly Dim[] | null }[],
    attrs: A,
  ): Readonly<
    Record<
      string,
      readonly ({ readonly type: TensorType; readonly value: readonly Dim[] | null } | undefined)[]
    >
  >;
  /** The node is nothing but its input, once it is known that it is not fed itself. */
  readonly isInput?: boolean;
  /** Movement ops say so: their output elements are input elements, whatever the dtype. */
  readonly movesData?: boolean;
  readonly form: OpForm<A>;
}

// biome-ignore lint/suspicious/noExplicitAny: records of all attribute types share one table
type AnyRecord = OpRecord<any>;

const registry = new Map<string, AnyRecord>();

/** Types a record; the list in `ops/all.ts` registers it. */
export function defineOp<A extends Attrs>(record: OpRecord<A>): OpRecord<A> {
  return Object.freeze(record);
}

/** Registers records by name. */
export function registerOps(records: readonly AnyRecord[]): void {
  for (const r of records) registry.set(r.name, r);
}

/** The record of an op. */
export function opRecord(name: string): AnyRecord {
  const r = registry.get(name);
  if (!r) throw new InternalError(`no op record "${name}"`);
  return r;
}

/** Whether an op is registered. */
export function hasOp(name: string): boolean {
  return registry.has(name);
}

/** All registered records, in order of registration. */
export function allOps(): readonly AnyRecord[] {
  return [...registry.values()];
}
