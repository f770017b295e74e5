// What a run has asked of the GPU since it was last submitted: dispatches and copies in order. All sizes
// go up in one write, all work in one submit. Invariant: bind groups are made once for the same buffers.

import type { GpuBuffer, GpuMemory } from './memory.ts';
import { WORD } from './memory.ts';
import { type Pipeline, UNIFORM_STRIDE } from './pipelines.ts';

const STRIDE_WORDS = UNIFORM_STRIDE / 4;
/** WebGPU's limit of workgroups along an axis. */
const MAX_GROUPS = 65535;
/** Bind groups kept; past it all are made anew as they are needed. */
const MAX_BIND_GROUPS = 4096;

/** What a dispatch binds. */
interface Bindings {
  readonly pipeline: Pipeline;
  readonly buffers: readonly GpuBuffer[];
  /** The word of checks, bound after the uniform block. */
  readonly failed: GpuBuffer | undefined;
  /** The size of its uniform block in slices. */
  readonly slices: number;
}

interface Dispatch extends Bindings {
  readonly kind: 'dispatch';
  /** Where its uniform block stands. */
  readonly slice: number;
  readonly groups: number;
}

/** A dispatch that other sizes may ask for: it is made ready. */
interface Foresight extends Bindings {
  readonly kind: 'foresight';
}

interface Copy {
  readonly kind: 'copy';
  readonly from: GpuBuffer;
  readonly to: GpuBuffer;
  readonly at: readonly [from: number, to: number];
  readonly bytes: number;
}

interface Clear {
  readonly kind: 'clear';
  readonly buffer: GpuBuffer;
}

/** How often a session has done what costs time. */
export interface GpuCounts {
  submits: number;
  dispatches: number;
  bindGroups: number;
}

/** The commands of a session's runs, one run at a time. */
export class Commands {
  readonly #device: () => GPUDevice;
  readonly #memory: GpuMemory;
  readonly #counts: GpuCounts;
  #list: (Dispatch | Foresight | Copy | Clear)[] = [];
  #words = new Int32Array(64 * STRIDE_WORDS);
  #slices = 0;
  #uniform: GpuBuffer | undefined;
  readonly #groups = new Map<string, GPUBindGroup>();

  constructor(device: () => GPUDevice, memory: GpuMemory, counts: GpuCounts) {
    this.#device = device;
    this.#memory = memory;
    this.#counts = counts;
  }

  /** Whether all that was recorded is submitted. */
  get idle(): boolean {
    return this.#list.length === 0;
  }

  /** Dispatches recorded and not yet submitted. */
  get pending(): number {
    return this.#slices;
  }

  /** Records a dispatch; `fill` writes its uniform block of so many words. */
  dispatch(
    pipeline: Pipeline,
    buffers: readonly GpuBuffer[],
    failed: GpuBuffer | undefined,
    groups: number,
    words: number,
    fill: (words: Int32Array, at: number) => void,
  ): void {
    if (groups === 0) return;
    const at = this.#slices * STRIDE_WORDS;
    const slices = Math.ceil(words / STRIDE_WORDS);
    const end = at + slices * STRIDE_WORDS;
    if (end > this.#words.length) {
      const more = new Int32Array(Math.max(end, 2 * this.#words.length));
      more.set(this.#words);
      this.#words = more;
    }
    this.#words.fill(0, at, end);
    fill(this.#words, at);
    const slice = this.#slices;
    this.#slices += slices;
    this.#list.push({ kind: 'dispatch', pipeline, buffers, failed, slice, slices, groups });
  }

  /** Has the bind group of a dispatch made, should it be recorded later for the same buffers. */
  foresee(
    pipeline: Pipeline,
    buffers: readonly GpuBuffer[],
    failed: GpuBuffer | undefined,
    words: number,
  ): void {
    const slices = Math.ceil(words / STRIDE_WORDS);
    this.#list.push({ kind: 'foresight', pipeline, buffers, failed, slices });
  }

  /** Records a copy of bytes; all numbers are of whole words. */
  copy(from: GpuBuffer, fromAt: number, to: GpuBuffer, toAt: number, bytes: number): void {
    if (bytes === 0) return;
    this.#list.push({ kind: 'copy', from, to, at: [fromAt, toAt], bytes });
  }

  /** Records that a buffer becomes zero. */
  clear(buffer: GpuBuffer): void {
    this.#list.push({ kind: 'clear', buffer });
  }

  /** Forgets what was recorded. */
  drop(): void {
    this.#list = [];
    this.#slices = 0;
  }

  /** Submits what was recorded. */
  submit(): void {
    if (this.#list.length === 0) return;
    const device = this.#device();
    const uniform = this.#uploadSizes(device);
    const encoder = device.createCommandEncoder();
    let pass: GPUComputePassEncoder | undefined;
    for (const c of this.#list) {
      if (c.kind === 'dispatch') {
        pass ??= encoder.beginComputePass();
        pass.setPipeline(c.pipeline.pipeline);
        pass.setBindGroup(0, this.#bindGroup(device, c, uniform), [c.slice * UNIFORM_STRIDE]);
        const rows = Math.ceil(c.groups / MAX_GROUPS);
        pass.dispatchWorkgroups(Math.min(c.groups, MAX_GROUPS), rows);
        this.#counts.dispatches++;
        continue;
      }
      if (c.kind === 'foresight') {
        this.#bindGroup(device, c, uniform);
        continue;
      }
      pass?.end();
      pass = undefined;
      if (c.kind === 'clear') encoder.clearBuffer(c.buffer.buffer);
      else {
        const [from, to] = c.at;
        encoder.copyBufferToBuffer(c.from.buffer, from, c.to.buffer, to, c.bytes);
      }
    }
    pass?.end();
    device.queue.submit([encoder.finish()]);
    this.#counts.submits++;
    this.drop();
  }

  /** Forgets what belongs to a device that is gone. */
  forgetDevice(): void {
    this.drop();
    this.#groups.clear();
    this.#uniform = undefined;
  }

  #uploadSizes(device: GPUDevice): GpuBuffer {
    const words = this.#slices * STRIDE_WORDS;
    let uniform = this.#uniform;
    if (!uniform || uniform.bytes < words * WORD) {
      if (uniform) this.#memory.free(uniform);
      uniform = this.#memory.allocUniform(this.#words.byteLength);
      this.#uniform = uniform;
      this.#groups.clear();
    }
    if (words > 0) device.queue.writeBuffer(uniform.buffer, 0, this.#words, 0, words);
    return uniform;
  }

  #bindGroup(device: GPUDevice, c: Bindings, uniform: GpuBuffer): GPUBindGroup {
    const { layout } = c.pipeline;
    const ids = c.buffers.map((b) => b.id).join();
    const key = `${layout.id}:${c.slices}:${ids}:${c.failed?.id ?? ''}`;
    let group = this.#groups.get(key);
    if (group) return group;
    const resources: GPUBufferBinding[] = c.buffers.map(({ buffer }) => ({ buffer }));
    resources.push({ buffer: uniform.buffer, size: c.slices * UNIFORM_STRIDE });
    if (c.failed) resources.push({ buffer: c.failed.buffer });
    group = device.createBindGroup({
      layout: layout.layout,
      entries: resources.map((resource, binding) => ({ binding, resource })),
    });
    this.#counts.bindGroups++;
    if (this.#groups.size >= MAX_BIND_GROUPS) this.#groups.clear();
    this.#groups.set(key, group);
    return group;
  }
}
