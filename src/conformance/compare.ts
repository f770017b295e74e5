// How results are compared with the truth, and how far off they are.

import { isFloat, toNumbers } from '../core/dtype.ts';
import type { NDArray } from '../core/ndarray.ts';

/** A result that is not what it should be. */
export class ConformanceError extends Error {
  override readonly name = 'ConformanceError';
}

/**
 * Compares with a tolerance relative to the largest finite element of the truth (at least 1); integers
 * and bools exactly, NaN with NaN. Returns {@link ulps}. Throws ConformanceError.
 */
export function compare(got: NDArray, want: NDArray, tolerance: number, what: string): number {
  if (got.dtype !== want.dtype) {
    throw new ConformanceError(`${what}: the dtype is ${got.dtype}, should be ${want.dtype}`);
  }
  if (got.shape.length !== want.shape.length || got.shape.some((n, i) => n !== want.shape[i])) {
    throw new ConformanceError(`${what}: the shape is (${got.shape}), should be (${want.shape})`);
  }
  const [gotData, wantData] = [got, want].map((v) => toNumbers(v.dtype, v.data));
  const scale = isFloat(got.dtype)
    ? Array.from(wantData).reduce((m, x) => (Number.isFinite(x) ? Math.max(m, Math.abs(x)) : m), 1)
    : 0;
  let worst = 0;
  for (let i = 0; i < gotData.length; i++) {
    const [g, w] = [gotData[i], wantData[i]];
    if (Object.is(g, w) || g === w) continue;
    const off = Math.abs(Number(g) - Number(w));
    if (!(off > 0 && off <= tolerance * scale)) {
      throw new ConformanceError(
        `${what}: element ${i} is ${g}, should be ${w} (off by ${off}, allowed ${tolerance * scale})`,
      );
    }
    worst = Math.max(worst, ulps(off, w, scale));
  }
  return worst;
}

/** The smallest exponent of a normal float32. */
const LEAST_EXPONENT = -126;

/**
 * How many units in the last place of a float32 result it is off by. What has cancelled out is measured
 * by the last place of 1/1024 of the largest element.
 */
export function ulps(off: number, want: number, scale: number): number {
  const size = Math.max(Math.abs(want), scale / 1024);
  const exponent = Math.max(LEAST_EXPONENT, Math.floor(Math.log2(size)));
  return off / 2 ** (exponent - 23);
}

/** Demands equal bits; all NaNs are alike. Throws ConformanceError. */
export function sameBits(got: NDArray, want: NDArray, what: string): void {
  for (let i = 0; i < want.data.length; i++) {
    if (!Object.is(got.data[i], want.data[i])) {
      throw new ConformanceError(
        `${what}: element ${i} is ${got.data[i]}, with one thread ${want.data[i]}`,
      );
    }
  }
}
