// The functions of f64, run by the interpreter in primitives, against integers of 1200 bits behind the point: at most 2 ulp
// over their ranges, and what special values must give.

import { describe, expect, it } from 'vitest';
import { makeSym, symDim } from '../../src/core/dim.ts';
import { binary, type Expr, type Lanes, load, type UnaryOp, unary } from '../../src/kernel/expr.ts';
import { interpretKernel } from '../../src/kernel/interpret.ts';
import type { Kernel } from '../../src/kernel/ir.ts';
import { expandMath } from '../../src/kernel/math.ts';
import { PRECISE, ulpError } from '../support/precise.ts';

function run(fn: string, xs: readonly number[], ys?: readonly number[], lanes: Lanes = 1) {
  const axis = makeSym('i0');
  const at = (b: string): Expr => load(b, 'f64', symDim(axis), lanes);
  const value = fn === 'pow' ? binary('pow', at('b0'), at('b1')) : unary(fn as UnaryOp, at('b0'));
  const end = makeSym('d0');
  const kernel: Kernel = {
    name: fn,
    buffers: ['b0', 'b1', 'b2'].map((name, i) => ({
      name,
      type: 'f64',
      access: i < 2 ? 'read' : 'write',
    })),
    params: [end],
    body: [
      {
        kind: 'for',
        axis,
        start: 0,
        end: symDim(end),
        step: lanes,
        role: 'grid',
        body: [{ kind: 'store', buffer: 'b2', index: symDim(axis), value }],
      },
    ],
    flops: 0,
    bytes: 0,
  };
  const out = new Float64Array(xs.length);
  const buffers = [Float64Array.from(xs), Float64Array.from(ys ?? xs), out];
  interpretKernel(expandMath(kernel), buffers, [xs.length]);
  return out;
}

let state = 1;
const random = (): number => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
};

const between = (low: number, high: number, n = 400): number[] =>
  Array.from({ length: n }, () => low + (high - low) * random());

/** Numbers of both signs whose exponents are spread. */
const spread = (low: number, high: number, n = 300): number[] =>
  between(low, high, n).map((e, i) => (i % 2 ? -1 : 1) * 2 ** e * (1 + random()));

const RANGES: Readonly<Record<string, readonly number[]>> = {
  exp: [...between(-230, 700), ...between(-1, 1), ...spread(-60, 0)],
  expm1: [...between(-40, 700), ...between(-2, 2, 2000), ...spread(-100, 0)],
  log: [...between(0, 3), ...between(0.7, 1.5), ...spread(-330, 1000).map(Math.abs)],
  log1p: [...between(-0.999, 3, 2000), ...spread(-100, -2), ...spread(0, 1000).map(Math.abs)],
  tanh: [...between(-3, 3, 1000), ...between(-25, 25), ...spread(-100, 0)],
  erf: [...between(-3, 3, 1000), ...between(-6, 6), ...spread(-100, 0), 0.84375, 1.25, 1 / 0.35],
  sin: [...between(-10, 10), ...between(-1e6, 1e6), ...spread(-100, 0), ...spread(20, 990)],
  cos: [...between(-10, 10), ...between(-1e6, 1e6), ...spread(-100, 0), ...spread(20, 990)],
};

/** Numbers next to multiples of pi/2, where the reduced argument loses the most. */
const NEAR_ZEROS = [
  ...Array.from({ length: 300 }, (_, i) => (i * i * 7 + i) * (Math.PI / 2)),
  6381956970095103 * 2 ** 797,
  22 * 2 ** 53,
];

describe('functions of f64', () => {
  it.each(Object.keys(RANGES))('%s is within 2 ulp', (fn) => {
    const xs = [...RANGES[fn], ...(fn === 'sin' || fn === 'cos' ? NEAR_ZEROS : [])];
    const out = run(fn, xs);
    let worst = { ulp: 0, at: 0 };
    xs.forEach((x, i) => {
      const ulp = ulpError(out[i], PRECISE[fn](x));
      if (!(ulp <= worst.ulp)) worst = { ulp, at: x };
    });
    if (process.env.ULP_REPORT) console.log(fn, worst);
    expect(worst.ulp, `at ${worst.at}`).toBeLessThanOrEqual(2);
  });

  it('pow is within 2 ulp', () => {
    const xs = [...between(0, 3), ...between(0.99, 1.01), ...spread(-20, 20).map(Math.abs)];
    const ys = [...between(-20, 20), ...between(-1000, 1000), ...between(-10, 10, 300)];
    const out = run('pow', xs, ys);
    let worst = { ulp: 0, at: [0, 0] };
    xs.forEach((x, i) => {
      if (Math.abs(Math.log2(out[i])) > 230) return;
      const ulp = ulpError(out[i], PRECISE.pow(x, ys[i]));
      if (!(ulp <= worst.ulp)) worst = { ulp, at: [x, ys[i]] };
    });
    if (process.env.ULP_REPORT) console.log('pow', worst);
    expect(worst.ulp, `at ${worst.at}`).toBeLessThanOrEqual(2);
  });

  it('agrees with JavaScript where results are huge, subnormal or special', () => {
    const special = [
      0,
      -0,
      1,
      -1,
      Infinity,
      -Infinity,
      Number.NaN,
      709.7,
      710,
      -745,
      -745.2,
      -709,
      5e-324,
    ];
    const edge = [
      ...special,
      -708.5,
      1e300,
      -1e300,
      2 ** -1060,
      2 ** -1022,
      1e-310,
      -5e-324,
      2 ** 53,
    ];
    for (const fn of ['exp', 'expm1', 'log', 'log1p', 'tanh', 'sin', 'cos'] as const) {
      run(fn, edge).forEach((got, i) => {
        const want = Math[fn](edge[i]);
        const near = Math.abs(got - want) <= Math.max(5e-324, Math.abs(want) * 2 ** -51);
        expect(Object.is(got, want) || near, `${fn}(${edge[i]}) = ${got}, not ${want}`).toBe(true);
      });
    }
    const pairs = special.flatMap((x) =>
      [...special, 0.5, 3, -3, 2 ** 53].map((y) => [x, y] as const),
    );
    const out = run(
      'pow',
      pairs.map(([x]) => x),
      pairs.map(([, y]) => y),
    );
    pairs.forEach(([x, y], i) => {
      const want = x === 1 || (x === -1 && Math.abs(y) === Infinity) ? 1 : x ** y;
      const near = Math.abs(out[i] - want) <= Math.max(5e-324, Math.abs(want) * 2 ** -51);
      expect(Object.is(out[i], want) || near, `${x} ** ${y} = ${out[i]}, not ${want}`).toBe(true);
    });
  });

  it('gives the same in lanes', () => {
    for (const fn of Object.keys(RANGES)) {
      const xs = RANGES[fn].slice(0, 100);
      expect(run(fn, xs, undefined, 2)).toEqual(run(fn, xs));
    }
  });
});
