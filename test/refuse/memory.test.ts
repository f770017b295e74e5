// Plans that do not fit: refused before they run, with what was asked and what there is; the session
// and its variables live on.

import { describe, expect, it } from 'vitest';
import * as tl from '../../src/index.ts';
import { refuses } from '../support/refuses.ts';

describe('memory that there is not', () => {
  const made = (options: Partial<tl.SessionOptions>) => {
    const graph = new tl.Graph();
    const session = new tl.Session({ graph, ...options });
    return graph.asDefault(() => {
      const x = tl.placeholder('float32', [null], { name: 'x' });
      const outer = tl.mul(tl.expandDims(x, 0), tl.expandDims(x, 1));
      const v = tl.variable(1, { name: 'v' });
      const step = v.assignAdd(1);
      return { session, x, outer, v, step };
    });
  };

  for (const [what, limit, n] of [
    ['past 4 GiB', 2 ** 32, 40_000],
    ['past the default limit', undefined, 30_000],
    ['past memoryLimit', 4 * 2 ** 20, 2000],
  ] as const) {
    for (const threads of [1, 2]) {
      it(`a plan ${what}, ${threads} thread(s)`, async () => {
        const options = { threads, ...(limit === undefined ? {} : { memoryLimit: limit }) };
        const { session, v, outer, step } = made(options);
        await session.run(v.initializer);
        const before = (session.stats.device as tl.DeviceStats).memoryBytes;
        const feeds = { x: new Float32Array(n) };
        for (const keep of [false, true]) {
          await refuses(
            () => session.run([outer, step], feeds, { keep }),
            tl.OutOfMemoryError,
            'memory/limit',
            /needs \d+ bytes; \d+ are in use and the limit is \d+/,
          );
        }
        expect((session.stats.device as tl.DeviceStats).memoryBytes).toBeLessThan(before + 2 ** 20);
        const [small, next] = await session.run([outer, step], { x: [1, 2] });
        expect([...small.data]).toEqual([1, 2, 2, 4]);
        expect(next.item()).toBe(2);
        await session.close();
      });
    }
  }

  it('a value that is put', async () => {
    const { session, outer } = made({ memoryLimit: 2 ** 20 });
    await refuses(
      () => session.put(new Float32Array(2 ** 19)),
      tl.OutOfMemoryError,
      'memory/limit',
      /a value put on the device needs 2097152 bytes/,
    );
    const x = await session.put([1, 2]);
    expect([...(await session.run(outer, { x })).data]).toEqual([1, 2, 2, 4]);
    await session.close();
  });
});
