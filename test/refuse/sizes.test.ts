// Sizes that do not fit, known before the run or found in it: errors, never what lies beyond a tensor.

import { beforeEach, describe, expect, it } from 'vitest';
import * as tl from '../../src/index.ts';
import { refuses } from '../support/refuses.ts';

beforeEach(() => tl.resetDefaultGraph());

interface Trial {
  readonly y: tl.Tensor;
  /** Feeds of a run that is right, and what it gives. */
  readonly fits?: { readonly feeds: tl.Feeds; readonly gives: unknown };
  /** Feeds of one that is not. */
  readonly feeds: tl.Feeds;
  /** Whether the sizes are known only in the run. */
  readonly late?: boolean;
  readonly message: RegExp;
}

const fed = (): tl.Tensor => tl.placeholder('float32', [null], { name: 'x' });

const TRIALS: readonly (readonly [string, () => Trial])[] = [
  [
    'parts that end beyond a fed tensor',
    () => ({
      y: tl.slice(fed(), [1], [2]),
      fits: { feeds: { x: [1, 2, 3] }, gives: [2, 3] },
      feeds: { x: [1, 2] },
      message: /^Slice "Slice": the part must end within axis 0, got 3 where at most 2 fits/,
    }),
  ],
  [
    'parts that begin beyond it',
    () => ({
      y: tl.slice(fed(), [3], [-1]),
      feeds: { x: [1, 2] },
      message: /^Slice "Slice": the part must have a size along axis 0, got -1/,
    }),
  ],
  [
    'parts from a begin computed in the run, larger than the tensor',
    () => ({
      y: tl.slice(fed(), tl.placeholder('int32', [1], { name: 'at' }), [3]),
      fits: { feeds: { x: [1, 2, 3, 4], at: [1] }, gives: [2, 3, 4] },
      feeds: { x: [1, 2], at: [0] },
      message:
        /^DynamicSlice "DynamicSlice": the part must fit along axis 0, got 3 where at most 2 fits/,
    }),
  ],
  [
    'parts of a size found in the run',
    () => {
      const n = tl.shape(tl.squeeze(tl.where(tl.greater(fed(), 0)), { axis: [1] }));
      return {
        y: tl.slice(tl.ones([2]), [0], n),
        fits: { feeds: { x: [1, 0, 2] }, gives: [1, 1] },
        feeds: { x: [1, 2, 3] },
        late: true,
        message: /^Slice "Slice": the part must end within axis 0/,
      };
    },
  ],
  [
    'the first of no elements',
    () => ({
      y: tl.scan((a, b) => tl.add(a, b), fed()),
      feeds: { x: [] },
      message: /^Slice "Slice.*got 1 where at most 0 fits/,
    }),
  ],
  [
    'negative sizes from values',
    () => ({
      y: tl.zeros(tl.placeholder('int32', [2], { name: 'sizes' })),
      fits: { feeds: { sizes: [1, 2] }, gives: [[0, 0]] },
      feeds: { sizes: [-1, -3] },
      late: true,
      message: /^AsSize "AsSize": a size must not be negative/,
    }),
  ],
];

describe.each(['reference', 'cpu'])('on %s', (backend) => {
  it.each(TRIALS)('%s', async (_, make) => {
    const { y, fits, feeds, late, message } = make();
    const session = new tl.Session({ backend });
    if (fits) expect((await session.run(y, fits.feeds)).toArray()).toEqual(fits.gives);
    await refuses(
      () => session.run(y, feeds),
      late ? tl.ExecutionError : tl.ShapeError,
      late ? 'run/check' : 'run/shape',
      message,
    );
    await session.close();
  });
});
