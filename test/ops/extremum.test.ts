// Maxima and minima of rows: NaN wins wherever it stands, and of zeros the sign counts, for every length of
// a row (vectors, what is left over, both).

import { afterAll, describe, expect, it } from 'vitest';
import { Graph, placeholder, reduceMax, reduceMin, Session } from '../../src/index.ts';

const graph = new Graph();
const { x, most, least } = graph.asDefault(() => {
  const x = placeholder('float32', [null, null]);
  return { x, most: reduceMax(x, { axis: 1 }), least: reduceMin(x, { axis: 1 }) };
});
const LENGTHS = [1, 2, 3, 4, 5, 8, 15, 16, 17, 33];

describe.each(['cpu', 'reference'])('on %s', (backend) => {
  const session = new Session({ graph, backend });
  afterAll(() => session.close());
  const both = async (rows: readonly number[][]): Promise<number[][]> => {
    const [a, b] = await session.run([most, least], [[x, rows]]);
    return [Array.from(a.data, Number), Array.from(b.data, Number)];
  };
  /** Rows of a length, each with one value at another place. */
  const rowsOf = (n: number, fill: number, odd: number): number[][] =>
    Array.from({ length: n }, (_, at) =>
      Array.from({ length: n }, (_, i) => (i === at ? odd : fill)),
    );

  it('NaN wins', async () => {
    for (const n of LENGTHS) {
      for (const fill of [1, -1, 0, Infinity, -Infinity]) {
        for (const found of await both(rowsOf(n, fill, Number.NaN))) {
          expect(found).toEqual(new Array(n).fill(Number.NaN));
        }
      }
    }
  });

  it('of zeros the maximum is positive, the minimum negative, if there is one', async () => {
    for (const n of LENGTHS) {
      expect((await both(rowsOf(n, -0, 0)))[0]).toEqual(new Array(n).fill(0));
      expect((await both(rowsOf(n, 0, -0)))[1]).toEqual(new Array(n).fill(-0));
      expect((await both(rowsOf(n, -0, -0)))[0]).toEqual(new Array(n).fill(-0));
      expect((await both(rowsOf(n, -2, 0)))[0]).toEqual(new Array(n).fill(0));
    }
  });

  it('infinities count as numbers', async () => {
    for (const n of LENGTHS.filter((l) => l > 1)) {
      expect((await both(rowsOf(n, 3, Infinity)))[0]).toEqual(new Array(n).fill(Infinity));
      expect((await both(rowsOf(n, 3, -Infinity)))[1]).toEqual(new Array(n).fill(-Infinity));
      expect((await both(rowsOf(n, -Infinity, -Infinity)))[0]).toEqual(
        new Array(n).fill(-Infinity),
      );
    }
  });
});
