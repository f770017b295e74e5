// Values on the device: what put and kept results give can be read, fed again and disposed, on every
// backend alike; kept results survive later runs, whatever those do to the memory of a run.

import { describe, expect, it } from 'vitest';
import * as tl from '../../src/index.ts';
import { launchRecorder } from '../support/interpreter.ts';

tl.registerBackend('interpreter', () => launchRecorder((_k, _b, _p, run) => run()));

for (const backend of ['reference', 'cpu', 'interpreter']) {
  describe(`device tensors on ${backend}`, () => {
    const made = () => {
      const graph = new tl.Graph();
      return graph.asDefault(() => {
        const x = tl.placeholder('float32', [null, 2], { name: 'x' });
        const y = tl.placeholder('float32', [2], { name: 'y' });
        const sum = tl.add(x, y);
        const total = tl.reduceSum(sum);
        const session = new tl.Session({ graph, backend });
        return { graph, x, y, sum, total, session };
      });
    };

    it('are put, read and fed any number of times', async () => {
      const { session, sum, x, y } = made();
      const data = Float32Array.of(1, 2, 3, 4);
      const held = await session.put(new tl.NDArray('float32', [2, 2], data));
      const flat = await session.put(data, { shape: [2, 2] });
      data.fill(0);
      expect([held.dtype, held.shape, held.size]).toEqual(['float32', [2, 2], 4]);
      expect((await held.read()).toArray()).toEqual([
        [1, 2],
        [3, 4],
      ]);
      expect(held.readSync().toArray()).toEqual(flat.readSync().toArray());
      const call = session.makeCallable({ feeds: { x, y }, fetches: sum });
      for (const other of [10, 20, 30]) {
        const want = [1 + other, 2, 3 + other, 4];
        const feeds = { x: held, y: [other, 0] };
        expect([...(await session.run(sum, feeds)).data]).toEqual(want);
        expect([...session.runSync(sum, feeds).data]).toEqual(want);
        expect([...(await call(feeds)).data]).toEqual(want);
        expect([...call.sync(feeds).data]).toEqual(want);
        // The host's value in between must not be taken for the handle's, nor the other way round.
        expect([...call.sync({ x: [[0, 0]], y: [other, 1] }).data]).toEqual([other, 1]);
        expect(
          [
            ...call.sync({
              ...feeds,
              x: [
                [7, 7],
                [7, 7],
              ],
            }).data,
          ].slice(1),
        ).toEqual([7, 7 + other, 7]);
      }
      await session.close();
    });

    it('are what runs keep, in the structure of the fetches', async () => {
      const { session, sum, total, x, y } = made();
      const out = await session.run(
        { all: [sum, total], same: sum, x },
        { x: [[1, 2]], y: [1, 1] },
        { keep: true },
      );
      const typed: tl.DeviceTensor = out.all[0];
      for (const n of [5, 1, 300, 2]) {
        const big = Array.from({ length: n }, () => [n, -n]);
        await session.run([sum, total], { x: big, y: [0, 0] });
      }
      expect((await typed.read()).toArray()).toEqual([[2, 3]]);
      expect((await out.all[1].read()).item()).toBe(5);
      expect((await out.same.read()).toArray()).toEqual([[2, 3]]);
      expect((await out.x.read()).toArray()).toEqual([[1, 2]]);
      out.same.dispose();
      expect((await typed.read()).toArray()).toEqual([[2, 3]]);
      // A chain of kept results: each is fed to the next run.
      const call = session.makeCallable({ feeds: { x, y }, fetches: sum });
      let h = typed;
      for (let i = 0; i < 10; i++) {
        const next = call.sync({ x: h, y: [1, 2] }, { keep: true });
        h.dispose();
        h = next;
      }
      expect(h.readSync().toArray()).toEqual([[12, 23]]);
      expect([...call.sync({ x: [[0, 0]], y: [1, 2] }).data]).toEqual([1, 2]);
      await session.close();
    });

    it('keep the value a variable had, and sizes that the run computes', async () => {
      const { graph, session } = made();
      const { v, up, found, z } = graph.asDefault(() => {
        const v = tl.variable([1, 2], { name: 'v' });
        const z = tl.placeholder('float32', [null], { name: 'z' });
        return { v, up: v.assignAdd([1, 1]), z, found: tl.where(tl.greater(z, 0)) };
      });
      await session.run(v.initializer);
      const before = await session.run(v, undefined, { keep: true });
      const after = await session.run(up, undefined, { keep: true });
      await session.run(up);
      expect([...(await before.read()).data]).toEqual([1, 2]);
      expect([...(await after.read()).data]).toEqual([2, 3]);
      const ones = await session.run(found, { z: [1, -1, 2] }, { keep: true });
      const none = await session.run(found, { z: [-1, -1] }, { keep: true });
      expect((await ones.read()).toArray()).toEqual([[0], [2]]);
      expect((await none.read()).shape).toEqual([0, 1]);
      expect(z.name).toBe('z:0');
      await session.close();
    });

    it('say what they are', async () => {
      const { session } = made();
      const held = await session.put([1, 2, 3], { dtype: 'int32' });
      expect(String(held)).toBe('DeviceTensor int32(3)');
      held.dispose();
      held.dispose();
      expect(held.isDisposed).toBe(true);
      await session.close();
      held.dispose();
    });
  });
}

it('a value disposed while a run waits for a host function is freed after the run', async () => {
  const graph = new tl.Graph();
  const session = new tl.Session({ graph });
  const { x, y } = graph.asDefault(() => {
    const x = tl.placeholder('float32', [4], { name: 'x' });
    const later = tl.hostCall(
      (v: tl.NDArray) => Promise.resolve(v),
      [x],
      [{ dtype: 'float32', shape: [4] }],
    );
    return { x, y: tl.add(tl.mul(x, 2), later[0]) };
  });
  const held = await session.put([1, 2, 3, 4]);
  const running = session.run(y, [[x, held]]);
  held.dispose();
  const other = await session.put([9, 9, 9, 9]);
  expect([...(await running).data]).toEqual([3, 6, 9, 12]);
  expect([...other.readSync().data]).toEqual([9, 9, 9, 9]);
  await session.close();
});
