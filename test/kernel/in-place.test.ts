// Which results of a kernel may take the place of an input.

import { describe, expect, it } from 'vitest';
import { addDim, type Dim, makeSym, symDim } from '../../src/core/dim.ts';
import {
  add,
  cast,
  constant,
  type Expr,
  letRef,
  load,
  unary,
  varRef,
} from '../../src/kernel/expr.ts';
import { inPlacePairs } from '../../src/kernel/in-place.ts';
import type { Kernel, Stmt } from '../../src/kernel/ir.ts';

const minus = (x: Expr): Expr => unary('neg', x);
const n = makeSym('n', 'n');
const i = makeSym('i0', 'i0');
const at = symDim(i);
const f = (b: number, index: Dim = at): Expr => load(`b${b}`, 'f32', index);
const store = (b: number, value: Expr, index: Dim = at): Stmt => ({
  kind: 'store',
  buffer: `b${b}`,
  index,
  value,
});

/** A kernel over one axis that reads the first buffers and writes the rest. */
function kernel(reads: number, types: readonly ('f32' | 'u8')[], body: readonly Stmt[]): Kernel {
  return {
    name: 'k',
    buffers: types.map((type, b) => ({
      name: `b${b}`,
      type,
      access: b < reads ? ('read' as const) : ('write' as const),
    })),
    params: [n],
    body: [{ kind: 'for', axis: i, start: 0, end: symDim(n), step: 1, role: 'grid', body }],
    flops: 0,
    bytes: 0,
  };
}

describe('inPlacePairs', () => {
  it('takes inputs that are read where the result is written', () => {
    const k = kernel(2, ['f32', 'f32', 'f32'], [store(2, add(f(0), f(1)))]);
    expect(inPlacePairs(k)).toEqual([
      { input: 0, result: 2 },
      { input: 1, result: 2 },
    ]);
  });

  it('leaves inputs that are read elsewhere too, or broadcast', () => {
    const k = kernel(
      2,
      ['f32', 'f32', 'f32'],
      [store(2, add(add(f(0), f(0, addDim(at, 1))), f(1, 0)))],
    );
    expect(inPlacePairs(k)).toEqual([]);
  });

  it('leaves inputs of another type', () => {
    const k = kernel(1, ['u8', 'f32'], [store(1, cast('f32', load('b0', 'i32', at)))]);
    expect(inPlacePairs(k)).toEqual([]);
  });

  it('leaves inputs that are read after the result is written', () => {
    const late = kernel(1, ['f32', 'f32', 'f32'], [store(1, minus(f(0))), store(2, f(0))]);
    expect(inPlacePairs(late)).toEqual([{ input: 0, result: 2 }]);
    const held = kernel(
      1,
      ['f32', 'f32', 'f32'],
      [
        { kind: 'let', name: 't', value: f(0) },
        store(1, minus(letRef('t', 'f32'))),
        store(2, letRef('t', 'f32')),
      ],
    );
    expect(inPlacePairs(held)).toEqual([
      { input: 0, result: 1 },
      { input: 0, result: 2 },
    ]);
  });

  it('leaves kernels with loops inside', () => {
    const r = makeSym('r0', 'r0');
    const sum: Stmt[] = [
      { kind: 'var', name: 's', type: 'f32', lanes: 1, init: constant('f32', 0) },
      {
        kind: 'for',
        axis: r,
        start: 0,
        end: symDim(n),
        step: 1,
        role: 'reduce',
        combine: [{ variable: 's', op: 'add' }],
        body: [{ kind: 'set', name: 's', value: add(varRef('s', 'f32'), f(0, symDim(r))) }],
      },
      store(1, varRef('s', 'f32')),
    ];
    expect(inPlacePairs(kernel(1, ['f32', 'f32'], sum))).toEqual([]);
  });
});
