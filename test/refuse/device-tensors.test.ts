// Device tensors used wrongly: each is refused with a typed error, and the session works afterwards.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import * as tl from '../../src/index.ts';
import { refuses } from '../support/refuses.ts';

for (const backend of ['reference', 'cpu']) {
  describe(`device tensors on ${backend}`, () => {
    let session: tl.Session;
    let x: tl.Tensor;
    let out: tl.Tensor;

    beforeEach(() => {
      const graph = new tl.Graph();
      graph.asDefault(() => {
        x = tl.placeholder('float32', [null, 2], { name: 'x' });
        out = tl.add(x, 1);
      });
      session = new tl.Session({ graph, backend });
    });

    afterEach(async () => {
      expect([...(await session.run(out, { x: [[1, 2]] })).data]).toEqual([2, 3]);
      await session.close();
    });

    const bad = async (value: tl.DeviceTensor, code: string, message: RegExp) => {
      const call = session.makeCallable({ feeds: { x }, fetches: out });
      // Before any run has gone well and after one: the second look is a shorter one.
      for (let i = 0; i < 2; i++) {
        await refuses(() => session.run(out, { x: value }), tl.FeedError, code, message);
        await refuses(() => call.sync({ x: value }), tl.FeedError, code, message);
        await call({ x: [[0, 0]] });
      }
    };

    it('of another session', async () => {
      const other = new tl.Session({ graph: session.graph, backend });
      const value = await other.put([[1, 2]]);
      await bad(value, 'feed/device', /^Placeholder "x": .* belongs to another session, got Dev/);
      await other.close();
    });
    it('that are disposed', async () => {
      const value = await session.put([[1, 2]]);
      await session.run(out, { x: value });
      value.dispose();
      await bad(value, 'feed/disposed', /^Placeholder "x": .* was disposed/);
      await refuses(() => value.read(), tl.StateError, 'device/disposed', /^read: DeviceTensor/);
      await refuses(() => value.readSync(), tl.StateError, 'device/disposed', /^readSync/);
    });
    it('of a wrong dtype', async () =>
      bad(
        await session.put([[1, 2]], { dtype: 'int32' }),
        'feed/dtype',
        /^Placeholder "x": the value is int32/,
      ));
    it('of a wrong rank', async () =>
      bad(await session.put([1, 2]), 'feed/rank', /^Placeholder "x": the value must have rank 2/));
    it('of a wrong size', async () =>
      bad(
        await session.put([[1, 2, 3]]),
        'feed/shape',
        /^Placeholder "x": axis 1 must have size 2/,
      ));
    it('made of what is no value', () =>
      refuses(() => session.put([[1], [2, 3]]), tl.ValueError, 'value/ragged', /ragged/));
    it('read after the session was closed', async () => {
      const other = new tl.Session({ graph: session.graph, backend });
      const value = await other.put([[1, 2]]);
      await other.close();
      await refuses(() => value.read(), tl.StateError, 'session/closed', /Read before closing/);
      await refuses(() => other.put(1), tl.StateError, 'session/closed', /session is closed/);
    });
  });
}
