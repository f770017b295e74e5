// What runs give and take, on both backends: structures, feeds of any tensor, state, order, draws.

import { beforeEach, describe, expect, it } from 'vitest';
import * as tl from '../../src/index.ts';

for (const backend of ['cpu', 'reference']) {
  describe(`session on ${backend}`, () => {
    let session: tl.Session;
    beforeEach(() => {
      tl.resetDefaultGraph();
      session = new tl.Session({ backend });
    });

    it('gives results in the structure of the fetches', async () => {
      const a = tl.constant(1, { name: 'a' });
      const v = tl.variable(2, { name: 'v' });
      await session.run(v.initializer);
      const out = await session.run({ one: a, list: [a, [v]], op: v.initializer, named: 'a:0' });
      expect(out.one.item()).toBe(1);
      expect(out.list[0].item()).toBe(1);
      expect(out.list[1][0].item()).toBe(2);
      expect(out.op).toBeUndefined();
      expect(out.named.item()).toBe(1);
      expect(await session.run([])).toEqual([]);
    });

    it('takes feeds by name, in pairs, as a Map, for any tensor', async () => {
      const x = tl.placeholder('float32', [null], { name: 'x' });
      const mid = tl.mul(x, 2);
      const y = tl.add(mid, 1);
      const want = [
        [3, 5],
        [3, 5],
        [3, 5],
      ];
      const got = [
        await session.run(y, { x: [1, 2] }),
        await session.run(y, [[x, Float32Array.of(1, 2)]]),
        await session.run(y, new Map([[x, new tl.NDArray('float32', [2], Float32Array.of(1, 2))]])),
      ];
      expect(got.map((v) => v.toArray())).toEqual(want);
      // With the tensor in the middle fed, the placeholder is not needed.
      expect((await session.run(y, [[mid, [10]]])).toArray()).toEqual([11]);
    });

    it('feeds shapes and variables', async () => {
      const x = tl.placeholder('float32', [null], { name: 'x' });
      const shape = tl.concat(
        [[2], [tl.floorDiv(tl.size(x), 2)].map((t) => t.expandDims(0))[0]],
        0,
      );
      const y = tl.reshape(x, shape);
      expect((await session.run(y, { x: [1, 2, 3, 4, 5, 6] })).shape).toEqual([2, 3]);
      const fed = await session.run(y, [
        [x, [1, 2, 3, 4, 5, 6]],
        [shape, Int32Array.of(3, 2)],
      ]);
      expect(fed.toArray()).toEqual([
        [1, 2],
        [3, 4],
        [5, 6],
      ]);
      const v = tl.variable([1, 2], { name: 'v' });
      expect((await session.run(tl.mul(v, 3), [[v, [5, 6]]])).toArray()).toEqual([15, 18]);
    });

    it('reshapes by a fed shape', async () => {
      const x = tl.placeholder('float32', [null], { name: 'x' });
      const s = tl.placeholder('int32', [2], { name: 's' });
      const y = tl.add(tl.reshape(x, s), 1);
      expect((await session.run(y, { x: [1, 2, 3, 4], s: Int32Array.of(2, 2) })).toArray()).toEqual(
        [
          [2, 3],
          [4, 5],
        ],
      );
      expect((await session.run(y, { x: [1, 2, 3, 4], s: Int32Array.of(1, 4) })).toArray()).toEqual(
        [[2, 3, 4, 5]],
      );
      await expect(session.run(y, { x: [1, 2, 3], s: Int32Array.of(2, 2) })).rejects.toThrow(
        /number of elements/,
      );
    });

    it('specialises placeholders of unknown rank', async () => {
      const x = tl.placeholder('float32', null, { name: 'x' });
      const y = tl.reduceSum(tl.add(tl.square(x), tl.reshape(x, tl.shape(x))), { axis: -1 });
      expect(String(y)).toContain('<unknown>');
      expect((await session.run(y, { x: [1, 2] })).item()).toBe(8);
      expect((await session.run(y, { x: [[1], [2]] })).toArray()).toEqual([2, 6]);
      const d = tl.placeholderWithDefault([1, 2, 3], [null], { name: 'd' });
      expect((await session.run(tl.reduceSum(d))).item()).toBe(6);
      expect((await session.run(tl.reduceSum(d), { d: [5] })).item()).toBe(5);
    });

    it('orders reads and writes as control dependencies say', async () => {
      const v = tl.variable(1, { name: 'v' });
      await session.run(v.initializer);
      const before = v.read();
      const write = v.assign(5);
      const after = tl.controlDependencies([write], () => v.read());
      const got = await session.run([before, write, after]);
      expect(got.map((x) => x.item())).toEqual([1, 5, 5]);
      // Two unordered increments both count.
      await session.run([v.assignAdd(1), v.assignAdd(10)]);
      expect((await session.run(v)).item()).toBe(16);
      await session.run(v.assignSub(6));
      expect(session.variableValue(v)?.item()).toBe(10);
      session.setVariable(v, 3);
      expect((await session.run(v)).item()).toBe(3);
    });

    it('keeps the value of a write that a loop writes over', async () => {
      const v = tl.variable(tl.zeros([2]), { name: 'v' });
      await session.run(v.initializer);
      const first = v.assignAdd([1, 2]);
      const { i } = tl.controlDependencies([first], () =>
        tl.whileLoop(
          ({ i }) => tl.less(i, 3),
          ({ i }) => ({ i: tl.add(i, tl.reduceSum(tl.mul(v.assignAdd([1, 1]), 0)).add(1)) }),
          { i: tl.constant(0) },
        ),
      );
      const late = tl.controlDependencies([i], () => tl.mul(first, 10));
      const [a, b, c] = await session.run([first, late, i]);
      expect([a.toArray(), b.toArray(), c.item()]).toEqual([[1, 2], [10, 20], 3]);
      expect((await session.run(v)).toArray()).toEqual([4, 5]);
    });

    it('reads variables of a finalized graph', async () => {
      const v = tl.variable([1, 2], { name: 'v' });
      v.graph.finalize();
      await session.run(v.initializer);
      expect((await session.run(v)).toArray()).toEqual([1, 2]);
    });

    it('swaps two variables in one run', async () => {
      const a = tl.variable([1, 2], { name: 'a' });
      const b = tl.variable([3, 4], { name: 'b' });
      await session.run(tl.globalVariablesInitializer());
      await session.run(tl.group([a.assign(b), b.assign(a)]));
      expect((await session.run([a, b])).map((x) => x.toArray())).toEqual([
        [3, 4],
        [1, 2],
      ]);
    });

    it('initialises variables from variables', async () => {
      const a = tl.variable(() => tl.randomUniform([3], { seed: 1 }), { name: 'a' });
      const b = tl.variable(() => tl.mul(a.initializedValue(), 2), { name: 'b' });
      await session.run(tl.globalVariablesInitializer());
      const [x, y] = await session.run([a, b]);
      expect(y.toArray()).toEqual(Array.from(x.data, (v) => Math.fround(2 * v)));
    });

    it('draws anew in each run, and the same for equal seeds', async () => {
      tl.setRandomSeed(7);
      const u = tl.randomUniform([4]);
      const [first, second] = [await session.run(u), await session.run(u)];
      expect(first.toArray()).not.toEqual(second.toArray());
      const again = new tl.Session({ backend });
      expect((await again.run(u)).toArray()).toEqual(first.toArray());
      await again.close();
    });

    it('runs callables, and queues runs in order', async () => {
      const x = tl.placeholder('float32', [null], { name: 'x' });
      const v = tl.variable(0, { name: 'v' });
      await session.run(v.initializer);
      const add = session.makeCallable({
        feeds: { by: x },
        fetches: { v: v.assignAdd(tl.reduceSum(x)) },
      });
      const results = await Promise.all([add({ by: [1] }), add({ by: [2, 3] }), session.run(v)]);
      expect([results[0].v.item(), results[1].v.item(), results[2].item()]).toEqual([1, 6, 6]);
      expect(add.sync({ by: [4] }).v.item()).toBe(10);
    });

    it('lets a session close while a run is queued', async () => {
      const run = session.run(tl.add(1, 2));
      await session.close();
      expect((await run).item()).toBe(3);
    });
  });
}
