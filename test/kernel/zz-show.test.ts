import { test } from 'vitest';
import { addDim, makeSym, mulDim, symDim } from '../../src/core/dim.ts';
import { add, binary, f32, load, mul, varRef } from '../../src/kernel/expr.ts';
import { printKernel } from '../../src/kernel/print.ts';
import { scheduleCpu } from '../../src/kernel/schedule/schedule.ts';

test('show', () => {
  const [M, N, K] = ['d0', 'd1', 'd2'].map((s) => makeSym(s));
  const ax = (id: string, e: any) => makeSym(id, id, { extent: symDim(e) });
  const [i, j, k] = [ax('i0', M), ax('i1', N), ax('i2', K)];
  const s = symDim;
  const loop = (a: any, role: any, body: any, combine?: any): any => ({
    kind: 'for',
    axis: a,
    start: 0,
    end: a.extent,
    step: 1,
    role,
    body,
    ...(combine ? { combine } : {}),
  });
  const x = load('b1', 'f32', addDim(mulDim(s(i), s(K)), s(k)));
  const y = load('b2', 'f32', addDim(mulDim(s(k), s(N)), s(j)));
  const body = [
    loop(i, 'grid', [
      loop(j, 'grid', [
        { kind: 'var', name: 'acc0', type: 'f32', lanes: 1, init: f32(0) },
        loop(
          k,
          'reduce',
          [{ kind: 'set', name: 'acc0', value: add(varRef('acc0', 'f32'), mul(x, y)) }],
          [{ variable: 'acc0', op: 'add' }],
        ),
        {
          kind: 'store',
          buffer: 'b0',
          index: addDim(mulDim(s(i), s(N)), s(j)),
          value: binary('max', add(varRef('acc0', 'f32'), load('b3', 'f32', s(j))), f32(0)),
        },
      ]),
    ]),
  ];
  const kernel: any = {
    name: 'mm',
    buffers: ['b0', 'b1', 'b2', 'b3'].map((name, q) => ({
      name,
      type: 'f32',
      access: q ? 'read' : 'write',
    })),
    params: [M, N, K],
    body,
    flops: 0,
    bytes: 0,
  };
  console.log(printKernel(scheduleCpu(kernel)));
});
