// Control flow: one loop primitive and one branch primitive, which hold functions, and the ways to
// write them. A loop carries values, reads slices of `xs` and stacks `ys`; only the branch taken runs.

import { type Dim, minDim } from '../core/dim.ts';
import { DTypeError, ShapeError, ValueError } from '../core/error.ts';
import { type TensorType, typeToString } from '../core/type.ts';
import type { Attrs, Func } from '../graph/func.ts';
import { getDefaultGraph } from '../graph/graph.ts';
import type { Known } from '../graph/infer.ts';
import { defineOp, type InferContext } from '../graph/op.ts';
import type { Tensor } from '../graph/tensor.ts';
import { alignCaptures, traceBody } from '../graph/trace.ts';
import { inGraphOf, type OpOptions, type TensorLike, toTensor } from './convert.ts';
import { sub } from './math.ts';
import { flattenNest, leavesLike, type Nest, packAs } from './nest.ts';
import { size as sizeAlong, squeeze } from './shape.ts';
import { slice } from './slicing.ts';

type LoopAttrs = {
  readonly carries: number;
  readonly xs: number;
  readonly captured: number;
  readonly body: Func;
  readonly cond: Func | null;
  readonly maxTrip: number | null;
  readonly reverse: boolean;
};

function resultTypes(f: Func): TensorType[] {
  return f.results.map((r) => f.nodes[r.node].types[r.port]);
}

/** The leading dim that all stacked inputs share, or undefined without any. */
function commonLength(ctx: InferContext<LoopAttrs>): Dim | undefined {
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

function checkPredicate(f: Func): void {
  const [type, ...more] = resultTypes(f);
  if (more.length > 0 || type?.dtype !== 'bool' || type.shape === null || type.shape.length > 0) {
    const got = [type, ...more].map((t) => (t ? typeToString(t) : 'nothing')).join(' and ');
    throw new DTypeError(
      'control/predicate',
      `the condition must give one bool scalar, it gives ${got}. Compare scalars: less(i, n).`,
    );
  }
}

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
    const types = results.map((t, i) =>
      i < carries
        ? { dtype: t.dtype, shape: ctx.types[i].shape }
        : { dtype: t.dtype, shape: t.shape && [n, ...t.shape] },
    );
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

/** A carry keeps its type from turn to turn. */
function checkCarry(ctx: InferContext<LoopAttrs>, i: number, after: TensorType): void {
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
    const types = first.map((t, i): TensorType => {
      let shape = t.shape;
      for (const other of all.slice(1)) {
        const o = other[i];
        const same =
          o !== undefined &&
          o.dtype === t.dtype &&
          (o.shape === null || shape === null || o.shape.length === shape.length);
        if (!same || other.length !== first.length) {
          throw new ShapeError(
            'control/branches',
            `the branches must give equal types, output ${i} is ${typeToString(t)} in one and ${o ? typeToString(o) : 'missing'} in another. ` +
              'Cast or reshape in the branches.',
          );
        }
        const now = shape;
        shape =
          now &&
          o.shape &&
          now.map((d, a) =>
            ctx.equal(d, (o.shape as readonly Dim[])[a], 'the branches must give equal shapes'),
          );
      }
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
  return toTensor(p);
}

/** Adds a loop node over traced functions. */
export function loopNode(
  name: string,
  inputs: { readonly carries: readonly Tensor[]; readonly xs: readonly Tensor[] },
  body: (
    t: Tensor,
    carries: readonly Tensor[],
    xs: readonly Tensor[],
  ) => { carries: readonly Tensor[]; ys: readonly Tensor[] },
  options: {
    readonly cond?: (t: Tensor, carries: readonly Tensor[]) => Tensor;
    readonly maxTrip?: number | null;
    readonly reverse?: boolean;
  } = {},
): { carries: Tensor[]; ys: Tensor[] } {
  const graph = getDefaultGraph();
  const { carries, xs } = inputs;
  const scope = graph.uniqueName(graph.scopedName(`${name}/body`));
  const position: TensorType = { dtype: 'int32', shape: [] };
  const held = carries.map((c) => c.type);
  const slices = xs.map((x): TensorType => ({ dtype: x.dtype, shape: x.shape?.slice(1) ?? null }));
  const traced = [
    traceBody(scope, [position, ...held, ...slices], (t, ...rest) => {
      const out = body(t, rest.slice(0, carries.length), rest.slice(carries.length));
      return [...out.carries, ...out.ys];
    }),
  ];
  const { cond } = options;
  if (cond) {
    const condScope = graph.uniqueName(graph.scopedName(`${name}/cond`));
    traced.push(traceBody(condScope, [position, ...held], (t, ...rest) => [cond(t, rest)]));
  }
  const { funcs, captured } = alignCaptures(traced);
  const attrs = {
    carries: carries.length,
    xs: xs.length,
    captured: captured.length,
    body: funcs[0],
    cond: funcs[1] ?? null,
    maxTrip: options.maxTrip ?? null,
    reverse: options.reverse ?? false,
  } as unknown as Attrs;
  const op = graph.add('loop', [...carries, ...xs, ...captured], attrs, { name });
  const outputs = op.outputs;
  return { carries: outputs.slice(0, carries.length), ys: outputs.slice(carries.length) };
}

/** Adds a branch node over traced functions. */
export function branchNode(
  name: string,
  selector: Tensor,
  branches: readonly (() => readonly Tensor[])[],
): Tensor[] {
  const graph = getDefaultGraph();
  const traced = branches.map((fn, i) => {
    const scope = graph.uniqueName(graph.scopedName(`${name}/branch${i}`));
    return traceBody(scope, [], fn);
  });
  const { funcs, captured } = alignCaptures(traced);
  const attrs = { branches: funcs } as unknown as Attrs;
  return graph.add('cond', [selector, ...captured], attrs, { name }).outputs;
}

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
  options: OpOptions & { readonly maximumIterations?: number } = {},
): Packed<S> {
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
        const next = leavesLike(body(packAs(structure, vars)), vars.length, 'whileLoop: the body');
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

interface ScanOptions<A> extends OpOptions {
  /** What the accumulator starts as; the first element where absent. */
  readonly initializer?: A;
  /** Go through the elements from the last to the first. */
  readonly reverse?: boolean;
}

/**
 * Carries an accumulator through the leading axis of `elems` and stacks its values: TF1's scan. The
 * result has the accumulator's structure with a leading axis as long as that of `elems`.
 */
export function scan<E extends Nest<TensorLike>, A extends Nest<TensorLike> = E>(
  fn: (acc: Packed<A>, elem: Packed<E>) => Nest<TensorLike>,
  elems: E,
  options: ScanOptions<A> = {},
): Packed<A> {
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
  options: Omit<ScanOptions<A>, 'reverse'> = {},
): Packed<A> {
  const { last, structure } = carry('foldl', fn as never, elems, options, false);
  return packAs(structure, last);
}

/** Like `foldl`, from the last element to the first. */
export function foldr<E extends Nest<TensorLike>, A extends Nest<TensorLike> = E>(
  fn: (acc: Packed<A>, elem: Packed<E>) => Nest<TensorLike>,
  elems: E,
  options: Omit<ScanOptions<A>, 'reverse'> = {},
): Packed<A> {
  const { last, structure } = carry(
    'foldr',
    fn as never,
    elems,
    { ...options, reverse: true },
    false,
  );
  return packAs(structure, last);
}

/** Applies `fn` to each slice along the leading axis of `elems` and stacks the results. */
export function mapFn<E extends Nest<TensorLike>>(
  fn: (elem: Packed<E>) => Nest<TensorLike>,
  elems: E,
  options: OpOptions = {},
): Nest<Tensor> {
  const { leaves, structure } = flattenNest(elems);
  return inGraphOf(leaves, () => {
    const xs = leaves.map((x) => toTensor(x));
    let result: ReturnType<typeof flattenNest>['structure'] | undefined;
    const { ys } = loopNode(options.name ?? 'map', { carries: [], xs }, (_, __, elem) => {
      const out = flattenNest(fn(packAs(structure, elem)));
      result = out.structure;
      return { carries: [], ys: out.leaves.map((x) => toTensor(x)) };
    });
    return (result as { pack(t: readonly Tensor[]): Nest<Tensor> }).pack(ys);
  });
}

function carry(
  op: string,
  fn: (acc: unknown, elem: unknown) => Nest<TensorLike>,
  elems: Nest<TensorLike>,
  options: ScanOptions<Nest<TensorLike>>,
  stack: boolean,
) {
  const over = flattenNest(elems);
  return inGraphOf(over.leaves, () => {
    let xs = over.leaves.map((x) => toTensor(x));
    const given = options.initializer === undefined ? undefined : flattenNest(options.initializer);
    let first: Tensor[] | undefined;
    if (!given) {
      // Without an initializer the first element is it, and the loop goes through the others.
      first = xs.map((x) => edge(x, options.reverse ?? false));
      xs = xs.map((x) => others(x, options.reverse ?? false));
    }
    const start = given ? given.leaves.map((x) => toTensor(x)) : (first as Tensor[]);
    const structure = given?.structure ?? over.structure;
    const out = loopNode(
      options.name ?? op,
      { carries: start, xs },
      (_, acc, elem) => {
        const made = fn(packAs(structure, acc), packAs(over.structure, elem));
        const next = leavesLike(made, acc.length, `${op}: the function`).map((x, i) =>
          toTensor(x, acc[i].dtype),
        );
        return { carries: next, ys: stack ? next : [] };
      },
      { reverse: options.reverse ?? false },
    );
    return { first, ys: out.ys, last: out.carries, structure };
  });
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
 * the graph is built; only the one taken runs. They must return equal structures and types.
 */
export function cond<R extends Nest<TensorLike>>(
  pred: TensorLike,
  trueFn: () => R,
  falseFn: () => R,
  options: OpOptions = {},
): Packed<R> {
  refuseBoolean(pred, 'cond');
  return branches(options.name ?? 'cond', toTensor(pred), [trueFn, falseFn]);
}

/** The results of the function whose number `index` (an int32 scalar) is; the last where it is beyond. */
export function switchCase<R extends Nest<TensorLike>>(
  index: TensorLike,
  fns: readonly (() => R)[],
  options: OpOptions = {},
): Packed<R> {
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
    let structure: ReturnType<typeof flattenNest>['structure'] | undefined;
    const outs = branchNode(
      name,
      selector,
      fns.map((fn) => () => {
        const made = flattenNest(fn());
        structure ??= made.structure;
        if (made.leaves.length !== structure.size) {
          throw new ValueError(
            'control/structure',
            `${name}: the branches return ${structure.size} and ${made.leaves.length} values. Return the same structure from all.`,
          );
        }
        return made.leaves.map((x) => toTensor(x));
      }),
    );
    return packAs(structure as NonNullable<typeof structure>, outs);
  });
}
