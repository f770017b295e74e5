// Convolutions of images [batch, height, width, channels], 3 by 3, stride 1, padded to the same size.

import type { Values, Workload } from '../types.ts';

/** The images of both workloads. */
export const IMAGES = { batch: 8, height: 56, width: 56, channels: 64 };
export const TAPS = 3;

const { batch, height, width, channels } = IMAGES;
const images = { dtype: 'float32', shape: [batch, height, width, channels] } as const;
const pixels = batch * height * width;

/** Calls `visit` with each output pixel, tap, and the input pixel under it; padding is left out. */
function forEachTap(visit: (out: number, tap: number, input: number) => void): void {
  for (let b = 0; b < batch; b++) {
    for (let i = 0; i < height; i++) {
      for (let j = 0; j < width; j++) {
        for (let tap = 0; tap < TAPS * TAPS; tap++) {
          const y = i + Math.floor(tap / TAPS) - 1;
          const x = j + (tap % TAPS) - 1;
          if (y < 0 || y >= height || x < 0 || x >= width) continue;
          visit((b * height + i) * width + j, tap, (b * height + y) * width + x);
        }
      }
    }
  }
}

const conv2d: Workload = {
  name: 'conv2d',
  about: 'NHWC [8, 56, 56, 64], filter [3, 3, 64, 64], SAME',
  inputs: {
    x: images,
    filter: { dtype: 'float32', shape: [TAPS, TAPS, channels, channels] },
  },
  flops: 2 * pixels * TAPS * TAPS * channels * channels,
  bytes: 4 * (2 * pixels * channels + TAPS * TAPS * channels * channels),
  tolerance: { abs: 2e-4, rel: 1e-5 },
  target: { ratio: 0.85, raw: 0.9, speedup: 1.8 },
  reference({ x, filter }: Values) {
    const y = new Float64Array(pixels * channels);
    const weights = Float64Array.from(filter);
    forEachTap((out, tap, input) => {
      const to = y.subarray(out * channels, (out + 1) * channels);
      for (let c = 0; c < channels; c++) {
        const v = x[input * channels + c];
        const at = (tap * channels + c) * channels;
        for (let k = 0; k < channels; k++) to[k] += v * weights[at + k];
      }
    });
    return [{ y }];
  },
};

const depthwise: Workload = {
  name: 'depthwise',
  about: 'NHWC [8, 56, 56, 64], filter [3, 3, 64, 1], stride 1, SAME',
  inputs: { x: images, filter: { dtype: 'float32', shape: [TAPS, TAPS, channels, 1] } },
  flops: 2 * pixels * TAPS * TAPS * channels,
  bytes: 4 * (2 * pixels * channels + TAPS * TAPS * channels),
  tolerance: { abs: 1e-5, rel: 1e-5 },
  target: { ratio: 0.95 },
  reference({ x, filter }: Values) {
    const y = new Float64Array(pixels * channels);
    forEachTap((out, tap, input) => {
      for (let c = 0; c < channels; c++) {
        y[out * channels + c] += x[input * channels + c] * filter[tap * channels + c];
      }
    });
    return [{ y }];
  },
};

export const conv: readonly Workload[] = [conv2d, depthwise];

/** Moves the channels before the pixels: NHWC to NCHW. */
export function channelsFirst(data: ArrayLike<number>): Float32Array<ArrayBuffer> {
  return swap(data, height * width, channels);
}

/** The inverse of {@link channelsFirst}. */
export function channelsLast(data: ArrayLike<number>): Float32Array<ArrayBuffer> {
  return swap(data, channels, height * width);
}

function swap(data: ArrayLike<number>, rows: number, columns: number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(data.length);
  for (let at = 0; at < data.length; at += rows * columns) {
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) out[at + j * rows + i] = data[at + i * columns + j];
    }
  }
  return out;
}

/** A filter [3, 3, in, out] as [out, in, 3, 3]; of a depthwise one, [3, 3, c, 1] as [c, 1, 3, 3]. */
export function filterFirst(
  filter: ArrayLike<number>,
  depthwiseFilter: boolean,
): Float32Array<ArrayBuffer> {
  const taps = TAPS * TAPS;
  const inputs = depthwiseFilter ? 1 : channels;
  const out = new Float32Array(filter.length);
  for (let tap = 0; tap < taps; tap++) {
    for (let i = 0; i < inputs; i++) {
      for (let o = 0; o < channels; o++) {
        out[(o * inputs + i) * taps + tap] = filter[(tap * inputs + i) * channels + o];
      }
    }
  }
  return out;
}
