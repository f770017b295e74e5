// The 10,000 handwritten digits of the `mnist` package, shuffled once in a fixed order and split into
// 8,000 to train on and 2,000 held out. Pixels are 0 (paper) to 1 (ink), 28 rows of 28.

/** Pixels of a digit. */
export const PIXELS = 28 * 28;

export interface Digits {
  /** Row-major pixels, 784 per digit. */
  readonly images: Float32Array;
  readonly labels: Int32Array;
  readonly count: number;
}

/** All digits of the package, in its order. */
export interface AllDigits {
  readonly images: readonly Float32Array[];
  readonly labels: readonly number[];
}

/** Splits the digits: `train` and `heldOut` never share one. */
export function splitDigits(
  { images, labels }: AllDigits,
  heldOutCount = 2000,
): { train: Digits; heldOut: Digits } {
  const order = shuffled(images.length, 20240229);
  const take = (ids: readonly number[]): Digits => {
    const out = new Float32Array(ids.length * PIXELS);
    ids.forEach((id, i) => {
      out.set(images[id], i * PIXELS);
    });
    return { images: out, labels: Int32Array.from(ids, (id) => labels[id]), count: ids.length };
  };
  return { train: take(order.slice(heldOutCount)), heldOut: take(order.slice(0, heldOutCount)) };
}

/** The rows `ids` of a set, as one batch. */
export function batchOf(digits: Digits, ids: readonly number[]): Digits {
  const images = new Float32Array(ids.length * PIXELS);
  ids.forEach((id, i) => {
    images.set(digits.images.subarray(id * PIXELS, (id + 1) * PIXELS), i * PIXELS);
  });
  return { images, labels: Int32Array.from(ids, (id) => digits.labels[id]), count: ids.length };
}

/** The numbers `0 .. n-1` in a pseudo-random order that depends on the seed alone. */
export function shuffled(n: number, seed: number): number[] {
  const order = Array.from({ length: n }, (_, i) => i);
  let state = seed >>> 0;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/** A batch with each digit moved by up to two pixels each way: as good as more digits to learn from. */
export function movedAround(digits: Digits, seed: number): Digits {
  const side = 28;
  const images = new Float32Array(digits.images.length);
  const moves = shuffled(25 * digits.count, seed);
  for (let n = 0; n < digits.count; n++) {
    const dy = (moves[n] % 5) - 2;
    const dx = (Math.floor(moves[n] / 5) % 5) - 2;
    for (let y = Math.max(0, dy); y < Math.min(side, side + dy); y++) {
      const [from, to] = [Math.max(0, -dx), Math.min(side, side - dx)];
      const row = (n * side + y - dy) * side;
      images.set(digits.images.subarray(row + from, row + to), (n * side + y) * side + from + dx);
    }
  }
  return { ...digits, images };
}
