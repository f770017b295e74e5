// Generated WGSL against the interpreter: kernels of the forms that plans have, statements, dims, and
// the text itself. Kernels are not run where there is no WebGPU.

import { afterAll, describe, expect, it } from 'vitest';
import { emitPoints } from '../../src/codegen/wgsl/points.ts';
import {
  addDim,
  bcastDim,
  type Dim,
  floorDiv,
  maxDim,
  minDim,
  modDim,
  mulDim,
  ne1Dim,
  subDim,
} from '../../src/core/dim.ts';
import { evalDim } from '../../src/core/dim-value.ts';
import { InternalError } from '../../src/core/error.ts';
import {
  add,
  binary,
  bool,
  cast,
  compare,
  constant,
  dimValue,
  div,
  type Expr,
  f32,
  i32,
  letRef,
  load,
  mul,
  select,
  sub,
  unary,
  varRef,
} from '../../src/kernel/expr.ts';
import type { Kernel, Stmt } from '../../src/kernel/ir.ts';
import { expandMath } from '../../src/kernel/math.ts';
import { ifStmt } from '../../src/kernel/rewrite.ts';
import {
  axis,
  bind,
  check,
  kernelOf,
  loop,
  numbers,
  set,
  store,
  sym,
  variable,
} from '../support/wgsl-check.ts';
import { disposeWebgpu, runWgsl, webgpuAvailable } from '../support/wgsl-run.ts';

const available = await webgpuAvailable();
if (!available) console.warn('wgsl.test.ts: no WebGPU adapter, so no kernel is run');

/** tanh(relu(x * y + b)) over m by n, where `y` may be a row. */
function elementwise(): Kernel {
  const [m, n, rows] = [sym('m'), sym('n'), sym('rows')];
  const [i, j] = [axis('i', m), axis('j', n)];
  const at = addDim(mulDim(i, n), j);
  const y = load('b1', 'f32', addDim(mulDim(mulDim(i, n), ne1Dim(rows)), j));
  const sum = add(mul(load('b0', 'f32', at), y), load('b2', 'f32', j));
  return kernelOf(
    'f f f f!',
    ['m', 'n', 'rows'],
    [
      loop('grid', 'i', m, [
        loop('grid', 'j', n, [store('b3', at, unary('tanh', binary('max', sum, f32(0))))]),
      ]),
    ],
  );
}

function softmax(): Kernel {
  const [m, n] = [sym('m'), sym('n')];
  const [i, j] = [axis('i', m), axis('j', n)];
  const at = addDim(mulDim(i, n), j);
  const [top, total] = [varRef('top', 'f32'), varRef('total', 'f32')];
  const e = unary('exp', sub(load('b0', 'f32', at), top));
  return kernelOf(
    'f f!',
    ['m', 'n'],
    [
      loop('grid', 'i', m, [
        variable('top', f32(-Infinity)),
        loop('reduce', 'j', n, [set('top', binary('max', top, load('b0', 'f32', at)))]),
        variable('total', f32(0)),
        loop('reduce', 'j', n, [set('total', add(total, e))]),
        loop('lane', 'j', n, [store('b1', at, div(e, total))]),
      ]),
    ],
  );
}

function matmul(): Kernel {
  const [m, n, k] = [sym('m'), sym('n'), sym('k')];
  const [i, j, l] = [axis('i', m), axis('j', n), axis('l', k)];
  const sum = varRef('sum', 'f32');
  const a = load('b0', 'f32', addDim(mulDim(i, k), l));
  const b = load('b1', 'f32', addDim(mulDim(l, n), j));
  const shifted = add(sum, load('b2', 'f32', j));
  return kernelOf(
    'f f f f!',
    ['m', 'n', 'k'],
    [
      loop('grid', 'i', m, [
        loop('grid', 'j', n, [
          variable('sum', f32(0)),
          loop('reduce', 'l', k, [set('sum', add(sum, mul(a, b)))]),
          store('b3', addDim(mulDim(i, n), j), binary('max', shifted, f32(0))),
        ]),
      ]),
    ],
  );
}

/** A lazy select that loads only within the input, plus one side's value used outside of it. */
function pad(): Kernel {
  const [n, before] = [sym('n'), sym('before')];
  const size = addDim(n, mulDim(before, 2));
  const i = axis('i', size);
  const from = subDim(i, before);
  const inside = binary(
    'and',
    compare('ge', dimValue(from), i32(0)),
    compare('lt', dimValue(from), dimValue(n)),
  );
  const x = load('b0', 'f32', from);
  const squares = add(mul(x, x), mul(mul(x, x), x));
  const padded = select(inside, squares, f32(-1), true);
  // The same load on both sides of one select, and again on one side of another.
  const twice = select(
    inside,
    select(compare('gt', x, f32(0)), x, unary('neg', x), true),
    f32(2),
    true,
  );
  return kernelOf(
    'f f! f!',
    ['n', 'before'],
    [loop('grid', 'i', size, [store('b1', i, padded), store('b2', i, add(twice, padded))])],
  );
}

describe.skipIf(!available)('WGSL kernels', () => {
  afterAll(disposeWebgpu);

  it.each([1, 7])('fuses elementwise operations (%i rows of one operand)', async (rows) => {
    const buffers = [numbers(63), numbers(rows * 9, 2), numbers(9, 3), new Float32Array(63)];
    await check(elementwise(), buffers, [7, 9, rows], 1e-5, 1);
  });

  it('runs a softmax of rows', async () => {
    await check(softmax(), [numbers(500), new Float32Array(500)], [5, 100], 1e-5);
  });

  it('runs a matmul with an epilogue', async () => {
    const buffers = [numbers(13 * 17), numbers(17 * 11, 2), numbers(11, 3), new Float32Array(143)];
    await check(matmul(), buffers, [13, 11, 17], 1e-5, 1);
  });

  it('sums columns, also of an empty matrix', async () => {
    const [m, n] = [sym('m'), sym('n')];
    const [i, j] = [axis('i', m), axis('j', n)];
    const sum = varRef('sum', 'f32');
    const x = load('b0', 'f32', addDim(mulDim(i, n), j));
    const kernel = kernelOf(
      'f f!',
      ['m', 'n'],
      [
        loop('grid', 'j', n, [
          variable('sum', f32(0)),
          loop('reduce', 'i', m, [set('sum', add(sum, x))]),
          store('b1', j, sum),
        ]),
      ],
    );
    await check(kernel, [numbers(300), new Float32Array(100)], [3, 100], 1e-5, 1);
    await check(kernel, [new Float32Array(0), numbers(100)], [0, 100]);
    await check(kernel, [new Float32Array(0), new Float32Array(0)], [3, 0]);
  });

  it('loads only on the side of a lazy select that is taken', async () => {
    await check(pad(), [numbers(5), new Float32Array(11), new Float32Array(11)], [5, 3], 1e-6);
    const { code } = emitPoints(pad());
    // Neither load may stand before the first condition.
    expect(code.indexOf('b0[')).toBeGreaterThan(code.indexOf('if (', code.indexOf('return;')));
  });

  it('reads and writes bools', async () => {
    const i = axis('i', 4);
    const [x, y] = [load('b0', 'bool', i), load('b1', 'bool', i)];
    const results = [
      binary('and', x, y),
      binary('or', x, unary('not', y)),
      binary('xor', x, y),
      compare('lt', x, y),
      compare('eq', x, bool(true)),
      select(x, y, bool(false)),
    ];
    const body = results.map((e, k) => store('b2', addDim(mulDim(i, 8), k), e));
    body.push(store('b3', i, add(cast('f32', x), cast('f32', cast('i32', y)))));
    const kernel = kernelOf('b b b! f!', [], [loop('grid', 'i', 4, body)]);
    const inputs = [Uint8Array.of(0, 1, 0, 1), Uint8Array.of(0, 0, 1, 1)];
    await check(kernel, [...inputs, new Uint8Array(32), new Float32Array(4)]);
  });

  it('computes dims', async () => {
    const [p, q] = [sym('p'), sym('q')];
    const d = subDim(p, mulDim(q, 3));
    const dims = [
      floorDiv(d, q),
      modDim(d, q),
      floorDiv(p, 4),
      modDim(p, 4),
      floorDiv(d, 4),
      modDim(d, 4),
      maxDim(d, q),
      minDim(d, 5),
      bcastDim(p, q),
      ne1Dim(q),
      addDim(mulDim(mulDim(p, q), -2), 7),
      mulDim(d, d),
    ];
    const body = dims.map((x, i) => store('b0', i, dimValue(x)));
    const kernel = kernelOf('i!', ['p', 'q'], body);
    for (const params of [
      [0, 0],
      [1, 1],
      [17, 5],
      [5, 17],
      [12, 4],
      [1, 6],
    ]) {
      await check(kernel, [new Int32Array(dims.length)], params);
    }
  });

  it('runs whole kernels without a grid, with serial loops, branches and whiles', async () => {
    const [i, n] = [axis('i', sym('n')), sym('n')];
    const x = varRef('x', 'i32');
    const odd = compare('ne', binary('and', x, i32(1)), i32(0));
    const index = sym('at');
    const kernel = kernelOf(
      'i! i!',
      ['n'],
      [
        loop('serial', 'i', n, [
          variable('x', add(dimValue(i), i32(1))),
          variable('steps', i32(0)),
          {
            kind: 'while',
            cond: compare('gt', x, i32(1)),
            body: [
              ifStmt(odd, [set('x', add(mul(x, i32(3)), i32(1)))], [set('x', div(x, i32(2)))]),
              set('steps', add(varRef('steps', 'i32'), i32(1))),
            ],
          },
          bind('at', binary('sub', dimValue(subDim(n, 1)), dimValue(i))),
          { kind: 'outline', name: 'o', body: [store('b0', index, varRef('steps', 'i32'))] },
          store('b1', i, letRef('at', 'i32')),
        ]),
      ],
    );
    await check(kernel, [new Int32Array(30), new Int32Array(30)], [30]);
  });

  it('starts and steps grids anywhere, and leaves triangles to inner loops', async () => {
    const n = sym('n');
    const i = sym('i');
    const inner = loop('grid', 'j', addDim(i, 1), [
      store('b0', addDim(mulDim(i, n), sym('j')), dimValue(addDim(i, sym('j')))),
    ]);
    const outer = { ...loop('grid', 'i', n, [inner], 2), step: 3 } as Stmt;
    await check(kernelOf('i!', ['n'], [outer]), [new Int32Array(400)], [20]);
  });

  it('dispatches more than 65535 workgroups', async () => {
    const n = 65536 * 64 + 100;
    const i = axis('i', sym('n'));
    const kernel = kernelOf(
      'i!',
      ['n'],
      [loop('grid', 'i', sym('n'), [store('b0', i, dimValue(i))])],
    );
    const out = new Int32Array(n);
    await runWgsl(kernel, [out], [n]);
    expect(out.every((x, k) => x === k)).toBe(true);
  });

  it('reports the lowest code of the checks that fail', async () => {
    const i = axis('i', 100);
    const fail = (limit: number, code: Dim): Stmt => ({
      kind: 'fail',
      when: compare('gt', load('b0', 'i32', i), i32(limit)),
      code,
    });
    const kernel = kernelOf(
      'i i!',
      ['c'],
      [loop('grid', 'i', 100, [fail(98, 9), fail(50, sym('c')), store('b1', i, i32(1))])],
    );
    expect(emitPoints(kernel).fails).toBe(true);
    const data = Int32Array.from({ length: 100 }, (_, k) => k);
    expect(await check(kernel, [data, new Int32Array(100)], [0])).toBe(0);
    expect(await check(kernel, [data, new Int32Array(100)], [12])).toBe(9);
    expect(await check(kernel, [data.fill(0), new Int32Array(100)], [0])).toBeUndefined();
  });

  it('survives deep chains and wide sharing', async () => {
    let deep: Expr = load('b0', 'f32', 0);
    for (let k = 0; k < 3000; k++) deep = add(deep, f32(k % 3));
    let shared: Expr = load('b0', 'f32', 0);
    for (let k = 0; k < 60; k++) shared = mul(add(shared, shared), f32(0.5));
    let lazy: Expr = load('b0', 'f32', 1);
    for (let k = 0; k < 12; k++) {
      const c = compare('gt', load('b0', 'f32', k % 2), f32(k));
      lazy = add(select(c, lazy, f32(k), true), select(unary('not', c), f32(1), lazy, true));
    }
    const body = [deep, shared, lazy].map((e, k) => store('b1', k, e));
    await check(kernelOf('f f!', [], body), [Float32Array.of(3, 2), new Float32Array(3)]);
  });
});

describe('emitPoints', () => {
  it('gives equal text for kernels that differ in names only', () => {
    const [n, other] = [sym('n'), sym('other')];
    const make = (size: Dim, id: string, local: string): Kernel =>
      kernelOf(
        'f f!',
        [(size as { key: string }).key],
        [
          loop('grid', id, size, [
            bind(local, load('b0', 'f32', axis(id, size))),
            store('b1', axis(id, size), mul(letRef(local, 'f32'), f32(2))),
          ]),
        ],
      );
    const { code } = emitPoints(make(n, 'i', 'x'));
    expect(emitPoints(make(other, 'fn', 'var')).code).toBe(code);
    expect(code).toMatchInlineSnapshot(`
      "@group(0) @binding(0) var<storage, read> b0: array<f32>;
      @group(0) @binding(1) var<storage, read_write> b1: array<f32>;
      @group(0) @binding(2) var<uniform> params: array<vec4<i32>, 1>;

      @compute @workgroup_size(64)
      fn main(
        @builtin(workgroup_id) group: vec3<u32>,
        @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) local_index: u32,
      ) {
        let p0 = params[0].x;
        let n0 = u32(p0);
        let point = (group.x + group.y * groups.x) * 64u + local_index;
        if (point >= n0) {
          return;
        }
        let i0 = i32(point);
        let v0: f32 = b0[i0];
        b1[i0] = v0 * 2.0f;
      }
      "
    `);
  });

  it('says how to run the kernel', () => {
    const k = emitPoints(expandMath(elementwise()));
    expect(k.params.map((p) => p.id)).toEqual(['m', 'n', 'rows']);
    expect([k.workgroupSize, k.uniformWords, k.fails]).toEqual([64, 4, false]);
    const values: { readonly [id: string]: number } = { m: 13, n: 10 };
    expect(evalDim(k.workgroups, (id) => values[id])).toBe(3);
    expect(emitPoints(kernelOf('f!', [], [store('b0', 0, f32(1))])).workgroups).toBe(1);
  });

  it('refuses scheduled kernels', () => {
    const vector = store('b0', 0, constant('f32', 1, 4));
    expect(() => emitPoints(kernelOf('f!', [], [vector]))).toThrow(InternalError);
    const array: Stmt = { kind: 'array', name: 'a', type: 'f32', length: 4, body: [] };
    expect(() => emitPoints(kernelOf('f!', [], [array]))).toThrow(InternalError);
  });
});
