// The WebAssembly assembler: builds a module instruction by instruction and writes it as bytes or
// as text. Invariant: an instruction is checked and its immediates are brought to normal form when
// it is appended, so what a builder holds can always be encoded once its blocks are closed.

import { InternalError } from '../../core/error.ts';
import { ByteWriter } from './bytes.ts';
import type { Opcode, ValType } from './opcodes.ts';
import { EMPTY_BLOCK, OPCODES, VALTYPE_CODE } from './opcodes.ts';
import type { FunctionImport, GlobalEntry, Instruction, MemoryImport } from './wat.ts';
import { functionWat, moduleWat } from './wat.ts';

export type { ValType } from './opcodes.ts';

/**
 * An immediate as a caller writes it. Memory accesses take `offset, align?`, lane accesses
 * `offset, lane, align?`, alignments in bytes. A bigint given to `f32.const` or `f64.const` is the
 * bit pattern. `br_table` takes `[label, ...], default`; `v128.const` and `i8x16.shuffle` take an
 * array of 16 bytes.
 */
export type Immediate = number | bigint | readonly number[];

/** What a function may refer to in its module. */
interface Scope {
  readonly functionCount: () => number;
  readonly globalCount: () => number;
  readonly hasMemory: () => boolean;
}

const BLOCK_CODES = new Set([EMPTY_BLOCK, ...Object.values(VALTYPE_CODE)]);
const U32_MAX = 2 ** 32 - 1;
const NO_IMMEDIATES: readonly number[] = Object.freeze([]);

/** One function of a module, appended to instruction by instruction; {@link ModuleBuilder.func} makes it. */
export class FunctionBuilder {
  /** The index in the function index space, imports included. */
  readonly index: number;
  readonly name: string;
  readonly params: readonly ValType[];
  readonly results: readonly ValType[];
  /** Whether the module exports the function under its name. */
  readonly exported: boolean;
  readonly #scope: Scope;
  readonly #locals: ValType[] = [];
  readonly #localNames = new Map<number, string>();
  readonly #instructions: Instruction[] = [];
  /** The instructions that opened the blocks now open; `else` takes the place of its `if`. */
  readonly #open: string[] = [];

  constructor(
    index: number,
    name: string,
    params: readonly ValType[],
    results: readonly ValType[],
    options: { export?: boolean; paramNames?: string[] },
    scope: Scope,
  ) {
    this.index = index;
    this.name = name;
    this.params = [...params];
    this.results = [...results];
    this.exported = options.export ?? false;
    this.#scope = scope;
    options.paramNames?.slice(0, params.length).forEach((paramName, i) => {
      this.#localNames.set(i, paramName);
    });
  }

  /** The types of the locals after the parameters. */
  get locals(): readonly ValType[] {
    return this.#locals;
  }

  /** The names given to parameters and locals, by local index. */
  get localNames(): ReadonlyMap<number, string> {
    return this.#localNames;
  }

  /** The instructions so far, without the `end` of the function. */
  get instructions(): readonly Instruction[] {
    return this.#instructions;
  }

  /** How many blocks are open; `br` to this depth leaves the function. */
  get depth(): number {
    return this.#open.length;
  }

  /** The local index of a parameter. */
  param(i: number): number {
    if (!Number.isInteger(i) || i < 0 || i >= this.params.length) {
      this.#fail(`no parameter ${i}, there are ${this.params.length}`);
    }
    return i;
  }

  /** Adds a local, zero at entry, and returns its index. */
  local(type: ValType, name?: string): number {
    const index = this.params.length + this.#locals.length;
    this.#locals.push(type);
    if (name !== undefined) this.#localNames.set(index, name);
    return index;
  }

  /** Appends an instruction by its text-format name; {@link Immediate} says what follows it. */
  op(name: string, ...imm: Immediate[]): this {
    const op = OPCODES.get(name);
    if (op === undefined) this.#fail(`unknown instruction "${name}"`);
    const immediates = this.#usual(op, imm) ?? this.#normalize(op, imm);
    if (op.immediates === 'block') {
      this.#open.push(name);
    } else if (name === 'else') {
      if (this.#open.at(-1) !== 'if') this.#fail('else without an open if');
      this.#open[this.#open.length - 1] = 'else';
    } else if (name === 'end') {
      if (this.#open.pop() === undefined) this.#fail('end without an open block');
    }
    this.#instructions.push({ op, immediates });
    return this;
  }

  /** Opens a block without a result. */
  block(): this {
    return this.op('block');
  }

  /** Opens a loop without a result; a branch to it starts it again. */
  loop(): this {
    return this.op('loop');
  }

  /** Pops a condition and opens an `if`. */
  if_(result?: ValType): this {
    return this.op('if', result === undefined ? EMPTY_BLOCK : VALTYPE_CODE[result]);
  }

  /** Goes on to the other side of the open `if`. */
  else_(): this {
    return this.op('else');
  }

  /** Closes the innermost block; the function itself needs no `end`. */
  end(): this {
    return this.op('end');
  }

  /**
   * Takes over the locals and instructions of a function with the same parameters, perhaps of another
   * module; `funcs` gives the indices here of the functions it calls.
   */
  copyBody(from: FunctionBuilder, funcs: ReadonlyMap<number, number>): void {
    this.#locals.push(...from.#locals);
    for (const [index, name] of from.#localNames) this.#localNames.set(index, name);
    for (const instruction of from.#instructions) {
      const { op, immediates } = instruction;
      if (op.immediates !== 'func') {
        this.#instructions.push(instruction);
        continue;
      }
      const index = funcs.get(Number(immediates[0]));
      if (index === undefined) this.#fail(`the copied body calls function ${immediates[0]}`);
      this.#instructions.push({ op, immediates: [index] });
    }
  }

  /** Throws unless every block is closed. */
  checkComplete(): void {
    if (this.#open.length > 0) {
      this.#fail(`${this.#open.length} open block(s) at the end: ${this.#open.join(', ')}`);
    }
  }

  #fail(problem: string): never {
    throw new InternalError(`wasm function "${this.name}": ${problem}`);
  }

  /** The most frequent immediates, checked at once; undefined where more is to be looked at. */
  #usual(op: Opcode, imm: readonly Immediate[]): readonly number[] | undefined {
    if (op.immediates === 'none') return imm.length === 0 ? NO_IMMEDIATES : undefined;
    const first = imm[0];
    if (imm.length !== 1 || typeof first !== 'number' || !Number.isInteger(first)) return undefined;
    if (op.immediates === 'i32') return first === (first | 0) ? [first] : undefined;
    if (first < 0) return undefined;
    switch (op.immediates) {
      case 'local':
        return first < this.params.length + this.#locals.length ? [first] : undefined;
      case 'mem':
        return first <= U32_MAX && this.#scope.hasMemory() ? [first, op.align] : undefined;
      case 'func':
        return first < this.#scope.functionCount() ? [first] : undefined;
      case 'label':
        return first <= this.#open.length ? [first] : undefined;
      case 'lane':
        return first < op.lanes ? [first] : undefined;
      default:
        return undefined;
    }
  }

  /** Checks the immediates of an instruction and returns them as {@link Instruction} has them. */
  #normalize(op: Opcode, imm: readonly Immediate[]): (number | bigint)[] {
    const count = (min: number, max = min) => {
      if (imm.length >= min && imm.length <= max) return;
      const wanted = min === max ? `${min}` : `${min} to ${max}`;
      this.#fail(`${op.name} takes ${wanted} immediate(s), got ${imm.length}`);
    };
    const index = (value: Immediate | undefined, limit: number) => {
      if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < limit) {
        return value;
      }
      return this.#fail(`${op.name}: immediate ${value} is not an integer from 0 to ${limit - 1}`);
    };
    const bytes = (limit: number) => {
      count(1);
      const list = imm[0];
      if (!Array.isArray(list) || list.length !== 16) {
        return this.#fail(`${op.name} takes an array of 16 bytes`);
      }
      return list.map((byte) => index(byte, limit));
    };
    const align = (value: Immediate = op.align) => {
      const valid = op.atomic ? [op.align] : [1, 2, 4, 8, 16].filter((a) => a <= op.align);
      if (valid.some((a) => a === value)) return Number(value);
      return this.#fail(`${op.name}: alignment ${value} is not one of ${valid.join(', ')}`);
    };
    if (op.align > 0 || op.immediates === 'memory') {
      if (!this.#scope.hasMemory()) this.#fail(`${op.name} needs an imported memory`);
    }

    switch (op.immediates) {
      case 'none':
      case 'memory':
        count(0);
        return [];
      case 'local':
        count(1);
        return [index(imm[0], this.params.length + this.#locals.length)];
      case 'global':
        count(1);
        return [index(imm[0], this.#scope.globalCount())];
      case 'func':
        count(1);
        return [index(imm[0], this.#scope.functionCount())];
      case 'label':
        count(1);
        return [index(imm[0], this.#open.length + 1)];
      case 'brtable': {
        count(2);
        const labels = imm[0];
        if (!Array.isArray(labels)) return this.#fail('br_table takes an array of labels first');
        return [...labels, imm[1]].map((depth) => index(depth, this.#open.length + 1));
      }
      case 'block': {
        count(0, 1);
        const code = imm[0] ?? EMPTY_BLOCK;
        if (typeof code !== 'number' || !BLOCK_CODES.has(code)) {
          return this.#fail(`${op.name}: ${code} is not a block type`);
        }
        return [code];
      }
      case 'mem':
        count(1, 2);
        return [index(imm[0], U32_MAX + 1), align(imm[1])];
      case 'memlane':
        count(2, 3);
        return [index(imm[0], U32_MAX + 1), align(imm[2]), index(imm[1], op.lanes)];
      case 'lane':
        count(1);
        return [index(imm[0], op.lanes)];
      case 'shuffle':
        return bytes(op.lanes);
      case 'v128':
        return bytes(256);
      case 'i32':
      case 'i64':
      case 'f32':
      case 'f64': {
        count(1);
        const value = constantOf(op.immediates, imm[0]);
        return [value ?? this.#fail(`${op.name}: ${imm[0]} is out of range`)];
      }
    }
  }
}

/** The normal form of a scalar constant, or undefined where the value is none of the type. */
function constantOf(
  type: 'i32' | 'i64' | 'f32' | 'f64',
  value: Immediate | undefined,
): number | bigint | undefined {
  if (typeof value !== 'number' && typeof value !== 'bigint') return undefined;
  const bits = type === 'i32' || type === 'f32' ? 32 : 64;
  if (type === 'f32' || type === 'f64') {
    if (typeof value === 'bigint') return BigInt.asUintN(bits, value) === value ? value : undefined;
    return floatBits(type, value);
  }
  if (typeof value === 'number' && !Number.isInteger(value)) return undefined;
  const exact = BigInt(value);
  const signed = BigInt.asIntN(bits, exact);
  if (signed !== exact && BigInt.asUintN(bits, exact) !== exact) return undefined;
  return type === 'i32' ? Number(signed) : signed;
}

const FLOAT_BITS = new DataView(new ArrayBuffer(8));

/** The bits of a float; every NaN becomes the canonical one, since numbers do not keep payloads. */
function floatBits(type: 'f32' | 'f64', value: number): bigint {
  if (Number.isNaN(value)) return type === 'f32' ? 0x7fc00000n : 0x7ff8000000000000n;
  if (type === 'f32') FLOAT_BITS.setFloat32(0, value);
  else FLOAT_BITS.setFloat64(0, value);
  return type === 'f32' ? BigInt(FLOAT_BITS.getUint32(0)) : FLOAT_BITS.getBigUint64(0);
}

/** A WebAssembly module under construction. Its memory, if it uses one, is imported. */
export class ModuleBuilder {
  #memory: MemoryImport | undefined;
  readonly #imports: FunctionImport[] = [];
  readonly #globals: GlobalEntry[] = [];
  readonly #functions: FunctionBuilder[] = [];
  readonly #scope: Scope = {
    functionCount: () => this.#imports.length + this.#functions.length,
    globalCount: () => this.#globals.length,
    hasMemory: () => this.#memory !== undefined,
  };

  /** Imports the memory, with limits in pages of 64 KiB; must come before code that uses it. */
  importMemory(
    module: string,
    name: string,
    limits: { min: number; max?: number; shared: boolean },
  ): void {
    if (this.#memory !== undefined) throw new InternalError('wasm module: a second memory import');
    if (limits.shared && limits.max === undefined) {
      throw new InternalError('wasm module: a shared memory needs a maximum');
    }
    this.#memory = { module, name, limits: { ...limits } };
  }

  /** Imports a function and returns its index; must come before the first {@link func}. */
  importFunc(module: string, name: string, params: ValType[], results: ValType[]): number {
    if (this.#functions.length > 0) {
      throw new InternalError(`wasm import "${module}.${name}": it must come before any function`);
    }
    this.#imports.push({ module, name, params: [...params], results: [...results] });
    return this.#imports.length - 1;
  }

  /**
   * Adds a global and returns its index. A bigint `init` is the bit pattern of a float, and the
   * value of a v128 is its 128 bits, little-endian.
   */
  global(type: ValType, init: number | bigint, mutable: boolean, name?: string): number {
    const op = OPCODES.get(`${type}.const`);
    const value = type === 'v128' ? vectorBytes(init) : constantOf(type, init);
    if (op === undefined || value === undefined) {
      throw new InternalError(`wasm global "${name ?? ''}": ${init} is no value of type ${type}`);
    }
    const immediates = typeof value === 'object' ? value : [value];
    this.#globals.push({ type, mutable, name, init: { op, immediates } });
    return this.#globals.length - 1;
  }

  /** Adds a function; with `export` the module exports it under its name. */
  func(
    name: string,
    params: ValType[],
    results: ValType[],
    options: { export?: boolean; paramNames?: string[] } = {},
  ): FunctionBuilder {
    if (options.export && this.#functions.some((f) => f.exported && f.name === name)) {
      throw new InternalError(`wasm function "${name}": a second export of this name`);
    }
    const index = this.#scope.functionCount();
    const builder = new FunctionBuilder(index, name, params, results, options, this.#scope);
    this.#functions.push(builder);
    return builder;
  }

  /** The complete module in binary form. */
  toBytes(): Uint8Array<ArrayBuffer> {
    const types = new TypeTable();
    const importTypes = this.#imports.map((entry) => types.index(entry));
    const functionTypes = this.#functions.map((entry) => types.index(entry));
    const out = new ByteWriter();
    out.bytes([0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]);
    vectorSection(out, 1, types.entries, ({ params, results }) => {
      out.byte(0x60);
      for (const list of [params, results]) {
        out.u32(list.length);
        for (const type of list) out.byte(VALTYPE_CODE[type]);
      }
    });
    const memories = this.#memory === undefined ? [] : [this.#memory];
    vectorSection(out, 2, [...memories, ...this.#imports], (entry, i) => {
      out.name(entry.module).name(entry.name);
      if ('limits' in entry) {
        const { min, max, shared } = entry.limits;
        out.bytes([0x02, (max === undefined ? 0 : 1) | (shared ? 2 : 0)]).u32(min);
        if (max !== undefined) out.u32(max);
      } else {
        out.byte(0x00).u32(importTypes[i - memories.length] ?? 0);
      }
    });
    vectorSection(out, 3, functionTypes, (type) => out.u32(type));
    vectorSection(out, 6, this.#globals, ({ type, mutable, init }) => {
      out.bytes([VALTYPE_CODE[type], mutable ? 1 : 0]);
      writeInstruction(out, init);
      out.byte(0x0b);
    });
    const exported = this.#functions.filter((entry) => entry.exported);
    vectorSection(out, 7, exported, ({ name, index }) => out.name(name).byte(0x00).u32(index));
    vectorSection(out, 10, this.#functions, (entry) => {
      entry.checkComplete();
      out.sized(() => writeBody(out, entry));
    });
    this.#writeNames(out);
    return out.toBytes();
  }

  /** The module in text form. */
  toWat(): string {
    return moduleWat(this.#entry());
  }

  /** The function with the given index in text form, an imported one as its import. */
  funcWat(index: number): string {
    if (!(index >= 0 && index < this.#scope.functionCount())) {
      throw new InternalError(`wasm module: no function ${index}`);
    }
    return functionWat(this.#entry(), index);
  }

  #entry() {
    return {
      memory: this.#memory,
      imports: this.#imports,
      globals: this.#globals,
      functions: this.#functions,
    };
  }

  /** The custom section that gives functions, locals and globals their names in tools. */
  #writeNames(out: ByteWriter): void {
    const names = (entries: readonly (readonly [number, string])[]) => {
      out.u32(entries.length);
      for (const [index, name] of entries) out.u32(index).name(name);
    };
    const functions = [
      ...this.#imports.map(({ module, name }, i) => [i, `${module}.${name}`] as const),
      ...this.#functions.map(({ index, name }) => [index, name] as const),
    ];
    const named = this.#functions.filter((entry) => entry.localNames.size > 0);
    const globals = this.#globals.flatMap(({ name }, i) =>
      name === undefined ? [] : [[i, name] as const],
    );
    out.byte(0).sized(() => {
      out.name('name');
      out.byte(1).sized(() => names(functions));
      out.byte(2).sized(() => {
        out.u32(named.length);
        for (const entry of named) {
          out.u32(entry.index);
          names([...entry.localNames]);
        }
      });
      if (globals.length > 0) out.byte(7).sized(() => names(globals));
    });
  }
}

interface Signature {
  readonly params: readonly ValType[];
  readonly results: readonly ValType[];
}

/** The function types of a module, each once. */
class TypeTable {
  readonly entries: Signature[] = [];
  readonly #indices = new Map<string, number>();

  index(signature: Signature): number {
    const key = `${signature.params.join()}>${signature.results.join()}`;
    let index = this.#indices.get(key);
    if (index === undefined) {
      index = this.entries.push(signature) - 1;
      this.#indices.set(key, index);
    }
    return index;
  }
}

function vectorBytes(value: number | bigint): number[] | undefined {
  if (typeof value === 'number' && !Number.isInteger(value)) return undefined;
  const bits = BigInt.asUintN(128, BigInt(value));
  return Array.from({ length: 16 }, (_, i) => Number((bits >> BigInt(8 * i)) & 0xffn));
}

/** Writes a section that is a vector of entries; an empty one is left out. */
function vectorSection<T>(
  out: ByteWriter,
  id: number,
  entries: readonly T[],
  write: (entry: T, i: number) => void,
): void {
  if (entries.length === 0) return;
  out.byte(id).sized(() => {
    out.u32(entries.length);
    entries.forEach(write);
  });
}

function writeBody(out: ByteWriter, { locals, instructions }: FunctionBuilder): void {
  const groups: { type: ValType; count: number }[] = [];
  for (const type of locals) {
    const last = groups.at(-1);
    if (last?.type === type) last.count++;
    else groups.push({ type, count: 1 });
  }
  out.u32(groups.length);
  for (const { type, count } of groups) out.u32(count).byte(VALTYPE_CODE[type]);
  for (const instruction of instructions) writeInstruction(out, instruction);
  out.byte(0x0b);
}

function writeInstruction(out: ByteWriter, { op, immediates }: Instruction): void {
  if (op.bytes.length === 1) out.byte(op.bytes[0]);
  else out.bytes(op.bytes);
  const first = immediates[0] ?? 0;
  switch (op.immediates) {
    case 'none':
      break;
    case 'memory':
      out.byte(0);
      break;
    case 'local':
    case 'global':
    case 'func':
    case 'label':
      out.u32(Number(first));
      break;
    case 'brtable':
      out.u32(immediates.length - 1);
      for (const label of immediates) out.u32(Number(label));
      break;
    case 'mem':
    case 'memlane':
      out.u32(Math.log2(Number(immediates[1]))).u32(Number(first));
      if (op.immediates === 'memlane') out.byte(Number(immediates[2]));
      break;
    case 'i32':
    case 'i64':
      if (typeof first === 'number') out.signed32(first);
      else out.signed(first);
      break;
    case 'f32':
      out.littleEndian(BigInt(first), 4);
      break;
    case 'f64':
      out.littleEndian(BigInt(first), 8);
      break;
    case 'block':
    case 'lane':
    case 'shuffle':
    case 'v128':
      out.bytes(immediates.map(Number));
      break;
  }
}
