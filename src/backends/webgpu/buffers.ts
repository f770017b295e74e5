// The buffers of one plan: those of the arena share whole GPU buffers where they are not alive at the
// same time, each grown to the largest size it has had. Invariant: which buffers share is fixed with the
// plan, so a run of sizes seen before allocates nothing.

import { dimEquals } from '../../core/dim.ts';
import type { Plan, PlanBuffer } from '../../plan/types.ts';
import { bytesOf, type GpuBuffer, type GpuMemory } from './memory.ts';

/** A GPU buffer that several plan buffers take turns in. */
interface Slot {
  readonly first: PlanBuffer;
  buffer: GpuBuffer | undefined;
  /** The last position at which its contents matter. */
  until: number;
}

/** What grows, by plan buffer. */
export class PlanBuffers {
  readonly #memory: GpuMemory;
  readonly #slots: (Slot | undefined)[] = [];

  constructor(plan: Plan, memory: GpuMemory) {
    this.#memory = memory;
    const shared: Slot[] = [];
    const arena = plan.buffers.filter((b) => b.kind === 'arena');
    for (const b of [...arena].sort((x, y) => x.live[0] - y.live[0])) {
      const free = shared.filter((s) => s.until < b.live[0]);
      // Of one size, so that a small buffer does not keep a large one.
      let slot = free.find((s) => dimEquals(s.first.elements, b.elements)) ?? free[0];
      if (!slot) {
        slot = { first: b, buffer: undefined, until: -1 };
        shared.push(slot);
      }
      slot.until = b.live[1];
      this.#slots[b.id] = slot;
    }
    for (const b of plan.buffers) {
      if (b.kind === 'variable' || b.kind === 'arena') continue;
      this.#slots[b.id] = { first: b, buffer: undefined, until: -1 };
    }
  }

  /** The GPU buffer of a plan buffer that must hold so many elements; its contents may be lost. */
  get(b: PlanBuffer, elements: number): GpuBuffer {
    const slot = this.#slots[b.id] as Slot;
    const old = slot.buffer;
    const bytes = bytesOf(b.dtype, elements);
    if (old && old.bytes >= bytes) return old;
    slot.buffer = this.#memory.alloc(bytes, `the value of "${b.label}"`);
    if (old) this.#memory.free(old);
    return slot.buffer;
  }

  /** The GPU buffer as it is. */
  current(b: PlanBuffer): GpuBuffer | undefined {
    return this.#slots[b.id]?.buffer;
  }

  /** Puts another buffer in the place of the present one, which the caller frees. */
  replace(b: PlanBuffer, buffer: GpuBuffer): void {
    (this.#slots[b.id] as Slot).buffer = buffer;
  }

  /** Bytes of arena buffers and of tapes. */
  bytes(kind: 'arena' | 'tape'): number {
    const seen = new Set(this.#slots);
    let sum = 0;
    for (const s of seen) if (s?.first.kind === kind) sum += s.buffer?.bytes ?? 0;
    return sum;
  }

  free(): void {
    for (const s of new Set(this.#slots)) {
      if (s?.buffer) this.#memory.free(s.buffer);
      if (s) s.buffer = undefined;
    }
  }
}
