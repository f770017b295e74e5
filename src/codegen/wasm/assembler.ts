// The WebAssembly assembler: builds a module instruction by instruction and gives it as bytes or as
// text. Invariant: an instruction is checked and encoded when it is appended, so what a builder holds
// is valid code once its blocks are closed; the text is decoded from the bytes, when it is asked for.

import { InternalError } from '../../core/error.ts';
import { ByteWriter } from './bytes.ts';
import { decode } from './decode.ts';
import type { ImmediateKind, Opcode, ValType } from './opcodes.ts';
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

/** Where a body calls a function: the bytes of its index. */
interface Call {
  readonly func: number;
  readonly at: number;
  readonly end: number;
}

const BLOCK_CODES = new Set([EMPTY_BLOCK, ...Object.values(VALTYPE_CODE)]);
const U32_MAX = 2 ** 32 - 1;
/** Bytes an access may be aligned to; the encoding has the position. */
const ALIGNMENTS = [1, 2, 4, 8, 16];
const TAKES_SEVERAL: ReadonlySet<ImmediateKind> = new Set(['mem', 'memlane', 'brtable']);

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
  readonly #localNames: (string | undefined)[];
  /** The instructions so far. */
  readonly #code = new ByteWriter(256);
  readonly #calls: Call[] = [];
  #usesGlobals = false;
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
    this.#localNames = options.paramNames?.slice(0, params.length) ?? [];
  }

  /** The types of the locals after the parameters. */
  get locals(): readonly ValType[] {
    return this.#locals;
  }

  /** The names given to parameters and locals, by local index. */
  get localNames(): readonly (string | undefined)[] {
    return this.#localNames;
  }

  /** The instructions so far, without the `end` of the function, decoded anew at each call. */
  get instructions(): readonly Instruction[] {
    return decode(this.#code.view());
  }

  /** The indices of the functions it calls, one for each call. */
  get callees(): readonly number[] {
    return this.#calls.map(({ func }) => func);
  }

  /** Whether it reads or writes a global. */
  get usesGlobals(): boolean {
    return this.#usesGlobals;
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
    if (name !== undefined) this.#localNames[index] = name;
    return index;
  }

  /** Appends an instruction by its text-format name; {@link Immediate} says what follows it. */
  op(name: string, first?: Immediate, second?: Immediate, third?: Immediate): this {
    const op = OPCODES.get(name);
    if (op === undefined) this.#fail(`unknown instruction "${name}"`);
    const code = this.#code;
    if (op.bytes.length === 1) code.byte(op.bytes[0]);
    else code.bytes(op.bytes);
    if (second !== undefined && !TAKES_SEVERAL.has(op.immediates)) {
      this.#miscounted(op, third === undefined ? 2 : 3);
    }
    switch (op.immediates) {
      case 'none':
        if (first !== undefined) this.#miscounted(op, 1);
        if (name === 'end') {
          if (this.#open.pop() === undefined) this.#fail('end without an open block');
        } else if (name === 'else') {
          if (this.#open.at(-1) !== 'if') this.#fail('else without an open if');
          this.#open[this.#open.length - 1] = 'else';
        }
        break;
      case 'memory':
        if (first !== undefined) this.#miscounted(op, 1);
        this.#needMemory(op);
        code.byte(0);
        break;
      case 'local':
        code.u32(this.#index(op, first, this.params.length + this.#locals.length));
        break;
      case 'global':
        this.#usesGlobals = true;
        code.u32(this.#index(op, first, this.#scope.globalCount()));
        break;
      case 'func': {
        const func = this.#index(op, first, this.#scope.functionCount());
        const at = code.length;
        code.u32(func);
        this.#calls.push({ func, at, end: code.length });
        break;
      }
      case 'label':
        code.u32(this.#index(op, first, this.#open.length + 1));
        break;
      case 'brtable': {
        if (!Array.isArray(first)) this.#fail('br_table takes an array of labels first');
        code.u32(first.length);
        for (const depth of [...first, second]) {
          code.u32(this.#index(op, depth, this.#open.length + 1));
        }
        break;
      }
      case 'block': {
        const type = first ?? EMPTY_BLOCK;
        if (typeof type !== 'number' || !BLOCK_CODES.has(type)) {
          this.#fail(`${op.name}: ${type} is not a block type`);
        }
        this.#open.push(name);
        code.byte(type);
        break;
      }
      case 'mem':
        this.#access(op, first, second);
        break;
      case 'memlane':
        this.#access(op, first, third);
        code.byte(this.#index(op, second, op.lanes));
        break;
      case 'lane':
        code.byte(this.#index(op, first, op.lanes));
        break;
      case 'shuffle':
        this.#sixteen(op, first, op.lanes);
        break;
      case 'v128':
        this.#sixteen(op, first, 256);
        break;
      case 'i32':
        if (typeof first === 'number' && first === (first | 0)) {
          code.signed32(first);
          break;
        }
        writeConstant(code, 'i32', this.#constant(op, first));
        break;
      default:
        writeConstant(code, op.immediates, this.#constant(op, first));
    }
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
    const code = this.#code;
    this.#locals.push(...from.#locals);
    from.#localNames.forEach((name, i) => {
      this.#localNames[i] = name;
    });
    let copied = 0;
    for (const { func, at, end } of from.#calls) {
      const index = funcs.get(func);
      if (index === undefined) this.#fail(`the copied body calls function ${func}`);
      code.bytes(from.#code.view(copied, at));
      const start = code.length;
      code.u32(index);
      this.#calls.push({ func: index, at: start, end: code.length });
      copied = end;
    }
    code.bytes(from.#code.view(copied));
    this.#usesGlobals ||= from.#usesGlobals;
  }

  /** Writes locals and instructions. Throws unless every block is closed. */
  write(out: ByteWriter): void {
    if (this.#open.length > 0) {
      this.#fail(`${this.#open.length} open block(s) at the end: ${this.#open.join(', ')}`);
    }
    const groups: { type: ValType; count: number }[] = [];
    for (const type of this.#locals) {
      const last = groups.at(-1);
      if (last?.type === type) last.count++;
      else groups.push({ type, count: 1 });
    }
    out.u32(groups.length);
    for (const { type, count } of groups) out.u32(count).byte(VALTYPE_CODE[type]);
    out.bytes(this.#code.view()).byte(0x0b);
  }

  #fail(problem: string): never {
    throw new InternalError(`wasm function "${this.name}": ${problem}`);
  }

  #miscounted(op: Opcode, got: number): never {
    const wanted = { none: '0', memory: '0', block: '0 to 1', mem: '1 to 2', memlane: '2 to 3' };
    const count = wanted[op.immediates as keyof typeof wanted] ?? '1';
    return this.#fail(`${op.name} takes ${count} immediate(s), got ${got}`);
  }

  #index(op: Opcode, value: Immediate | undefined, limit: number): number {
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < limit) {
      return value;
    }
    if (value === undefined) this.#miscounted(op, 0);
    return this.#fail(`${op.name}: immediate ${value} is not an integer from 0 to ${limit - 1}`);
  }

  #needMemory(op: Opcode): void {
    if (!this.#scope.hasMemory()) this.#fail(`${op.name} needs an imported memory`);
  }

  /** The alignment and offset of an access. */
  #access(op: Opcode, offset: Immediate | undefined, align: Immediate = op.align): void {
    this.#needMemory(op);
    const power = ALIGNMENTS.indexOf(align as number);
    if (power < 0 || (op.atomic ? align !== op.align : (align as number) > op.align)) {
      const valid = op.atomic ? [op.align] : ALIGNMENTS.filter((a) => a <= op.align);
      this.#fail(`${op.name}: alignment ${align} is not one of ${valid.join(', ')}`);
    }
    this.#code.byte(power).u32(this.#index(op, offset, U32_MAX + 1));
  }

  #sixteen(op: Opcode, list: Immediate | undefined, limit: number): void {
    if (!Array.isArray(list) || list.length !== 16) {
      this.#fail(`${op.name} takes an array of 16 bytes`);
    }
    for (const byte of list) if (!(byte >= 0 && byte < limit)) this.#index(op, byte, limit);
    this.#code.bytes(list);
  }

  #constant(op: Opcode, value: Immediate | undefined): number | bigint {
    if (value === undefined) this.#miscounted(op, 0);
    const constant = constantOf(op.immediates as ConstantKind, value);
    return constant ?? this.#fail(`${op.name}: ${value} is out of range`);
  }
}

type ConstantKind = 'i32' | 'i64' | 'f32' | 'f64';

/** The normal form of a scalar constant, or undefined where the value is none of the type. */
function constantOf(type: ConstantKind, value: Immediate | undefined): number | bigint | undefined {
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
      out.bytes([VALTYPE_CODE[type], mutable ? 1 : 0]).bytes(init.op.bytes);
      if (type === 'v128') out.bytes(init.immediates.map(Number));
      else writeConstant(out, type, init.immediates[0]);
      out.byte(0x0b);
    });
    const exported = this.#functions.filter((entry) => entry.exported);
    vectorSection(out, 7, exported, ({ name, index }) => out.name(name).byte(0x00).u32(index));
    vectorSection(out, 10, this.#functions, (entry) => out.sized(() => entry.write(out)));
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

  /** The custom section that gives functions, parameters and globals their names in tools. */
  #writeNames(out: ByteWriter): void {
    const names = (entries: readonly (readonly [number, string])[]) => {
      out.u32(entries.length);
      for (const [index, name] of entries) out.u32(index).name(name);
    };
    const functions = [
      ...this.#imports.map(({ module, name }, i) => [i, `${module}.${name}`] as const),
      ...this.#functions.map(({ index, name }) => [index, name] as const),
    ];
    const named = this.#functions.flatMap(({ index, params, localNames }) => {
      const list = params.flatMap((_, i) => {
        const name = localNames[i];
        return name === undefined ? [] : [[i, name] as const];
      });
      return list.length > 0 ? [{ index, list }] : [];
    });
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
          names(entry.list);
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

/** Writes a constant in its normal form. */
function writeConstant(out: ByteWriter, kind: ConstantKind, value: number | bigint): void {
  switch (kind) {
    case 'i32':
      out.signed32(Number(value));
      break;
    case 'i64':
      out.signed(BigInt(value));
      break;
    case 'f32':
      out.littleEndian(BigInt(value), 4);
      break;
    case 'f64':
      out.littleEndian(BigInt(value), 8);
      break;
    default: {
      kind satisfies never;
    }
  }
}
