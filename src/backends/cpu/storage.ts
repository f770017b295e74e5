// The storage of one executable: its parameter block, constants and tapes, and the reading and
// writing of values through the addresses in the block. What stays in the block from one run to the
// next is the frame's to know (see `frame.ts`); constants and tapes keep their addresses here.

import { type BlockLayout, layoutBlock, NO_FAIL } from '../../codegen/wasm/block.ts';
import type { Dim } from '../../core/dim.ts';
import { evalDim } from '../../core/dim-value.ts';
import { dtypeInfo } from '../../core/dtype.ts';
import { invariant, OutOfMemoryError } from '../../core/error.ts';
import { type HostTensor, type NDArray, ndarrayOf, sizeOf } from '../../core/ndarray.ts';
import type { TensorType } from '../../core/type.ts';
import { type BufferView, type Plan, RUN_SYM } from '../../plan/types.ts';
import type { Layout, RunRegion } from './arena.ts';
import type { DeviceMemory } from './memory.ts';

interface Tape {
  address: number;
  capacity: number;
}

/** The storage of a plan on one device. */
export class PlanStorage {
  readonly words: BlockLayout;
  /** Address of the parameter block. */
  readonly block: number;
  readonly #plan: Plan;
  readonly #memory: DeviceMemory;
  readonly #consts: number[] = [];
  readonly #tapes = new Map<number, Tape>();
  /** Words of the run's number, and of symbols that the run itself binds. */
  readonly #runWord: number;
  readonly #late: readonly number[];
  #view: Int32Array = new Int32Array(0);
  #epoch = -1;

  constructor(plan: Plan, memory: DeviceMemory) {
    this.#plan = plan;
    this.#memory = memory;
    this.words = layoutBlock(plan);
    this.block = memory.alloc(4 * this.words.words, 'a parameter block');
    memory.words(this.block, this.words.words).fill(0);
    this.#runWord = this.words.sym(RUN_SYM);
    const early = new Set([RUN_SYM, ...plan.startSyms.map(({ sym }) => sym.id)]);
    this.#late = [...this.words.syms].filter(([id]) => !early.has(id)).map(([, word]) => word);
    for (const b of plan.buffers) {
      if (b.kind === 'tape') this.#tapes.set(b.id, { address: 0, capacity: 0 });
      if (b.kind !== 'const' || b.data === undefined) continue;
      const address = memory.alloc(b.data.byteLength, `the constant "${b.label}"`);
      memory.write(b.dtype, address, b.data);
      this.#consts.push(address);
      this.#set(this.words.buffer(b.id), address);
    }
  }

  /** Bytes of the tapes. */
  get slotBytes(): number {
    let bytes = 0;
    for (const [id, { capacity }] of this.#tapes) bytes += capacity * this.#bytesOf(id);
    return bytes;
  }

  /** The lowest code of a check that failed in this run. */
  get failCode(): number {
    return this.#get(this.words.fail);
  }

  dispose(): void {
    for (const address of this.#consts) this.#memory.free(address);
    for (const { address } of this.#tapes.values()) if (address !== 0) this.#memory.free(address);
    this.#memory.free(this.block);
  }

  /** Writes the values of the start symbols, in order. */
  bindSizes(sizes: readonly number[]): void {
    this.#plan.startSyms.forEach(({ sym }, i) => {
      this.#set(this.words.sym(sym.id), sizes[i]);
    });
  }

  /** Writes the addresses of the buffers that stand in a run's region. */
  bindArena(layout: Layout, region: RunRegion): void {
    for (const { id } of this.#plan.buffers) {
      if (layout.offsets[id] >= 0) this.setAddress(id, region.address + layout.offsets[id]);
    }
  }

  /** Clears what the run before has left: failed checks, and sizes that a run binds itself. */
  beginRun(run: number): void {
    const words = this.#words();
    words[this.words.fail] = NO_FAIL;
    words[this.#runWord] = run;
    for (let i = 0; i < this.#late.length; i++) words[this.#late[i]] = 0;
  }

  setAddress(buffer: number, address: number): void {
    this.#set(this.words.buffer(buffer), address);
  }

  /** Makes a tape hold more elements, keeping what it holds. */
  reserve(buffer: number, elements: number): void {
    const tape = this.#tapes.get(buffer);
    invariant(tape, `buffer ${buffer} is no tape`);
    const memory = this.#memory;
    const size = this.#bytesOf(buffer);
    const what = `"${this.#plan.buffers[buffer].label}"`;
    let capacity = Math.max(elements, 2 * tape.capacity);
    let address: number;
    try {
      address = memory.alloc(capacity * size, what);
    } catch (error) {
      if (!(error instanceof OutOfMemoryError) || capacity === elements) throw error;
      capacity = elements;
      address = memory.alloc(capacity * size, what);
    }
    if (tape.address !== 0) {
      memory.copy(tape.address, address, tape.capacity * size);
      memory.free(tape.address);
    }
    tape.address = address;
    tape.capacity = capacity;
    this.#set(this.words.buffer(buffer), address);
    this.#set(this.words.capacity(buffer), capacity);
  }

  /** A copy of the value that a view holds. */
  read(view: BufferView, type: TensorType): NDArray {
    const shape = this.shape(type);
    const data = this.#memory.read(type.dtype, this.address(view), sizeOf(shape));
    return ndarrayOf(type.dtype, shape, data);
  }

  /** The shape that a type has in this run, frozen. */
  shape(type: TensorType): readonly number[] {
    invariant(type.shape, 'a value has no rank');
    return Object.freeze(type.shape.map((d) => this.#eval(d)));
  }

  /** Writes an output of the host step of a node. */
  write(view: BufferView, { data }: HostTensor, node: string): void {
    const { kind, dtype, elements } = this.#plan.buffers[view.buffer];
    const end = this.#eval(view.offset) + data.length;
    if (kind === 'tape') {
      if (end > this.#get(this.words.capacity(view.buffer))) this.reserve(view.buffer, end);
    } else {
      invariant(end <= this.#eval(elements), `an output of "${node}" exceeds its buffer`);
    }
    this.#memory.write(dtype, this.address(view), data);
  }

  /** The value of a symbol in this run, if the plan binds it. */
  value(id: string): number | undefined {
    const word = this.words.syms.get(id);
    return word === undefined ? undefined : this.#get(word);
  }

  /** Where a view begins in this run. */
  address({ buffer, offset }: BufferView): number {
    const base = this.#get(this.words.buffer(buffer)) >>> 0;
    return offset === 0 ? base : base + this.#eval(offset) * this.#bytesOf(buffer);
  }

  #bytesOf(buffer: number): number {
    return dtypeInfo(this.#plan.buffers[buffer].dtype).bytes;
  }

  #eval(d: Dim): number {
    return evalDim(d, (id) => this.#get(this.words.sym(id)));
  }

  #get(word: number): number {
    return this.#words()[word];
  }

  #set(word: number, value: number): void {
    this.#words()[word] = value;
  }

  /** The block in place; the view is kept until the memory grows. */
  #words(): Int32Array {
    if (this.#epoch !== this.#memory.epoch) {
      this.#view = this.#memory.words(this.block, this.words.words);
      this.#epoch = this.#memory.epoch;
    }
    return this.#view;
  }
}
