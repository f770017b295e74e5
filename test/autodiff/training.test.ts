// Training through a session: a variable that is read inside of loop and branch bodies learns, by the
// same steps on the reference and on the CPU.

import { expect, it } from 'vitest';
import * as tl from '../../src/index.ts';

async function losses(backend: string): Promise<number[]> {
  const graph = new tl.Graph();
  const { xs, loss, step, init } = graph.asDefault(() => {
    const w = tl.variable(0.1, { name: 'w', dtype: 'float32' });
    const xs = tl.placeholder('float32', [null]);
    const hs = tl.scan(
      (h, x) =>
        tl.cond(
          tl.greater(x, 0),
          () => tl.tanh(tl.add(tl.mul(h, w), x)),
          () => tl.mul(h, tl.square(w)),
        ),
      xs,
      { initializer: tl.constant(0, { dtype: 'float32' }) },
    );
    const loss = tl.reduceSum(tl.square(tl.sub(hs, 0.5)));
    const step = new tl.AdamOptimizer(0.05).minimize(loss);
    return { xs, loss, step, init: tl.globalVariablesInitializer() };
  });
  const session = new tl.Session({ graph, backend });
  try {
    await session.run(init);
    const feeds: [tl.Tensor, number[]][] = [[xs, [0.3, 0.1, -0.4, 0.2]]];
    const out: number[] = [];
    for (let i = 0; i < 20; i++) {
      out.push((await session.run(loss, feeds)).item() as number);
      await session.run(step, feeds);
    }
    return out;
  } finally {
    await session.close();
  }
}

it('trains a variable that only bodies read', async () => {
  const truth = await losses('reference');
  expect(truth[19]).toBeLessThan(truth[0] * 0.9);
  const got = await losses('cpu');
  got.forEach((x, i) => expect(x).toBeCloseTo(truth[i], 4));
});
