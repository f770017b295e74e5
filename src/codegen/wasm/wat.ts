// WebAssembly text: prints a module, or one function of it, as readable flat WAT that a standard
// parser turns back into the same module. Invariant: every `$name` is unique in its name space and
// every instruction stands on its own line, indented by the blocks around it.

import type { Opcode, ValType } from './opcodes.ts';
import { EMPTY_BLOCK, VALTYPE_CODE } from './opcodes.ts';

/**
 * An instruction with its immediates in normal form: indices and lanes as they are; `mem` as offset
 * and alignment in bytes, `memlane` as offset, alignment and lane; `i32` as a signed number, `i64`
 * as a signed bigint; `f32` and `f64` as their bits in an unsigned bigint; `v128` and `shuffle` as
 * 16 bytes; `brtable` as all labels with the default last; `block` as its type code.
 */
export interface Instruction {
  readonly op: Opcode;
  readonly immediates: readonly (number | bigint)[];
}

/** The memory a module imports. */
export interface MemoryImport {
  readonly module: string;
  readonly name: string;
  readonly limits: { readonly min: number; readonly max?: number; readonly shared: boolean };
}

/** A function that a module imports. */
export interface FunctionImport {
  readonly module: string;
  readonly name: string;
  readonly params: readonly ValType[];
  readonly results: readonly ValType[];
}

/** A global; `init` is the constant instruction that sets it. */
export interface GlobalEntry {
  readonly type: ValType;
  readonly mutable: boolean;
  readonly name: string | undefined;
  readonly init: Instruction;
}

/** A function with a body; `localNames` has the names given to parameters and locals. */
export interface FunctionEntry {
  readonly name: string;
  readonly exported: boolean;
  readonly params: readonly ValType[];
  readonly results: readonly ValType[];
  readonly locals: readonly ValType[];
  readonly localNames: readonly (string | undefined)[];
  readonly instructions: readonly Instruction[];
}

/** What there is to print: function indices count the imports first. */
export interface ModuleEntry {
  readonly memory: MemoryImport | undefined;
  readonly imports: readonly FunctionImport[];
  readonly globals: readonly GlobalEntry[];
  readonly functions: readonly FunctionEntry[];
}

/** Prints a whole module. */
export function moduleWat(module: ModuleEntry): string {
  const names = namesOf(module);
  const lines = ['(module'];
  if (module.memory !== undefined) lines.push(`  ${memoryLine(module.memory)}`);
  module.imports.forEach((entry, i) => {
    lines.push(`  ${importLine(entry, names.functions[i])}`);
  });
  module.globals.forEach((entry, i) => {
    const type = entry.mutable ? `(mut ${entry.type})` : entry.type;
    const init = instructionText(entry.init, names, [], []);
    lines.push(`  (global $${names.globals[i]} ${type} (${init}))`);
  });
  module.functions.forEach((entry, i) => {
    const name = names.functions[module.imports.length + i];
    for (const line of functionLines(entry, name, names)) lines.push(`  ${line}`);
  });
  return `${lines.join('\n')})\n`;
}

/** Prints the function with the given index, an imported one as its import. */
export function functionWat(module: ModuleEntry, index: number): string {
  const names = namesOf(module);
  const name = names.functions[index];
  const imported = module.imports[index];
  if (imported !== undefined) return `${importLine(imported, name)}\n`;
  const entry = module.functions[index - module.imports.length];
  return entry === undefined ? '' : `${functionLines(entry, name, names).join('\n')}\n`;
}

interface Names {
  readonly functions: readonly string[];
  readonly globals: readonly string[];
}

function namesOf(module: ModuleEntry): Names {
  return {
    functions: uniqueNames([
      ...module.imports.map((entry) => `${entry.module}.${entry.name}`),
      ...module.functions.map((entry) => entry.name),
    ]),
    globals: uniqueNames(module.globals.map((entry, i) => entry.name ?? `global${i}`)),
  };
}

/** Makes WAT identifiers of the names, told apart by a number where two would be the same. */
function uniqueNames(names: readonly string[]): string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    const base = name.replace(/[^\w!#$%&'*+\-./:<=>?@\\^`|~]/g, '_') || '_';
    let id = base;
    for (let n = 2; taken.has(id); n++) id = `${base}_${n}`;
    taken.add(id);
    return id;
  });
}

function quoted(text: string): string {
  let out = '';
  for (const byte of new TextEncoder().encode(text)) {
    const plain = byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c;
    out += plain ? String.fromCharCode(byte) : `\\${byte.toString(16).padStart(2, '0')}`;
  }
  return `"${out}"`;
}

function memoryLine({ module, name, limits }: MemoryImport): string {
  const max = limits.max === undefined ? '' : ` ${limits.max}`;
  const shared = limits.shared ? ' shared' : '';
  const type = `(memory $memory ${limits.min}${max}${shared})`;
  return `(import ${quoted(module)} ${quoted(name)} ${type})`;
}

function importLine(entry: FunctionImport, id: string | undefined): string {
  const params = entry.params.length === 0 ? '' : ` (param ${entry.params.join(' ')})`;
  const type = `(func $${id}${params}${resultText(entry.results)})`;
  return `(import ${quoted(entry.module)} ${quoted(entry.name)} ${type})`;
}

function resultText(results: readonly ValType[]): string {
  return results.length === 0 ? '' : ` (result ${results.join(' ')})`;
}

function functionLines(entry: FunctionEntry, id: string | undefined, names: Names): string[] {
  const { params, locals, localNames } = entry;
  const localIds = uniqueNames(
    [...params, ...locals].map((_, i) => localNames[i] ?? `${i < params.length ? 'p' : 'l'}${i}`),
  );
  let head = `(func $${id}`;
  if (entry.exported) head += ` (export ${quoted(entry.name)})`;
  params.forEach((type, i) => {
    head += ` (param $${localIds[i]} ${type})`;
  });
  const lines = [head + resultText(entry.results)];
  locals.forEach((type, i) => {
    lines.push(`  (local $${localIds[params.length + i]} ${type})`);
  });

  const labels: string[] = [];
  let blocks = 0;
  for (const instruction of entry.instructions) {
    const { name, immediates } = instruction.op;
    if (name === 'end') labels.pop();
    const depth = name === 'else' ? labels.length - 1 : labels.length;
    const indent = '  '.repeat(depth + 1);
    if (immediates === 'block') labels.push(`B${blocks++}`);
    lines.push(indent + instructionText(instruction, names, localIds, labels));
  }
  lines[lines.length - 1] += ')';
  return lines;
}

function instructionText(
  { op, immediates }: Instruction,
  names: Names,
  locals: readonly string[],
  labels: readonly string[],
): string {
  const first = Number(immediates[0] ?? 0);
  const label = (depth: number | bigint) => {
    const name = labels[labels.length - 1 - Number(depth)];
    return name === undefined ? `${depth}` : `$${name}`;
  };
  switch (op.immediates) {
    case 'none':
    case 'memory':
      return op.name;
    case 'local':
      return `${op.name} $${locals[first]}`;
    case 'global':
      return `${op.name} $${names.globals[first]}`;
    case 'func':
      return `${op.name} $${names.functions[first]}`;
    case 'label':
    case 'brtable':
      return `${op.name} ${immediates.map(label).join(' ')}`;
    case 'block':
      return `${op.name} $${labels[labels.length - 1]}${blockResult(first)}`;
    case 'mem':
    case 'memlane':
      return op.name + memText(op, immediates);
    case 'f32':
      return `${op.name} ${floatText(BigInt(first), 8, 23)}`;
    case 'f64':
      return `${op.name} ${floatText(BigInt(immediates[0] ?? 0), 11, 52)}`;
    case 'v128':
      return `${op.name} i32x4 ${words(immediates).join(' ')}`;
    case 'i32':
    case 'i64':
    case 'lane':
    case 'shuffle':
      return `${op.name} ${immediates.join(' ')}`;
  }
}

function blockResult(code: number): string {
  if (code === EMPTY_BLOCK) return '';
  const type = Object.entries(VALTYPE_CODE).find((entry) => entry[1] === code)?.[0];
  return ` (result ${type})`;
}

function memText(op: Opcode, [offset, align, lane]: readonly (number | bigint)[]): string {
  let text = '';
  if (offset !== 0) text += ` offset=${offset}`;
  if (align !== op.align) text += ` align=${align}`;
  return lane === undefined ? text : `${text} ${lane}`;
}

/** The text of a float from its bits, so that signs of zero and payloads of NaN are kept. */
function floatText(bits: bigint, exponentBits: number, mantissaBits: number): string {
  const mantissa = bits & ((1n << BigInt(mantissaBits)) - 1n);
  const exponentMask = (1n << BigInt(exponentBits)) - 1n;
  const exponent = (bits >> BigInt(mantissaBits)) & exponentMask;
  const sign = bits >> BigInt(exponentBits + mantissaBits) === 1n ? '-' : '';
  if (exponent === exponentMask) {
    return sign + (mantissa === 0n ? 'inf' : `nan:0x${mantissa.toString(16)}`);
  }
  const view = new DataView(new ArrayBuffer(8));
  if (mantissaBits === 23) view.setUint32(0, Number(bits));
  else view.setBigUint64(0, bits);
  const value = mantissaBits === 23 ? view.getFloat32(0) : view.getFloat64(0);
  return `${sign}${Math.abs(value)}`;
}

/** The four 32-bit words of 16 bytes, as WAT writes them. */
function words(bytes: readonly (number | bigint)[]): string[] {
  return [0, 4, 8, 12].map((at) => {
    const digits = [3, 2, 1, 0].map((i) =>
      Number(bytes[at + i])
        .toString(16)
        .padStart(2, '0'),
    );
    return `0x${digits.join('')}`;
  });
}
