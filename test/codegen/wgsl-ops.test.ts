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
  f32,
  i32,
  mul,
  select,
  type UnaryOp,
  unary,
} from '../../src/kernel/expr.ts';
import { check, FLOATS, INTS, kernelOf, store, sweep } from '../support/wgsl-check.ts';
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

  it.each<UnaryOp>([
    ...(['neg', 'abs', 'floor', 'ceil', 'trunc', 'nearest', 'isnan', 'sqrt'] as const),
    ...(['exp', 'log', 'tanh'] as const),
  ])('has %s of f32', async (fn) => {
    const options = { tolerance: 2e-5, floor: 1e-3 };
    await sweep('f32', (a) => unary(fn, a), options);
    const make = fn === 'isnan' ? bool(false) : f32(2);
    await sweep('f32', (a) => select(compare('lt', a, a), make, unary(fn, f32(1000))), options);
  });

  it.each<UnaryOp>([...(['exp', 'expm1', 'log', 'log1p', 'tanh', 'erf', 'sin', 'cos'] as const)])(
    'has %s as polynomials',
    async (fn) => {
      const values = FLOATS.filter((x) => !(Math.abs(x) > 1e30 && Number.isFinite(x)));
      // Subnormal results may be flushed to zero.
      const options = { tolerance: 1e-5, floor: 1e-30, values, expand: true };
      await sweep('f32', (a) => unary(fn, a), options);
    },
  );

  it('has pow', async () => {
    const values = [
      0,
      -0,
      1,
      -1,
      2,
      -2,
      0.5,
      3,
      -3,
      0.7,
      11.5,
      1e-3,
      Infinity,
      -Infinity,
      Number.NaN,
    ];
    await sweep('f32', (a, b) => binary('pow', a, b), { tolerance: 2e-5, floor: 1e-30, values });
    await sweep('i32', (a, b) => binary('pow', a, b));
  });

  it('has the builtin sin and cos to their accuracy', async () => {
    const values = [0, 0.5, -0.5, 1, 2, 3, -3, Infinity, Number.NaN];
    const options = { tolerance: 1e-3, floor: 1, values };
    await sweep('f32', (a, b) => add(unary('sin', a), mul(unary('cos', b), f32(2))), options);
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
