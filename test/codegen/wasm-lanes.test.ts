// Vector code that moves or divides lanes, on the cpu backend, against the reference: exact results for
// sizes with whole blocks and rests, and for the corners of integer division.

import { describe, expect, it } from 'vitest';
import * as tl from '../../src/index.ts';

async function both(make: () => tl.Tensor): Promise<[ArrayLike<unknown>, ArrayLike<unknown>]> {
  const graph = new tl.Graph();
  const y = graph.asDefault(make);
  const out: ArrayLike<unknown>[] = [];
  for (const backend of ['cpu', 'reference']) {
    const session = new tl.Session({ graph, backend, threads: 1, disablePasses: ['fold'] });
    out.push((await session.run(y)).data);
    session.close();
  }
  return [out[0], out[1]];
}

describe('lanes', () => {
  for (const [rows, cols] of [
    [8, 4],
    [37, 29],
    [140, 70],
  ]) {
    it(`transposes [${rows}, ${cols}] by blocks`, async () => {
      const [ours, theirs] = await both(() => {
        const x = tl.cast(tl.reshape(tl.range(0, rows * cols), [rows, cols]), 'float32');
        // A broadcast sum keeps the transposition a kernel of its own.
        return tl.add(tl.transpose(tl.mul(x, 2), [1, 0]), 1);
      });
      expect(Array.from(ours)).toEqual(Array.from(theirs));
    });
  }

  it('divides integers with all signs, by zero and past the range', async () => {
    const values = [0, 1, -1, 2, -2, 3, 7, -7, 2147483647, -2147483647, -2147483648, 65536];
    for (const op of [tl.div, tl.floorDiv, tl.mod]) {
      const [ours, theirs] = await both(() => {
        const x = tl.constant(values, { dtype: 'int32' });
        return op(tl.reshape(x, [12, 1]), x);
      });
      expect(Array.from(ours)).toEqual(Array.from(theirs));
    }
  });
});
