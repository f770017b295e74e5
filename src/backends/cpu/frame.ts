// What a plan's runs with the same sizes share: addresses in the parameter block, views of the memory
// that feeds are copied to and results copied from. A run like the one before it writes only what has
// changed. Invariant: views are made anew after the memory grew or a buffer moved.

import { symIds } from '../../codegen/wasm/block.ts';
import { dtypeInfo, type TypedArray } from '../../core/dtype.ts';
import { invariant } from '../../core/error.ts';
import { type NDArray, ndarrayOf, sizeOf } from '../../core/ndarray.ts';
import type { Plan, PlanResult } from '../../plan/types.ts';
import type { RunBindings } from '../backend.ts';
import type { Layout, RunRegion } from './arena.ts';
import { type DeviceMemory, freshCopy } from './memory.ts';
import type { PlanStorage } from './storage.ts';
import { CpuValue } from './value.ts';

interface FeedSlot {
  readonly buffer: number;
  readonly name: string;
  address: number;
  view: TypedArray;
}

interface ResultSlot {
  readonly result: PlanResult;
  /** Whether its shape and place are known before the run. */
  readonly early: boolean;
  /** Whether it is all of an arena buffer, which can then stand in storage of the result's own. */
  readonly own: boolean;
  shape: readonly number[];
  address: number;
  view: TypedArray | undefined;
}

const NONE = new Uint8Array(0);

/** The binding of one plan's runs. */
export class Frame {
  readonly #plan: Plan;
  readonly #storage: PlanStorage;
  readonly #memory: DeviceMemory;
  readonly #feeds: readonly FeedSlot[];
  readonly #results: readonly ResultSlot[];
  readonly #variables: readonly { readonly buffer: number; readonly name: string }[];
  #layout: Layout | undefined;
  #base = 0;
  #epoch = -1;

  constructor(plan: Plan, storage: PlanStorage, memory: DeviceMemory) {
    this.#plan = plan;
    this.#storage = storage;
    this.#memory = memory;
    this.#feeds = plan.feeds.map(({ buffer, name }) => ({ buffer, name, address: 0, view: NONE }));
    this.#variables = plan.buffers
      .filter((b) => b.kind === 'variable')
      .map((b) => ({ buffer: b.id, name: b.variable as string }));
    const start = new Set(plan.startSyms.map(({ sym }) => sym.id));
    const uses = (buffer: number): number =>
      plan.results.filter((r) => r.view.buffer === buffer).length;
    this.#results = plan.results.map((result) => {
      const { view, type } = result;
      const early = [view.offset, ...(type.shape ?? [])].every((d) =>
        symIds(d).every((id) => start.has(id)),
      );
      const { kind } = plan.buffers[view.buffer];
      const own = early && kind === 'arena' && view.offset === 0 && uses(view.buffer) === 1;
      return { result, early, own, shape: [], address: 0, view: undefined };
    });
  }

  /** Binds a run: sizes and addresses in the parameter block, feeds copied to where they are read. */
  bind(
    bindings: RunBindings,
    layout: Layout,
    region: RunRegion,
    variable: (name: string) => number,
  ): void {
    const storage = this.#storage;
    const same = layout === this.#layout && region.address === this.#base;
    if (!same || this.#memory.epoch !== this.#epoch) {
      this.#layout = undefined;
      storage.bindSizes(bindings.sizes);
      storage.bindArena(layout, region);
      this.#renew(layout, region);
    }
    storage.beginRun(bindings.run);
    for (const { buffer, name } of this.#variables) storage.setAddress(buffer, variable(name));
    for (let i = 0; i < this.#feeds.length; i++) {
      const slot = this.#feeds[i];
      const value = bindings.feeds[i];
      if (value instanceof CpuValue) {
        storage.setAddress(slot.buffer, value.address);
        continue;
      }
      invariant('data' in value, 'a feed is a value of another device');
      if (value.data.length !== slot.view.length) {
        const got = `${value.data.length} elements, not ${slot.view.length}`;
        invariant(false, `feed "${slot.name}" has ${got}`);
      }
      storage.setAddress(slot.buffer, slot.address);
      slot.view.set(value.data);
    }
  }

  /** The results as fresh host values. */
  read(): NDArray[] {
    const storage = this.#storage;
    const grown = this.#memory.epoch !== this.#epoch;
    return this.#results.map((slot) => {
      const { view, type } = slot.result;
      if (!slot.early) return storage.read(view, type);
      const address = storage.address(view);
      if (grown || slot.view === undefined || slot.address !== address) {
        slot.view = this.#memory.view(type.dtype, address, sizeOf(slot.shape));
        slot.address = address;
      }
      return ndarrayOf(type.dtype, slot.shape, freshCopy(slot.view));
    });
  }

  /** Makes room for results that outlive the run, and has the run write them there. */
  reserveKept(layout: Layout): number[] {
    const made: number[] = [];
    try {
      for (const { result, own } of this.#results) {
        const { buffer } = result.view;
        const { dtype, label } = this.#plan.buffers[buffer];
        const bytes = layout.elements[buffer] * dtypeInfo(dtype).bytes;
        made.push(own ? this.#memory.alloc(bytes, `the kept result "${label}"`) : 0);
      }
    } catch (error) {
      this.freeKept(made);
      throw error;
    }
    return made;
  }

  /** Points the buffers of kept results to their own storage, after {@link bind}. */
  bindKept(kept: readonly number[]): void {
    this.#results.forEach(({ result }, i) => {
      if (kept[i] !== 0) this.#storage.setAddress(result.view.buffer, kept[i]);
    });
    // The next run must find the arena's addresses again.
    this.#layout = undefined;
  }

  /** The results as device values: those that were not written in place are copied on the device. */
  takeKept(kept: number[]): CpuValue[] {
    const memory = this.#memory;
    const shapes = this.#results.map(({ result }) => this.#storage.shape(result.type));
    this.#results.forEach(({ result: { view, type } }, i) => {
      if (kept[i] !== 0) return;
      const bytes = sizeOf(shapes[i]) * dtypeInfo(type.dtype).bytes;
      kept[i] = memory.alloc(bytes, 'a kept result');
      memory.copy(this.#storage.address(view), kept[i], bytes);
    });
    return kept.map(
      (address, i) => new CpuValue(memory, address, this.#results[i].result.type.dtype, shapes[i]),
    );
  }

  freeKept(kept: readonly number[]): void {
    for (const address of kept) if (address !== 0) this.#memory.free(address);
  }

  #renew(layout: Layout, region: RunRegion): void {
    for (const slot of this.#feeds) {
      const { dtype } = this.#plan.buffers[slot.buffer];
      slot.address = region.address + layout.offsets[slot.buffer];
      slot.view = this.#memory.view(dtype, slot.address, layout.elements[slot.buffer]);
    }
    for (const slot of this.#results) {
      slot.view = undefined;
      if (slot.early) slot.shape = this.#storage.shape(slot.result.type);
    }
    this.#layout = layout;
    this.#base = region.address;
    this.#epoch = this.#memory.epoch;
  }
}
