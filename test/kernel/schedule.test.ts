// The CPU scheduler against the interpreter: scheduled kernels compute what portable ones do, for
// sizes around the widths of vectors and blocks, and take the shapes that make them fast.

import { describe, expect, it } from 'vitest';
import {
  addDim,
  type Dim,
  floorDiv,
  makeSym,
  mulDim,
  type Sym,
  subDim,
  symDim,
} from '../../src/core/dim.ts';
import { type DType, dtypeInfo, isFloat, type StorageType } from '../../src/core/dtype.ts';
import {
  add,
  type BinaryOp,
  binary,
  cast,
  compare,
  dimValue,
  div,
  type Expr,
  f32,
  i32,
  letRef,
  load,
  mul,
  type ScalarType,
  select,
  sub,
  unary,
  varRef,
} from '../../src/kernel/expr.ts';
import { interpretKernel } from '../../src/kernel/interpret.ts';
import type { AxisRole, Combine, Kernel, Stmt, TiledKernel } from '../../src/kernel/ir.ts';
import { printKernel } from '../../src/kernel/print.ts';
import { ifStmt } from '../../src/kernel/rewrite.ts';
import { scheduleCpu } from '../../src/kernel/schedule/schedule.ts';
import { verifyKernel } from '../../src/kernel/verify.ts';

const A = makeSym('d0');
const B = makeSym('d1');
const C = makeSym('d2');
const D = makeSym('d3');
const [a, b, c, d] = [A, B, C, D].map(symDim);
const SIZES = [0, 1, 3, 4, 5, 7, 8, 9, 17, 33, 100];

const axis = (id: string, extent: Dim): Sym => makeSym(id, id, { extent });
const loop = (s: Sym, role: AxisRole, body: Stmt[], combine?: Combine[]): Stmt => ({
  kind: 'for',
  axis: s,
  start: 0,
  end: s.extent!,
  step: 1,
  role,
  ...(combine ? { combine } : {}),
  body,
});
const nest = (axes: Sym[], role: AxisRole, body: Stmt[], combine?: Combine[]): Stmt[] =>
  axes.reduceRight<Stmt[]>((inner, s) => [loop(s, role, inner, combine)], body);
const store = (buffer: string, index: Dim, value: Expr): Stmt => ({
  kind: 'store',
  buffer,
  index,
  value,
});
const let_ = (name: string, value: Expr): Stmt => ({ kind: 'let', name, value });
const set = (name: string, value: Expr): Stmt => ({ kind: 'set', name, value });
const var_ = (name: string, init: Expr): Stmt => ({
  kind: 'var',
  name,
  type: init.type,
  lanes: 1,
  init,
});
const at = (index: Dim[], shape: Dim[]): Dim =>
  index.reduce<Dim>((sum, x, i) => addDim(mulDim(sum, shape[i]), x), 0);
const ld = (buffer: string, index: Dim[], shape: Dim[], type: ScalarType = 'f32'): Expr =>
  load(buffer, type, at(index, shape));

interface Case {
  readonly kernel: Kernel;
  /** Sizes of the buffers; the first is the output. */
  readonly shapes: readonly (readonly Dim[])[];
}

/** A kernel over d0..d3 whose last `outs` buffers… the first ones are written. */
function kernelOf(
  body: Stmt[],
  buffers: readonly [ScalarType, ...Dim[]][],
  outs = 1,
  name = 'k',
): Case {
  return {
    kernel: {
      name,
      buffers: buffers.map(([type], i) => ({
        name: `b${i}`,
        type,
        access: i < outs ? 'write' : 'read',
      })),
      params: [A, B, C, D],
      body,
      flops: 0,
      bytes: 0,
    },
    shapes: buffers.map(([, ...dims]) => dims),
  };
}

let state = 1;
function random(): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
}

function sizeOf(shape: readonly Dim[], params: readonly number[]): number {
  return shape.reduce<number>((n, x) => {
    const i = [a, b, c, d].indexOf(x);
    return n * (i < 0 ? (x as number) : params[i]);
  }, 1);
}

const DTYPE_OF: Partial<Record<StorageType, DType>> = {
  f32: 'float32',
  f64: 'float64',
  i32: 'int32',
  i64: 'int32',
  bool: 'bool',
} as const;

function makeBuffer(type: StorageType, n: number): Float32Array | Int32Array | Uint8Array {
  const out = dtypeInfo(DTYPE_OF[type] ?? 'float32').alloc(n) as Float32Array;
  for (let i = 0; i < n; i++) {
    out[i] = isFloat(DTYPE_OF[type] ?? 'float32')
      ? random() * 4 - 2
      : Math.floor(random() * (type === 'bool' ? 2 : 50));
  }
  return out;
}

/** Runs both forms; `tolerance` 0 asks for equal bits. */
function check(
  test: Case,
  params: readonly number[],
  tolerance = 0,
  tiled = scheduleCpu(test.kernel),
): void {
  const { kernel, shapes } = test;
  const first = kernel.buffers.map((p, i) => makeBuffer(p.type, sizeOf(shapes[i], params)));
  const second = first.map((x) => x.slice());
  interpretKernel(kernel, first, params);
  interpretKernel(tiled, second, params);
  kernel.buffers.forEach((_, i) => {
    for (let k = 0; k < first[i].length; k++) {
      const [x, y] = [first[i][k], second[i][k]];
      const close = Object.is(x, y) || Math.abs(x - y) <= tolerance * Math.max(1, Math.abs(x));
      if (!close) expect.fail(`[${params}] b${i}[${k}]: ${x} became ${y}\n${printKernel(tiled)}`);
    }
  });
}

function schedule(test: Case): TiledKernel {
  const tiled = scheduleCpu(test.kernel);
  verifyKernel(tiled);
  return tiled;
}

function checkAll(
  test: Case,
  count: number,
  tolerance = 0,
  sizes: readonly number[] = SIZES,
): void {
  const tiled = schedule(test);
  const grid = (n: number): number[][] =>
    n === 0 ? [[]] : grid(n - 1).flatMap((p) => sizes.map((s) => [...p, s]));
  for (const p of grid(count)) check(test, [...p, 1, 1, 1, 1].slice(0, 4), tolerance, tiled);
}

const text = (test: Case): string => printKernel(schedule(test));

const i = axis('i0', a);
const j = axis('i1', b);
const k = axis('i2', c);
const [di, dj, dk] = [i, j, k].map(symDim);

describe('elementwise kernels', () => {
  it('collapses and vectorises a contiguous kernel', () => {
    const x = ld('b1', [di, dj], [a, b]);
    const body = nest([i, j], 'grid', [store('b0', at([di, dj], [a, b]), add(x, mul(x, f32(2))))]);
    const test = kernelOf(body, [
      ['f32', a, b],
      ['f32', a, b],
    ]);
    checkAll(test, 2);
    expect(text(test)).toContain('b1x4[');
    expect(text(test).match(/for /g)).toHaveLength(2);
    check(test, [300, 171, 1, 1]);
  });

  it('collapses what divides the joint index', () => {
    const both = at([di, dj], [a, b]);
    const bits = binary('mulhiu', i32(-766435501), dimValue(floorDiv(both, 4)));
    const joint = kernelOf(nest([i, j], 'grid', [store('b0', both, bits)]), [['i32', a, b]]);
    checkAll(joint, 2);
    expect(text(joint).match(/for /g)).toHaveLength(2);
    const apart = kernelOf(
      nest([i, j], 'grid', [store('b0', both, add(bits, dimValue(floorDiv(di, 2))))]),
      [['i32', a, b]],
    );
    checkAll(apart, 2);
  });

  it('broadcasts rows and columns', () => {
    const value = add(
      ld('b1', [di, dj], [a, b]),
      mul(load('b2', 'f32', dj), load('b3', 'f32', di)),
    );
    const test = kernelOf(nest([i, j], 'grid', [store('b0', at([di, dj], [a, b]), value)]), [
      ['f32', a, b],
      ['f32', a, b],
      ['f32', b],
      ['f32', a],
    ]);
    checkAll(test, 2);
    expect(text(test)).toContain('splat(b3[');
  });

  it('mixes int32, bool and positions', () => {
    const n = add(load('b1', 'i32', at([di, dj], [a, b])), mul(dimValue(dj), dimValue(di)));
    const yes = binary('and', compare('lt', n, i32(40)), load('b2', 'bool', at([di, dj], [a, b])));
    const test = kernelOf(
      nest([i, j], 'grid', [
        let_('t0', select(yes, cast('f32', n), f32(-1))),
        store('b0', at([di, dj], [a, b]), yes),
        store('b3', at([di, dj], [a, b]), letRef('t0', 'f32')),
      ]),
      [
        ['bool', a, b],
        ['i32', a, b],
        ['bool', a, b],
        ['f32', a, b],
      ],
      4,
    );
    checkAll(test, 2);
    expect(text(test)).toContain('b2x4[');
  });

  it('leaves integer division and guarded reads scalar', () => {
    const quotient = binary('div', load('b1', 'i32', di), i32(3));
    const test = kernelOf(nest([i], 'grid', [store('b0', di, quotient)]), [
      ['i32', a],
      ['i32', a],
    ]);
    checkAll(test, 1);
    const guarded = select(
      compare('gt', dimValue(di), i32(0)),
      load('b1', 'f32', subDim(di, 1)),
      f32(0),
      true,
    );
    const shift = kernelOf(nest([i], 'grid', [store('b0', di, guarded)]), [
      ['f32', a],
      ['f32', a],
    ]);
    checkAll(shift, 1);
  });

  it('vectorises guarded reads whose guard is the same in all lanes', () => {
    const above = subDim(di, 1);
    const pad = select(
      compare('ge', dimValue(above), i32(0)),
      ld('b1', [above, dj], [a, b]),
      select(
        compare('gt', dimValue(a), i32(3)),
        ld('b2', [subDim(a, 4), dj], [a, b]),
        f32(7),
        true,
      ),
      true,
    );
    const test = kernelOf(
      nest([i, j], 'grid', [store('b0', at([di, dj], [a, b]), mul(pad, add(pad, f32(1))))]),
      [
        ['f32', a, b],
        ['f32', a, b],
        ['f32', a, b],
      ],
    );
    checkAll(test, 2);
    expect(text(test)).toContain('b1x4[');
  });

  it('transposes', () => {
    const test = kernelOf(
      nest([i, j], 'grid', [store('b0', at([di, dj], [a, b]), ld('b1', [dj, di], [b, a]))]),
      [
        ['f32', a, b],
        ['f32', b, a],
      ],
    );
    checkAll(test, 2);
    check(test, [141, 70, 1, 1]);
    // Whole vectors are read along one axis and stored along the other.
    expect(text(test)).toContain('b1x4[');
    expect(text(test)).toContain('b0x4[');
    const busy = kernelOf(
      nest([i, j, k], 'grid', [
        store('b0', at([di, dj, dk], [a, b, c]), unary('tanh', ld('b1', [dk, di, dj], [c, a, b]))),
      ]),
      [
        ['f32', a, b, c],
        ['f32', a, b, c],
      ],
    );
    checkAll(busy, 3, 0, [0, 1, 3, 4, 5, 9]);
  });

  it('reads through a table', () => {
    const test = kernelOf(
      nest([i, j], 'grid', [
        let_('t0', binary('min', load('b2', 'i32', di), dimValue(subDim(c, 1)))),
        store('b0', at([di, dj], [a, b]), ld('b1', [symDim(makeSym('t0')), dj], [c, b])),
      ]),
      [
        ['f32', a, b],
        ['f32', c, b],
        ['i32', a],
      ],
    );
    checkAll(test, 3, 0, [1, 3, 4, 9]);
  });

  it('handles indices that divide, and scalars', () => {
    const repeat = kernelOf(
      nest([i], 'grid', [store('b0', di, load('b1', 'f32', floorDiv(di, 3)))]),
      [
        ['f32', a],
        ['f32', a],
      ],
    );
    checkAll(repeat, 1);
    const scalar = kernelOf(
      [store('b0', 0, add(load('b1', 'f32', 0), f32(1)))],
      [
        ['f32', 1],
        ['f32', 1],
      ],
    );
    checkAll(scalar, 0);
    expect(schedule(scalar).tiles).toBe(1);
  });
});

/** `acc = init; for … acc = op(acc, value)`. */
function reduce(acc: string, op: Combine['op'], init: Expr, axes: Sym[], value: Expr): Stmt[] {
  const next = binary(op as BinaryOp, varRef(acc, init.type), value);
  return [var_(acc, init), ...nest(axes, 'reduce', [set(acc, next)], [{ variable: acc, op }])];
}

describe('row kernels', () => {
  const sum = (acc: string): Expr => varRef(acc, 'f32');

  it.each<[Combine['op'], ScalarType]>([
    ['add', 'f32'],
    ['mul', 'f32'],
    ['max', 'f32'],
    ['min', 'i32'],
    ['add', 'i32'],
    ['or', 'bool'],
    ['and', 'bool'],
  ])('reduces rows with %s of %s', (op, type) => {
    const x = load('b1', type, at([di, dj], [a, b]));
    const init: Expr =
      type === 'bool' ? cast('bool', i32(op === 'and' ? 1 : 0)) : type === 'i32' ? i32(3) : f32(1);
    const body = [...reduce('acc0', op, init, [j], x), store('b0', di, varRef('acc0', type))];
    const test = kernelOf(nest([i], 'grid', body), [
      [type, a],
      [type, a, b],
    ]);
    checkAll(test, 2, type === 'f32' ? 1e-5 : 0);
    expect(text(test)).toContain('b1x4[');
  });

  it('does softmax along contiguous rows', () => {
    const x = ld('b1', [di, dj], [a, b]);
    const e = unary('exp', sub(x, sum('m')));
    const body: Stmt[] = [
      ...reduce('m', 'max', f32(-Infinity), [j], x),
      ...reduce('s', 'add', f32(0), [j], e),
      let_('inv', div(f32(1), sum('s'))),
      loop(j, 'lane', [store('b0', at([di, dj], [a, b]), mul(e, letRef('inv', 'f32')))]),
    ];
    checkAll(
      kernelOf(nest([i], 'grid', body), [
        ['f32', a, b],
        ['f32', a, b],
      ]),
      2,
      1e-5,
    );
  });

  it('computes once what several loops of a row share', () => {
    const x = ld('b1', [di, dj], [a, b]);
    const e = unary('exp', sub(x, letRef('top', 'f32')));
    const softmax = (result: Expr, inputs: number): Case =>
      kernelOf(
        nest([i], 'grid', [
          ...reduce('m', 'max', f32(-Infinity), [j], x),
          let_('top', sum('m')),
          ...reduce('s', 'add', f32(0), [j], e),
          let_('inv', div(f32(1), sum('s'))),
          loop(j, 'lane', [store('b0', at([di, dj], [a, b]), result)]),
        ]),
        Array.from({ length: 1 + inputs }, () => ['f32', a, b] as const),
      );
    const once = softmax(mul(e, letRef('inv', 'f32')), 1);
    checkAll(once, 2, 1e-5);
    // In four lanes and in one.
    expect(text(once).match(/exp\(/g)).toHaveLength(2);
    // A result may share its memory with an input that is still to be read.
    const other = softmax(mul(e, ld('b2', [di, dj], [a, b])), 2);
    checkAll(other, 2, 1e-5);
    expect(text(other).match(/exp\(/g)?.length).toBeGreaterThan(2);
  });

  it('computes anew what is needed after the loop that stores its result', () => {
    const x = ld('b2', [di, dj], [a, b]);
    const e = unary('exp', sub(x, letRef('top', 'f32')));
    const p = mul(e, letRef('inv', 'f32'));
    const body: Stmt[] = [
      ...reduce('m', 'max', f32(-Infinity), [j], x),
      let_('top', sum('m')),
      ...reduce('s', 'add', f32(0), [j], e),
      let_('inv', div(f32(1), sum('s'))),
      loop(j, 'lane', [store('b0', at([di, dj], [a, b]), p)]),
      ...reduce('t', 'add', f32(0), [j], mul(p, p)),
      store('b1', at([di], [a]), sum('t')),
    ];
    const buffers: [ScalarType, ...Dim[]][] = [
      ['f32', a, b],
      ['f32', a],
      ['f32', a, b],
    ];
    checkAll(kernelOf(nest([i], 'grid', body), buffers, 2), 2, 1e-5);
  });

  it('does softmax across rows', () => {
    const x = ld('b1', [dj, di], [b, a]);
    const e = unary('exp', sub(x, sum('m')));
    const body: Stmt[] = [
      ...reduce('m', 'max', f32(-Infinity), [j], x),
      ...reduce('s', 'add', f32(0), [j], e),
      loop(j, 'lane', [store('b0', at([dj, di], [b, a]), div(e, sum('s')))]),
    ];
    const test = kernelOf(nest([i], 'grid', body), [
      ['f32', b, a],
      ['f32', b, a],
    ]);
    checkAll(test, 2);
    check(test, [7, 530, 1, 1]);
    check(test, [530, 19, 1, 1]);
    expect(text(test)).toContain('b1x4[');
    expect(text(test)).toContain('array strip');
  });

  it('streams rows twice for moments of columns', () => {
    const x = ld('b2', [dj, di], [b, a]);
    const off = sub(x, letRef('m', 'f32'));
    const test = kernelOf(
      nest([i], 'grid', [
        ...reduce('s', 'add', f32(0), [j], x),
        let_('m', mul(sum('s'), f32(0.125))),
        ...reduce('v', 'add', f32(0), [j], mul(off, off)),
        store('b0', di, letRef('m', 'f32')),
        store('b1', di, sum('v')),
      ]),
      [
        ['f32', a],
        ['f32', a],
        ['f32', b, a],
      ],
      2,
    );
    checkAll(test, 2);
    check(test, [1030, 9, 1, 1]);
    expect(text(test).match(/array strip/g)).toHaveLength(3);
  });

  it('sums over the first and the middle axis', () => {
    const columns = kernelOf(
      nest([i], 'grid', [
        ...reduce('s', 'add', f32(0), [j], ld('b1', [dj, di], [b, a])),
        store('b0', di, sum('s')),
      ]),
      [
        ['f32', a],
        ['f32', b, a],
      ],
    );
    checkAll(columns, 2);
    expect(text(columns)).toContain('b1x4[');
    const middle = kernelOf(
      nest([i, k], 'grid', [
        ...reduce('s', 'add', f32(0), [j], ld('b1', [di, dj, dk], [a, b, c])),
        store('b0', at([di, dk], [a, c]), sum('s')),
      ]),
      [
        ['f32', a, c],
        ['f32', a, b, c],
      ],
    );
    checkAll(middle, 3, 0, [0, 1, 3, 4, 9, 17]);
  });

  it('sums everything, and two axes apart', () => {
    const all = kernelOf(
      [...reduce('s', 'add', f32(0), [i, j], ld('b1', [di, dj], [a, b])), store('b0', 0, sum('s'))],
      [
        ['f32', 1],
        ['f32', a, b],
      ],
    );
    checkAll(all, 2, 1e-4);
    const apart = kernelOf(
      nest([j], 'grid', [
        ...reduce('s', 'add', f32(0), [i, k], ld('b1', [di, dj, dk], [a, b, c])),
        store('b0', dj, sum('s')),
      ]),
      [
        ['f32', b],
        ['f32', a, b, c],
      ],
    );
    checkAll(apart, 3, 1e-4, [0, 1, 3, 4, 9, 17]);
  });

  it('keeps loops that can not be split', () => {
    const best = compare('gt', ld('b1', [di, dj], [a, b]), varRef('m', 'f32'));
    const body: Stmt[] = [
      var_('m', f32(-Infinity)),
      var_('p', i32(0)),
      loop(j, 'reduce', [
        let_('t0', best),
        set('m', select(letRef('t0', 'bool'), ld('b1', [di, dj], [a, b]), varRef('m', 'f32'))),
        set('p', select(letRef('t0', 'bool'), dimValue(dj), varRef('p', 'i32'))),
      ]),
      store('b0', di, varRef('p', 'i32')),
    ];
    checkAll(
      kernelOf(nest([i], 'grid', body), [
        ['i32', a],
        ['f32', a, b],
      ]),
      2,
    );
    const down = kernelOf(
      nest([i], 'grid', [
        var_('s', f32(0)),
        loop(j, 'serial', [
          set('s', add(sum('s'), ld('b1', [dj, di], [b, a]))),
          store('b0', at([dj, di], [b, a]), sum('s')),
        ]),
      ]),
      [
        ['f32', b, a],
        ['f32', b, a],
      ],
    );
    checkAll(down, 2);
  });
});

describe('contractions', () => {
  type Layout = 'nn' | 'nt' | 'tn' | 'tt';
  function gemm(
    layout: Layout,
    options: { batch?: boolean; act?: boolean; type?: ScalarType } = {},
  ): Case {
    const { batch = false, act = false, type = 'f32' } = options;
    const n = axis('i3', d);
    const dn = symDim(n);
    const [bi, bs]: [Dim[], Dim[]] = batch ? [[dn], [d]] : [[], []];
    const x: Expr =
      layout[0] === 'n'
        ? ld('b1', [...bi, di, dk], [...bs, a, c], type)
        : ld('b1', [...bi, dk, di], [...bs, c, a], type);
    const y: Expr =
      layout[1] === 'n'
        ? ld('b2', [...bi, dk, dj], [...bs, c, b], type)
        : ld('b2', [...bi, dj, dk], [...bs, b, c], type);
    const zero = type === 'f32' ? f32(0) : i32(0);
    const acc = varRef('acc0', type);
    const result = act ? binary('max', add(acc, load('b3', type, dj)), zero) : acc;
    return kernelOf(
      nest([...(batch ? [n] : []), i, j], 'grid', [
        ...reduce('acc0', 'add', zero, [k], mul(x, y)),
        let_('t0', acc),
        store('b0', at([...bi, di, dj], [...bs, a, b]), act ? result : letRef('t0', type)),
      ]),
      [
        [type, ...bs, a, b],
        [type, ...bs, a, c],
        [type, ...bs, c, b],
        [type, b],
      ],
    );
  }

  it.each<Layout>(['nn', 'nt', 'tn', 'tt'])('multiplies %s', (layout) => {
    const test = gemm(layout, { act: true });
    checkAll(test, 3, 2e-5, [0, 1, 3, 4, 9, 33]);
    const tiled = schedule(test);
    expect(printKernel(tiled)).toContain('panel');
    check(test, [100, 100, 17, 1], 2e-5, tiled);
    check(test, [70, 10, 600, 1], 1e-4, tiled);
    check(test, [5, 67, 257, 1], 1e-4, tiled);
  });

  it.each([
    [32, 48, 64],
    [64, 16, 512],
    [6, 32, 1030],
    [17, 16, 40],
    [5, 10, 600],
    [128, 10, 0],
    [300, 272, 20],
  ])('multiplies fixed sizes: %d by %d by %d', (m, n, k) => {
    const [ri, rj, rk] = [axis('i0', m), axis('i1', n), axis('r0', k)];
    const [x, y, z] = [ri, rj, rk].map(symDim);
    for (const across of [false, true]) {
      const left = across ? ld('b1', [z, x], [k, m]) : ld('b1', [x, z], [m, k]);
      const test = kernelOf(
        nest([ri, rj], 'grid', [
          ...reduce('acc0', 'add', f32(0), [rk], mul(left, ld('b2', [z, y], [k, n]))),
          let_('t0', varRef('acc0', 'f32')),
          store('b0', at([x, y], [m, n]), binary('max', letRef('t0', 'f32'), f32(-0.25))),
        ]),
        [
          ['f32', m, n],
          ['f32', m, k],
          ['f32', k, n],
        ],
      );
      const tiled = schedule(test);
      check(test, [1, 1, 1, 1], 1e-4, tiled);
      const text = printKernel(tiled);
      // Whole blocks of one stretch are finished in registers, narrow ones never.
      if (m % 2 === 0 && n % 16 === 0 && k <= 512) expect(text).not.toContain('partial');
      if (n < 16) expect(text).not.toContain('whole');
    }
  });

  it('multiplies batches and integers', () => {
    for (const layout of ['nn', 'nt', 'tn'] as const) {
      const batch = gemm(layout, { batch: true });
      const tiled = schedule(batch);
      check(batch, [9, 17, 5, 3], 2e-5, tiled);
      check(batch, [1, 33, 9, 4], 2e-5, tiled);
      check(batch, [65, 34, 8, 2], 2e-5, tiled);
      checkAll(gemm(layout, { type: 'i32' }), 3, 0, [0, 1, 4, 9, 17]);
    }
  });

  it('multiplies a vector', () => {
    const vec = kernelOf(
      nest([j], 'grid', [
        ...reduce('s', 'add', f32(0), [k], mul(load('b1', 'f32', dk), ld('b2', [dk, dj], [c, b]))),
        store('b0', dj, varRef('s', 'f32')),
      ]),
      [
        ['f32', b],
        ['f32', c],
        ['f32', c, b],
      ],
    );
    checkAll(vec, 3, 1e-5, [1, 4, 9, 33, 100]);
    const gemv = kernelOf(
      nest([i], 'grid', [
        ...reduce('s', 'add', f32(0), [k], mul(ld('b1', [di, dk], [a, c]), load('b2', 'f32', dk))),
        store('b0', di, varRef('s', 'f32')),
      ]),
      [
        ['f32', a],
        ['f32', a, c],
        ['f32', c],
      ],
    );
    checkAll(gemv, 3, 1e-5, [1, 4, 9, 33, 100]);
  });

  it('multiplies values computed on the way, and adds to a start', () => {
    const x = unary('exp', ld('b1', [di, dk], [a, c]));
    const y = add(ld('b2', [dk, dj], [c, b]), f32(1));
    const test = kernelOf(
      nest([i, j], 'grid', [
        ...reduce('s', 'add', f32(0.5), [k], mul(y, x)),
        store('b0', at([di, dj], [a, b]), mul(varRef('s', 'f32'), load('b3', 'f32', di))),
      ]),
      [
        ['f32', a, b],
        ['f32', a, c],
        ['f32', c, b],
        ['f32', a],
      ],
    );
    checkAll(test, 3, 1e-4, [0, 1, 4, 9, 33]);
    check(test, [10, 20, 300, 1], 1e-4);
  });

  it('convolves with padding', () => {
    const [ky, ci] = [axis('r0', 3), axis('r1', c)];
    const [dy, dc] = [symDim(ky), symDim(ci)];
    const row = subDim(addDim(di, dy), 1);
    const inside = binary(
      'and',
      compare('ge', dimValue(row), i32(0)),
      compare('lt', dimValue(row), dimValue(a)),
    );
    const x = select(inside, ld('b1', [row, dc], [a, c]), f32(0), true);
    const test = kernelOf(
      nest([i, j], 'grid', [
        ...reduce('s', 'add', f32(0), [ky, ci], mul(x, ld('b2', [dy, dc, dj], [3, c, b]))),
        store('b0', at([di, dj], [a, b]), varRef('s', 'f32')),
      ]),
      [
        ['f32', a, b],
        ['f32', a, c],
        ['f32', 3, c, b],
      ],
    );
    checkAll(test, 3, 1e-5, [0, 1, 4, 9, 33]);
  });
});

describe('other kernels', () => {
  it('leaves a kernel of serial loops as it is', () => {
    const body: Stmt[] = [
      loop(i, 'serial', [
        ifStmt(compare('gt', load('b1', 'f32', di), f32(0)), [
          store('b0', di, load('b1', 'f32', di)),
        ]),
      ]),
    ];
    const test = kernelOf(body, [
      ['f32', a],
      ['f32', a],
    ]);
    checkAll(test, 1);
    expect(schedule(test).body).toEqual(body);
    expect(schedule(test).tiles).toBe(1);
  });

  it('has tiles that depend on sizes only', () => {
    const test = kernelOf(nest([i], 'grid', [store('b0', di, f32(1))]), [['f32', a]]);
    check(test, [40001, 1, 1, 1]);
    expect(printKernel(schedule(test))).toBe(printKernel(schedule(test)));
  });
});

describe('random kernels', () => {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)];
  const sizes = [a, b, c];

  /** A kernel over up to three grid axes and perhaps a reduction, with random layouts. */
  function randomCase(): Case {
    const axes = [i, j, k].slice(0, 1 + Math.floor(random() * 3));
    const red = axis('r0', d);
    const buffers: [ScalarType, ...Dim[]][] = [['f32', ...axes.map((x) => x.extent!)]];
    const order = [...axes].sort(() => random() - 0.5);
    if (random() < 0.3) buffers[0] = ['f32', ...order.map((x) => x.extent!)];
    else order.splice(0, order.length, ...axes);
    const leaf = (from: readonly Sym[]): Expr => {
      if (random() < 0.15) return cast('f32', dimValue(symDim(pick(from))));
      const used = from.filter(() => random() < 0.75);
      if (random() < 0.3) used.sort(() => random() - 0.5);
      const shape = used.map((x) => x.extent!);
      const type = pick<ScalarType>(['f32', 'f32', 'f32', 'i32', 'bool']);
      buffers.push([type, ...shape]);
      return cast('f32', load(`b${buffers.length - 1}`, type, at(used.map(symDim), shape)));
    };
    const tree = (depth: number, from: readonly Sym[]): Expr => {
      if (depth === 0) return leaf(from);
      const [x, y] = [tree(depth - 1, from), tree(depth - 1, from)];
      const kind = random();
      if (kind < 0.2) return select(compare('lt', x, y), y, mul(x, f32(0.5)));
      if (kind < 0.3) return unary('tanh', x);
      return binary(pick<BinaryOp>(['add', 'sub', 'mul', 'max', 'min']), x, y);
    };
    const where = at(
      order.map(symDim),
      order.map((x) => x.extent!),
    );
    const depth = Math.floor(random() * 3);
    if (random() < 0.4) {
      return kernelOf(nest(axes, 'grid', [store('b0', where, tree(depth, axes))]), buffers);
    }
    const op = pick<Combine['op']>(['add', 'max', 'min']);
    const value =
      random() < 0.5
        ? mul(leaf([...axes, red]), leaf([...axes, red]))
        : tree(depth, [...axes, red]);
    const body = [
      ...reduce('acc0', op, f32(0), [red], value),
      store('b0', where, add(varRef('acc0', 'f32'), tree(random() < 0.5 ? 0 : 1, axes))),
    ];
    return kernelOf(nest(axes, 'grid', body), buffers);
  }

  it('computes the same', () => {
    state = 12345;
    for (let n = 0; n < 150; n++) {
      const test = randomCase();
      const tiled = schedule(test);
      for (let t = 0; t < 6; t++) {
        const small = [...sizes, d].map(() => pick([0, 1, 2, 3, 4, 5, 7, 8, 9, 17]));
        check(test, small, 2e-4, tiled);
      }
      const large = [...sizes, d].map(() => pick([3, 5, 12]));
      large[Math.floor(random() * 4)] = pick([33, 70, 130]);
      large[Math.floor(random() * 4)] = pick([33, 70, 130]);
      check(test, large, 1e-3, tiled);
    }
  });
});
