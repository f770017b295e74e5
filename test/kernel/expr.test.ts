// Expressions as shared objects.

import { describe, expect, it } from 'vitest';
import { type Dim, floorDiv, makeSym, substituteDim, symDim } from '../../src/core/dim.ts';
import { add, dimValue, f32, load, resetExprPool } from '../../src/kernel/expr.ts';

const axis = (extent: number): Dim => symDim(makeSym('i0', 'i0', { extent }));

describe('expressions', () => {
  it('are the same object where they are equal', () => {
    const make = () => add(load('b0', 'f32', axis(8)), f32(1));
    expect(make()).toBe(make());
  });

  it('keep the ranges of their own symbols, whose names come again in other kernels', () => {
    const short = load('b0', 'f32', axis(8));
    const long = load('b0', 'f32', axis(100));
    for (const [e, extent] of [
      [short, 8],
      [long, 100],
    ] as const) {
      if (e.op !== 'load') throw new Error('no load');
      // Division by 8 is nothing only below 8.
      const divided = substituteDim(floorDiv(symDim(makeSym('x')), 8), () => e.index);
      expect(divided === 0).toBe(extent === 8);
    }
    expect(dimValue(axis(8))).not.toBe(dimValue(axis(100)));
  });

  it('stay valid when the pool is emptied', () => {
    const old = load('b0', 'f32', axis(8));
    resetExprPool();
    const sum = add(old, load('b0', 'f32', axis(8)));
    expect(sum.op === 'binary' && sum.args[0]).toBe(old);
  });
});
