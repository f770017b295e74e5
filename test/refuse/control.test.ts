// Loops, branches, gradients and host calls that are wrong.

import { beforeEach, describe, expect, it } from 'vitest';
import * as tl from '../../src/index.ts';
import { refuses } from '../support/refuses.ts';

beforeEach(() => tl.resetDefaultGraph());

describe('loops', () => {
  it('whose inner tensors are used outside', async () => {
    let inner: tl.Tensor | undefined;
    const out = tl.scan(
      (acc, x) => {
        inner = tl.add(acc, x);
        return inner;
      },
      tl.ones([3]),
      { initializer: tl.constant(0) },
    );
    await refuses(
      () => tl.neg(inner as tl.Tensor),
      tl.GraphError,
      'graph/loop-leak',
      /^Neg "Neg": .*lives inside the body of a loop or branch/,
    );
    const session = new tl.Session();
    await refuses(
      () => session.run(inner as tl.Tensor),
      tl.FetchError,
      'fetch/inner',
      /lives inside the body/,
    );
    expect((await session.run(out)).toArray()).toEqual([1, 2, 3]);
    await session.close();
  });

  it('with a JavaScript boolean as predicate', () =>
    refuses(
      () =>
        tl.whileLoop(
          () => true,
          (x) => tl.add(x, 1),
          tl.constant(0),
        ),
      tl.DTypeError,
      'control/predicate',
      /JavaScript/,
    ));

  it('with a predicate that is no bool', () =>
    refuses(
      () =>
        tl.whileLoop(
          (x) => x,
          (x) => tl.add(x, 1),
          tl.constant(0),
        ),
      tl.DTypeError,
      'control/predicate',
      /bool/,
    ));

  it('whose variables change their type', async () => {
    await refuses(
      () =>
        tl.whileLoop(
          (x) => tl.less(tl.reduceSum(x), 9),
          (x) => tl.expandDims(x, 0),
          tl.ones([2]),
        ),
      tl.ShapeError,
      'control/carry',
      /^While "while": loop variable 0 must keep its type.*float32\[2\].*float32\[1, 2\]/,
    );
    await refuses(
      () =>
        tl.whileLoop(
          (x) => tl.less(x, 9),
          (x) => tl.cast(x, 'int32'),
          tl.constant(0),
        ),
      tl.ShapeError,
      'control/carry',
      /float32\[\].*int32\[\]/,
    );
  });

  it('with an async body', () =>
    refuses(
      () =>
        tl.whileLoop((x) => tl.less(x, 9), (async (x: tl.Tensor) => x) as never, tl.constant(0)),
      tl.GraphError,
      'graph/async-scope',
      /promise/,
    ));

  it('that make variables', () =>
    refuses(
      () =>
        tl.scan((acc, x) => tl.add(acc, tl.add(x, tl.variable(1))), tl.ones([2]), {
          initializer: tl.constant(0),
        }),
      tl.GraphError,
      'graph/variable-in-body',
      /inside the body/,
    ));
});

const positive = (x: tl.Tensor): tl.Tensor =>
  tl.gather(x, tl.squeeze(tl.where(tl.greater(x, 0)), { axis: [1] }));

describe('sizes that a body finds', () => {
  for (const backend of ['reference', 'cpu']) {
    it(`in stacked results, on ${backend}`, async () => {
      const rows = tl.placeholder('float32', [null, 3], { name: 'rows' });
      const y = tl.mapFn((row) => positive(row), rows);
      const session = new tl.Session({ backend });
      const run = (given: number[][]) =>
        session.run(y, { rows: tl.toNDArray(given.flat(), 'float32', [given.length, 3]) });
      const all = await run([
        [1, 0, 2],
        [0, 3, 4],
      ]);
      expect(all.toArray()).toEqual([
        [1, 2],
        [3, 4],
      ]);
      expect((await run([])).shape).toEqual([0, 0]);
      await refuses(
        () =>
          run([
            [1, 0, 2],
            [0, 0, 4],
          ]),
        tl.ExecutionError,
        'run/check',
        /^While "map": all turns must stack equal shapes/,
      );
      await session.close();
    });

    it(`in loop variables, on ${backend}`, async () => {
      const x = tl.placeholder('float32', [null], { name: 'x' });
      const y = tl.whileLoop(
        (v) => tl.less(tl.reduceSum(v), 10),
        (v) => tl.mul(positive(v), 2),
        x,
      );
      const session = new tl.Session({ backend });
      const all = await session.run(y, { x: [1, 2] });
      expect(all.toArray()).toEqual([4, 8]);
      await refuses(
        () => session.run(y, { x: [1, 0, 2] }),
        tl.ExecutionError,
        'run/check',
        /^While "while": loop variable 0 must keep its shape/,
      );
      await session.close();
    });
  }
});

describe('branches', () => {
  it('with a JavaScript boolean as predicate', () =>
    refuses(
      () =>
        tl.cond(
          true,
          () => tl.constant(1),
          () => tl.constant(2),
        ),
      tl.DTypeError,
      'control/predicate',
      /JavaScript/,
    ));

  it('of different types', async () => {
    const p = tl.placeholder('bool', []);
    await refuses(
      () =>
        tl.cond(
          p,
          () => tl.constant(1),
          () => tl.constant(2, { dtype: 'int32' }),
        ),
      tl.ShapeError,
      'control/branches',
      /float32\[\].*int32\[\]/,
    );
    await refuses(
      () =>
        tl.cond(
          p,
          () => tl.ones([2]),
          () => tl.ones([3, 1]),
        ),
      tl.ShapeError,
      'control/branches',
      /ranks.*float32\[2\].*float32\[3, 1\]/,
    );
  });
});

describe('gradients', () => {
  it('of integers', () =>
    refuses(
      () => tl.gradients(tl.constant(1, { dtype: 'int32' }), tl.constant(1)),
      tl.DTypeError,
      'gradients/dtype',
      /int32/,
    ));

  it('through an op without one', () => {
    const x = tl.placeholder('float32', [2]);
    const [y] = tl.hostCall((v: tl.NDArray) => v, [x], [{ dtype: 'float32', shape: [2] }]);
    return refuses(
      () => tl.gradients(y, x),
      tl.GraphError,
      'gradients/none',
      /HostCall "HostCall" has no gradient/,
    );
  });

  it('with nothing to train', async () => {
    const optimizer = new tl.GradientDescentOptimizer(0.1);
    await refuses(
      () => optimizer.minimize(tl.constant(1)),
      tl.ValueError,
      'train/no-variables',
      /no variables/,
    );
    tl.variable(1, { name: 'w' });
    await refuses(
      () => optimizer.minimize(tl.constant(1)),
      tl.ValueError,
      'train/no-gradients',
      /depends on none/,
    );
  });
});

for (const backend of ['cpu', 'reference']) {
  describe(`host calls on ${backend}`, () => {
    const call = (fn: (v: tl.NDArray) => unknown) => {
      tl.resetDefaultGraph();
      const x = tl.placeholder('float32', [2], { name: 'x' });
      const [y] = tl.hostCall(fn, [x], [{ dtype: 'float32', shape: [2] }]);
      return tl.add(y, 1);
    };
    const run = async (y: tl.Tensor) => {
      const session = new tl.Session({ backend });
      try {
        return await session.run(y, { x: [1, 2] });
      } finally {
        await session.close();
      }
    };

    it('that throw', () =>
      refuses(
        () =>
          run(
            call(() => {
              throw new Error('no luck');
            }),
          ),
        tl.ExecutionError,
        'host/threw',
        /hostCall "HostCall".*no luck/,
      ));

    it('that return something else', async () => {
      await refuses(
        () => run(call(() => [1, 2, 3])),
        tl.ExecutionError,
        'host/result',
        /hostCall "HostCall"/,
      );
      await refuses(
        () => run(call(() => 'text')),
        tl.ExecutionError,
        'host/result',
        /hostCall "HostCall"/,
      );
    });
  });
}
