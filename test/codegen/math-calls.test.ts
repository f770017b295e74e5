// Kernels that call many elementary functions call functions of their module instead of expanding each:
// the same bits as expanded, in one session after the other, for whole blocks and for the edges.

import { describe, expect, it } from 'vitest';
import * as tl from '../../src/index.ts';

const FUNCTIONS: readonly [string, (x: tl.Tensor) => tl.Tensor][] = [
  ['exp', tl.exp],
  ['log', tl.log],
  ['tanh', tl.tanh],
  ['erf', tl.erf],
  ['sin', tl.sin],
  ['pow', (x) => tl.pow(x, tl.add(x, 0.25))],
];
const FACTORS = [-3, -1.5, -0.7, 0.01, 0.5, 1, 1.25, 2.5, 30];

function build(fn: (x: tl.Tensor) => tl.Tensor) {
  const graph = new tl.Graph();
  return graph.asDefault(() => {
    const x = tl.placeholder('float32', [null], { name: 'x' });
    return { graph, ys: FACTORS.map((k) => fn(tl.mul(x, k))) };
  });
}

const input = (n: number): tl.NDArray =>
  new tl.NDArray(
    'float32',
    [n],
    Float32Array.from({ length: n }, (_, i) => (i - 7) * 0.37),
  );

describe.each(FUNCTIONS)('%s', (name, fn) => {
  it('gives the same bits called and expanded', async () => {
    const { graph, ys } = build(fn);
    for (const round of ['first', 'from the cache']) {
      const session = new tl.Session({ graph, backend: 'cpu' });
      expect(session.explain(ys), round).toMatch(new RegExp(`call \\$?${name}_f32_4_[12]`));
      expect(session.explain(ys[0]), round).not.toContain(`${name}_f32_4`);
      for (const n of [0, 1, 3, 4, 16, 31, 50]) {
        const called = await session.run(ys, { x: input(n) });
        for (let k = 0; k < ys.length; k++) {
          const expanded = await session.run(ys[k], { x: input(n) });
          expect(called[k].data, `${round}, ${n} elements, factor ${FACTORS[k]}`).toEqual(
            expanded.data,
          );
        }
      }
      await session.close();
    }
  });
});

it('a chain of functions gives what its steps give', async () => {
  const graph = new tl.Graph();
  const { x, steps } = graph.asDefault(() => {
    const start = tl.placeholder('float32', [null, 5], { name: 'x' });
    const all: tl.Tensor[] = [];
    let h: tl.Tensor = start;
    for (let i = 0; i < 12; i++) {
      h = tl.add(tl.tanh(tl.mul(h, 1.5)), 0.1 * i);
      all.push(h);
    }
    return { x: start, steps: all };
  });
  const session = new tl.Session({ graph, backend: 'cpu' });
  const value = input(65).data as Float32Array;
  let h: tl.NDArray = new tl.NDArray('float32', [13, 5], value);
  for (const step of steps) {
    const whole = await session.run(step, [[x, new tl.NDArray('float32', [13, 5], value)]]);
    const before = steps.indexOf(step) - 1;
    const fed = before < 0 ? x : steps[before];
    h = (await session.run(step, [[fed, h]])) as tl.NDArray;
    expect(whole.data).toEqual(h.data);
  }
  await session.close();
});
