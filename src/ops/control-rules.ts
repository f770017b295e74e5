// The rules of inference that loops and branches keep: carries keep their types, elements looped over
// are equally many, conditions are bool scalars.

import { type Dim, dimEquals, maxDim } from '../core/dim.ts';
import { boundOf } from '../core/dim-bound.ts';
import { DTypeError, ShapeError } from '../core/error.ts';
import { type TensorType, typeToString } from '../core/type.ts';
import {
  foundSizes,
  mentionsAny,
  outputSizeLabel,
  stackedSizeLabel,
} from '../graph/found-sizes.ts';
import type { Func } from '../graph/func.ts';
import type { InferContext } from '../graph/op.ts';

/** The attributes of a loop; its record documents them. */
export type LoopAttrs = {
  readonly carries: number;
  readonly xs: number;
  readonly captured: number;
  readonly body: Func;
  readonly cond: Func | null;
  readonly maxTrip: number | null;
  readonly reverse: boolean;
};

/** The types of what a function returns. */
export function resultTypes(f: Func): TensorType[] {
  return f.results.map((r) => f.nodes[r.node].types[r.port]);
}

/** The leading dim that all stacked inputs share, or undefined without any. */
export function commonLength(ctx: InferContext<LoopAttrs>): Dim | undefined {
  const { carries, xs } = ctx.attrs;
  let n: Dim | undefined;
  for (const t of ctx.types.slice(carries, carries + xs)) {
    if (t.shape.length === 0) {
      throw new ShapeError(
        'shape/rank',
        'a loop over a scalar has no elements to go through. Stack the values first.',
      );
    }
    n =
      n === undefined
        ? t.shape[0]
        : ctx.equal(n, t.shape[0], 'all elements looped over must be equally many');
  }
  return n;
}

/**
 * A size of a branch's output, from those that the branches give: the one that they share, or else what
 * the branch taken makes of it.
 */
export function branchSize(
  ctx: InferContext,
  dims: readonly Dim[],
  found: ReadonlySet<string>,
  at: { readonly port: number; readonly axis: number },
): Dim {
  if (dims.every((d) => dimEquals(d, dims[0])) && !mentionsAny(dims[0], found)) return dims[0];
  const bounds = dims.map(boundOf);
  const most = bounds.some((d) => mentionsAny(d, found)) ? undefined : bounds.reduce(maxDim);
  return ctx.fresh(outputSizeLabel(at.port, at.axis), most);
}

/** The shape of what a turn stacks: a size that turns find is one that the run tells, equal in all turns. */
export function stackedShape(ctx: InferContext<LoopAttrs>, i: number): readonly Dim[] | null {
  const { body } = ctx.attrs;
  const found = foundSizes(body);
  const ref = body.results[i];
  const { shape } = body.nodes[ref.node].types[ref.port];
  return (
    shape?.map((d, axis) => {
      if (!mentionsAny(d, found)) return d;
      const most = boundOf(d);
      const label = stackedSizeLabel(ref, axis);
      return ctx.fresh(label, mentionsAny(most, found) ? undefined : most);
    }) ?? null
  );
}

/** A condition gives one bool scalar. */
export function checkPredicate(f: Func): void {
  const [type, ...more] = resultTypes(f);
  if (more.length > 0 || type?.dtype !== 'bool' || type.shape === null || type.shape.length > 0) {
    const got = [type, ...more].map((t) => (t ? typeToString(t) : 'nothing')).join(' and ');
    throw new DTypeError(
      'control/predicate',
      `the condition must give one bool scalar, it gives ${got}. Compare scalars: less(i, n).`,
    );
  }
}

/** A carry keeps its type from turn to turn. */
export function checkCarry(ctx: InferContext<LoopAttrs>, i: number, after: TensorType): void {
  const before = ctx.types[i];
  const fail = (): never => {
    throw new ShapeError(
      'control/carry',
      `loop variable ${i} must keep its type, it enters a turn as ${typeToString(before)} and leaves as ${typeToString(after)}. ` +
        'Make the body return the type it was given.',
    );
  };
  if (after.dtype !== before.dtype) fail();
  if (after.shape === null) return;
  if (after.shape.length !== before.shape.length) fail();
  after.shape.forEach((d, a) => {
    const want = before.shape[a];
    if (typeof d === 'number' && typeof want === 'number' && d !== want) fail();
    ctx.equal(want, d, `loop variable ${i} must keep its shape`);
  });
}
