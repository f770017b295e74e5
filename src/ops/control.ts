// Control flow: one loop primitive and one branch primitive, which hold functions, and the ways to
// write them. A loop carries values, reads slices of `xs` and stacks `ys`; only the branch taken runs.

import { type Dim, minDim } from '../core/dim.ts';
import { DTypeError, ShapeError, ValueError } from '../core/error.ts';
import { checkFunction, checkList, checkOptions } from '../core/options.ts';
import { type TensorType, typeToString } from '../core/type.ts';
import { rejectAsync } from '../graph/current.ts';
import { foundSizes } from '../graph/found-sizes.ts';
import type { Func } from '../graph/func.ts';
import { getDefaultGraph } from '../graph/graph.ts';
import type { Known } from '../graph/infer.ts';
import { defineOp } from '../graph/op.ts';
import type { Tensor } from '../graph/tensor.ts';
import { branchNode, loopNode } from './control-nodes.ts';
import {
  branchSize,
  checkCarry,
  checkPredicate,
  commonLength,
  type LoopAttrs,
  resultTypes,
  stackedShape,
} from './control-rules.ts';
import { inGraphOf, OP_OPTIONS, type OpOptions, type TensorLike, toTensor } from './convert.ts';
import { sub } from './math.ts';
import { flattenNest, type Nest, packAs, type Structure } from './nest.ts';
import { size as sizeAlong, squeeze } from './shape.ts';
import { slice } from './slicing.ts';

export const loopOp = defineOp<LoopAttrs>({
  name: 'loop',
  nodeName: 'While',
  doc:
    'Runs a body for each of `xs`, up to `maxTrip` times, or while a condition holds. Carries go from ' +
    'turn to turn and keep their types; further results are stacked.',
  inputs: ['inputs...'],
  attrs: {
    carries: 'number of carried values: the first inputs and outputs',
    xs: 'number of stacked inputs, read slice by slice',
    captured: 'number of inputs that all turns see whole',
    body: 'from position, carries, slices and captured values to carries and stacked outputs',
    cond: 'from position, carries and captured values to a bool scalar; null for none',
    maxTrip: 'most turns; null for no limit',
    reverse: 'go through positions from the last to the first',
  },
  infer: (ctx) => {
    const { carries, body, cond, maxTrip, reverse } = ctx.attrs;
    const results = resultTypes(body);
    for (let i = 0; i < carries; i++) checkCarry(ctx, i, results[i]);
    if (cond) checkPredicate(cond);
    const length = commonLength(ctx);
    let trip: Dim | undefined = maxTrip ?? undefined;
    if (length !== undefined) trip = trip === undefined ? length : minDim(trip, length);
    if (cond && reverse) {
      throw new ValueError(
        'control/reverse',
        'a loop with a condition can not run in reverse. Reverse the elements instead.',
      );
    }
    if (cond) trip = ctx.fresh('trip', trip);
    if (trip === undefined) {
      throw new ValueError(
        'control/endless',
        'the loop has no end. Give it a condition, elements, or maximumIterations.',
      );
    }
    const n = trip;
    const types = results.map((t, i) => {
      if (i < carries) return { dtype: t.dtype, shape: ctx.types[i].shape };
      const shape = stackedShape(ctx, i);
      return { dtype: t.dtype, shape: shape && [n, ...shape] };
    });
    return { types };
  },
  dtypes: (_, { body }) => resultTypes(body).map((t) => t.dtype),
  bodyInputs: (inputs, { carries, xs, body, cond }) => {
    const held = inputs.slice(0, carries).map((k): Known => ({ type: k.type, value: null }));
    const slices = inputs.slice(carries, carries + xs).map(
      (k): Known => ({
        type: { dtype: k.type.dtype, shape: k.type.shape?.slice(1) ?? null },
        value: null,
      }),
    );
    const captured = inputs.slice(carries + xs);
    const out: Record<string, (Known | undefined)[]> = {
      body: [undefined, ...held, ...slices, ...captured],
    };
    if (cond) out.cond = [undefined, ...held, ...captured];
    // A body of unknown rank stays as it was traced until its inputs are known.
    return body.params.length > 0 ? out : {};
  },
  form: { kind: 'loop' },
});

type CondAttrs = { readonly branches: readonly Func[] };

export const condOp = defineOp<CondAttrs>({
  name: 'cond',
  nodeName: 'If',
  doc: 'Runs one of several functions: by a bool the first if true else the second, by an int32 its number.',
  inputs: ['selector', 'captured...'],
  attrs: { branches: 'functions of the captured values, with equal result types' },
  infer: (ctx) => {
    const [selector] = ctx.types;
    const { branches } = ctx.attrs;
    const dtypeOk = selector.dtype === 'bool' ? branches.length === 2 : selector.dtype === 'int32';
    if (!dtypeOk || selector.shape.length !== 0) {
      throw new DTypeError(
        'control/predicate',
        `the predicate must be a bool scalar (or an int32 scalar for switchCase), not ${typeToString(selector)}. Compare scalars: less(i, n).`,
      );
    }
    const all = branches.map(resultTypes);
    const [first] = all;
    for (const other of all) {
      first.forEach((t, i) => {
        const o = other[i];
        const same =
          o !== undefined &&
          o.dtype === t.dtype &&
          (o.shape === null || t.shape === null || o.shape.length === t.shape.length);
        if (same && other.length === first.length) return;
        throw new ShapeError(
          'control/branches',
          `the branches must give equal dtypes and ranks, output ${i} is ${typeToString(t)} in one and ${o ? typeToString(o) : 'missing'} in another. ` +
            'Cast or reshape in the branches.',
        );
      });
    }
    const found = new Set(branches.flatMap((b) => [...foundSizes(b)]));
    const types = first.map((t, i): TensorType => {
      const shapes = all.map((types) => types[i].shape);
      if (!shapes.every((s) => s !== null)) return { dtype: t.dtype, shape: null };
      const shape = shapes[0].map((_, axis) =>
        branchSize(
          ctx,
          shapes.map((s) => s[axis]),
          found,
          { port: i, axis },
        ),
      );
      return { dtype: t.dtype, shape };
    });
    return { types };
  },
  dtypes: (_, { branches }) => resultTypes(branches[0]).map((t) => t.dtype),
  bodyInputs: ([, ...captured]) => ({ branches: captured }),
  form: { kind: 'branch' },
});

/** Refuses JavaScript booleans, which would choose once, when the graph is built. */
function refuseBoolean(p: unknown, op: string): void {
  if (typeof p !== 'boolean') return;
  throw new DTypeError(
    'control/predicate',
    `${op}: the predicate is the JavaScript value ${p}, which can not change between runs. ` +
      'Pass a bool tensor such as less(i, n), or use a plain if.',
  );
}

/** What a callback returned, as a tensor; a predicate must be one already. */
function predicate(p: TensorLike, op: string): Tensor {
  refuseBoolean(p, op);
  return toTensor(rejectAsync(op, p));
}

/** Options of {@link whileLoop}. */
export interface WhileOptions extends OpOptions {
  /** The most turns; without it there is no limit. */
  readonly maximumIterations?: number;
}

const WHILE_OPTIONS: readonly (keyof WhileOptions)[] = ['maximumIterations', 'name'];

/**
 * Repeats `body` while `cond` holds, starting from `loopVars`: a tensor, or arrays and records of them.
 * Both are called once, with tensors, and must return tensors; the variables keep dtype and shape.
 *
 * @example `whileLoop((i) => less(i, 10), (i) => add(i, 1), constant(0, { dtype: 'int32' }))`
 */
export function whileLoop<S extends Nest<TensorLike>>(
  cond: (vars: Packed<S>) => TensorLike,
  body: (vars: Packed<S>) => Nest<TensorLike>,
  loopVars: S,
  options: WhileOptions = {},
): Packed<S> {
  checkFunction('whileLoop', cond);
  checkFunction('whileLoop', body);
  checkOptions('whileLoop', options, WHILE_OPTIONS);
  const { maximumIterations: most } = options;
  if (most !== undefined && !(Number.isInteger(most) && most >= 0)) {
    throw new ValueError(
      'control/limit',
      `whileLoop: maximumIterations ${most} is no count. Use an integer >= 0.`,
    );
  }
  const { leaves, structure } = flattenNest(loopVars);
  return inGraphOf(leaves, () => {
    const carries = leaves.map((x) => toTensor(x));
    const out = loopNode(
      options.name ?? 'while',
      { carries, xs: [] },
      (_, vars) => {
        const made = rejectAsync('whileLoop', body(packAs(structure, vars)));
        const next = structure.leavesOf(made, 'whileLoop: the body');
        return { carries: next.map((x, i) => toTensor(x, vars[i].dtype)), ys: [] };
      },
      {
        cond: (_, vars) => predicate(cond(packAs(structure, vars)), 'whileLoop'),
        maxTrip: most ?? null,
      },
    );
    return packAs(structure, out.carries);
  });
}

/** A structure of tensor-likes as the tensors a callback sees. */
export type Packed<S> = S extends Tensor
  ? S
  : S extends { asTensor(): infer T }
    ? T
    : S extends readonly (infer E)[]
      ? number extends S['length']
        ? readonly Packed<E>[]
        : { readonly [K in keyof S]: Packed<S[K]> }
      : S extends number | boolean
        ? Tensor
        : S extends object
          ? { readonly [K in keyof S]: Packed<S[K]> }
          : Tensor;

export interface FoldOptions<A> extends OpOptions {
  /** What the accumulator starts as; the first element where absent. */
  readonly initializer?: A;
}

export interface ScanOptions<A> extends FoldOptions<A> {
  /** Go through the elements from the last to the first. */
  readonly reverse?: boolean;
}

const FOLD_OPTIONS: readonly (keyof FoldOptions<unknown>)[] = ['initializer', 'name'];
const SCAN_OPTIONS: readonly (keyof ScanOptions<unknown>)[] = ['initializer', 'reverse', 'name'];

/**
 * Carries an accumulator through the leading axis of `elems` and stacks its values: TF1's scan. The
 * result has the accumulator's structure with a leading axis as long as that of `elems`.
 */
export function scan<E extends Nest<TensorLike>, A extends Nest<TensorLike> = E>(
  fn: (acc: Packed<A>, elem: Packed<E>) => Nest<TensorLike>,
  elems: E,
  options: ScanOptions<A> = {},
): Packed<NoInfer<A>> {
  checkOptions('scan', options, SCAN_OPTIONS);
  const { first, ys, structure } = carry('scan', fn as never, elems, options, true);
  if (!first) return packAs(structure, ys);
  const graph = getDefaultGraph();
  const whole = ys.map((y, i) => {
    const head = graph.add('expandDims', [first[i]], { axis: 0 }).output();
    return graph.add('concat', options.reverse ? [y, head] : [head, y], { axis: 0 }).output();
  });
  return packAs(structure, whole);
}

/** Carries an accumulator through the leading axis of `elems` and gives the last one. */
export function foldl<E extends Nest<TensorLike>, A extends Nest<TensorLike> = E>(
  fn: (acc: Packed<A>, elem: Packed<E>) => Nest<TensorLike>,
  elems: E,
  options: FoldOptions<A> = {},
): Packed<NoInfer<A>> {
  checkOptions('foldl', options, FOLD_OPTIONS);
  const { last, structure } = carry('foldl', fn as never, elems, options, false);
  return packAs(structure, last);
}

/** Like `foldl`, from the last element to the first. */
export function foldr<E extends Nest<TensorLike>, A extends Nest<TensorLike> = E>(
  fn: (acc: Packed<A>, elem: Packed<E>) => Nest<TensorLike>,
  elems: E,
  options: FoldOptions<A> = {},
): Packed<NoInfer<A>> {
  checkOptions('foldr', options, FOLD_OPTIONS);
  const backward = { ...options, reverse: true };
  const { last, structure } = carry('foldr', fn as never, elems, backward, false);
  return packAs(structure, last);
}

/**
 * Applies `fn` to each slice along the leading axis of `elems` and stacks the results, which must have one
 * shape: where its sizes are found in the run, the run fails with `run/check` if they differ.
 */
export function mapFn<E extends Nest<TensorLike>, R extends Nest<TensorLike>>(
  fn: (elem: Packed<E>) => R,
  elems: E,
  options: OpOptions = {},
): Packed<NoInfer<R>> {
  checkFunction('mapFn', fn);
  checkOptions('mapFn', options, OP_OPTIONS);
  const { leaves, structure } = flattenNest(elems);
  return inGraphOf(leaves, () => {
    const xs = leaves.map((x) => toTensor(x));
    let result: Structure | undefined;
    const { ys } = loopNode(options.name ?? 'map', { carries: [], xs }, (_, __, elem) => {
      const out = flattenNest(rejectAsync('mapFn', fn(packAs(structure, elem))));
      result = out.structure;
      return { carries: [], ys: out.leaves.map((x) => toTensor(x)) };
    });
    return packAs(result as Structure, ys);
  });
}

function carry(
  op: string,
  fn: (acc: unknown, elem: unknown) => Nest<TensorLike>,
  elems: Nest<TensorLike>,
  options: ScanOptions<Nest<TensorLike>>,
  stack: boolean,
) {
  checkFunction(op, fn);
  const over = flattenNest(elems);
  return inGraphOf(over.leaves, () => {
    let xs = over.leaves.map((x) => toTensor(x));
    const given = options.initializer === undefined ? undefined : flattenNest(options.initializer);
    let first: Tensor[] | undefined;
    if (!given) {
      // Without an initializer the first element is it, and the loop goes through the others.
      xs.forEach((x) => needAxis(x, op));
      first = xs.map((x) => edge(x, options.reverse ?? false));
      xs = xs.map((x) => others(x, options.reverse ?? false));
    }
    const start = given ? given.leaves.map((x) => toTensor(x)) : (first as Tensor[]);
    const structure = given?.structure ?? over.structure;
    const out = loopNode(
      options.name ?? op,
      { carries: start, xs },
      (_, acc, elem) => {
        const made = rejectAsync(op, fn(packAs(structure, acc), packAs(over.structure, elem)));
        const next = structure
          .leavesOf(made, `${op}: the function`)
          .map((x, i) => toTensor(x, acc[i].dtype));
        return { carries: next, ys: stack ? next : [] };
      },
      { reverse: options.reverse ?? false },
    );
    return { first, ys: out.ys, last: out.carries, structure };
  });
}

/** Without an initializer elements are taken apart, which takes a known rank. */
function needAxis(x: Tensor, op: string): void {
  if (x.rank !== null && x.rank > 0) return;
  throw new ShapeError(
    'shape/rank',
    `${op}: ${x} has no elements to go through, or its rank is unknown. Reshape it, or pass an initializer.`,
  );
}

/** The first (or last) slice along the leading axis. */
function edge(x: Tensor, last: boolean): Tensor {
  const zeros = new Array<number>((x.rank as number) - 1).fill(0);
  const all = zeros.map(() => -1);
  const begin = last ? [lengthLessOne(x), ...zeros] : [0, ...zeros];
  return squeeze(slice(x, begin as TensorLike, [1, ...all]), { axis: 0 });
}

/** The position of the last slice. */
function lengthLessOne(x: Tensor): Tensor {
  return sub(sizeAlong(x, { axis: 0 }), 1);
}

/** All slices but the first (or last). */
function others(x: Tensor, last: boolean): Tensor {
  const zeros = new Array<number>((x.rank as number) - 1).fill(0);
  if (!last)
    return slice(
      x,
      [1, ...zeros],
      zeros.concat(0).map(() => -1),
    );
  const count = lengthLessOne(x);
  return slice(x, [0, ...zeros], [count, ...zeros.map(() => -1)]);
}

/**
 * The results of `trueFn` where the bool scalar `pred` is true, else of `falseFn`. Both are traced when
 * the graph is built; only the one taken runs. They must return equal structures, dtypes and ranks. Where their
 * sizes differ, those of the results are what the branch taken makes them.
 */
export function cond<R extends Nest<TensorLike>>(
  pred: TensorLike,
  trueFn: () => R,
  falseFn: () => R,
  options: OpOptions = {},
): Packed<R> {
  checkFunction('cond', trueFn);
  checkFunction('cond', falseFn);
  checkOptions('cond', options, OP_OPTIONS);
  refuseBoolean(pred, 'cond');
  return branches(options.name ?? 'cond', toTensor(pred), [trueFn, falseFn]);
}

/** The results of the function whose number `index` (an int32 scalar) is; the last where there is none, as for -1. */
export function switchCase<R extends Nest<TensorLike>>(
  index: TensorLike,
  fns: readonly (() => R)[],
  options: OpOptions = {},
): Packed<R> {
  checkList('switchCase: the functions', fns);
  for (const fn of fns) checkFunction('switchCase', fn);
  checkOptions('switchCase', options, OP_OPTIONS);
  if (fns.length === 0)
    throw new ValueError(
      'control/branches',
      'switchCase: there is nothing to choose from. Pass functions.',
    );
  return branches(options.name ?? 'switch_case', toTensor(index, 'int32'), fns);
}

function branches<R extends Nest<TensorLike>>(
  name: string,
  selector: Tensor,
  fns: readonly (() => R)[],
): Packed<R> {
  return inGraphOf([selector], () => {
    let structure: Structure | undefined;
    const outs = branchNode(
      name,
      selector,
      fns.map((fn) => () => {
        const made = rejectAsync(name, fn());
        structure ??= flattenNest(made).structure;
        return structure.leavesOf(made, `${name}: a branch`).map((x) => toTensor(x));
      }),
    );
    return packAs(structure as Structure, outs);
  });
}
