// Kernels for tests of generated WGSL, made in few words, and the comparison of what the GPU computes
// with what the interpreter does.

import { expect } from 'vitest';
import { addDim, type Dim, dimOf, makeSym, mulDim, symDim } from '../../src/core/dim.ts';
import type { StorageType } from '../../src/core/dtype.ts';
import { type Expr, load } from '../../src/kernel/expr.ts';
import { interpretKernel } from '../../src/kernel/interpret.ts';
import type { AxisRole, BufferParam, Kernel, Stmt } from '../../src/kernel/ir.ts';
import { type RunOptions, runWgsl, type TypedArray } from './wgsl-run.ts';

/** `f i8 b!`: the type (`f` f32, `i` i32, `b` bool, or a part of a word), then `!` for what is written. */
export function kernelOf(
  buffers: string,
  params: readonly string[],
  body: readonly Stmt[],
): Kernel {
  const types: { readonly [c: string]: StorageType } = { f: 'f32', i: 'i32', b: 'bool' };
  return {
    name: 'k',
    buffers: buffers.split(' ').map(
      (text, i): BufferParam => ({
        name: `b${i}`,
        type: types[text.replace('!', '')] ?? (text.replace('!', '') as StorageType),
        access: text.endsWith('!') ? 'write' : 'read',
      }),
    ),
    params: params.map((p) => makeSym(p)),
    body,
    flops: 0,
    bytes: 0,
  };
}

export const sym = (id: string): Dim => symDim(makeSym(id));
export const axis = (id: string, extent: Dim): Dim => dimOf(id, id, { extent });

export function loop(
  role: AxisRole,
  id: string,
  end: Dim,
  body: readonly Stmt[],
  start: Dim = 0,
): Stmt {
  const range = start === 0 ? { extent: end } : {};
  return { kind: 'for', axis: makeSym(id, id, range), start, end, step: 1, role, body };
}
export const store = (buffer: string, index: Dim, value: Expr): Stmt => ({
  kind: 'store',
  buffer,
  index,
  value,
});
export const variable = (name: string, init: Expr): Stmt => ({
  kind: 'var',
  name,
  type: init.type,
  lanes: 1,
  init,
});
export const set = (name: string, value: Expr): Stmt => ({ kind: 'set', name, value });
export const bind = (name: string, value: Expr): Stmt => ({ kind: 'let', name, value });

/** Numbers between -2 and 2 that look random. */
export function numbers(count: number, seed = 1): Float32Array {
  let x = seed;
  return Float32Array.from({ length: count }, () => {
    x = (Math.imul(x, 1664525) + 1013904223) | 0;
    return x / 2 ** 30;
  });
}

export function expectClose(got: TypedArray, want: TypedArray, tolerance: number, floor = 0): void {
  expect(got.length).toBe(want.length);
  for (let i = 0; i < got.length; i++) {
    const [g, w] = [got[i], want[i]];
    // NaN and infinity have to be the same, signs of zero do not.
    if (Object.is(g, w) || g === w) continue;
    const error = Math.abs(g - w);
    if (!(error <= tolerance * Math.max(Math.abs(w), floor))) expect([i, g]).toEqual([i, w]);
  }
}

/** Runs a kernel both ways; what is written has to agree. */
export async function check(
  kernel: Kernel,
  buffers: readonly TypedArray[],
  params: readonly number[] = [],
  tolerance = 0,
  floor = 0,
  options: RunOptions = {},
): Promise<number | undefined> {
  const want = buffers.map((b) => b.slice());
  const got = buffers.map((b) => b.slice());
  interpretKernel(kernel, want, params);
  const failed = await runWgsl(kernel, got, params, options);
  kernel.buffers.forEach((b, i) => {
    if (b.access !== 'read') expectClose(got[i], want[i], tolerance, floor);
  });
  return failed;
}

export const FLOATS = [
  0,
  1,
  -1,
  0.5,
  1.5,
  2.5,
  -2.5,
  0.1,
  3.7,
  -3.7,
  1e-3,
  20,
  -20,
  88,
  -88,
  89,
  1e9,
  -1e9,
  3e9,
  -3e9,
  1e30,
  -1e30,
  2 ** 23 + 1,
  2147483520,
  Infinity,
  -Infinity,
  Number.NaN,
];
/** Where the range of f32 ends, and numbers next to zero. */
export const EDGES = [
  ...[0, -0, 3.4028234663852886e38, -3.4028234663852886e38, 1.17549435e-38, -1.17549435e-38],
  ...[1e-20, -1e-20, 5.9604645e-8, -5.9604645e-8, 9e37, 0.99999994, 1.0000001, -0.99999994],
  ...[88.72283, 88.72284, -87.3, 103.9, 16777216, 33554432, Infinity, -Infinity, Number.NaN],
];

/** Arguments of waves: next to multiples of a quarter turn, and large ones. */
export const WAVES = [
  ...[
    Math.fround(Math.PI / 2),
    Math.fround(Math.PI),
    -Math.fround(Math.PI),
    4.712389,
    6.2831855,
    0.78539816,
    2.3561945,
    1000,
    1999.9,
  ],
  ...[2000.5, -31415.926, 12345.678, 1e5, 1e7, 1.2345678e15, 8.5e37, -2.2e22],
];

export const INTS = [
  0, 1, -1, 2, -2, 7, -7, 31, 32, 33, 65535, 65536, 123456789, -123456789, 0x7fffffff, -0x80000000,
];

export interface SweepOptions {
  readonly tolerance?: number;
  /** Below this size of a result the tolerance is absolute. */
  readonly floor?: number;
  readonly values?: readonly number[];
}

/** Runs `fn` on all pairs of values in one kernel. */
export async function sweep(
  type: 'f32' | 'i32',
  fn: (a: Expr, b: Expr) => Expr,
  options: SweepOptions = {},
): Promise<void> {
  const { tolerance = 0, floor = 0, values = type === 'f32' ? FLOATS : INTS } = options;
  const n = values.length;
  const [i, j] = [axis('i', n), axis('j', n)];
  const value = fn(load('b0', type, i), load('b0', type, j));
  const out = value.type[0];
  const inner = loop('grid', 'j', n, [store('b1', addDim(mulDim(i, n), j), value)]);
  const kernel = kernelOf(`${type[0]} ${out}!`, [], [loop('grid', 'i', n, [inner])]);
  const data = type === 'f32' ? Float32Array.from(values) : Int32Array.from(values);
  const result = out === 'f' ? new Float32Array(n * n) : new Int32Array(n * n);
  await check(kernel, [data, result], [], tolerance, floor);
}
