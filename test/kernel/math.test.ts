// Measures the expansions of elementary functions, run by the interpreter, against Math.* in double
// precision: ulp errors over many points, and the exact results that special values must have.

import { describe, expect, it } from 'vitest';
import { makeSym, symDim } from '../../src/core/dim.ts';
import { type Expr, type Lanes, load, type UnaryOp, unary } from '../../src/kernel/expr.ts';
import { interpretKernel } from '../../src/kernel/interpret.ts';
import type { Kernel } from '../../src/kernel/ir.ts';
import { expandMath } from '../../src/kernel/math.ts';
import { exprsOf, walkExprs, walkStmts } from '../../src/kernel/rewrite.ts';
import { erf } from '../../src/util/numeric.ts';

const EXACT = {
  exp: Math.exp,
  expm1: Math.expm1,
  log: Math.log,
  log1p: Math.log1p,
  tanh: Math.tanh,
  erf,
  sin: Math.sin,
  cos: Math.cos,
};
type MathFn = keyof typeof EXACT;
const FUNCTIONS = Object.keys(EXACT) as MathFn[];

function mapKernel(fn: UnaryOp, lanes: Lanes): Kernel {
  const axis = makeSym('i0');
  const value: Expr = unary(fn, load('b0', 'f32', symDim(axis), lanes));
  return {
    name: `map_${fn}`,
    buffers: [
      { name: 'b0', type: 'f32', access: 'read' },
      { name: 'b1', type: value.type, access: 'write' },
    ],
    params: [makeSym('d0')],
    body: [
      {
        kind: 'for',
        axis,
        start: 0,
        end: symDim(makeSym('d0')),
        step: lanes,
        role: 'grid',
        body: [{ kind: 'store', buffer: 'b1', index: symDim(axis), value }],
      },
    ],
    flops: 0,
    bytes: 0,
  };
}

function run(fn: MathFn, xs: ArrayLike<number>, lanes: Lanes = 1): Float32Array {
  const input = Float32Array.from(xs);
  const out = new Float32Array(input.length);
  interpretKernel(expandMath(mapKernel(fn, lanes)), [input, out], [input.length]);
  return out;
}

/** The distance of neighbouring f32 values at a double. */
function ulpAt(y: number): number {
  const a = Math.abs(y);
  if (a < 2 ** -126) return 2 ** -149;
  let e = Math.floor(Math.log2(a));
  if (2 ** e > a) e--;
  else if (2 ** (e + 1) <= a) e++;
  return 2 ** (Math.min(e, 127) - 23);
}

/** The largest error in ulp, and where it is. */
function maxUlp(fn: MathFn, xs: ArrayLike<number>): { ulp: number; at: number } {
  const input = Float32Array.from(xs);
  const out = run(fn, input);
  let worst = { ulp: 0, at: 0 };
  for (let i = 0; i < input.length; i++) {
    const exact = EXACT[fn](input[i]);
    if (!Number.isFinite(Math.fround(exact))) {
      expect(out[i], `${fn}(${input[i]})`).toBe(Math.fround(exact));
      continue;
    }
    const ulp = Math.abs(out[i] - exact) / ulpAt(exact);
    if (!(ulp <= worst.ulp)) worst = { ulp, at: input[i] };
  }
  return worst;
}

const span = (from: number, to: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => from + ((to - from) * (i + 0.37)) / count);

/** Values of all magnitudes: `count` of them spread over the bit patterns of positive floats. */
function byBits(from: number, to: number, count: number): Float32Array {
  const [a, b] = new Int32Array(Float32Array.of(from, to).buffer);
  const bits = Int32Array.from({ length: count }, (_, i) => a + Math.floor(((b - a) * i) / count));
  return new Float32Array(bits.buffer);
}

function around(centers: readonly number[]): number[] {
  return centers.flatMap((c) => {
    const bits = new Int32Array(Float32Array.of(c).buffer)[0];
    const all = Int32Array.from({ length: 41 }, (_, i) => bits + i - 20);
    return [...new Float32Array(all.buffer)].filter((x) => !Number.isNaN(x));
  });
}

const negated = (xs: ArrayLike<number>): number[] => Array.from(xs, (x) => -x);
const report = (text: string, worst: { ulp: number; at: number }): void => {
  if (process.env.ULP_REPORT) console.log(text, worst.ulp.toFixed(3), 'ulp at', worst.at);
};

const N = 20000;
const TINY = 2 ** -149;

describe('expandMath', () => {
  const special: Record<MathFn, readonly number[]> = {
    exp: [88.72284, -87.33654, -103.97208, 0.34657359, -0.34657359, 1, -1],
    expm1: [0.34657359, -0.34657359, 1.0397208, 88.72284, -17.3, 2 ** -25],
    log: [1, Math.SQRT1_2, Math.SQRT2, 2, 0.5, 2 ** -126, 2 ** -149 * 64],
    log1p: [-0.2928932, 0.4142135, 1, -0.9999999, 2 ** -24],
    tanh: [0.625, 9.1, 9.0109, 9.2, 1],
    erf: [0.9, 3.9, 4],
    sin: Array.from({ length: 63 }, (_, i) => (i * Math.PI) / 2),
    cos: Array.from({ length: 63 }, (_, i) => (i * Math.PI) / 2),
  };
  for (const fn of FUNCTIONS) {
    it(`${fn} is within 2 ulp over the whole range`, () => {
      const half = [...byBits(TINY, 3.4e38, 3 * N), ...span(0, 1, N), ...span(0, 110, 3 * N)];
      const xs = [...half, ...around(special[fn])];
      const worst = maxUlp(fn, [...xs, ...negated(xs)]);
      report(fn, worst);
      expect(worst.ulp).toBeLessThanOrEqual(2);
    });
  }

  it('sin and cos are within 2 ulp next to where their reduction changes, and for huge arguments', () => {
    for (const fn of ['sin', 'cos'] as const) {
      const zeros = [100, 636, 637, 1e4, 1e6, 1e10, 1e20, 1e37].flatMap((n) => {
        const near = Math.round(n / (Math.PI / 2)) * (Math.PI / 2);
        return [near, near + Math.PI / 2];
      });
      const xs = [...span(1900, 2100, N), ...around(zeros), ...byBits(2000, 3.4e38, 2 * N)];
      const worst = maxUlp(fn, [...xs, ...negated(xs)]);
      report(`${fn}, huge`, worst);
      expect(worst.ulp).toBeLessThanOrEqual(2);
    }
  });

  it('gives the right special values', () => {
    const xs = [0, -0, Infinity, -Infinity, Number.NaN];
    const nan = Number.NaN;
    expect([...run('exp', xs)]).toEqual([1, 1, Infinity, 0, nan]);
    expect([...run('log', xs)]).toEqual([-Infinity, -Infinity, Infinity, nan, nan]);
    expect([...run('tanh', xs)]).toEqual([0, -0, 1, -1, nan]);
    expect([...run('sin', xs)]).toEqual([0, -0, nan, nan, nan]);
    expect([...run('cos', xs)]).toEqual([1, 1, nan, nan, nan]);
    expect([...run('expm1', xs)]).toEqual([0, -0, Infinity, -1, nan]);
    expect([...run('log1p', [...xs, -1, -1.5])]).toEqual([
      0,
      -0,
      Infinity,
      nan,
      nan,
      -Infinity,
      nan,
    ]);
    expect([...run('erf', xs)]).toEqual([0, -0, 1, -1, nan]);
    expect([...run('log', [1, -1, -TINY, -3e38])]).toEqual([0, nan, nan, nan]);
    expect([...run('exp', [88.8, 1000, 3e38, -104.5, -3e38, TINY, -TINY])]).toEqual([
      Infinity,
      Infinity,
      Infinity,
      0,
      0,
      1,
      1,
    ]);
    expect([...run('tanh', [9.2, -9.2, 3e38, -3e38, TINY, -TINY])]).toEqual([
      1,
      -1,
      1,
      -1,
      TINY,
      -TINY,
    ]);
    expect([...run('sin', [TINY, -TINY])]).toEqual([TINY, -TINY]);
  });

  it('gives the same with four lanes, and leaves only primitives', () => {
    const xs = [...span(-20, 20, 400), ...span(1990, 1e6, 99), 1e30, 0, -0, Infinity, Number.NaN];
    for (const fn of FUNCTIONS) {
      expect([...run(fn, xs, 4)]).toEqual([...run(fn, xs, 1)]);
      walkStmts(expandMath(mapKernel(fn, 4)).body, (s) =>
        walkExprs(exprsOf(s), (e) => {
          if (e.op === 'unary') expect(['abs', 'nearest', 'not']).toContain(e.fn);
        }),
      );
    }
  });

  it('expands isnan', () => {
    const out = new Uint8Array(4);
    const input = Float32Array.of(Number.NaN, 0, Infinity, -1);
    for (const lanes of [1, 4] as const) {
      const k = expandMath(mapKernel('isnan', lanes));
      interpretKernel(k, [input, out.fill(7)], [4]);
      expect([...out]).toEqual([1, 0, 0, 0]);
      walkStmts(k.body, (s) => walkExprs(exprsOf(s), (e) => expect(e.op).not.toBe('unary')));
    }
  });
});
