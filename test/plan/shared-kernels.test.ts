// One kernel for one structure: arrays of any shape, random numbers of any seed, and what is computed for
// the same points.

import { expect, it } from 'vitest';
import * as tl from '../../src/index.ts';

/** The kernels of the only plan of a fetch, and how many distinct ones were compiled for it. */
async function kernelsOf(fetch: tl.Tensor | tl.Operation, feeds: tl.Feeds = []) {
  const session = new tl.Session({ graph: fetch.graph, backend: 'cpu', threads: 1 });
  await session.run(fetch, feeds);
  const [{ perPlan }] = session.stats.programs;
  const counts = session.stats.device as { kernelsCompiled: number; kernelsShared: number };
  await session.close();
  return { launches: perPlan[0], distinct: counts.kernelsCompiled + counts.kernelsShared };
}

const inGraph = <T>(make: () => T): T => new tl.Graph().asDefault(make);

it('arrays of different shapes are changed by one kernel', async () => {
  const shapes = [[16], [3, 3, 4, 8], [5, 7], [1, 9]];
  const [update, feeds] = inGraph(() => {
    const xs = shapes.map((shape) => tl.placeholder('float32', shape));
    const updates = xs.map((x, i) => {
      const v = tl.variable(tl.zeros(shapes[i]), { name: `v${i}`, trainable: false });
      return v.assign(tl.tanh(x));
    });
    const feeds = xs.map((x, i): [tl.Tensor, tl.NDArray] => {
      const elements = shapes[i].reduce((n, d) => n * d, 1);
      return [x, new tl.NDArray('float32', shapes[i], new Float32Array(elements).fill(0.5))];
    });
    return [tl.group(updates), feeds] as const;
  });
  const { distinct } = await kernelsOf(update, feeds);
  expect(distinct).toBe(1);
});

it('random initial values of different shapes and seeds come from one kernel', async () => {
  const init = inGraph(() => {
    [[16], [3, 3, 16, 16], [5, 7], [1, 9]].forEach((shape, i) => {
      tl.variable(tl.randomNormal(shape, { stddev: 0.1, seed: i + 1 }), { name: `v${i}` });
    });
    return tl.globalVariablesInitializer();
  });
  const { distinct, launches } = await kernelsOf(init);
  expect(distinct).toBe(1);
  expect(launches.arenaBytes).toBe(0);
});

it('what is computed for the same points of different inputs is one kernel', async () => {
  const [y, feeds] = inGraph(() => {
    const x = tl.placeholder('float32', [null, 8]);
    const z = tl.placeholder('float32', [null, 8]);
    const gate = tl.mul(tl.sigmoid(x), tl.tanh(z));
    const ones = new tl.NDArray('float32', [3, 8], new Float32Array(24).fill(1));
    const both: [tl.Tensor, tl.NDArray][] = [
      [x, ones],
      [z, ones],
    ];
    return [tl.add(gate, tl.exp(tl.sub(x, z))), both] as const;
  });
  const { launches } = await kernelsOf(y, feeds);
  expect(launches.kernels).toBe(1);
});

it('kernels that need their axes apart keep them', () => {
  const text = inGraph(() => {
    const x = tl.placeholder('float32', [4, 8]);
    const row = tl.placeholder('float32', [8]);
    const y = tl.add(x, row);
    return new tl.Session({ backend: 'cpu', threads: 1 }).explain([y], [x, row]);
  });
  expect(text).toContain('for i1 in 0..8 grid');
});
