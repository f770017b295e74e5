// Where the buffers of one run stand: offsets for one set of sizes, found by best fit over liveness
// and cached, and the regions of memory that runs use, which are kept between runs at their high
// water. Invariant: two arena buffers that are alive at one position never overlap.

import { evalDim } from '../../core/dim-value.ts';
import { dtypeInfo } from '../../core/dtype.ts';
import type { Plan } from '../../plan/types.ts';
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
}

const MAX_LAYOUTS = 64;

/** Layouts of one plan by sizes, the least recently used forgotten. */
export class LayoutCache {
  readonly #plan: Plan;
  readonly #layouts = new Map<string, Layout>();
  /** The sizes of the last run, by identity, and their layout. */
  #sizes: readonly number[] | undefined;
  #last: Layout | undefined;

  constructor(plan: Plan) {
    this.#plan = plan;
  }

  /** The layout for the values of the plan's start symbols. */
  get(sizes: readonly number[]): Layout {
    if (sizes === this.#sizes && this.#last) return this.#last;
    const key = sizes.join();
    let layout = this.#layouts.get(key);
    if (layout) this.#layouts.delete(key);
    else layout = layoutOf(this.#plan, sizes);
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

interface Item {
  readonly id: number;
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
  offset: number;
}

/** Lays out the buffers of a plan for the values of its start symbols. */
export function layoutOf(plan: Plan, sizes: readonly number[]): Layout {
  const values = new Map(plan.startSyms.map(({ sym }, i) => [sym.id, sizes[i]]));
  const elements = plan.buffers.map((b) => evalDim(b.elements, (id) => values.get(id) ?? 0));
  const bytesOf = (id: number): number =>
    alignUp(elements[id] * dtypeInfo(plan.buffers[id].dtype).bytes);
  const items: Item[] = plan.buffers
    .filter((b) => b.kind === 'arena')
    .map(({ id, live }) => ({ id, bytes: bytesOf(id), first: live[0], last: live[1], offset: 0 }));
  const arenaBytes = place(items);
  const offsets = plan.buffers.map(() => -1);
  for (const item of items) offsets[item.id] = item.offset;
  let end = arenaBytes;
  for (const b of plan.buffers) {
    if (b.kind !== 'feed') continue;
    offsets[b.id] = end;
    end += bytesOf(b.id);
  }
  return { elements, offsets, regionBytes: end, arenaBytes, arenaLowerBound: mostAlive(items) };
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
