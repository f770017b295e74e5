// Proofs (a) and (i): loops run on the device from their first turn to their last, differentiate twice,
// and end when their time is up.

import { describe, expect, it } from 'vitest';
import * as tl from '../../src/index.ts';
import { refuses } from '../support/refuses.ts';

/** d loss / d x and d² loss / d x² by central differences of the float64 reference. */
async function differences(
  graph: tl.Graph,
  loss: tl.Tensor,
  x: tl.Tensor,
  at: number,
): Promise<[number, number]> {
  const session = new tl.Session({ graph, backend: 'reference', exact: true });
  const h = 1 / 512;
  const f = async (v: number): Promise<number> => (await session.run(loss, [[x, v]])).data[0];
  const [a, b, c] = [await f(at - h), await f(at), await f(at + h)];
  await session.close();
  return [(c - a) / (2 * h), (c - 2 * b + a) / (h * h)];
}

async function checkTwice(build: (x: tl.Tensor) => tl.Tensor, at: number): Promise<void> {
  const graph = new tl.Graph();
  const { x, loss, first, second } = graph.asDefault(() => {
    const input = tl.placeholder('float32', [], { name: 'x' });
    const value = build(input);
    const [d1] = tl.gradients(value, input);
    const [d2] = tl.gradients(d1 as tl.Tensor, input);
    return { x: input, loss: value, first: d1 as tl.Tensor, second: d2 as tl.Tensor };
  });
  const [slope, bend] = await differences(graph, loss, x, at);
  const session = new tl.Session({ graph });
  const got = await session.run({ loss, first, second }, [[x, at]]);
  expect(Math.abs(got.first.item() - slope)).toBeLessThan(2e-3 * Math.max(1, Math.abs(slope)));
  expect(Math.abs(got.second.item() - bend)).toBeLessThan(1e-2 * Math.max(1, Math.abs(bend)));
  for (const p of session.stats.programs)
    for (const plan of p.perPlan) expect(plan.segments).toBe(1);
  await session.close();
}

describe('loops on the device', () => {
  it('scan of 1,000 steps, twice differentiated', () =>
    checkTwice((x) => {
      const steps = tl.scan(
        (h) => tl.tanh(tl.add(tl.mul(h, tl.mul(x, 0.9)), 0.1)),
        tl.zeros([1000]),
        {
          initializer: tl.mul(x, 0.5),
        },
      );
      return tl.add(tl.gather(steps, 999), tl.reduceMean(tl.square(steps)));
    }, 0.8));

  it('whileLoop of an unknown number of turns, twice differentiated', () =>
    checkTwice((x) => {
      // The number of turns is computed on the device, from a draw that is no size of anything.
      const n = tl.randomUniform([], { minval: 30, maxval: 40, dtype: 'int32', seed: 3 });
      const [, y] = tl.whileLoop(
        ([i]) => tl.less(i, tl.add(tl.mul(n, 0), 37)),
        ([i, v]) => [
          tl.add(i, 1),
          tl.add(tl.mul(v, tl.tanh(tl.add(tl.mul(x, 0.3), 1))), tl.square(x)),
        ],
        [tl.constant(0, { dtype: 'int32' }), tl.mul(x, 1.5)] as const,
      );
      return tl.log(y);
    }, 0.7));

  it('a loop is one segment whose only way out is the end', async () => {
    const graph = new tl.Graph();
    const y = graph.asDefault(() => {
      const n = tl.placeholder('int32', [], { name: 'n' });
      const [i, s] = tl.whileLoop(
        ([k]) => tl.less(k, n),
        ([k, sum]) => [tl.add(k, 1), tl.add(sum, tl.mod(k, 7))],
        [tl.constant(0, { dtype: 'int32' }), tl.constant(0, { dtype: 'int32' })] as const,
      );
      return tl.stack([i, s]);
    });
    const session = new tl.Session({ graph });
    const got = await session.run(y, { n: 100_000 });
    let sum = 0;
    for (let k = 0; k < 100_000; k++) sum += k % 7;
    expect(Array.from(got.data)).toEqual([100_000, sum]);
    expect(session.stats.programs[0].perPlan[0].segments).toBe(1);
    await session.close();
  });
});

describe('a runaway loop', () => {
  for (const backend of ['cpu', 'reference']) {
    it(`ends by timeoutMs on ${backend}, and the session lives on`, async () => {
      const graph = new tl.Graph();
      const { v, write, endless } = graph.asDefault(() => {
        const variable = tl.variable(1, { name: 'v' });
        const loop = tl.whileLoop(
          (x) => tl.greaterEqual(x, 0),
          (x) => tl.mul(x, 0.5),
          tl.constant(1),
        );
        return { v: variable, write: variable.assignAdd(1), endless: loop };
      });
      const session = new tl.Session({ graph, backend });
      await session.run(v.initializer);
      await refuses(
        () => session.run([write, endless], {}, { timeoutMs: 50 }),
        tl.TimeoutError,
        'run/timeout',
        /timeoutMs/,
      );
      await refuses(
        () => session.runSync([write, endless], {}, { timeoutMs: 50 }),
        tl.TimeoutError,
        'run/timeout',
        /timeoutMs/,
      );
      expect((await session.run(v)).item()).toBe(1);
      expect((await session.run(write)).item()).toBe(2);
      await session.close();
    });
  }
});
