// Conformance cases of einsum: contractions, batches, sums, outer products, diagonals, ellipses.

import type { DType } from '../core/dtype.ts';
import * as tl from '../index.ts';
import { type OpCase, shapesOf } from './case.ts';

const { sets, open } = shapesOf;
const NUMBER: readonly DType[] = ['float32', 'int32'];

const EQUATIONS: readonly (readonly [string, ...(readonly number[])[]])[] = [
  ['ij,jk->ik', [3, 4], [4, 5]],
  ['ij,jk->ki', [3, 4], [4, 5]],
  ['ji,kj->ik', [4, 3], [5, 4]],
  ['bij,bjk->bik', [2, 3, 4], [2, 4, 5]],
  ['bij,bjk->ibk', [2, 3, 4], [2, 4, 5]],
  ['bhqd,bkhd->bhqk', [2, 2, 3, 4], [2, 5, 2, 4]],
  ['ijk,kjl->li', [2, 3, 4], [4, 3, 2]],
  ['kjil,km->mij', [2, 3, 4, 2], [2, 5]],
  ['ab,ab->', [3, 4], [3, 4]],
  ['ab,b', [3, 4], [4]],
  ['a,b', [3], [4]],
  ['i,i->i', [4], [4]],
  ['ab,cb->c', [3, 4], [5, 4]],
  ['abc->ca', [2, 3, 4]],
  [' i j , j -> i ', [0, 3], [3]],
  ['iji->j', [3, 2, 3]],
  ['ii,i->i', [3, 3], [3]],
  ['...ij,...jk->...ik', [2, 1, 3, 4], [5, 4, 2]],
  ['ij,jk,kl->li', [2, 3], [3, 4], [4, 2]],
];

export const EINSUM_CASES: readonly OpCase[] = EQUATIONS.map(([equation, ...inputs]) => {
  const copies = inputs.map((s) => [...s]);
  return {
    name: `einsum ${equation}`,
    dtypes: NUMBER,
    tolerance: 1e-5,
    shapes: [
      sets('static', ...copies),
      // Axes of an ellipsis that are repeated are told by their size.
      ...(equation.includes('...') ? [] : [open('dynamic', ...copies)]),
    ],
    build: (xs) => tl.einsum(equation, ...xs),
  };
});
