// The text of kernels: readable, linear in the size of DAGs, and different wherever the meaning is.
// Also the rewrites, whose results are easiest to check as text.

import { describe, expect, it } from 'vitest';
import { addDim, type Dim, makeSym, mulDim, symDim } from '../../src/core/dim.ts';
import {
  add,
  bool,
  cast,
  compare,
  dimValue,
  type Expr,
  f32,
  i32,
  letRef,
  load,
  mul,
  resetExprPool,
  select,
  splat,
  unary,
  varRef,
} from '../../src/kernel/expr.ts';
import type { ForStmt, Kernel, Stmt } from '../../src/kernel/ir.ts';
import { printExpr, printKernel, printStmts } from '../../src/kernel/print.ts';
import {
  freeSyms,
  ifStmt,
  mapExpr,
  mapStmts,
  rebuild,
  substituteSyms,
  walkStmts,
} from '../../src/kernel/rewrite.ts';

const i0 = makeSym('i0', 'i0', { extent: symDim(makeSym('d0')) });
const d0 = makeSym('d0');
const dim = (id: string): Dim => symDim(makeSym(id));

const loop = (body: readonly Stmt[], more: Partial<ForStmt> = {}): ForStmt => ({
  kind: 'for',
  axis: i0,
  start: 0,
  end: symDim(d0),
  step: 1,
  role: 'grid',
  body,
  ...more,
});

const kernelOf = (body: readonly Stmt[], more: Partial<Kernel> = {}): Kernel => ({
  name: 'k',
  buffers: [
    { name: 'b0', type: 'f32', access: 'read' },
    { name: 'b1', type: 'f32', access: 'write' },
  ],
  params: [d0],
  body,
  flops: symDim(d0),
  bytes: mulDim(symDim(d0), 8),
  ...more,
});

const store = (value: Expr): Stmt => ({ kind: 'store', buffer: 'b1', index: symDim(i0), value });
const x = (): Expr => load('b0', 'f32', symDim(i0));

describe('print', () => {
  it('prints a whole kernel', () => {
    const e = unary('exp', x());
    const body: Stmt[] = [
      { kind: 'let', name: 'n', value: add(dimValue(symDim(i0)), i32(1)) },
      { kind: 'var', name: 'acc', type: 'f32', lanes: 1, init: f32(0) },
      loop([{ kind: 'set', name: 'acc', value: add(varRef('acc', 'f32'), x()) }], {
        axis: makeSym('r0'),
        role: 'reduce',
        combine: [{ variable: 'acc', op: 'add' }],
        step: 2,
      }),
      ifStmt(bool(true), [store(mul(e, e))], [store(f32(-0))]),
      { kind: 'while', cond: compare('lt', f32(1), f32(0)), body: [] },
      {
        kind: 'array',
        name: 'a0',
        type: 'f32',
        length: 8,
        body: [{ kind: 'store', buffer: 'a0', index: 4, value: splat(x()) }],
      },
      { kind: 'fail', when: bool(false), code: 3 },
      { kind: 'outline', name: 'part', body: [store(select(bool(true), x(), f32(1), true))] },
    ];
    expect(printKernel(kernelOf([loop(body)]))).toMatchInlineSnapshot(`
      "kernel k(b0: read f32, b1: write f32) params(d0)
        flops d0 bytes 8*d0
      {
        for i0 in 0..d0 grid {
          let n: i32 = (dim(i0) + 1i)
          var acc: f32 = 0f
          for r0 in 0..d0 step 2 reduce combine(add acc) {
            acc = (acc + b0[i0])
          }
          if true {
            %1 = exp(b0[i0])
            b1[i0] = (%1 * %1)
          } else {
            b1[i0] = -0f
          }
          while (1f < 0f) {
          }
          array a0: f32[8] {
            a0x4[4] = splat(b0[i0])
          }
          fail 3 when false
          outline part {
            b1[i0] = lazy_select(true, b0[i0], 1f)
          }
        }
      }"
    `);
    const tiled = { ...kernelOf([]), tile: makeSym('t'), tiles: 4 };
    expect(printKernel(tiled)).toContain('tile t of 4');
  });

  it('binds shared operands and stays linear for deep DAGs', () => {
    const e = add(x(), f32(1));
    expect(printExpr(mul(e, e))).toBe('%1 = (b0[i0] + 1f)\n(%1 * %1)');
    let deep = x();
    for (let i = 0; i < 2000; i++) deep = mul(deep, deep);
    expect(printExpr(deep).length).toBeLessThan(60_000);
    let chain = x();
    for (let i = 0; i < 20_000; i++) chain = add(chain, f32(i));
    expect(printExpr(chain).length).toBeLessThan(400_000);
  });

  it('does not depend on the pool', () => {
    const make = (): string => printStmts([store(mul(add(x(), f32(2)), add(f32(2), x())))]);
    const first = make();
    resetExprPool();
    f32(17);
    add(f32(2), x());
    expect(make()).toBe(first);
  });

  it('tells kernels apart by everything that matters', () => {
    const value = (e: Expr): Kernel => kernelOf([loop([store(e)])]);
    const c = compare('lt', x(), f32(0));
    const init = f32(0);
    const reduce = (more: Partial<ForStmt>): Kernel =>
      kernelOf([
        { kind: 'var', name: 'a', type: 'f32', lanes: 1, init },
        loop([], { role: 'reduce', ...more }),
      ]);
    const kernels = [
      value(x()),
      value(f32(0)),
      value(f32(-0)),
      value(i32(0)),
      value(bool(false)),
      value(splat(f32(0))),
      value(load('b0', 'f32', symDim(i0), 4)),
      value(unary('floor', x())),
      value(cast('i32', x())),
      value(select(c, x(), f32(0))),
      value(select(c, x(), f32(0), true)),
      kernelOf([loop([store(x())], { role: 'serial' })]),
      kernelOf([loop([store(x())], { step: 4 })]),
      kernelOf([loop([store(x())], { start: 1 })]),
      kernelOf([loop([store(x())])], { params: [makeSym('d0', 'd0', { bound: 9 })] }),
      kernelOf([loop([store(x())])], { buffers: [] }),
      { ...value(x()), tile: i0, tiles: 2 },
      { ...value(x()), tile: i0, tiles: 3 },
      reduce({}),
      reduce({ combine: [{ variable: 'a', op: 'add' }] }),
      reduce({ combine: [{ variable: 'a', op: 'max' }] }),
      kernelOf([{ kind: 'var', name: 'a', type: 'f32', lanes: 1, init }]),
      kernelOf([{ kind: 'let', name: 'a', value: init }]),
      kernelOf([{ kind: 'array', name: 'a', type: 'f32', length: 4, body: [] }]),
      kernelOf([{ kind: 'array', name: 'a', type: 'i32', length: 4, body: [] }]),
    ];
    expect(new Set(kernels.map(printKernel)).size).toBe(kernels.length);
  });
});

describe('rewrite', () => {
  it('maps deep DAGs once per node', () => {
    let e = x();
    for (let i = 0; i < 20_000; i++) e = mul(e, e);
    let count = 0;
    const same = mapExpr(e, (n, args) => {
      count++;
      return rebuild(n, args);
    });
    expect(same === e).toBe(true);
    expect(count).toBe(20_001);
    const other = mapExpr(e, (n, args) => (n === x() ? f32(1) : rebuild(n, args)));
    expect(other === e).toBe(false);
  });

  it('substitutes free symbols and leaves bound ones', () => {
    const at = (index: Dim): Stmt => ({ kind: 'store', buffer: 'b1', index, value: f32(0) });
    const stmts: Stmt[] = [
      { kind: 'store', buffer: 'b1', index: dim('n'), value: dimValue(dim('n')) },
      { kind: 'let', name: 'n', value: dimValue(addDim(dim('n'), dim('i0'))) },
      at(dim('n')),
      loop([at(addDim(dim('i0'), dim('d0')))]),
      at(dim('i0')),
    ];
    const to: Record<string, Dim> = { n: 7, i0: addDim(dim('j'), 1), d0: 5 };
    expect(printStmts(substituteSyms(stmts, (s) => to[s.id]))).toMatchInlineSnapshot(`
      "b1[7] = 7i
      let n: i32 = dim(8+j)
      b1[n] = 0f
      for i0 in 0..5 grid {
        b1[5+i0] = 0f
      }
      b1[1+j] = 0f"
    `);
    const kept = substituteSyms(stmts, () => undefined);
    kept.forEach((s, i) => expect(s).toBe(stmts[i]));
  });

  it('finds free symbols in every place', () => {
    const stmts: Stmt[] = [
      { kind: 'let', name: 'n', value: dimValue(dim('p')) },
      loop([store(load('b0', 'f32', addDim(dim('n'), dim('q'))))]),
      { kind: 'array', name: 'a', type: 'f32', length: dim('r'), body: [] },
      { kind: 'fail', when: compare('eq', letRef('n', 'i32'), i32(0)), code: dim('c') },
      store(f32(0)),
    ];
    expect([...freeSyms(stmts).keys()].sort()).toEqual(['c', 'd0', 'i0', 'p', 'q', 'r']);
  });

  it('maps statements from the inside out, to none or many', () => {
    const stmts = [loop([store(f32(1)), store(f32(2))]), store(f32(3))];
    const seen: string[] = [];
    const out = mapStmts(stmts, (s) => {
      seen.push(s.kind);
      if (s.kind !== 'store') return s;
      return s.value === f32(1) ? [] : [s, s];
    });
    expect(seen).toEqual(['store', 'store', 'for', 'store']);
    let count = 0;
    walkStmts(out, () => count++);
    expect(count).toBe(5);
    expect(mapStmts(stmts, (s) => s)[0]).toBe(stmts[0]);
  });
});
