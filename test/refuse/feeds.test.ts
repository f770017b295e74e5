// Programs with wrong feeds: each is refused with a typed error, and the session works afterwards with
// its variables unchanged.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import * as tl from '../../src/index.ts';
import { refuses } from '../support/refuses.ts';

for (const backend of ['reference', 'cpu']) {
  describe(`feeds on ${backend}`, () => {
    let session: tl.Session;
    let x: tl.Tensor;
    let y: tl.Tensor;
    let n: tl.Tensor;
    let w: tl.Variable;
    let out: tl.Tensor;
    let step: tl.Tensor;

    beforeEach(async () => {
      const graph = new tl.Graph();
      graph.asDefault(() => {
        x = tl.placeholder('float32', ['batch', 2], { name: 'x' });
        y = tl.placeholder('float32', ['batch'], { name: 'y' });
        n = tl.placeholder('int32', [], { name: 'n' });
        w = tl.variable([[1], [2]], { name: 'w' });
        out = tl.matmul(x, w).squeeze({ axis: 1 }).add(y);
        step = w.assignAdd(tl.reduceSum(out).reshape([1, 1]).broadcastTo([2, 1]));
      });
      session = new tl.Session({ graph, backend });
      await session.run(w.initializer);
    });

    afterEach(async () => {
      // Whatever was refused, the variable is as it was and a good run works.
      expect(Array.from((await session.run(w)).data)).toEqual([1, 2]);
      const good = await session.run(out, { x: [[1, 1]], y: [1] });
      expect(Array.from(good.data)).toEqual([4]);
      await session.close();
    });

    const bad = (feeds: tl.Feeds, code: string, message: RegExp) =>
      refuses(() => session.run([step, out], feeds), tl.FeedError, code, message);

    it('an unknown name', () => bad({ z: 1 }, 'feed/name', /no operation "z" in the graph/));
    it('feeds and options in one', () =>
      bad({ feeds: { x: [[1, 1]] } }, 'feed/name', /Feeds are the second argument of run/));
    it('options in place of feeds', () =>
      bad({ timeoutMs: 5 }, 'feed/name', /options the third: run\(fetches, feeds, \{ timeoutMs/));
    it('a missing feed', () =>
      bad(
        { x: [[1, 1]] },
        'feed/missing',
        /^Placeholder "y": nothing is fed for it.*float32\[batch\]/,
      ));
    it('a wrong dtype', () =>
      bad(
        { x: Int32Array.of(1, 2), y: [1] },
        'feed/dtype',
        /^Placeholder "x": the value is int32/,
      ));
    it('booleans where numbers are due', () =>
      bad(
        { x: [[true, false]], y: [1] },
        'feed/dtype',
        /^Placeholder "x": boolean true at \[0\]\[0\]/,
      ));
    it('a wrong rank', () =>
      bad(
        { x: [1, 2], y: [1] },
        'feed/rank',
        /^Placeholder "x": the value must have rank 2, got float32\[2\]/,
      ));
    it('a wrong size', () =>
      bad(
        { x: [[1, 2, 3]], y: [1] },
        'feed/shape',
        /^Placeholder "x": axis 1 must have size 2, got float32\[1, 3\]/,
      ));
    it('ragged nesting', () =>
      bad(
        { x: [[1, 2], [3]], y: [1] },
        'feed/ragged',
        /^Placeholder "x": the nested arrays are ragged: \[1\]/,
      ));
    it('a dim that contradicts another feed', () =>
      bad(
        { x: [[1, 2]], y: [1, 2] },
        'feed/contradiction',
        /^Placeholder "y": axis 0 must have size 1 as "x" was fed, got float32\[2\]/,
      ));
    it('something that is no value', () =>
      bad({ x: null, y: [1] }, 'feed/not-array', /^Placeholder "x": null is no tensor value/));
    it('a value fed twice', () =>
      bad(
        [
          [x, [[1, 2]]],
          [x, [[1, 2]]],
        ],
        'feed/twice',
        /"x" is fed twice/,
      ));
    it('a list that holds no pairs', () =>
      bad([x] as never, 'feed/form', /\[tensor, value\] pairs/));
    it('a key that is no tensor', () =>
      bad([[1, 2]] as never, 'feed/form', /the key of a feed is no tensor/));
    it('a tensor of another graph', () => {
      const other = new tl.Graph().asDefault(() => tl.placeholder('float32', []));
      return bad([[other, 1]], 'feed/foreign', /belongs to another graph/);
    });
    it('NaN where an integer is due', () =>
      refuses(
        () => session.run(tl.add(n, 1), { n: Number.NaN }),
        tl.FeedError,
        'feed/dtype',
        /^Placeholder "n": NaN is no int32/,
      ));
    it('a fraction where an integer is due', () =>
      refuses(
        () => session.run(tl.add(n, 1), { n: 1.5 }),
        tl.FeedError,
        'feed/dtype',
        /^Placeholder "n": 1.5 is no int32/,
      ));
    it('an integer beyond int32', () =>
      refuses(
        () => session.run(tl.add(n, 1), { n: 2 ** 31 }),
        tl.FeedError,
        'feed/range',
        /2147483648 is beyond int32/,
      ));
    it('a feed a callable does not have', () => {
      const call = session.makeCallable({ feeds: { x, y }, fetches: out });
      return refuses(
        () => call({ x: [[1, 2]], z: 1 }),
        tl.FeedError,
        'feed/name',
        /the callable has no feed "z"/,
      );
    });
    it('a feed a callable misses', () => {
      const call = session.makeCallable({ feeds: { x, y }, fetches: out });
      return refuses(
        () => call({ x: [[1, 2]] }),
        tl.FeedError,
        'feed/missing',
        /the callable was given no "y"/,
      );
    });
  });
}
