// The WebAssembly assembler: what small modules compute under the engine, that wabt reads the text
// form back as the very same bytes for every instruction, and which misuse is caught.

import { expect, test } from 'vitest';
import wabt from 'wabt';
import type { FunctionBuilder, Immediate } from '../../src/codegen/wasm/assembler.ts';
import { ModuleBuilder } from '../../src/codegen/wasm/assembler.ts';
import type { Opcode } from '../../src/codegen/wasm/opcodes.ts';
import { OPCODES } from '../../src/codegen/wasm/opcodes.ts';
import { InternalError } from '../../src/core/error.ts';

const FEATURES = { simd: true, threads: true, relaxed_simd: true, bulk_memory: true };

type Fn = (...args: (number | bigint)[]) => number | bigint | undefined;

/** The functions a module exports, once from its bytes and once from its text read by wabt. */
async function instances(
  builder: ModuleBuilder,
  imports: WebAssembly.Imports = {},
): Promise<Record<string, Fn>[]> {
  const binaries = [builder.toBytes(), await bytesOfText(builder)];
  return binaries.map((bytes) => {
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), imports);
    return instance.exports as Record<string, Fn>;
  });
}

async function bytesOfText(builder: ModuleBuilder): Promise<Uint8Array<ArrayBuffer>> {
  const module = (await wabt()).parseWat('module.wat', builder.toWat(), FEATURES);
  // `validate` takes features too, which its types leave out.
  const checked: { validate(features: typeof FEATURES): void } = module;
  try {
    checked.validate(FEATURES);
    return new Uint8Array(module.toBinary({ write_debug_names: false }).buffer);
  } finally {
    module.destroy();
  }
}

/** A module with one exported function `f`. */
function single(
  params: ConstructorParameters<typeof FunctionBuilder>[2],
  results: ConstructorParameters<typeof FunctionBuilder>[3],
  write: (f: FunctionBuilder) => void,
): ModuleBuilder {
  const builder = new ModuleBuilder();
  write(builder.func('f', [...params], [...results], { export: true }));
  return builder;
}

/** The bytes of a module up to its name section, which comes last. */
function withoutNames(bytes: Uint8Array): Uint8Array {
  let at = 8;
  while (at < bytes.length && bytes[at] !== 0) {
    let size = 0;
    let next = at + 1;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[next++] ?? 0;
      size |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    at = next + size;
  }
  return bytes.subarray(0, at);
}

/** Immediates that fit an instruction; branches go to the function. */
function sampleImmediates(op: Opcode): Immediate[] {
  const sixteen = Array.from({ length: 16 }, (_, i) => (i * 13 + 1) % (op.lanes || 256));
  switch (op.immediates) {
    case 'none':
    case 'memory':
    case 'block':
      return [];
    case 'brtable':
      return [[0, 0], 0];
    case 'i32':
      return [-129];
    case 'i64':
      return [-(2n ** 63n)];
    case 'f32':
    case 'f64':
      return [0.1];
    case 'mem':
      return op.atomic ? [200] : [200, 1];
    case 'memlane':
      return [70000, op.lanes - 1];
    case 'lane':
      return [op.lanes - 1];
    case 'shuffle':
    case 'v128':
      return [sixteen];
    case 'local':
    case 'global':
    case 'func':
    case 'label':
      return [0];
  }
}

test('wabt encodes the text of every instruction to the same bytes', async () => {
  const builder = new ModuleBuilder();
  builder.importMemory('env', 'memory', { min: 1, max: 2, shared: true });
  builder.importFunc('env', 'log', ['i32', 'f64'], []);
  builder.global('i32', -1, true, 'counter');
  builder.global('f32', Number.NaN, false);
  builder.global('v128', (1n << 127n) | 5n, false, 'mask');
  for (const op of OPCODES.values()) {
    if (op.name === 'else' || op.name === 'end') continue;
    const f = builder.func(op.name, ['i32'], []);
    // After `unreachable` operands may be of any type, so each instruction is valid by itself.
    f.op('unreachable').op(op.name, ...sampleImmediates(op));
    if (op.name === 'if') f.else_().op('nop');
    if (op.immediates === 'block') f.end();
    f.op('unreachable');
  }
  const bytes = builder.toBytes();
  expect(withoutNames(bytes).length).toBeLessThan(bytes.length);
  expect(Buffer.from(withoutNames(bytes)).equals(Buffer.from(await bytesOfText(builder)))).toBe(
    true,
  );
});

test('a loop adds up its counter, with locals of several types', async () => {
  const builder = single(['i32'], ['f32'], (f) => {
    const i = f.local('i32', 'i');
    const sum = f.local('f32', 'sum');
    f.local('i32');
    f.block().loop();
    expect(f.depth).toBe(2);
    f.op('local.get', i).op('local.get', f.param(0)).op('i32.ge_s').op('br_if', 1);
    f.op('local.get', i).op('i32.const', 1).op('i32.add').op('local.tee', i);
    f.op('f32.convert_i32_s').op('local.get', sum).op('f32.add').op('local.set', sum);
    f.op('br', 0).end().end();
    f.op('local.get', sum);
  });
  for (const { f } of await instances(builder)) expect(f?.(10)).toBe(55);
});

test('simd adds vectors in memory, byte by byte stored and read', async () => {
  const builder = new ModuleBuilder();
  builder.importMemory('env', 'memory', { min: 1, shared: false });
  const f = builder.func('f', ['i32'], ['f32'], { export: true, paramNames: ['at'] });
  f.op('local.get', 0).op('local.get', 0).op('v128.load', 0, 4);
  f.op('local.get', 0).op('v128.load', 16).op('f32x4.add').op('v128.store', 32);
  f.op('local.get', 0).op('v128.load', 32).op('f32x4.extract_lane', 3);
  f.op('local.get', 0).op('local.get', 0).op('v128.load', 0).op('v128.store32_lane', 300, 2);
  const memory = new WebAssembly.Memory({ initial: 1 });
  const floats = new Float32Array(memory.buffer);
  for (const exports of await instances(builder, { env: { memory } })) {
    floats.fill(0);
    floats.set([1, 2, 3, 4, 10, 20, 30, 40], 1);
    expect(exports.f?.(4)).toBe(44);
    expect([...floats.subarray(9, 13)]).toEqual([11, 22, 33, 44]);
    expect(floats[76]).toBe(3);
  }
});

test('shuffles, vector constants and integer lanes', async () => {
  const bytes = Array.from({ length: 16 }, (_, i) => 255 - i);
  const reversed = Array.from({ length: 16 }, (_, i) => 15 - i);
  const builder = single([], ['i32'], (f) => {
    f.op('v128.const', bytes).op('v128.const', bytes).op('i8x16.shuffle', reversed);
    f.op('i8x16.extract_lane_u', 0);
    f.op('v128.const', bytes).op('i32x4.extract_lane', 3).op('i32.xor');
  });
  const word = new DataView(new Uint8Array(bytes).buffer).getInt32(12, true);
  for (const { f } of await instances(builder)) expect(f?.()).toBe(word ^ 240);
});

test('compare and exchange, notify and fence on a shared memory', async () => {
  const builder = new ModuleBuilder();
  builder.importMemory('env', 'memory', { min: 1, max: 1, shared: true });
  const cas = builder.func('cas', ['i32', 'i32'], ['i32'], { export: true });
  cas.op('i32.const', 8).op('local.get', 0).op('local.get', 1);
  cas.op('i32.atomic.rmw.cmpxchg', 4).op('atomic.fence');
  const wake = builder.func('wake', [], ['i32'], { export: true });
  wake.op('i32.const', 8).op('i32.const', 1).op('memory.atomic.notify', 4);
  const add = builder.func('add', ['i64'], ['i64'], { export: true });
  add.op('i32.const', 16).op('local.get', 0).op('i64.atomic.rmw.add', 0);
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const words = new Int32Array(memory.buffer);
  for (const exports of await instances(builder, { env: { memory } })) {
    words.fill(0);
    expect(exports.cas?.(0, 7)).toBe(0);
    expect(exports.cas?.(0, 9)).toBe(7);
    expect(words[3]).toBe(7);
    expect(exports.wake?.()).toBe(0);
    exports.add?.(-3n);
    expect(exports.add?.(0n)).toBe(-3n);
  }
});

test('br_table picks a block, and its default', async () => {
  const builder = single(['i32'], ['i32'], (f) => {
    f.block().block().block();
    f.op('local.get', 0).op('br_table', [0, 1], 2);
    f.end().op('i32.const', 100).op('return');
    f.end().op('i32.const', 101).op('return');
    f.end().op('i32.const', -1);
  });
  for (const { f } of await instances(builder)) {
    expect([0, 1, 2, -5].map((i) => f?.(i))).toEqual([100, 101, -1, -1]);
  }
});

test('if with a result, calls of imports and of functions, globals', async () => {
  const builder = new ModuleBuilder();
  const log = builder.importFunc('env', 'log', ['f64'], ['f64']);
  const count = builder.global('i64', 40n, true, 'count');
  const inner = builder.func('inner', ['i32'], ['f64']);
  inner.op('local.get', 0).if_('f64').op('f64.const', 0.5).else_().op('f64.const', -0).end();
  const outer = builder.func('outer', ['i32'], ['f64'], { export: true });
  outer.op('global.get', count).op('i64.const', 1).op('i64.add').op('global.set', count);
  outer.op('local.get', 0).op('call', inner.index).op('call', log);
  const total = builder.func('total', [], ['i64'], { export: true });
  total.op('global.get', count);
  const seen: number[] = [];
  const imports = { env: { log: (x: number) => seen.push(x) && x } };
  for (const exports of await instances(builder, imports)) {
    expect(exports.outer?.(1)).toBe(0.5);
    expect(exports.outer?.(0)).toBe(-0);
    expect(exports.total?.()).toBe(42n);
  }
  expect(seen).toEqual([0.5, -0, 0.5, -0]);
});

test.each([
  [Number.NaN, 0x7fc00000],
  [0xffa01234n, 0xffa01234],
  [0x7f800001n, 0x7f800001],
  [-0, 0x80000000],
  [Number.NEGATIVE_INFINITY, 0xff800000],
  [0.1, 0x3dcccccd],
  [2 ** -149, 1],
  [3.4028234663852886e38, 0x7f7fffff],
])('the f32 constant %s has the bits %i', async (value, bits) => {
  const builder = single([], ['i32'], (f) => f.op('f32.const', value).op('i32.reinterpret_f32'));
  for (const { f } of await instances(builder)) expect(Number(f?.()) >>> 0).toBe(bits);
});

test.each([Number.NaN, -0, Math.PI, 5e-324, 1e300, Number.POSITIVE_INFINITY])(
  'the f64 constant %s comes back',
  async (value) => {
    const builder = single([], ['f64'], (f) => f.op('f64.const', value));
    for (const { f } of await instances(builder)) expect(f?.()).toBe(value);
  },
);

const EDGES = [0, 1, 63, 64, 127, 128, 8191, 8192, 2 ** 20, 2 ** 31 - 1];

test.each([...EDGES, ...EDGES.map((n) => -n - 1)])('the i32 constant %i', async (n) => {
  const builder = single([], ['i32'], (f) => f.op('i32.const', n));
  for (const { f } of await instances(builder)) expect(f?.()).toBe(n | 0);
});

test('unsigned constants wrap to signed ones, and i64 keeps all bits', async () => {
  const values = [-1n, -64n, -65n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 64n - 2n, 2n ** 53n + 1n];
  for (const value of values) {
    const builder = single([], ['i64'], (f) => f.op('i64.const', value));
    for (const { f } of await instances(builder)) expect(f?.()).toBe(BigInt.asIntN(64, value));
  }
  const builder = single([], ['i32'], (f) => f.op('i32.const', 0xfffffffe));
  for (const { f } of await instances(builder)) expect(f?.()).toBe(-2);
});

test('i64 arithmetic and widening', async () => {
  const builder = single(['i32', 'i32'], ['i64'], (f) => {
    f.op('local.get', 0).op('i64.extend_i32_s').op('local.get', 1).op('i64.extend_i32_s');
    f.op('i64.mul').op('i64.const', -5).op('i64.add');
  });
  for (const { f } of await instances(builder))
    expect(f?.(-(2 ** 31), 2 ** 31 - 1)).toBe(-(2n ** 62n) + 2n ** 31n - 5n);
});

test('names: the name section, and unique sanitised names in the text', async () => {
  const builder = new ModuleBuilder();
  builder.importMemory('env', 'a "memory"', { min: 1, shared: false });
  const first = builder.func('mat mul', ['i32'], ['i32'], { export: true, paramNames: ['n'] });
  first.local('f32', 'n');
  first.op('local.get', 0);
  const second = builder.func('mat_mul', ['i32'], ['i32']);
  second.block().op('br', 0).end().op('local.get', 0).op('call', first.index);
  expect(builder.funcWat(0)).toBe(
    '(func $mat_mul (export "mat mul") (param $n i32) (result i32)\n' +
      '  (local $n_2 f32)\n' +
      '  local.get $n)\n',
  );
  expect(builder.funcWat(1)).toBe(
    '(func $mat_mul_2 (param $p0 i32) (result i32)\n' +
      '  block $B0\n' +
      '    br $B0\n' +
      '  end\n' +
      '  local.get $p0\n' +
      '  call $mat_mul)\n',
  );
  expect(builder.toWat()).toContain('(import "env" "a \\22memory\\22" (memory $memory 1))');
  const bytes = builder.toBytes();
  expect(WebAssembly.Module.customSections(new WebAssembly.Module(bytes), 'name')).toHaveLength(1);
  const named = (await wabt()).readWasm(bytes, { readDebugNames: true });
  named.applyNames();
  expect(named.toText({})).toMatch(/\$mat_mul[^\n]*\$n i32/);
  named.destroy();
});

test('misuse is an internal error that names the function', () => {
  const cases: [string, (f: FunctionBuilder) => void][] = [
    ['unknown instruction "i32.plus"', (f) => f.op('i32.plus')],
    ['i32.add takes 0 immediate(s), got 1', (f) => f.op('i32.add', 1)],
    ['i32.const takes 1 immediate(s), got 0', (f) => f.op('i32.const')],
    ['i32.const: 4294967296 is out of range', (f) => f.op('i32.const', 2 ** 32)],
    ['i32.const: 0.5 is out of range', (f) => f.op('i32.const', 0.5)],
    ['local.get: immediate 1 ', (f) => f.op('local.get', 1)],
    ['global.get: immediate 0 ', (f) => f.op('global.get', 0)],
    ['call: immediate 1 ', (f) => f.op('call', 1)],
    ['br: immediate 2 ', (f) => f.block().op('br', 2)],
    ['br_table takes an array', (f) => f.op('br_table', 0, 0)],
    ['f32.load needs an imported memory', (f) => f.op('f32.load', 0)],
    ['i32x4.extract_lane: immediate 4 ', (f) => f.op('i32x4.extract_lane', 4)],
    ['v128.const takes an array of 16 bytes', (f) => f.op('v128.const', [1, 2])],
    ['no parameter 1', (f) => f.param(1)],
    ['else without an open if', (f) => f.block().else_()],
    ['else without an open if', (f) => f.if_().else_().else_()],
    ['end without an open block', (f) => f.end()],
  ];
  for (const [message, write] of cases) {
    const f = new ModuleBuilder().func('kernel', ['i32'], []);
    expect(() => write(f)).toThrow(InternalError);
    expect(() => write(new ModuleBuilder().func('kernel', ['i32'], []))).toThrow(
      `wasm function "kernel": ${message}`,
    );
  }
  const open = new ModuleBuilder();
  open.func('kernel', [], []).block().loop();
  expect(() => open.toBytes()).toThrow(
    'wasm function "kernel": 2 open block(s) at the end: block, loop',
  );
});

test('misuse of a module', () => {
  const builder = new ModuleBuilder();
  const shared = { min: 1, shared: true };
  expect(() => builder.importMemory('env', 'memory', shared)).toThrow('needs a maximum');
  builder.importMemory('env', 'memory', { min: 1, shared: false });
  expect(() => builder.importMemory('env', 'memory', { ...shared, max: 2 })).toThrow('second');
  expect(() => builder.global('i32', 0.5, false, 'half')).toThrow('"half": 0.5');
  const f = builder.func('f', [], [], { export: true });
  expect(() => builder.func('f', [], [], { export: true })).toThrow('second export');
  expect(() => builder.importFunc('env', 'late', [], [])).toThrow('before any function');
  expect(() => builder.funcWat(1)).toThrow('no function 1');
  f.op('i32.const', 0);
  expect(() => f.op('i32.atomic.load', 0, 2)).toThrow('alignment 2 is not one of 4');
  expect(() => f.op('f32.load', 0, 8)).toThrow('alignment 8 is not one of 1, 2, 4');
});
