// Runs that are wrong: fetches, states, sizes known only in the run, time. The session lives on.

import { beforeEach, describe, expect, it } from 'vitest';
import * as tl from '../../src/index.ts';
import { refuses } from '../support/refuses.ts';

for (const backend of ['reference', 'cpu']) {
  describe(`runs on ${backend}`, () => {
    let session: tl.Session;
    beforeEach(() => {
      tl.resetDefaultGraph();
      session = new tl.Session({ backend });
    });

    it('refuse fetches that are none', async () => {
      await refuses(
        () => session.run(3 as never),
        tl.FetchError,
        'fetch/type',
        /fetches is number/,
      );
      await refuses(
        () => session.run([[null]] as never),
        tl.FetchError,
        'fetch/type',
        /fetches\[0\]\[0\] is null/,
      );
      await refuses(
        () => session.run('nope:0'),
        tl.FetchError,
        'fetch/name',
        /no operation "nope"/,
      );
    });

    it('refuse sizes found in mid-run that do not fit in a body, and those alone', async () => {
      const x = tl.placeholder('float32', ['n'], { name: 'x' });
      const y = tl.placeholder('float32', ['m'], { name: 'y' });
      const big = tl.gather(x, tl.reshape(tl.where(tl.greater(x, 0.3)), [-1]));
      const { v } = tl.whileLoop(
        ({ i }) => tl.less(i, 2),
        ({ i, v }) => {
          const dot = tl.matmul(tl.reshape(big, [1, -1]), tl.reshape(y, [-1, 1]));
          return { i: tl.add(i, 1), v: tl.add(v, tl.reduceSum(dot)) };
        },
        { i: tl.constant(0, { dtype: 'int32' }), v: tl.constant(0) },
      );
      const run = (of: number[]) => session.run(v, { x: [0.25, 0.5, 0.75], y: of });
      expect((await run([1, 2])).item()).toBe(4);
      await refuses(
        () => run([1, 2, 3]),
        tl.ExecutionError,
        'run/check',
        /contracted sizes must be equal/,
      );
      expect((await run([1, 2])).item()).toBe(4);
    });

    it('refuse fetches of another graph', () => {
      const other = new tl.Graph().asDefault(() => tl.constant(1));
      return refuses(
        () => session.run(other),
        tl.FetchError,
        'fetch/foreign',
        /belongs to another graph/,
      );
    });

    it('refuse uninitialized variables', async () => {
      const v = tl.variable(1, { name: 'v' });
      await refuses(
        () => session.run(v),
        tl.StateError,
        'variable/uninitialized',
        /^Variable "v" holds no value yet/,
      );
      await refuses(
        () => session.run(v.assignAdd(1)),
        tl.StateError,
        'variable/uninitialized',
        /"v"/,
      );
      await session.run(v.assign(2));
      expect((await session.run(v)).item()).toBe(2);
    });

    it('refuse sizes that do not fit when fed', async () => {
      const x = tl.placeholder('float32', [null], { name: 'x' });
      const y = tl.reshape(x, [-1, 3]);
      await refuses(
        () => session.run(y, { x: [1, 2, 3, 4] }),
        tl.ShapeError,
        'run/shape',
        /^Reshape "Reshape": the number of elements/,
      );
      expect((await session.run(y, { x: [1, 2, 3] })).shape).toEqual([1, 3]);
    });

    it('refuse sizes that do not broadcast when fed', async () => {
      const x = tl.placeholder('float32', [null], { name: 'x' });
      const y = tl.placeholder('float32', [null], { name: 'y' });
      const z = tl.add(x, y);
      await refuses(
        () => session.run(z, { x: [1, 2, 3], y: [1, 2] }),
        tl.ShapeError,
        'run/shape',
        /3 and 2/,
      );
      expect(Array.from((await session.run(z, { x: [1, 2], y: [1] })).data)).toEqual([2, 3]);
    });

    it('refuse indices out of range, before anything is written', async () => {
      const v = tl.variable([1, 2, 3], { name: 'v' });
      const i = tl.placeholder('int32', [null], { name: 'i' });
      const picked = tl.gather(v, i);
      const write = v.assignAdd([1, 1, 1]);
      await session.run(v.initializer);
      await refuses(
        () => session.run([write, picked], { i: [0, 3] }),
        tl.ExecutionError,
        'run/check',
        /CheckIndices "CheckIndices"/,
      );
      expect(Array.from((await session.run(v)).data)).toEqual([1, 2, 3]);
      expect(Array.from((await session.run(picked, { i: [2, 0] })).data)).toEqual([3, 1]);
    });

    it('are refused after close', async () => {
      const c = tl.constant(1);
      await session.close();
      await session.close();
      await refuses(() => session.run(c), tl.StateError, 'session/closed', /the session is closed/);
      await refuses(
        () => session.runSync(c),
        tl.StateError,
        'session/closed',
        /the session is closed/,
      );
    });

    it('refuse runSync during another run', async () => {
      const c = tl.add(1, 2);
      const running = session.run(c);
      await refuses(() => session.runSync(c), tl.StateError, 'session/busy', /another run/);
      expect((await running).item()).toBe(3);
      expect(session.runSync(c).item()).toBe(3);
    });

    it('refuse options that make no sense', async () => {
      await refuses(
        () => session.run(tl.constant(1), {}, { timeoutMs: 0 }),
        tl.ValueError,
        'run/timeout-value',
        /timeoutMs/,
      );
      await refuses(
        () => new tl.Session({ backend: 'nope' }),
        tl.UnsupportedError,
        'backend/unknown',
        /no backend "nope"/,
      );
      await refuses(
        () => new tl.Session({ threads: 0 }),
        tl.ValueError,
        'session/threads',
        /threads/,
      );
      await refuses(
        () => session.run(tl.constant(1), {}, { signal: AbortSignal.abort() }),
        tl.AbortedError,
        'run/aborted',
        /aborted/,
      );
    });

    it('refuse passes that can not be disabled', () => {
      const s = new tl.Session({ backend, disablePasses: ['expand'] });
      return refuses(
        () => s.run(tl.add(1, 2)),
        tl.ValueError,
        'passes/unknown',
        /"expand" can't be disabled/,
      );
    });
  });
}
