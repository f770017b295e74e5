// The interpreter against the rules of the IR: rounding, integer wrap-around, division by zero,
// conversions, scopes of statements, vectors, tiles and bounds.

import { describe, expect, it } from 'vitest';
import { addDim, type Dim, floorDiv, makeSym, modDim, mulDim, symDim } from '../../src/core/dim.ts';
import { InternalError } from '../../src/core/error.ts';
import {
  add,
  type BinaryOp,
  binary,
  bitcast,
  bool,
  cast,
  compare,
  constant,
  dimValue,
  type Expr,
  extract,
  f32,
  i32,
  letRef,
  load,
  mul,
  pack,
  type ScalarType,
  select,
  splat,
  type UnaryOp,
  unary,
  varRef,
} from '../../src/kernel/expr.ts';
import { interpretKernel } from '../../src/kernel/interpret.ts';
import type { Kernel, Stmt } from '../../src/kernel/ir.ts';
import { ifStmt } from '../../src/kernel/rewrite.ts';

const dim = (id: string): Dim => symDim(makeSym(id));

function kernelOf(body: readonly Stmt[], types: readonly ScalarType[], params: string[]): Kernel {
  return {
    name: 'k',
    buffers: types.map((type, i) => ({ name: `b${i}`, type, access: 'readwrite' })),
    params: params.map((p) => makeSym(p)),
    body,
    flops: 0,
    bytes: 0,
  };
}

const store = (index: Dim, value: Expr, buffer = 'b0'): Stmt => ({
  kind: 'store',
  buffer,
  index,
  value,
});

/** The value of one expression, in memory of its type; other buffers follow. */
function evaluate(e: Expr, inputs: readonly Float32Array[] = []): number {
  const out = e.type === 'f32' ? new Float32Array(1) : new Int32Array(1);
  const types: ScalarType[] = [e.type, ...inputs.map((): ScalarType => 'f32')];
  interpretKernel(kernelOf([store(0, e)], types, []), [out, ...inputs], []);
  return out[0];
}

const MIN = -0x80000000;

describe('interpretKernel', () => {
  it('rounds f32 after each operation', () => {
    const big = f32(2 ** 24);
    expect(evaluate(add(add(big, f32(1)), f32(1)))).toBe(2 ** 24);
    expect(evaluate(mul(f32(0.1), f32(3)))).toBe(Math.fround(Math.fround(0.1) * 3));
    expect(evaluate(unary('sqrt', f32(2)))).toBe(Math.fround(Math.SQRT2));
    expect(evaluate(binary('div', f32(1), f32(0)))).toBe(Infinity);
  });

  it.each<[BinaryOp, number, number, number]>([
    ['add', 0x7fffffff, 1, MIN],
    ['sub', MIN, 1, 0x7fffffff],
    ['mul', 0x10001, 0x10001, 0x20001],
    ['div', 7, 0, 0],
    ['div', MIN, -1, MIN],
    ['div', -7, 2, -3],
    ['rem', -7, 2, -1],
    ['rem', 7, 0, 0],
    ['min', -1, 2, -1],
    ['max', -1, 2, 2],
    ['and', 6, 3, 2],
    ['or', 6, 3, 7],
    ['xor', 6, 3, 5],
    ['shl', 1, 33, 2],
    ['shr', -8, 1, -4],
    ['shru', -1, 28, 15],
    ['mulhiu', -1, -1, -2],
    ['mulhiu', 0x12345678, -0x65432110, Number((0x12345678n * 0x9abcdef0n) >> 32n)],
    ['mulhiu', -0x2daee0ad, -0x2daee0ad, Number(BigInt.asIntN(32, (0xd2511f53n ** 2n) >> 32n))],
  ])('%s of i32 %i and %i is %i', (fn, a, b, result) => {
    expect(evaluate(binary(fn, i32(a), i32(b)))).toBe(result);
    const v = binary(fn, constant('i32', a, 4), constant('i32', b, 4));
    expect(evaluate(extract(v, 2))).toBe(result);
  });

  it.each<[UnaryOp, number, number]>([
    ['nearest', 0.5, 0],
    ['nearest', 1.5, 2],
    ['nearest', 2.5, 2],
    ['nearest', -0.5, -0],
    ['nearest', -1.5, -2],
    ['nearest', -0.7, -1],
    ['nearest', Number.NaN, Number.NaN],
    ['trunc', -1.7, -1],
    ['floor', -1.2, -2],
    ['ceil', 1.2, 2],
    ['neg', 0, -0],
    ['abs', -0, 0],
  ])('%s of %d is %d', (fn, a, result) => {
    expect(evaluate(unary(fn, f32(a)))).toBe(result);
  });

  it('min and max of floats propagate NaN', () => {
    for (const fn of ['min', 'max'] as const) {
      expect(evaluate(binary(fn, f32(Number.NaN), f32(1)))).toBeNaN();
      expect(evaluate(binary(fn, f32(1), f32(Number.NaN)))).toBeNaN();
    }
    expect(evaluate(binary('min', f32(0), f32(-0)))).toBe(-0);
  });

  it('converts with saturation and reinterprets bits', () => {
    const toInt = (x: number): number => evaluate(cast('i32', f32(x)));
    expect([1e10, -1e10, Number.NaN, -1.9, Infinity].map(toInt)).toEqual([
      0x7fffffff,
      MIN,
      0,
      -1,
      0x7fffffff,
    ]);
    expect(evaluate(cast('bool', f32(Number.NaN)))).toBe(1);
    expect(evaluate(cast('bool', f32(-0)))).toBe(0);
    expect(evaluate(cast('f32', i32(0x7fffffff)))).toBe(2 ** 31);
    expect(evaluate(cast('f32', bool(true)))).toBe(1);
    expect(evaluate(bitcast('i32', f32(1)))).toBe(0x3f800000);
    expect(evaluate(bitcast('f32', i32(0x40000000)))).toBe(2);
    expect(evaluate(compare('ne', f32(Number.NaN), f32(1)))).toBe(1);
    expect(evaluate(compare('ge', f32(Number.NaN), f32(1)))).toBe(0);
    expect(evaluate(unary('isnan', f32(Number.NaN)))).toBe(1);
  });

  it('evaluates only the branch a lazy select takes', () => {
    const outside = load('b1', 'f32', 5);
    const input = [Float32Array.of(1)];
    expect(evaluate(select(bool(true), f32(3), outside, true), input)).toBe(3);
    expect(() => evaluate(select(bool(true), f32(3), outside), input)).toThrow(InternalError);
    // A branch deeper than a checkpoint stays lazy too.
    let deep = outside;
    for (let i = 0; i < 1000; i++) deep = add(deep, f32(1));
    expect(evaluate(select(bool(false), deep, f32(4), true), input)).toBe(4);
  });

  it('evaluates deep and shared DAGs', () => {
    let e = load('b1', 'f32', 0);
    for (let i = 0; i < 3000; i++) e = mul(f32(0.5), add(e, e));
    expect(evaluate(e, [Float32Array.of(3)])).toBe(3);
    let chain = load('b1', 'f32', 0);
    for (let i = 0; i < 50_000; i++) chain = add(chain, f32(1));
    expect(evaluate(chain, [Float32Array.of(0)])).toBe(50_000);
  });

  it('runs loops, locals, branches and symbols', () => {
    const acc = varRef('acc', 'i32');
    const i = makeSym('i');
    const body: Stmt[] = [
      { kind: 'var', name: 'acc', type: 'i32', lanes: 1, init: i32(0) },
      {
        kind: 'for',
        axis: i,
        start: 1,
        end: dim('n'),
        step: 2,
        role: 'serial',
        body: [
          { kind: 'let', name: 'at', value: dimValue(floorDiv(dim('i'), 2)) },
          { kind: 'set', name: 'acc', value: add(acc, letRef('at', 'i32')) },
          ifStmt(
            compare('eq', dimValue(modDim(dim('i'), 4)), i32(1)),
            [store(dim('at'), acc)],
            [store(dim('at'), i32(-1))],
          ),
        ],
      },
      {
        kind: 'while',
        cond: compare('lt', acc, i32(100)),
        body: [{ kind: 'set', name: 'acc', value: add(acc, acc) }],
      },
      { kind: 'outline', name: 'o', body: [store(mulDim(dim('n'), 1), acc)] },
    ];
    const out = new Int32Array(10);
    interpretKernel(kernelOf(body, ['i32'], ['n']), [out], [9]);
    expect([...out]).toEqual([0, -1, 3, -1, 0, 0, 0, 0, 0, 192]);
  });

  it('loads and stores vectors, through scratch arrays', () => {
    const v = load('b1', 'f32', 1, 4);
    const body: Stmt[] = [
      {
        kind: 'array',
        name: 's',
        type: 'f32',
        length: dim('n'),
        body: [
          store(0, add(v, splat(load('b1', 'f32', 0))), 's'),
          store(0, load('s', 'f32', 0, 4)),
          store(4, pack(extract(v, 3), extract(v, 2), extract(v, 1), extract(v, 0))),
          store(8, load('s', 'f32', 4)),
          store(9, extract(select(compare('gt', v, constant('f32', 2, 4)), v, unary('neg', v)), 0)),
        ],
      },
    ];
    const out = new Float32Array(10);
    interpretKernel(
      kernelOf(body, ['f32', 'f32'], ['n']),
      [out, Float32Array.of(10, 1, 2, 3, 4)],
      [5],
    );
    expect([...out]).toEqual([11, 12, 13, 14, 4, 3, 2, 1, Number.NaN, -1]);
  });

  it('runs all tiles, again with other sizes', () => {
    const k = {
      ...kernelOf([store(dim('t'), dimValue(addDim(dim('t'), dim('n'))))], ['i32'], ['n']),
      tile: makeSym('t'),
      tiles: mulDim(dim('n'), 2),
    };
    const run = (n: number): number[] => {
      const out = new Int32Array(n * 2);
      interpretKernel(k, [out], [n]);
      return [...out];
    };
    expect(run(2)).toEqual([2, 3, 4, 5]);
    expect(run(1)).toEqual([1, 2]);
  });

  it('reports failed checks and goes on', () => {
    const codes: number[] = [];
    const body: Stmt[] = [
      { kind: 'fail', when: bool(false), code: 1 },
      { kind: 'fail', when: bool(true), code: dim('n') },
      store(0, i32(5)),
    ];
    const out = new Int32Array(1);
    interpretKernel(kernelOf(body, ['i32'], ['n']), [out], [7], { onFail: (c) => codes.push(c) });
    expect(codes).toEqual([7]);
    expect(out[0]).toBe(5);
  });

  it('refuses indices out of range by name', () => {
    const run = (s: Stmt): void =>
      interpretKernel(kernelOf([s], ['f32'], ['n']), [new Float32Array(6)], [6]);
    expect(() => run(store(dim('n'), f32(1)))).toThrow(
      /kernel "k": store to b0\[6\] outside its 6/,
    );
    expect(() => run(store(0, load('b0', 'f32', addDim(dim('n'), -7))))).toThrow(
      /load of b0\[-1\]/,
    );
    expect(() => run(store(3, constant('f32', 1, 4)))).toThrow(/\(4 lanes\)/);
    expect(() => run(store(dim('m'), f32(1)))).toThrow(/symbol "m" is not bound/);
    expect(() => run(store(0, letRef('q', 'f32')))).toThrow(InternalError);
  });
});
