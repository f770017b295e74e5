// Where the buffers of one run stand: offsets for one set of sizes, found by best fit over liveness
// and cached, and the regions of memory that runs use, which are kept between runs at their high
// water. Invariant: two arena buffers that are alive at one position never overlap, but for a result that
// takes the place of an input which the same kernel reads last.

import { walkSteps } from '../../codegen/wasm/block.ts';
import { evalDim } from '../../core/dim-value.ts';
import { dtypeInfo } from '../../core/dtype.ts';
import { type InPlacePair, inPlacePairs } from '../../kernel/in-place.ts';
import type { BufferView, Plan } from '../../plan/types.ts';
import { alignUp, type DeviceMemory } from './memory.ts';

/** The buffers of a plan for one set of sizes. */
export interface Layout {
  /** Elements of each buffer (0 for tapes). */
  readonly elements: readonly number[];
  /** Byte offset in the run's region of each arena and feed buffer, else -1. */
  readonly offsets: readonly number[];
  readonly regionBytes: number;
  /** Bytes of the arena, and the most bytes alive at one position: no layout can do with less. */
  readonly arenaBytes: number;
  readonly arenaLowerBound: number;
  /** Nanoseconds that a run takes on one thread: an estimate, later what one has taken. */
  time: number | undefined;
}

const MAX_LAYOUTS = 64;

/** Layouts of one plan by sizes, the least recently used forgotten. */
export class LayoutCache {
  readonly #plan: Plan;
  readonly #heirs: readonly Heir[];
  readonly #layouts = new Map<string, Layout>();
  /** The sizes of the last run, by identity, and their layout. */
  #sizes: readonly number[] | undefined;
  #last: Layout | undefined;

  constructor(plan: Plan) {
    this.#plan = plan;
    this.#heirs = heirsOf(plan);
  }

  /** The layout for the values of the plan's start symbols. */
  get(sizes: readonly number[]): Layout {
    if (sizes === this.#sizes && this.#last) return this.#last;
    const key = sizes.join();
    let layout = this.#layouts.get(key);
    if (layout) this.#layouts.delete(key);
    else layout = layoutOf(this.#plan, sizes, this.#heirs);
    this.#layouts.set(key, layout);
    this.#sizes = sizes;
    this.#last = layout;
    if (this.#layouts.size > MAX_LAYOUTS) {
      for (const oldest of this.#layouts.keys()) {
        this.#layouts.delete(oldest);
        break;
      }
    }
    return layout;
  }
}

/** A buffer that may take over the place of another, which ends where it begins. */
interface Heir {
  readonly from: number;
  readonly to: number;
}

/** The heirs among the buffers of a plan's arena, in the order of execution. */
export function heirsOf(plan: Plan): Heir[] {
  const pairs = new Map<number, readonly InPlacePair[]>();
  const heirs: Heir[] = [];
  walkSteps(plan, (step) => {
    if (step.kind !== 'kernel') return;
    const { views, kernel, position } = step;
    const found = pairs.get(kernel) ?? inPlacePairs(plan.kernels[kernel]);
    pairs.set(kernel, found);
    // What is bound twice may be read at other indices too.
    const only = ({ buffer, offset }: BufferView): boolean =>
      offset === 0 && views.filter((v) => v.buffer === buffer).length === 1;
    for (const { input, result } of found) {
      const [from, to] = [views[input], views[result]];
      if (!only(from) || !only(to)) continue;
      const [a, b] = [plan.buffers[from.buffer], plan.buffers[to.buffer]];
      const follows = a.live[1] === position && b.live[0] === position;
      if (a.kind !== 'arena' || b.kind !== 'arena' || !follows) continue;
      heirs.push({ from: a.id, to: b.id });
    }
  });
  return heirs;
}

/** Buffers that stand in one place, one after the other. */
interface Item {
  readonly ids: number[];
  readonly bytes: number;
  readonly first: number;
  last: number;
  offset: number;
}

/** Lays out the buffers of a plan for the values of its start symbols. */
export function layoutOf(
  plan: Plan,
  sizes: readonly number[],
  heirs: readonly Heir[] = heirsOf(plan),
): Layout {
  const values = new Map(plan.startSyms.map(({ sym }, i) => [sym.id, sizes[i]]));
  const elements = plan.buffers.map((b) => evalDim(b.elements, (id) => values.get(id) ?? 0));
  const bytesOf = (id: number): number =>
    alignUp(elements[id] * dtypeInfo(plan.buffers[id].dtype).bytes);
  const items = new Map<number, Item>();
  for (const { id, kind, live } of plan.buffers) {
    if (kind !== 'arena') continue;
    items.set(id, { ids: [id], bytes: bytesOf(id), first: live[0], last: live[1], offset: 0 });
  }
  for (const { from, to } of heirs) {
    const [item, heir] = [items.get(from), items.get(to)];
    // Each place has one heir, and each heir one place.
    if (!item || !heir || item.bytes !== heir.bytes) continue;
    if (item.last !== heir.first || heir.ids[0] !== to || heir.ids.length > 1) continue;
    item.ids.push(to);
    item.last = heir.last;
    items.set(to, item);
  }
  const places = [...new Set(items.values())];
  const arenaBytes = place(places);
  const offsets = plan.buffers.map(() => -1);
  for (const { ids, offset } of places) for (const id of ids) offsets[id] = offset;
  let end = arenaBytes;
  for (const b of plan.buffers) {
    if (b.kind !== 'feed') continue;
    offsets[b.id] = end;
    end += bytesOf(b.id);
  }
  const arenaLowerBound = mostAlive(places);
  return { elements, offsets, regionBytes: end, arenaBytes, arenaLowerBound, time: undefined };
}

/**
 * Gives each item an offset and returns the end of the highest. The largest go first, each into the
 * smallest gap that the items alive at the same time leave.
 */
function place(items: readonly Item[]): number {
  const order = [...items].sort((a, b) => b.bytes - a.bytes || a.first - b.first);
  const placed: Item[] = [];
  let top = 0;
  for (const item of order) {
    let best = -1;
    let bestRoom = Number.POSITIVE_INFINITY;
    let end = 0;
    for (const other of placed) {
      if (other.first > item.last || other.last < item.first) continue;
      const room = other.offset - end;
      if (room >= item.bytes && room < bestRoom) {
        best = end;
        bestRoom = room;
      }
      end = Math.max(end, other.offset + other.bytes);
    }
    item.offset = best >= 0 ? best : end;
    top = Math.max(top, item.offset + item.bytes);
    // `placed` is kept in order of offsets, so that gaps are found in one pass.
    let at = placed.length;
    while (at > 0 && placed[at - 1].offset > item.offset) at--;
    placed.splice(at, 0, item);
  }
  return top;
}

function mostAlive(items: readonly Item[]): number {
  const changes: [position: number, bytes: number][] = [];
  for (const { first, last, bytes } of items) changes.push([first, bytes], [last + 1, -bytes]);
  changes.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  let alive = 0;
  let most = 0;
  for (const [, bytes] of changes) {
    alive += bytes;
    most = Math.max(most, alive);
  }
  return most;
}

/** A region of memory that one run at a time uses. */
export interface RunRegion {
  address: number;
  bytes: number;
}

/**
 * The regions of a device. Usually there is one, which all executables share; a run that starts
 * while another waits for a host function takes a second.
 */
export class RegionPool {
  readonly #memory: DeviceMemory;
  readonly #idle: RunRegion[] = [];

  constructor(memory: DeviceMemory) {
    this.#memory = memory;
  }

  /** Takes a region of at least so many bytes. */
  take(bytes: number): RunRegion {
    const region = this.#idle.pop() ?? { address: 0, bytes: 0 };
    if (region.bytes >= bytes && region.address !== 0) return region;
    if (region.address !== 0) this.#memory.free(region.address);
    region.address = 0;
    region.bytes = 0;
    region.address = this.#memory.alloc(bytes, 'the arena of a run');
    region.bytes = bytes;
    return region;
  }

  give(region: RunRegion): void {
    this.#idle.push(region);
  }
}
