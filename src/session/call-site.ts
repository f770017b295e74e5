// A call site: the fetches and feed targets that many runs share, looked up once. Runs of it match
// their feeds against the keys of the one before, and their shapes against what its program has
// bound. Invariant: a site stands for the same nodes for ever, since graphs only grow.

import { dimOf } from '../core/dim.ts';
import { FeedError } from '../core/error.ts';
import { NDArray } from '../core/ndarray.ts';
import { type TensorType, tensorType } from '../core/type.ts';
import type { Graph } from '../graph/graph.ts';
import { Operation, Tensor } from '../graph/tensor.ts';
import { refKey } from '../graph/walk.ts';
import { DeviceTensor, heldValue } from './device-tensor.ts';
import {
  collectFeeds,
  type Feedable,
  type Feeds,
  type FeedTarget,
  type FeedValue,
  feedTarget,
} from './feeds.ts';
import type { Program } from './program.ts';
import { type FlatFetches, flattenFetches } from './structure.ts';

/** The feeds of a callable, by its own names. */
export type Given = { readonly [name: string]: unknown };

/** Fetches and feed targets, resolved. */
export class CallSite {
  readonly flat: FlatFetches;
  readonly targets: readonly FeedTarget[];
  /** What the targets were called by: names, or tensors. */
  readonly keys: readonly unknown[];
  /** Whether the ranks of all feeds are known, so that there is one program. */
  readonly ranked: boolean;
  program: Program | undefined;

  constructor(flat: FlatFetches, targets: readonly FeedTarget[], keys: readonly unknown[]) {
    this.flat = flat;
    this.targets = targets;
    this.keys = keys;
    this.ranked = targets.every((t) => t.tensor.shape !== null);
  }

  /** The values of feeds with exactly this site's keys in its order, else undefined. */
  match(feeds: Feeds | undefined): unknown[] | undefined {
    const { keys } = this;
    if (feeds === undefined) return keys.length === 0 ? [] : undefined;
    const values: unknown[] = [];
    if (!(Symbol.iterator in feeds)) {
      const names = Object.keys(feeds);
      if (names.length !== keys.length) return undefined;
      for (let i = 0; i < names.length; i++) {
        if (names[i] !== keys[i]) return undefined;
        values.push((feeds as Record<string, unknown>)[names[i]]);
      }
      return values;
    }
    // Only what can be walked twice: an iterator is used up by one look.
    if (!Array.isArray(feeds) && !(feeds instanceof Map)) return undefined;
    for (const pair of feeds as Iterable<unknown>) {
      const key = keys[values.length];
      if (!Array.isArray(pair) || pair.length !== 2 || pair[0] !== key) return undefined;
      if (typeof key === 'string') return undefined;
      values.push(pair[1]);
    }
    return values.length === keys.length ? values : undefined;
  }
}

/** The sites of a graph's runs, remembered by what is fetched. */
export class CallSites {
  readonly #graph: Graph;
  readonly #sites = new WeakMap<object, CallSite>();

  constructor(graph: Graph) {
    this.#graph = graph;
  }

  /** The site of a run and the values fed. Throws FetchError and FeedError. */
  find(fetches: unknown, feeds: Feeds | undefined): [CallSite, readonly unknown[]] {
    // Arrays and records may be changed by their owner; tensors and operations are what they are.
    const fixed = fetches instanceof Tensor || fetches instanceof Operation;
    const old = fixed ? this.#sites.get(fetches) : undefined;
    const matched = old?.match(feeds);
    if (old && matched) return [old, matched];
    const flat = flattenFetches(this.#graph, fetches);
    const pairs = collectFeeds(this.#graph, feeds);
    const site = new CallSite(
      flat,
      pairs.map((p) => p.target),
      pairs.map((p) => p.key),
    );
    if (fixed) this.#sites.set(fetches, site);
    return [site, pairs.map((p) => p.value)];
  }

  /** The site of a callable, whose feeds go by the names of its spec. */
  named(fetches: unknown, feeds: { readonly [name: string]: Feedable }): CallSite {
    const flat = flattenFetches(this.#graph, fetches);
    const keys = Object.keys(feeds);
    return new CallSite(
      flat,
      keys.map((key) => feedTarget(this.#graph, feeds[key])),
      keys,
    );
  }
}

/** The values of a callable's feeds, in order. */
export function callFeeds({ keys, targets }: CallSite, given: Given): unknown[] {
  const values: unknown[] = [];
  let found = 0;
  for (const name in given) if (Object.hasOwn(given, name)) found++;
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i] as string;
    const value = given[key];
    if (value === undefined && !(key in given)) {
      const { tensor, name } = targets[i];
      unknownFeed(keys, given);
      throw new FeedError(
        'feed/missing',
        `${tensor.op.type} "${name}": the callable was given no "${key}". Pass all of its feeds.`,
      );
    }
    values.push(value);
  }
  if (found !== keys.length) unknownFeed(keys, given);
  return values;
}

function unknownFeed(keys: readonly unknown[], given: Given): void {
  for (const key of Object.keys(given)) {
    if (keys.includes(key)) continue;
    throw new FeedError(
      'feed/name',
      `the callable has no feed "${key}". It takes ${keys.join(', ') || 'none'}.`,
    );
  }
}

/** A value that needs no conversion and no look at its type: it is like that of the run before. */
export function fitting(
  { tensor }: FeedTarget,
  raw: unknown,
  shape: readonly number[] | undefined,
  owner: object,
): FeedValue | undefined {
  if (raw instanceof NDArray) {
    return raw.dtype === tensor.dtype && sameShape(raw.shape, shape) ? raw : undefined;
  }
  if (!(raw instanceof DeviceTensor) || raw.dtype !== tensor.dtype) return undefined;
  const value = sameShape(raw.shape, shape) ? heldValue(raw, owner) : undefined;
  return typeof value === 'object' ? value : undefined;
}

/** Whether two shapes are equal; one that is not known equals none. */
export function sameShape(a: readonly number[], b: readonly number[] | undefined): boolean {
  if (a === b) return true;
  if (b === undefined || a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** A feed as far as a program depends on it: its rank. */
export interface Shaped {
  readonly shape: readonly unknown[];
}

/** What tells the program of a run from others of its graph. */
export function programKey({ flat, targets }: CallSite, values: readonly Shaped[]): string {
  const fed = targets.map((t, i) => `${t.refs.map(refKey)}/${values[i].shape.length}`);
  return `${flat.refs.map(refKey)}|${flat.effects}|${fed}`;
}

/** The type of a feed in its program: the tensor's, or with fresh sizes where its rank was open. */
export function feedType({ tensor, name }: FeedTarget, value: Shaped): TensorType {
  const { dtype, shape } = tensor;
  return tensorType(dtype, shape ?? value.shape.map((_, i) => dimOf(`${name}:d${i}`, '?')));
}
