// Proof (c), the bits: the same plan on one and two threads gives the same results to the last bit.

import { expect, it } from 'vitest';
import { drawValue, generator } from '../../src/conformance/draw.ts';
import * as tl from '../../src/index.ts';

it('two threads give the bits of one', async () => {
  const next = generator(9);
  const graph = new tl.Graph();
  const fetches = graph.asDefault(() => {
    const x = tl.placeholder('float32', [null, 96], { name: 'x' });
    const w = tl.constant(drawValue([96, 80], 'float32', {}, next));
    const h = tl.softmax(tl.matmul(x, w));
    const loss = tl.reduceMean(tl.square(tl.sub(h, tl.reduceMean(h, { axis: 0, keepDims: true }))));
    const [g] = tl.gradients(loss, w);
    return { h, loss, g: g as tl.Tensor, sums: tl.reduceSum(x, { axis: 0 }) };
  });
  const x = drawValue([1501, 96], 'float32', {}, next);
  const bits = async (threads: number): Promise<number[][]> => {
    const session = new tl.Session({ graph, threads });
    let out: number[][] = [];
    // Workers join after the first runs.
    for (let i = 0; i < 5; i++) {
      const got = await session.run(fetches, { x });
      out = Object.values(got).map((v) =>
        Array.from(new Int32Array((v.data as Float32Array).buffer)),
      );
    }
    await session.close();
    return out;
  };
  expect(await bits(2)).toEqual(await bits(1));
});
