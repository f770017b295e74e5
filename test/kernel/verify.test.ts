// The verifier: accepts a kernel that uses everything, and reports one broken kernel per rule.

import { describe, expect, it } from 'vitest';
import { type Dim, makeSym, symDim } from '../../src/core/dim.ts';
import {
  add,
  bool,
  compare,
  dimValue,
  type Expr,
  f32,
  i32,
  letRef,
  load,
  splat,
  unary,
  varRef,
} from '../../src/kernel/expr.ts';
import type { ForStmt, Kernel, Stmt, TiledKernel } from '../../src/kernel/ir.ts';
import { expandMath } from '../../src/kernel/math.ts';
import { ifStmt } from '../../src/kernel/rewrite.ts';
import { VERIFY_RULES, verifyKernel } from '../../src/kernel/verify.ts';

const dim = (id: string): Dim => symDim(makeSym(id));

const kernelOf = (body: readonly Stmt[], more: Partial<TiledKernel> = {}): Kernel => ({
  name: 'broken',
  buffers: [
    { name: 'b0', type: 'f32', access: 'read' },
    { name: 'b1', type: 'f32', access: 'write' },
  ],
  params: [makeSym('d0')],
  body,
  flops: dim('d0'),
  bytes: 0,
  ...more,
});

const loop = (body: readonly Stmt[], more: Partial<ForStmt> = {}): Stmt => ({
  kind: 'for',
  axis: makeSym('i0'),
  start: 0,
  end: dim('d0'),
  step: 1,
  role: 'grid',
  body,
  ...more,
});
const store = (value: Expr, buffer = 'b1', index: Dim = 0): Stmt => ({
  kind: 'store',
  buffer,
  index,
  value,
});
const letX = (value: Expr): Stmt => ({ kind: 'let', name: 'x', value });
const varX = (init: Expr): Stmt => ({ kind: 'var', name: 'x', type: 'f32', lanes: 1, init });
const setX = (value: Expr): Stmt => ({ kind: 'set', name: 'x', value });
/** An expression as no builder makes it. */
const forged = (e: Expr, more: object): Expr => ({ ...e, ...more }) as Expr;

const x = letRef('x', 'f32');
const lt = compare('lt', f32(0), f32(1));

const broken: readonly [rule: string, kernel: Kernel][] = [
  ['unique-names', kernelOf([], { params: [makeSym('d0'), makeSym('d0')] })],
  ['cost-of-params', kernelOf([], { flops: dim('i9') })],
  ['cost-of-params', kernelOf([], { tile: makeSym('t'), tiles: dim('t') })],
  ['no-redefinition', kernelOf([letX(f32(0)), letX(f32(1))])],
  ['no-redefinition', kernelOf([letX(f32(0)), loop([varX(f32(1))])])],
  ['no-redefinition', kernelOf([loop([loop([])])])],
  ['no-redefinition', kernelOf([{ kind: 'array', name: 'b0', type: 'f32', length: 1, body: [] }])],
  ['local-type', kernelOf([varX(i32(0))])],
  ['local-type', kernelOf([varX(f32(0)), setX(splat(f32(0)))])],
  ['set-of-var', kernelOf([letX(f32(0)), setX(f32(1))])],
  ['set-of-var', kernelOf([setX(f32(1)), varX(f32(0))])],
  ['local-defined', kernelOf([store(x), letX(f32(0))])],
  ['local-defined', kernelOf([loop([letX(f32(0))]), store(x)])],
  ['local-defined', kernelOf([varX(f32(0)), store(x)])],
  ['local-defined', kernelOf([letX(i32(0)), store(x)])],
  ['buffer-exists', kernelOf([store(f32(0), 'b7')])],
  ['buffer-exists', kernelOf([store(i32(0))])],
  ['buffer-exists', kernelOf([store(load('b7', 'f32', 0))])],
  ['buffer-exists', kernelOf([letX(load('b0', 'i32', 0))])],
  [
    'buffer-exists',
    kernelOf([{ kind: 'array', name: 'a', type: 'f32', length: 4, body: [] }, store(f32(0), 'a')]),
  ],
  ['buffer-access', kernelOf([store(f32(0), 'b0')])],
  ['symbol-bound', kernelOf([store(f32(0), 'b1', dim('i0'))])],
  ['symbol-bound', kernelOf([loop([]), store(load('b0', 'f32', dim('i0')))])],
  ['symbol-bound', kernelOf([letX(f32(0)), letX(dimValue(dim('x')))])],
  ['symbol-bound', kernelOf([loop([], { end: dim('i0') })])],
  ['operand-agreement', kernelOf([letX(forged(add(f32(1), f32(2)), { args: [f32(1), i32(1)] }))])],
  ['operand-type', kernelOf([letX(unary('sqrt', i32(1)))])],
  ['operand-type', kernelOf([letX(add(bool(true), bool(true)))])],
  ['result-type', kernelOf([letX(forged(add(f32(1), f32(2)), { lanes: 4 }))])],
  ['condition-type', kernelOf([ifStmt(f32(1), [])])],
  ['condition-type', kernelOf([{ kind: 'while', cond: splat(lt), body: [] }])],
  ['condition-type', kernelOf([{ kind: 'fail', when: i32(1), code: 0 }])],
  ['loop-role', kernelOf([loop([], { role: 'odd' as 'grid' })])],
  ['loop-step', kernelOf([loop([], { step: 0 })])],
  ['loop-combine', kernelOf([loop([], { combine: [{ variable: 'x', op: 'add' }] })])],
  [
    'loop-combine',
    kernelOf([loop([], { role: 'reduce', combine: [{ variable: 'x', op: 'add' }] })]),
  ],
  [
    'loop-combine',
    kernelOf([varX(f32(0)), loop([], { role: 'reduce', combine: [{ variable: 'x', op: 'or' }] })]),
  ],
];

describe('verifyKernel', () => {
  it('accepts a sound kernel, also with its math expanded', () => {
    const acc = varRef('acc', 'f32');
    const axis = makeSym('r0');
    const body: Stmt[] = [
      loop([
        { kind: 'let', name: 'n', value: add(dimValue(dim('i0')), i32(1)) },
        { kind: 'var', name: 'acc', type: 'f32', lanes: 1, init: f32(0) },
        loop([{ kind: 'set', name: 'acc', value: add(acc, load('b0', 'f32', dim('n'))) }], {
          axis,
          role: 'reduce',
          combine: [{ variable: 'acc', op: 'add' }],
        }),
        // The name is free again after its loop.
        loop([store(unary('tanh', unary('log', acc)), 'b1', dim('r0'))], { axis }),
        ifStmt(lt, [letX(f32(1)), store(x)], [letX(f32(2)), store(x)]),
        {
          kind: 'array',
          name: 'a',
          type: 'f32',
          length: dim('n'),
          body: [store(unary('sin', splat(acc)), 'a'), store(load('a', 'f32', 0, 4))],
        },
      ]),
    ];
    const k = kernelOf(body);
    verifyKernel(k);
    verifyKernel(expandMath(k));
    verifyKernel({ ...k, tile: makeSym('t'), tiles: dim('d0') });
  });

  it.each(broken)('reports %s', (rule, kernel) => {
    expect(() => verifyKernel(kernel)).toThrow(`kernel "broken" breaks rule ${rule}: `);
  });

  it('has a case for every rule', () => {
    expect([...new Set(broken.map(([rule]) => rule))].sort()).toEqual([...VERIFY_RULES].sort());
  });
});
