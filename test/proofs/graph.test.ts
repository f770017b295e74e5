// Proofs (b), (e), (f), (g) and (h): sizes from data, two segments, branches that do not run, parts of a
// graph that constrain nothing, and nodes built alike that stay apart.

import { describe, expect, it } from 'vitest';
import * as tl from '../../src/index.ts';

for (const backend of ['cpu', 'reference']) {
  describe(`on ${backend}`, () => {
    const inGraph = <T>(build: () => T): { session: tl.Session; made: T } => {
      const graph = new tl.Graph();
      const made = graph.asDefault(build);
      return { session: new tl.Session({ graph, backend }), made };
    };

    it('where in mid-graph sets the size of a matmul, in one run', async () => {
      const { session, made } = inGraph(() => {
        const x = tl.placeholder('float32', [null, 2], { name: 'x' });
        const w = tl.constant([
          [1, 10, 100],
          [2, 20, 200],
        ]);
        const rows = tl.squeeze(tl.where(tl.greater(tl.reduceSum(x, { axis: 1 }), 0)), { axis: 1 });
        return { y: tl.matmul(tl.gather(x, rows), w), n: tl.size(rows) };
      });
      const feeds = {
        x: [
          [1, 1],
          [-1, 0],
          [2, 0],
          [0, -3],
          [0, 1],
        ],
      };
      const got = await session.run(made, feeds);
      expect(got.y.toArray()).toEqual([
        [3, 30, 300],
        [2, 20, 200],
        [2, 20, 200],
      ]);
      expect(got.n.item()).toBe(3);
      // No row is left, then all are: the same plan.
      expect((await session.run(made.y, { x: [[-1, -1]] })).shape).toEqual([0, 3]);
      expect(
        (
          await session.run(made.y, {
            x: [
              [1, 1],
              [1, 1],
            ],
          })
        ).shape,
      ).toEqual([2, 3]);
      for (const p of session.stats.programs)
        expect(p.perPlan.every((q) => q.segments === 1)).toBe(true);
      await session.close();
    });

    it('a host op between two segments', async () => {
      const { session, made } = inGraph(() => {
        const x = tl.placeholder('float32', ['n'], { name: 'x' });
        const before = tl.mul(x, 2);
        const [sorted] = tl.hostCall(
          (v: tl.NDArray) =>
            new tl.NDArray('float32', v.shape, (v.data as Float32Array).slice().sort()),
          [before],
          [{ dtype: 'float32', shape: ['n'] }],
        );
        return tl.add(sorted, 1);
      });
      expect(Array.from((await session.run(made, { x: [3, 1, 2] })).data)).toEqual([3, 5, 7]);
      expect(Array.from((await session.run(made, { x: [5, 4] })).data)).toEqual([9, 11]);
      // Before, the call, after: the call is a segment of its own.
      expect(session.stats.programs[0].perPlan[0].segments).toBe(3);
      await session.close();
    });

    it('cond runs only the branch taken', async () => {
      const { session, made } = inGraph(() => {
        const p = tl.placeholder('bool', [], { name: 'p' });
        const i = tl.placeholder('int32', [null], { name: 'i' });
        const table = tl.constant([1, 2, 3]);
        const count = tl.variable(0, { name: 'count' });
        const y = tl.cond(
          p,
          () =>
            tl.controlDependencies([count.assignAdd(1)], () => tl.reduceSum(tl.gather(table, i))),
          () => tl.constant(-1),
        );
        return { y, count };
      });
      await session.run(made.count.initializer);
      // The index is out of range: only a branch that runs can fail or write.
      expect((await session.run(made.y, { p: false, i: [7] })).item()).toBe(-1);
      expect((await session.run(made.count)).item()).toBe(0);
      await expect(session.run(made.y, { p: true, i: [7] })).rejects.toThrow(tl.ExecutionError);
      expect((await session.run(made.count)).item()).toBe(0);
      expect((await session.run(made.y, { p: true, i: [2, 0] })).item()).toBe(4);
      expect((await session.run(made.count)).item()).toBe(1);
      await session.close();
    });

    it('a branch that is not fetched constrains no dim and compiles nothing', async () => {
      const { session, made } = inGraph(() => {
        const x = tl.placeholder('float32', [null], { name: 'x' });
        const five = tl.matmul(tl.expandDims(x, 0), tl.ones([5, 1]));
        return { five, sum: tl.reduceSum(x) };
      });
      expect((await session.run(made.sum, { x: [1, 2, 3] })).item()).toBe(6);
      expect(session.stats.programs).toHaveLength(1);
      if (backend === 'cpu') expect(session.stats.programs[0].perPlan[0].kernels).toBe(1);
      await expect(session.run(made.five, { x: [1, 2, 3] })).rejects.toThrow(/must have size 5/);
      await session.close();
    });

    it('nodes built alike stay apart: gradients by one, feeding one', async () => {
      const { session, made } = inGraph(() => {
        const x = tl.placeholder('float32', [], { name: 'x' });
        const a = tl.square(x);
        const b = tl.square(x);
        const y = tl.mul(a, b);
        const [da] = tl.gradients(y, a);
        return { a, b, y, da: da as tl.Tensor };
      });
      expect(made.a.name).not.toBe(made.b.name);
      // d(a*b)/da = b, with a fed or not.
      expect((await session.run(made.da, { x: 3 })).item()).toBe(9);
      const got = await session.run(
        made,
        [
          [made.a, 100],
          ['x:0' as never, 3],
        ].map(
          ([k, v]) => [typeof k === 'string' ? session.graph.getTensorByName(k) : k, v] as never,
        ),
      );
      expect(got.a.item()).toBe(100);
      expect(got.b.item()).toBe(9);
      expect(got.y.item()).toBe(900);
      expect(got.da.item()).toBe(9);
      await session.close();
    });
  });
}
