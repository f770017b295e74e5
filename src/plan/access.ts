// Where elements come from: for the value of a node at an index, which inputs are read at which
// indices. Views compose into index expressions here. Symbolic only: no kernel is built, and
// expressions made on the way are dropped.

import {
  type Dim,
  dimEquals,
  dimKey,
  dimOf,
  makeSym,
  mulDim,
  ne1Dim,
  type Sym,
  symDim,
} from '../core/dim.ts';
import { dtypeInfo } from '../core/dtype.ts';
import { InternalError } from '../core/error.ts';
import type { Dims } from '../core/type.ts';
import type { Func, Node, Ref } from '../graph/func.ts';
import { type IndexContext, type KnownType, opRecord, type ReduceSpec } from '../graph/op.ts';
import { dimValue, type Expr, letRef, type ScalarType } from '../kernel/expr.ts';
import { RUN_SYM } from './types.ts';

/** The type of a node's output, whose rank inference has settled. */
export function knownType(func: Func, ref: Ref): KnownType {
  const type = func.nodes[ref.node].types[ref.port];
  if (type === undefined || type.shape === null) {
    const node = func.nodes[ref.node];
    throw new InternalError(`the planner met ${node.op} "${node.name}" without a rank`);
  }
  return { dtype: type.dtype, shape: type.shape };
}

export function scalarTypeOf(func: Func, ref: Ref): ScalarType {
  return dtypeInfo(func.nodes[ref.node].types[ref.port].dtype).scalar;
}

/** The index into a broadcast input for an index of the output. */
export function broadcastIndex(shape: Dims, out: Dims, index: readonly Dim[]): Dim[] {
  const shift = out.length - shape.length;
  return shape.map((d, i) => {
    if (d === 1) return 0;
    const x = index[i + shift];
    return dimEquals(d, out[i + shift]) ? x : mulDim(x, ne1Dim(d));
  });
}

/** Axes over a shape, and the index of a point; axes of size 1 stand still. */
export function axesFor(shape: Dims, prefix: string): { syms: Sym[]; index: Dim[] } {
  const syms: Sym[] = [];
  const index = shape.map((d) => {
    if (d === 1) return 0;
    const s = makeSym(`${prefix}${syms.length}`, `${prefix}${syms.length}`, { extent: d });
    syms.push(s);
    return symDim(s);
  });
  return { syms, index };
}

/** Whether two indices are the same point. */
export function indexEquals(a: readonly Dim[], b: readonly Dim[]): boolean {
  return a.length === b.length && a.every((d, i) => dimEquals(d, b[i]));
}

/**
 * What a context needs besides the node: how dims are renamed, what numbers that are no part of a kernel are
 * called in it, and the numbers of turn and run.
 */
export interface Frame {
  readonly func: Func;
  rename(d: Dim): Dim;
  argument(value: number): Dim;
  readonly iteration: Dim;
  readonly run: Dim;
}

const plainFrames = new WeakMap<Func, Frame>();

/** The frame that keeps all symbols as they are. */
export function plainFrame(func: Func): Frame {
  let frame = plainFrames.get(func);
  if (!frame) {
    frame = { func, rename: (d) => d, argument: (v) => v, iteration: 0, run: dimOf(RUN_SYM) };
    plainFrames.set(func, frame);
  }
  return frame;
}

/** The context in which a node's index-level form is evaluated. */
export function indexContext(
  frame: Frame,
  node: Node,
  port: number,
  read: (input: Ref, index: readonly Dim[]) => Expr,
  local: (value: Expr) => Dim,
): IndexContext {
  const rename = (t: KnownType): KnownType => ({
    dtype: t.dtype,
    shape: t.shape.map(frame.rename),
  });
  return {
    inputs: node.inputs.map((r) => rename(knownType(frame.func, r))),
    output: rename(knownType(frame.func, { node: node.id, port })),
    attrs: node.attrs,
    values: node.inputs.map((r) => {
      const v = frame.func.nodes[r.node].values[r.port] ?? null;
      return v === null ? null : v.map(frame.rename);
    }),
    read: (i, index) => read(node.inputs[i], index),
    local,
    argument: (value) => dimValue(frame.argument(value)),
    iteration: frame.iteration,
    run: frame.run,
  };
}

/** The element of a view's input that stands at an index of its output. */
export function viewIndex(frame: Frame, node: Node, index: readonly Dim[]): Dim[] {
  const { form } = opRecord(node.op);
  if (form.kind !== 'view') throw new InternalError(`${node.op} is no view`);
  const never = (): never => {
    throw new InternalError(`the view ${node.op} reads elements`);
  };
  return form.view(indexContext(frame, node, 0, never, never), index);
}

/** One read: the value of `ref` at `index`. */
export interface Access {
  readonly ref: Ref;
  readonly index: readonly Dim[];
}

/** Follows views from an access to the first node that is none (or that `stop` names). */
export function traceViews(frame: Frame, access: Access, stop: (id: number) => boolean): Access {
  let { ref, index } = access;
  for (;;) {
    const node = frame.func.nodes[ref.node];
    if (stop(ref.node) || opRecord(node.op).form.kind !== 'view') return { ref, index };
    index = viewIndex(frame, node, index);
    ref = node.inputs[0];
  }
}

let dummies = 0;

/** Calls `use` with a context whose reads are only recorded. */
function recording<T>(
  frame: Frame,
  node: Node,
  use: (ctx: IndexContext) => T,
): { value: T; reads: Access[] } {
  const reads: Access[] = [];
  const ctx = indexContext(
    frame,
    node,
    0,
    (ref, index) => {
      reads.push({ ref, index: [...index] });
      return letRef(`read${dummies++}`, scalarTypeOf(frame.func, ref));
    },
    () => dimOf(`local${dummies++}`),
  );
  return { value: use(ctx), reads };
}

const recorded = new WeakMap<Frame, Map<string, Access[]>>();

/** Remembered, since what is asked several times may take long to build. */
function indexReads(
  frame: Frame,
  node: Node,
  index: readonly Dim[],
  at: (ctx: IndexContext, index: readonly Dim[]) => Expr,
): Access[] {
  let known = recorded.get(frame);
  if (!known) {
    known = new Map();
    recorded.set(frame, known);
  }
  const key = `${node.id}:${index.map(dimKey).join(',')}`;
  let reads = known.get(key);
  if (!reads) {
    reads = recording(frame, node, (ctx) => at(ctx, index)).reads;
    known.set(key, reads);
  }
  return reads;
}

/** The direct reads of an elementwise, view or index node at an index of its output. */
export function readsOf(frame: Frame, node: Node, index: readonly Dim[]): Access[] {
  const { form } = opRecord(node.op);
  switch (form.kind) {
    case 'scalar': {
      const out = knownType(frame.func, { node: node.id, port: 0 }).shape;
      return node.inputs.map((ref) => ({
        ref,
        index: broadcastIndex(knownType(frame.func, ref).shape, out, index),
      }));
    }
    case 'view':
      return [{ ref: node.inputs[0], index: viewIndex(frame, node, index) }];
    case 'index':
      return indexReads(frame, node, index, form.at);
    case 'assign':
      return [{ ref: node.inputs[0], index }];
    default:
      return [];
  }
}

/** The spec of a reduction and its reads at an output index and reduced position. */
export function reduceReads(
  frame: Frame,
  node: Node,
  axes: (spec: ReduceSpec) => { out: readonly Dim[]; red: readonly Dim[] },
): { spec: ReduceSpec; reads: Access[]; out: readonly Dim[]; red: readonly Dim[] } {
  const { form } = opRecord(node.op);
  if (form.kind !== 'reduce') throw new InternalError(`${node.op} is no reduction`);
  const { value, reads } = recording(frame, node, (ctx) => {
    const spec = form.reduce(ctx);
    const at = axes(spec);
    spec.values(at.out, at.red);
    return { spec, ...at };
  });
  return { ...value, reads };
}
