// Sizes that do not fit, known before the run or found in it: errors, never what lies beyond a tensor.

import { beforeEach, describe, expect, it } from 'vitest';
import * as tl from '../../src/index.ts';
import { refuses } from '../support/refuses.ts';

beforeEach(() => tl.resetDefaultGraph());

for (const backend of ['reference', 'cpu']) {
  describe(`parts on ${backend}`, () => {
    it('that end beyond a fed tensor', async () => {
      const x = tl.placeholder('float32', [null], { name: 'x' });
      const y = tl.slice(x, [1], [2]);
      const session = new tl.Session({ backend });
      expect((await session.run(y, { x: [1, 2, 3] })).toArray()).toEqual([2, 3]);
      await refuses(
        () => session.run(y, { x: [1, 2] }),
        tl.ShapeError,
        'run/shape',
        /^Slice "Slice": the part must end within axis 0, got 3 where at most 2 fits/,
      );
      await session.close();
    });

    it('that begin beyond it', async () => {
      const x = tl.placeholder('float32', [null], { name: 'x' });
      const session = new tl.Session({ backend });
      await refuses(
        () => session.run(tl.slice(x, [3], [-1]), { x: [1, 2] }),
        tl.ShapeError,
        'run/shape',
        /^Slice "Slice": the part must have a size along axis 0, got -1/,
      );
      await session.close();
    });

    it('from a begin computed in the run, larger than the tensor', async () => {
      const x = tl.placeholder('float32', [null], { name: 'x' });
      const at = tl.placeholder('int32', [1], { name: 'at' });
      const y = tl.slice(x, at, [3]);
      const session = new tl.Session({ backend });
      expect((await session.run(y, { x: [1, 2, 3, 4], at: [1] })).toArray()).toEqual([2, 3, 4]);
      await refuses(
        () => session.run(y, { x: [1, 2], at: [0] }),
        tl.ShapeError,
        'run/shape',
        /^DynamicSlice "DynamicSlice": the part must fit along axis 0, got 3 where at most 2 fits/,
      );
      await session.close();
    });

    it('of a size found in the run', async () => {
      const x = tl.placeholder('float32', [null], { name: 'x' });
      const n = tl.shape(tl.squeeze(tl.where(tl.greater(x, 0)), { axis: [1] }));
      const y = tl.slice(tl.ones([2]), [0], n);
      const session = new tl.Session({ backend });
      expect((await session.run(y, { x: [1, 0, 2] })).toArray()).toEqual([1, 1]);
      await refuses(
        () => session.run(y, { x: [1, 2, 3] }),
        tl.ExecutionError,
        'run/check',
        /^Slice "Slice": the part must end within axis 0/,
      );
      await session.close();
    });

    it('of the first of no elements', async () => {
      const x = tl.placeholder('float32', [null], { name: 'x' });
      const session = new tl.Session({ backend });
      await refuses(
        () =>
          session.run(
            tl.scan((a, b) => tl.add(a, b), x),
            { x: [] },
          ),
        tl.ShapeError,
        'run/shape',
        /^Slice "Slice.*got 1 where at most 0 fits/,
      );
      await session.close();
    });
  });

  it(`negative sizes from values on ${backend}`, async () => {
    const sizes = tl.placeholder('int32', [2], { name: 'sizes' });
    const y = tl.zeros(sizes);
    const session = new tl.Session({ backend });
    expect((await session.run(y, { sizes: [1, 2] })).toArray()).toEqual([[0, 0]]);
    await refuses(
      () => session.run(y, { sizes: [-1, -3] }),
      tl.ExecutionError,
      'run/check',
      /^AsSize "AsSize": a size must not be negative/,
    );
    await session.close();
  });
}
