// Data for tests, the same for equal seeds everywhere.

import type { DType } from '../core/dtype.ts';
import { NDArray } from '../core/ndarray.ts';
import type { Draw } from './case.ts';

/** Mulberry32: a small generator for test data. */
export function generator(seed: number): () => number {
  let a = seed | 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Draws a value of a shape. */
export function drawValue(
  shape: readonly number[],
  dtype: DType,
  draw: Draw,
  next: () => number,
): NDArray {
  const n = shape.reduce((a, b) => a * b, 1);
  const {
    low = dtype === 'int32' ? -5 : -2,
    high = dtype === 'int32' ? 5 : 2,
    distinct = false,
  } = draw;
  if (dtype === 'bool')
    return new NDArray(
      'bool',
      shape,
      Uint8Array.from({ length: n }, () => (next() < 0.5 ? 0 : 1)),
    );
  if (distinct) {
    const order = Array.from({ length: n }, (_, i) => i - (n >> 1));
    for (let i = n - 1; i > 0; i--) {
      const j = Math.floor(next() * (i + 1));
      [order[i], order[j]] = [order[j], order[i]];
    }
    if (dtype === 'int32') return new NDArray('int32', shape, Int32Array.from(order));
    return new NDArray(
      'float32',
      shape,
      Float32Array.from(order, (x) => x / 8),
    );
  }
  if (dtype === 'int32') {
    const [a, b] = [Math.ceil(low), Math.floor(high)];
    return new NDArray(
      'int32',
      shape,
      Int32Array.from({ length: n }, () => a + Math.floor(next() * (b - a + 1))),
    );
  }
  return new NDArray(
    'float32',
    shape,
    Float32Array.from({ length: n }, () => low + next() * (high - low)),
  );
}
