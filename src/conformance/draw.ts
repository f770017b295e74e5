// Data for tests, the same for equal seeds everywhere.

import { type DType, dtypeInfo, isBig } from '../core/dtype.ts';
import { type NDArray, ndarrayOf } from '../core/ndarray.ts';
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
  const { kind, alloc, half, min, max } = dtypeInfo(dtype);
  const whole = kind !== 'float';
  const {
    low = whole ? Math.max(Number(min), -5) : -2,
    high = whole ? 5 : 2,
    distinct = false,
  } = draw;
  const data = alloc(n);
  const stored = (v: number): number => {
    if (half) return half.bits(v);
    return (isBig(dtype) ? BigInt(v) : v) as number;
  };
  const filled = (value: (i: number) => number): NDArray => {
    for (let i = 0; i < n; i++) data[i] = stored(value(i));
    return ndarrayOf(dtype, shape, data);
  };
  if (kind === 'bool') return filled(() => (next() < 0.5 ? 0 : 1));
  if (distinct) {
    const order = Array.from({ length: n }, (_, i) => i - (n >> 1));
    for (let i = n - 1; i > 0; i--) {
      const j = Math.floor(next() * (i + 1));
      [order[i], order[j]] = [order[j], order[i]];
    }
    return filled((i) => (whole ? order[i] - (min < 0 ? 0 : Math.min(...order)) : order[i] / 8));
  }
  if (!whole) return filled(() => low + next() * (high - low));
  const [a, b] = [Math.max(Number(min), Math.ceil(low)), Math.min(Number(max), Math.floor(high))];
  return filled(() => a + Math.floor(next() * (b - a + 1)));
}
