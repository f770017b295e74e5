// Every operation of generated WGSL against the interpreter, on values from the corners of its type.
// Skipped where there is no WebGPU.

import { afterAll, describe, it } from 'vitest';
import {
  add,
  type BinaryOp,
  binary,
  bitcast,
  bool,
  type CompareOp,
  cast,
  compare,
  div,
  type Expr,
  f32,
  i32,
  mul,
  select,
  sub,
  type UnaryOp,
  unary,
} from '../../src/kernel/expr.ts';
import {
  check,
  EDGES,
  FLOATS,
  INTS,
  kernelOf,
  store,
  sweep,
  WAVES,
} from '../support/wgsl-check.ts';
import { disposeWebgpu, webgpuAvailable } from '../support/wgsl-run.ts';

const available = await webgpuAvailable();
if (!available) console.warn('wgsl-ops.test.ts: no WebGPU adapter, so no kernel is run');

describe.skipIf(!available)('WGSL operations', () => {
  afterAll(disposeWebgpu);

  it.each<BinaryOp>([
    ...(['add', 'sub', 'mul', 'div', 'rem', 'min', 'max', 'and', 'or', 'xor'] as const),
    ...(['shl', 'shr', 'shru', 'mulhiu'] as const),
  ])('has %s of i32', async (fn) => {
    await sweep('i32', (a, b) => binary(fn, a, b));
    for (const known of [0, 3, -1, 37, -0x80000000]) {
      await sweep('i32', (a) => binary(fn, a, i32(known)));
      await sweep('i32', (_, b) => binary(fn, binary(fn, i32(known), i32(0)), b));
    }
  });

  it.each<BinaryOp>(['add', 'sub', 'mul', 'div', 'rem', 'min', 'max'])(
    'has %s of f32',
    async (fn) => {
      await sweep('f32', (a, b) => binary(fn, a, b), { tolerance: fn === 'div' ? 1e-6 : 0 });
      await sweep('f32', (a) => binary(fn, binary(fn, f32(3e38), f32(-3e38)), a), {
        tolerance: 1e-6,
      });
    },
  );

  it.each<CompareOp>(['eq', 'ne', 'lt', 'le', 'gt', 'ge'])('has %s', async (fn) => {
    await sweep('i32', (a, b) => compare(fn, a, b));
    await sweep('f32', (a, b) => compare(fn, a, b));
    await sweep('f32', (a) => compare(fn, a, a));
  });

  it.each<UnaryOp>(['neg', 'abs', 'floor', 'ceil', 'trunc', 'nearest', 'isnan', 'sqrt'])(
    'has %s of f32',
    async (fn) => {
      const options = { tolerance: fn === 'sqrt' ? 4e-7 : 0 };
      await sweep('f32', (a) => unary(fn, a), options);
      const make = fn === 'isnan' ? bool(false) : f32(2);
      await sweep('f32', (a) => select(compare('lt', a, a), make, unary(fn, f32(1000))), options);
    },
  );

  it.each<UnaryOp>(['exp', 'expm1', 'log', 'log1p', 'tanh', 'erf', 'sin', 'cos'])(
    'has %s to 2 ulp for every argument',
    async (fn) => {
      const values = [...FLOATS, ...EDGES, ...WAVES];
      // Subnormal results may be flushed to zero, and division is good to 2.5 ulp only.
      const tolerance = fn === 'tanh' ? 6e-7 : 2.4e-7;
      await sweep('f32', (a) => unary(fn, a), { tolerance, floor: 1.2e-31, values });
    },
  );

  it('has log and pow of subnormal numbers', async () => {
    const values = [1e-40, 1.5e-45, -1e-40, 1.1754942e-38];
    await sweep('f32', (a) => unary('log', a), { tolerance: 2.4e-7, values });
    await sweep('f32', (a) => binary('pow', a, f32(0.5)), { tolerance: 6e-7, values });
  });

  it('divides by the smallest and the largest numbers', async () => {
    const values = [...EDGES, 1e-40, -1.5e-45, 1.1754942e-38, 2e38, 1e30, 1e-30, 3];
    const a = (x: Expr): Expr => select(compare('lt', unary('abs', x), f32(1e-37)), f32(1), x);
    await sweep('f32', (x, y) => div(a(x), y), { tolerance: 4e-7, floor: 3e-31, values });
  });

  it('tells NaN in every comparison with a constant', async () => {
    for (const fn of ['eq', 'ne', 'lt', 'le', 'gt', 'ge'] as const) {
      for (const known of [0, -1, Infinity, Number.NaN]) {
        await sweep('f32', (a) => compare(fn, a, f32(known)));
        await sweep('f32', (a) => unary('not', compare(fn, f32(known), a)));
      }
    }
  });

  it('has infinities minus and over themselves', async () => {
    await sweep('f32', (a) => sub(a, a));
    await sweep('f32', (a) => div(a, a));
    await sweep('f32', (a) => mul(a, f32(0)));
  });

  it('finds what a sum has lost', async () => {
    const lost = (a: Expr, b: Expr): Expr => {
      const hi = add(a, b);
      return sub(b, sub(hi, a));
    };
    const values = [1, 3.7, 1e6, 1e-6, 0.1, 16777216, 1e-3, -0.3];
    await sweep('f32', (a, b) => lost(binary('max', a, b), binary('min', a, b)), { values });
  });

  it('keeps the sign of zero', async () => {
    const values = [0, -0, 1, -1];
    const sign = (e: Expr): Expr => bitcast('i32', e);
    await sweep('f32', (a) => sign(unary('neg', a)), { values });
    await sweep('f32', (a) => sign(unary('abs', a)), { values });
    await sweep('f32', (a, b) => sign(mul(a, b)), { values });
    await sweep('f32', (a) => sign(div(a, f32(-Infinity))), { values });
    await sweep('f32', (a) => sign(unary('trunc', mul(a, f32(0.5)))), { values });
    await sweep('f32', (a) => sign(unary('sqrt', a)), { values: [0, -0, 1] });
  });

  it('has pow', async () => {
    const values = [
      ...[0, -0, 1, -1, 2, -2, 0.5, 3, -3, 0.7, 11.5, 1e-3, 1.0000001, 0.9999999, 1e9, -1e9],
      ...[Infinity, -Infinity, Number.NaN],
    ];
    await sweep('f32', (a, b) => binary('pow', a, b), { tolerance: 6e-7, floor: 1e-30, values });
    await sweep('i32', (a, b) => binary('pow', a, b));
  });

  it('converts', async () => {
    await sweep('f32', (a) => cast('i32', a));
    await sweep('f32', (a) => cast('bool', a));
    await sweep('f32', (a) => bitcast('i32', binary('max', a, f32(-1e30))), {
      values: FLOATS.slice(0, -1),
    });
    await sweep('i32', (a) => cast('f32', a));
    await sweep('i32', (a) => cast('bool', a));
    await sweep('i32', (a) => bitcast('f32', binary('or', a, i32(0x3f800000))), {
      values: INTS.slice(0, 10),
    });
    await sweep('i32', (_, b) => add(cast('i32', f32(Number.NaN)), b));
  });

  it('has the constants that WGSL has no literals for', async () => {
    const values = [
      Infinity,
      -Infinity,
      Number.NaN,
      -0,
      3.4028234663852886e38,
      1.17549435e-38,
      0.1,
    ];
    const body = values.map((v, i) => store('b0', i, f32(v)));
    body.push(store('b1', 0, i32(-0x80000000)), store('b1', 1, bitcast('i32', f32(-0))));
    await check(kernelOf('f! i!', [], body), [new Float32Array(7), new Int32Array(2)]);
  });
});
