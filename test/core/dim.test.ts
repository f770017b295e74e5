// The algebra of sizes: what is recognised as the same.

import { describe, expect, it } from 'vitest';
import { generator } from '../../src/conformance/draw.ts';
import {
  addDim,
  type Dim,
  dimKey,
  dimOf,
  floorDiv,
  isNonNegative,
  maxDim,
  minDim,
  modDim,
  mulDim,
  subDim,
} from '../../src/core/dim.ts';
import { evalDim } from '../../src/core/dim-value.ts';

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

describe('random expressions', () => {
  type Values = ReadonlyMap<string, number>;
  interface Made {
    readonly dim: Dim;
    at(values: Values): number;
  }
  const next = generator(5);
  const below = (n: number): number => Math.floor(next() * n);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)];
  const mod = (a: number, b: number): number => a - b * Math.floor(a / b);

  const extents = [2, 3, 4, 7];
  const leaves: Made[] = [
    ...extents.map((extent, i): Made => {
      const id = `i${i}`;
      return { dim: dimOf(id, id, { extent }), at: (v) => v.get(id) as number };
    }),
    ...['n', 'm'].map((id): Made => ({ dim: dimOf(id), at: (v) => v.get(id) as number })),
  ];

  function grown(pool: readonly Made[]): Made {
    const [a, b, k] = [pick(pool), pick(pool), pick([2, 3, 4, 6, 14])];
    const c = pick([-42, -5, -1, 1, 3, 12, 42]);
    return pick<() => Made>([
      () => ({ dim: addDim(a.dim, b.dim), at: (v) => a.at(v) + b.at(v) }),
      () => ({ dim: addDim(a.dim, c), at: (v) => a.at(v) + c }),
      () => ({ dim: subDim(a.dim, b.dim), at: (v) => a.at(v) - b.at(v) }),
      () => ({ dim: mulDim(a.dim, k), at: (v) => a.at(v) * k }),
      () => ({ dim: mulDim(a.dim, -k), at: (v) => a.at(v) * -k }),
      () => ({ dim: floorDiv(a.dim, k), at: (v) => Math.floor(a.at(v) / k) }),
      () => ({ dim: modDim(a.dim, k), at: (v) => mod(a.at(v), k) }),
      () => ({ dim: minDim(a.dim, b.dim), at: (v) => Math.min(a.at(v), b.at(v)) }),
      () => ({ dim: maxDim(a.dim, b.dim), at: (v) => Math.max(a.at(v), b.at(v)) }),
    ])();
  }

  it('have the values of plain arithmetic, and the signs that are told', () => {
    for (let round = 0; round < 600; round++) {
      const pool = [...leaves];
      for (let i = 0; i < 10; i++) pool.push(grown(pool));
      for (let turn = 0; turn < 8; turn++) {
        const values = new Map(extents.map((extent, i) => [`i${i}`, below(extent)]));
        for (const id of ['n', 'm']) values.set(id, below(9));
        for (const { dim, at } of pool) {
          const want = at(values);
          const text = `${dimKey(dim)} at ${JSON.stringify([...values])}`;
          if (evalDim(dim, (id) => values.get(id) as number) !== want) expect(text).toBe(want);
          if (isNonNegative(dim) && want < 0) expect.fail(`${text} is ${want}`);
        }
      }
    }
  });

  it('keep the signs of quotients of what may be negative', () => {
    const [i, z] = [dimOf('i', 'i', { extent: 3 }), dimOf('z', 'z', { extent: 14 })];
    const d = modDim(floorDiv(addDim(subDim(42, mulDim(i, 14)), z), 6), 7);
    const values = new Map([
      ['i', 2],
      ['z', 0],
    ]);
    expect(evalDim(d, (id) => values.get(id) as number)).toBe(2);
  });
});
