// Reads the digits of the `mnist` package in Node.

import { createRequire } from 'node:module';
import { type AllDigits, type Digits, PIXELS, splitDigits } from './data.ts';

/** All digits, as the package has them. */
export function readDigits(): AllDigits {
  const require = createRequire(import.meta.url);
  const images: Float32Array[] = [];
  const labels: number[] = [];
  for (let label = 0; label < 10; label++) {
    const { data } = require(`mnist/src/digits/${label}.json`) as { data: number[] };
    for (let at = 0; at + PIXELS <= data.length; at += PIXELS) {
      images.push(Float32Array.from(data.slice(at, at + PIXELS)));
      labels.push(label);
    }
  }
  return { images, labels };
}

/** Loads the digits: `train` and `heldOut` never share one. */
export function loadDigits(heldOutCount = 2000): { train: Digits; heldOut: Digits } {
  return splitDigits(readDigits(), heldOutCount);
}
