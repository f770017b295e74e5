// Feeds: from what users pass to checked host values with the refs they stand for. What is wrong is
// told in terms of the tensor that is fed: its name, what it takes, what it got.

import type { DeviceValue } from '../backends/backend.ts';
import { asSym, type Dim } from '../core/dim.ts';
import { evalDim } from '../core/dim-value.ts';
import type { DType, TypedArray } from '../core/dtype.ts';
import {
  DTypeError,
  FeedError,
  GraphError,
  invariant,
  UnsupportedError,
  ValueError,
} from '../core/error.ts';
import { dtypeOfTyped, toNDArray } from '../core/from-nested.ts';
import { type HostTensor, type NDArray, ndarrayOf } from '../core/ndarray.ts';
import { shapeToString, typeToString } from '../core/type.ts';
import type { Func, Ref } from '../graph/func.ts';
import type { Graph } from '../graph/graph.ts';
import { Tensor } from '../graph/tensor.ts';
import type { StartSym } from '../plan/types.ts';
import { DeviceTensor, heldValue } from './device-tensor.ts';
import { RUN_OPTIONS } from './options.ts';

/** What can be fed: a tensor or something that stands for one (a variable). */
export type Feedable = Tensor | { asTensor(): Tensor };

/** Values by tensor or by name. */
export type Feeds = Iterable<readonly [Feedable, unknown]> | { readonly [name: string]: unknown };

/** What is fed, before its value: the same for all runs of a callable. */
export interface FeedTarget {
  readonly refs: readonly Ref[];
  readonly tensor: Tensor;
  readonly name: string;
}

/** What is fed for a target, checked: a host value, or one that is on the session's device. */
export type FeedValue = NDArray | DeviceValue;

export interface Feed extends FeedTarget {
  readonly value: FeedValue;
}

/** One feed as it was given. */
export interface GivenFeed {
  readonly target: FeedTarget;
  /** What the target was called by: its name, or a tensor. */
  readonly key: unknown;
  readonly value: unknown;
}

/** The targets and raw values of feeds. */
export function collectFeeds(graph: Graph, feeds: Feeds | undefined): GivenFeed[] {
  if (feeds === undefined) return [];
  const out: GivenFeed[] = [];
  const seen = new Set<string>();
  for (const [key, value] of pairs(feeds)) {
    const target = feedTarget(graph, typeof key === 'string' ? byName(graph, key) : key);
    if (seen.has(target.name)) {
      throw new FeedError('feed/twice', `"${target.name}" is fed twice. Feed it once.`);
    }
    seen.add(target.name);
    out.push({ target, key, value });
  }
  return out;
}

function* pairs(feeds: Feeds): Iterable<readonly [Feedable | string, unknown]> {
  if (Symbol.iterator in feeds) {
    for (const pair of feeds as Iterable<unknown>) {
      if (!Array.isArray(pair) || pair.length !== 2) {
        throw new FeedError(
          'feed/form',
          'feeds as a list hold [tensor, value] pairs. Write [[x, value]], or { name: value }.',
        );
      }
      // A name is no key of a pair; as one it would be taken for a record's.
      const key = typeof pair[0] === 'string' ? (undefined as never) : (pair[0] as Feedable);
      yield [key, pair[1]];
    }
    return;
  }
  yield* Object.entries(feeds);
}

/** What is taken for a feed where the arguments of `run` are mixed up. */
const PARAMETERS: readonly string[] = ['feeds', ...RUN_OPTIONS];

function byName(graph: Graph, name: string): Tensor {
  try {
    const op = /:\d+$/.test(name) ? graph.getTensorByName(name) : graph.getOperationByName(name);
    if (op instanceof Tensor) return op;
    if (op.node.types.length > 0) return op.output();
    throw new FeedError(
      'feed/name',
      `"${name}" has no output to feed. Feed a placeholder or tensor.`,
    );
  } catch (e) {
    if (!(e instanceof GraphError)) throw e;
    const hint = PARAMETERS.includes(name)
      ? ` Feeds are the second argument of run, options the third: run(fetches, feeds, { ${RUN_OPTIONS.join(', ')} }).`
      : '';
    throw new FeedError('feed/name', `feeds: ${e.message}${hint}`, { cause: e });
  }
}

/** The refs that feeding `key` replaces: all reads, where it is a variable. */
export function feedTarget(graph: Graph, key: Feedable): FeedTarget {
  if (!(key instanceof Tensor)) {
    const name = (key as { name?: string } | null)?.name;
    if (
      typeof (key as { asTensor?: unknown } | null)?.asTensor !== 'function' ||
      name === undefined
    ) {
      throw new FeedError(
        'feed/form',
        'the key of a feed is no tensor. Write [[x, value]] with x a Tensor.',
      );
    }
    const tensor = graph.asDefault(() => key.asTensor());
    own(graph, tensor);
    const refs = graph.nodes
      .filter((n) => n.op === tensor.node.op && n.attrs.variable === name)
      .map((n) => ({ node: n.id, port: 0 }));
    return { refs, tensor, name };
  }
  own(graph, key);
  return { refs: [key.ref], tensor: key, name: key.port === 0 ? key.node.name : key.name };
}

function own(graph: Graph, t: Tensor): void {
  if (t.graph === graph) return;
  throw new FeedError(
    'feed/foreign',
    `${t} belongs to another graph than the session's. Feed tensors of the session's graph.`,
  );
}

/**
 * Converts and checks a value against what the tensor itself says. Device tensors must be those of
 * `owner`; typed arrays of the tensor's dtype are taken as they are, not copied.
 */
export function feedValue(target: FeedTarget, raw: unknown, owner: object): FeedValue {
  const { tensor } = target;
  const { node } = tensor;
  const context = { op: tensor.op.type, node: node.name, site: node.site };
  const head = (): string => `${tensor.op.type} "${target.name}"`;
  let value: FeedValue;
  try {
    if (raw instanceof DeviceTensor) value = deviceFeed(target, raw, owner);
    else value = sameTyped(raw, tensor.dtype) ?? toNDArray(raw, tensor.dtype);
  } catch (e) {
    if (!(e instanceof ValueError || e instanceof DTypeError)) throw e;
    const code = `feed/${e.code.slice(e.code.indexOf('/') + 1)}`;
    throw new FeedError(code, `${head()}: ${e.message}`, { ...context, cause: e });
  }
  const { shape } = tensor;
  const got = (): string => `${value.dtype}[${value.shape.join(', ')}]`;
  if (shape !== null && shape.length !== value.shape.length) {
    throw new FeedError(
      'feed/rank',
      `${head()}: the value must have rank ${shape.length}, got ${got()}. ` +
        `Feed a value of shape ${shapeToString(shape)}.`,
      context,
    );
  }
  const bad = shape?.findIndex((d, i) => typeof d === 'number' && d !== value.shape[i]) ?? -1;
  if (shape !== null && bad >= 0) {
    throw new FeedError(
      'feed/shape',
      `${head()}: axis ${bad} must have size ${shape[bad]}, got ${got()}. ` +
        `Feed a value of shape ${shapeToString(shape)}.`,
      context,
    );
  }
  return value;
}

/** A typed array of exactly the dtype's storage, as a value of one axis without a copy. */
function sameTyped(raw: unknown, dtype: DType): NDArray | undefined {
  if (dtypeOfTyped(raw) !== dtype) return undefined;
  const data = raw as TypedArray;
  return ndarrayOf(dtype, [data.length], data);
}

function deviceFeed(target: FeedTarget, handle: DeviceTensor, owner: object): DeviceValue {
  const { tensor, name } = target;
  const context = { op: tensor.op.type, node: name, site: tensor.node.site };
  const value = heldValue(handle, owner);
  if (value === 'foreign' || value === 'disposed') {
    const [what, fix] =
      value === 'foreign'
        ? [
            'belongs to another session',
            'Put the value into this session, or feed it from the host',
          ]
        : ['was disposed', 'Keep it until its last run, or put the value again'];
    throw new FeedError(
      `feed/${value === 'foreign' ? 'device' : 'disposed'}`,
      `${tensor.op.type} "${name}": the device tensor fed for it ${what}, got ${handle}. ${fix}.`,
      context,
    );
  }
  if (handle.dtype !== tensor.dtype) {
    throw new DTypeError(
      'value/dtype',
      `the value is ${handle.dtype}, ${tensor.dtype} is needed. Cast it in the graph, or put it as ${tensor.dtype}.`,
    );
  }
  return value;
}

/** The elements of a feed that the session itself must look at: sizes. */
function contents({ value, tensor, name }: Feed): HostTensor['data'] {
  if ('data' in value) return value.data;
  const read = value.read();
  if (!(read instanceof Promise)) return read.data;
  throw new UnsupportedError(
    'feed/device-size',
    `${tensor.op.type} "${name}": its elements are sizes, and the device can't give them at once. Feed it from the host.`,
  );
}

/**
 * Reads the sizes of a function's parameters off the feeds and checks all dims against them. Throws
 * FeedError `feed/contradiction` where two feeds say different things of one size.
 */
export function bindSizes(func: Func, feeds: readonly Feed[]): Map<string, number> {
  const sizes = new Map<string, number>();
  const by = new Map<string, string>();
  func.params.forEach((id, i) => {
    const node = func.nodes[id];
    const { value } = feeds[i];
    node.types[0].shape?.forEach((d, axis) => {
      const sym = asSym(d);
      if (!sym || sizes.has(sym.id)) return;
      sizes.set(sym.id, value.shape[axis]);
      by.set(sym.id, `"${feeds[i].name}"`);
    });
    node.values[0]?.forEach((d, at) => {
      const sym = asSym(d);
      if (!sym || sizes.has(sym.id)) return;
      const n = contents(feeds[i])[at];
      if (n < 0) {
        throw new FeedError(
          'feed/size',
          `"${feeds[i].name}": element ${at} is used as a size, got ${n}. Feed sizes >= 0.`,
        );
      }
      sizes.set(sym.id, n);
    });
  });
  func.params.forEach((id, i) => {
    const type = func.nodes[id].types[0];
    const { value, name, tensor } = feeds[i];
    type.shape?.forEach((d: Dim, axis) => {
      const want = evalDim(d, (s) => sizes.get(s) ?? value.shape[axis]);
      if (want === value.shape[axis]) return;
      const sym = asSym(d);
      const other = sym && by.get(sym.id);
      const why = other ? ` as ${other} was fed` : '';
      throw new FeedError(
        typeof d === 'number' ? 'feed/shape' : 'feed/contradiction',
        `${tensor.op.type} "${name}": axis ${axis} must have size ${want}${why}, got ` +
          `${value.dtype}[${value.shape.join(', ')}] where ${typeToString(type)} is needed. ` +
          'Feed values whose sizes agree.',
        { op: tensor.op.type, node: name, site: tensor.node.site },
      );
    });
  });
  return sizes;
}

/** The values of a plan's start symbols. */
export function startValues(syms: readonly StartSym[], feeds: readonly Feed[]): number[] {
  return syms.map(({ sym, feed, axis, element }) => {
    invariant(feed !== null, `the size "${sym.id}" comes from no feed`);
    return axis !== null ? feeds[feed].value.shape[axis] : contents(feeds[feed])[element as number];
  });
}
