// Measures the expansion of pow, run by the interpreter, against double precision: ulp errors over
// bases and exponents of all magnitudes, C's special cases, and integers.

import { describe, expect, it } from 'vitest';
import { makeSym, symDim } from '../../src/core/dim.ts';
import { binary, type Lanes, load } from '../../src/kernel/expr.ts';
import { interpretKernel } from '../../src/kernel/interpret.ts';
import type { Kernel } from '../../src/kernel/ir.ts';
import { expandMath } from '../../src/kernel/math.ts';
import { powFloat, powInt } from '../../src/util/numeric.ts';

function powKernel(type: 'f32' | 'i32', lanes: Lanes): Kernel {
  const i = makeSym('i0');
  const value = binary(
    'pow',
    load('b0', type, symDim(i), lanes),
    load('b1', type, symDim(i), lanes),
  );
  const n = makeSym('d0');
  return {
    name: 'map_pow',
    buffers: [
      { name: 'b0', type, access: 'read' },
      { name: 'b1', type, access: 'read' },
      { name: 'b2', type, access: 'write' },
    ],
    params: [n],
    body: [
      {
        kind: 'for',
        axis: i,
        start: 0,
        end: symDim(n),
        step: lanes,
        role: 'grid',
        body: [{ kind: 'store', buffer: 'b2', index: symDim(i), value }],
      },
    ],
    flops: 0,
    bytes: 0,
  };
}

function run(pairs: readonly (readonly [number, number])[], lanes: Lanes = 1): Float32Array {
  const x = Float32Array.from(pairs, (p) => p[0]);
  const y = Float32Array.from(pairs, (p) => p[1]);
  const out = new Float32Array(pairs.length);
  interpretKernel(expandMath(powKernel('f32', lanes)), [x, y, out], [pairs.length]);
  return out;
}

/** Numbers of all magnitudes, the same in every run. */
function* draws(): Generator<number> {
  let seed = 7;
  for (;;) {
    seed = (Math.imul(seed, 1664525) + 1013904223) | 0;
    yield (seed >>> 0) / 2 ** 32;
  }
}

const SPECIAL = [
  0,
  -0,
  1,
  -1,
  2,
  -2,
  0.5,
  -0.5,
  3,
  -3,
  Infinity,
  -Infinity,
  Number.NaN,
  2 ** -149,
  -(2 ** -149),
  3.4e38,
  16777215,
  -16777215,
  33554434,
  0.3,
  -1.5,
  2.5,
];

/** An ulp of a result, those of subnormal ones included. */
const ulpAt = (y: number): number =>
  2 ** (Math.max(-126, Math.min(127, Math.floor(Math.log2(Math.abs(y)) + 1e-9))) - 23);

describe('pow', () => {
  it('is within 2 ulp where the result is finite', () => {
    const next = draws();
    const draw = (): number => next.next().value as number;
    const pairs = Array.from({ length: 60000 }, (_, i): [number, number] => {
      const x = i % 2 ? Math.fround(2 ** (250 * draw() - 125)) : Math.fround(2 * draw() + 1e-3);
      const limit = Math.min(1e30, 148 / Math.abs(Math.log2(x)));
      return [x, Math.fround((2 * draw() - 1) * limit)];
    });
    const out = run(pairs);
    let worst = 0;
    pairs.forEach(([x, y], i) => {
      const exact = powFloat(x, y);
      if (!(Math.abs(exact) < 3.4e38)) return;
      worst = Math.max(worst, Math.abs(out[i] - exact) / ulpAt(exact));
    });
    if (process.env.ULP_REPORT) console.log('pow', worst.toFixed(3), 'ulp');
    expect(worst).toBeLessThanOrEqual(2);
  });

  it('has the special cases of C', () => {
    const pairs = SPECIAL.flatMap((x) => SPECIAL.map((y): [number, number] => [x, y]));
    for (const lanes of [1, 4] as const) {
      const out = run(pairs, lanes);
      pairs.forEach(([x, y], i) => {
        const exact = Math.fround(powFloat(Math.fround(x), Math.fround(y)));
        const near = Math.abs(out[i] - exact) <= 1e-6 * Math.abs(exact);
        expect(near || Object.is(out[i], exact), `${x} ** ${y} is ${out[i]}`).toBe(true);
      });
    }
  });

  it('of integers wraps around, and truncates negative powers', () => {
    const values = [0, 1, -1, 2, -2, 3, 7, -13, 31, 32, 46341, 2147483647, -2147483648];
    const pairs = values.flatMap((x) => values.map((y): [number, number] => [x, y]));
    pairs.length -= pairs.length % 4;
    for (const lanes of [1, 4] as const) {
      const out = new Int32Array(pairs.length);
      const x = Int32Array.from(pairs, (p) => p[0]);
      const y = Int32Array.from(pairs, (p) => p[1]);
      interpretKernel(expandMath(powKernel('i32', lanes)), [x, y, out], [pairs.length]);
      expect([...out]).toEqual(pairs.map(([a, b]) => powInt(a, b)));
    }
    expect(powInt(-13, 5)).toBe(-371293);
    expect(powInt(3, 21)).toBe(Number(BigInt.asIntN(32, 3n ** 21n)));
  });
});
