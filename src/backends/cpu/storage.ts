// The storage of one executable: its parameter block, constants and tapes, and the reading and
// writing of values through the addresses in the block. Invariant: between runs nothing in the block
// is trusted but the addresses of constants and the addresses and capacities of tapes.

import { type BlockLayout, layoutBlock, NO_FAIL } from '../../codegen/wasm/block.ts';
import { type Dim, evalDim } from '../../core/dim.ts';
import { dtypeInfo } from '../../core/dtype.ts';
import { invariant, OutOfMemoryError } from '../../core/error.ts';
import { type DataOf, type HostTensor, NDArray, sizeOf } from '../../core/ndarray.ts';
import type { TensorType } from '../../core/type.ts';
import { type BufferView, type Plan, RUN_SYM } from '../../plan/types.ts';
import type { RunBindings } from '../backend.ts';
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

  constructor(plan: Plan, memory: DeviceMemory) {
    this.#plan = plan;
    this.#memory = memory;
    this.words = layoutBlock(plan);
    this.block = memory.alloc(4 * this.words.words, 'a parameter block');
    memory.words(this.block, this.words.words).fill(0);
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

  /** Fills in the parameter block for a run. */
  bind(
    bindings: RunBindings,
    layout: Layout,
    region: RunRegion,
    variable: (name: string) => number,
  ): void {
    const words = this.#memory.words(this.block, this.words.words);
    words[this.words.fail] = NO_FAIL;
    for (const word of this.words.syms.values()) words[word] = 0;
    words[this.words.sym(RUN_SYM)] = bindings.run;
    this.#plan.startSyms.forEach(({ sym }, i) => {
      words[this.words.sym(sym.id)] = bindings.sizes[i];
    });
    for (const b of this.#plan.buffers) {
      const word = this.words.buffer(b.id);
      if (b.kind === 'variable') words[word] = variable(b.variable as string);
      else if (layout.offsets[b.id] >= 0) words[word] = region.address + layout.offsets[b.id];
    }
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
    invariant(type.shape, 'a value has no rank');
    const shape = type.shape.map((d) => this.#eval(d));
    const data = this.#memory.read(type.dtype, this.#address(view), sizeOf(shape));
    return new NDArray(type.dtype, shape, data as DataOf['float32']);
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
    this.#memory.write(dtype, this.#address(view), data);
  }

  /** The value of a symbol in this run, if the plan binds it. */
  value(id: string): number | undefined {
    const word = this.words.syms.get(id);
    return word === undefined ? undefined : this.#get(word);
  }

  #address({ buffer, offset }: BufferView): number {
    const base = this.#get(this.words.buffer(buffer)) >>> 0;
    return base + this.#eval(offset) * this.#bytesOf(buffer);
  }

  #bytesOf(buffer: number): number {
    return dtypeInfo(this.#plan.buffers[buffer].dtype).bytes;
  }

  #eval(d: Dim): number {
    return evalDim(d, (id) => this.#get(this.words.sym(id)));
  }

  #get(word: number): number {
    return this.#memory.words(this.block, this.words.words)[word];
  }

  #set(word: number, value: number): void {
    this.#memory.words(this.block, this.words.words)[word] = value;
  }
}
