// Elements of parts of words in generated WGSL against the interpreter: loads that widen, stores that leave
// the rest of the word alone, wherever in it they begin. Skipped where there is no WebGPU.

import { afterAll, describe, expect, it } from 'vitest';
import type { WgslLimits } from '../../src/codegen/wgsl/program.ts';
import { emitWgsl } from '../../src/codegen/wgsl/wgsl.ts';
import { addDim, type Dim, mulDim, subDim } from '../../src/core/dim.ts';
import { add, type Expr, i32, load, varRef } from '../../src/kernel/expr.ts';
import type { Kernel, Stmt } from '../../src/kernel/ir.ts';
import {
  axis,
  check as checkKernel,
  kernelOf,
  loop,
  set,
  store,
  sym,
  variable,
} from '../support/wgsl-check.ts';
import {
  disposeWebgpu,
  LIMITS,
  type TypedArray,
  webgpuAvailable,
  webgpuHas,
} from '../support/wgsl-run.ts';

const available = await webgpuAvailable();
if (!available) console.warn('wgsl-narrow.test.ts: no WebGPU adapter, so no kernel is run');

const hasHalves = await webgpuHas('shader-f16', 'wgsl-narrow.test.ts');

const PARTS = ['i8', 'u8', 'i16', 'u16', 'f16'] as const;
type Type = (typeof PARTS)[number];

/** Floats of 16 bits where the adapter has them, which are no parts of words. */
const HALVES: WgslLimits = { ...LIMITS, float16: true };

const TYPES: readonly (readonly [name: string, type: Type, limits: WgslLimits])[] = [
  ...PARTS.map((type) => [type, type, LIMITS] as const),
  ...(hasHalves ? [['f16 of its own', 'f16', HALVES] as const] : []),
];

/** Values from the ends of a type and between them. */
function values(type: Type, n: number, seed = 1): TypedArray {
  const made = {
    i8: new Int8Array(n),
    u8: new Uint8Array(n),
    i16: new Int16Array(n),
    u16: new Uint16Array(n),
    f16: new Uint16Array(n),
  }[type];
  let x = seed;
  for (let i = 0; i < n; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) | 0;
    made[i] = x >> 7;
  }
  return made;
}

const element = (buffer: string, at: Dim): Expr => load(buffer, 'i32', at);

/** Stores `b0[from + i]` to `b1[to + stride * i]` for all i. */
function moved(type: Type, stride: number, to: Dim = sym('to')): Kernel {
  const i = axis('i', sym('n'));
  const value = element('b0', addDim(sym('from'), i));
  return kernelOf(
    `${type} ${type}!`,
    ['n', 'from', 'to'],
    [loop('grid', 'i', sym('n'), [store('b1', addDim(to, mulDim(i, stride)), value)])],
  );
}

describe.skipIf(!available).each(TYPES)('parts of words: %s', (_, type, limits) => {
  afterAll(disposeWebgpu);

  const check = (kernel: Kernel, buffers: readonly TypedArray[], params: number[], way?: string) =>
    checkKernel(kernel, buffers, params, 0, 0, {
      limits,
      ...(way === undefined ? {} : { variant: way }),
    });

  it('are moved from anywhere to anywhere', async () => {
    for (const n of [0, 1, 3, 4, 5, 17, 300]) {
      for (const [from, to] of [
        [0, 0] as const,
        [1, 2] as const,
        [3, 1] as const,
        [2, 3] as const,
      ]) {
        const buffers = [values(type, n + 5), values(type, n + 7, 9)];
        await check(moved(type, 1), buffers, [n, from, to]);
        const whole = [values(type, n + 5), values(type, n, 9)];
        await check(moved(type, 1, 0), whole, [n, from, 0]);
      }
    }
  });

  it('are stored apart from each other, and backwards', async () => {
    await check(moved(type, 2), [values(type, 40), values(type, 83, 9)], [40, 0, 1]);
    await check(moved(type, 7), [values(type, 9), values(type, 65, 9)], [9, 0, 2]);
    await check(moved(type, -1), [values(type, 70), values(type, 71, 9)], [69, 1, 69]);
  });

  it('are stored in loops within a point, and across them', async () => {
    const [m, n] = [sym('m'), sym('n')];
    const [i, j] = [axis('i', m), axis('j', n)];
    const value = element('b0', addDim(mulDim(i, n), j));
    for (const at of [addDim(mulDim(i, n), j), addDim(mulDim(j, m), i)]) {
      const body = [loop('grid', 'i', m, [loop('lane', 'j', n, [store('b1', at, value)])])];
      const kernel = kernelOf(`${type} ${type}!`, ['m', 'n'], body);
      for (const [rows, columns] of [[3, 5] as const, [67, 33] as const, [5, 1] as const]) {
        const size = rows * columns;
        await check(kernel, [values(type, size), values(type, size, 9)], [rows, columns]);
      }
    }
  });

  it('are updated in place', async () => {
    const i = axis('i', sym('n'));
    const at = addDim(i, 1);
    const [old, more] = [element('b0', at), element('b1', i)];
    const sum = add(old, more);
    const kernel = kernelOf(
      `${type}! ${type}`,
      ['n'],
      [loop('grid', 'i', sym('n'), [store('b0', at, sum)])],
    );
    const inPlace: Kernel = {
      ...kernel,
      buffers: kernel.buffers.map((b, k) => (k === 0 ? { ...b, access: 'readwrite' } : b)),
    };
    await check(inPlace, [values(type, 131), values(type, 130, 5)], [130]);
  });

  it('are stored in turns that depend on each other', async () => {
    const i = axis('i', subDim(sym('n'), 1));
    const at = addDim(i, 1);
    const before = element('b0', i);
    const value = add(before, i32(3));
    const kernel = kernelOf(
      `${type}!`,
      ['n'],
      [loop('serial', 'i', subDim(sym('n'), 1), [store('b0', at, value)])],
    );
    const inPlace: Kernel = { ...kernel, buffers: [{ ...kernel.buffers[0], access: 'readwrite' }] };
    await check(inPlace, [values(type, 23)], [23]);
  });

  it('are the results of reductions in every way there is', async () => {
    const [m, n] = [sym('m'), sym('n')];
    const [i, j] = [axis('i', m), axis('j', n)];
    const acc = varRef('acc', 'i32');
    const turn = loop('reduce', 'j', n, [
      set('acc', add(acc, element('b0', addDim(mulDim(i, n), j)))),
    ]);
    const combined = { ...turn, combine: [{ variable: 'acc', op: 'add' }] } as Stmt;
    const body = [variable('acc', i32(0)), combined, store('b1', i, acc)];
    const kernel = kernelOf(`${type} ${type}!`, ['m', 'n'], [loop('grid', 'i', m, body)]);
    for (const { name } of emitWgsl(kernel, limits).variants) {
      const buffers = [values(type, 7 * 130), values(type, 7, 9)];
      await check(kernel, buffers, [7, 130], name);
    }
  });
});

describe('parts of words', () => {
  it('are stored by whole words where points lie side by side', () => {
    const names = (stride: number, to: Dim): string[] =>
      emitWgsl(moved('u8', stride, to), LIMITS).variants.map((v) => v.name);
    expect(names(1, 0)).toEqual(['words']);
    expect(names(1, sym('to'))).toEqual(['points']);
    expect(names(2, 0)).toEqual(['points']);
  });
});

describe('floats of 16 bits', () => {
  const textOf = (limits: WgslLimits): string => {
    const { variants } = emitWgsl(moved('f16', 1), limits);
    expect(variants.map((v) => v.name)).toEqual(['points']);
    return variants[0].dispatches[0].code;
  };

  it('are parts of words where the adapter does not know them', () => {
    expect(textOf(LIMITS)).not.toMatch(/f16|enable/);
    expect(textOf(LIMITS)).toContain('atomicOr');
  });

  it('are loaded and stored one by one where it does', () => {
    const code = textOf(HALVES);
    expect(code).toMatch(/^enable f16;\n/);
    expect(code).toContain('var<storage, read_write> b1: array<f16>;');
    expect(code).toMatch(/^ {2}b1\[.*\] = half_from\(half_bits\(b0\[.*\]\)\);$/m);
    expect(code).not.toContain('atomic');
  });

  it.skipIf(!hasHalves)('keep all their bits, and leave the last word alone', async () => {
    const all = Uint16Array.from({ length: 65535 }, (_, bits) => bits);
    const kernel = moved('f16', 1, 0);
    for (const from of [0, 1]) {
      const to = new Uint16Array(65535 - from);
      await checkKernel(kernel, [all, to], [to.length, from, 0], 0, 0, { limits: HALVES });
    }
  });
});
