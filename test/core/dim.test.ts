// The algebra of sizes: what is recognised as the same.

import { expect, it } from 'vitest';
import { addDim, type Dim, dimKey, dimOf, floorDiv, modDim, mulDim } from '../../src/core/dim.ts';

const [a, b, c] = ['a', 'b', 'c'].map((id) => dimOf(id));

/** The index of a point in a dense array of shape `[?, b, c, 8]`, given its number. */
function joined(n: Dim, inner: readonly Dim[]): Dim {
  let rest = n;
  let stride: Dim = 8;
  let out: Dim = 0;
  for (const extent of [...inner].reverse()) {
    out = addDim(out, mulDim(modDim(rest, extent), stride));
    rest = floorDiv(rest, extent);
    stride = mulDim(stride, extent);
  }
  return addDim(out, mulDim(rest, stride));
}

it.each<[string, Dim[]]>([
  ['two', [c]],
  ['three', [b, c]],
  ['four', [a, b, c]],
  ['three, one of fixed size', [b, 5]],
])('an index split in %s is joined again', (_, inner) => {
  const n = dimOf('n', 'n', { extent: mulDim(dimOf('m'), mulDim(a, mulDim(b, c))) });
  expect(dimKey(joined(n, inner))).toBe('8*n');
});

it('parts of different indices stay apart', () => {
  const [n, m] = [dimOf('n'), dimOf('m')];
  const mixed = addDim(mulDim(floorDiv(n, c), c), modDim(m, c));
  expect(dimKey(mixed)).toContain('mod(m,c)');
});

it('a quotient of an index that was split is one of the whole index', () => {
  const n = dimOf('n');
  const low = floorDiv(modDim(n, 16), 4);
  expect(dimKey(addDim(low, mulDim(floorDiv(n, 16), 4)))).toBe(dimKey(floorDiv(n, 4)));
  expect(dimKey(addDim(low, floorDiv(n, 16)))).not.toBe(dimKey(floorDiv(n, 4)));
  // 6 does not divide 16: the quotient of the lower part tells nothing of the whole.
  const other = addDim(floorDiv(modDim(n, 16), 6), mulDim(floorDiv(n, 16), 2));
  expect(dimKey(other)).not.toBe(dimKey(floorDiv(n, 6)));
});

it('a remainder of a remainder is one, where it divides', () => {
  const n = dimOf('n');
  expect(dimKey(modDim(modDim(n, 16), 4))).toBe(dimKey(modDim(n, 4)));
  expect(dimKey(modDim(modDim(n, 16), 6))).not.toBe(dimKey(modDim(n, 6)));
});

it('constants come first, meet, and vanish', () => {
  const x = addDim(a, b);
  expect(dimKey(addDim(addDim(x, 3), 4))).toBe(dimKey(addDim(7, x)));
  expect(addDim(addDim(x, 3), -3)).toEqual(x);
  expect(addDim(addDim(a, 3), mulDim(a, -1))).toBe(3);
});
