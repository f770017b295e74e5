// The workload that every peer runs: shapes, inputs and first weights, the same for all.

export const BATCH = 128;
export const SIZES: readonly number[] = [784, 256, 128, 10];
export const CLASSES = 10;
export const LEARNING_RATE = 0.1;

/** One fully connected layer before training: weights row-major, `[inputs, outputs]`. */
export interface Layer {
  readonly inputs: number;
  readonly outputs: number;
  readonly weights: Float32Array<ArrayBuffer>;
  readonly bias: Float32Array<ArrayBuffer>;
}

export interface Data {
  /** Row-major, `[BATCH, SIZES[0]]`. */
  readonly images: Float32Array<ArrayBuffer>;
  /** One class per row. */
  readonly labels: Int32Array<ArrayBuffer>;
  /** The labels as rows of zeros and a one, `[BATCH, CLASSES]`. */
  readonly oneHot: Float32Array<ArrayBuffer>;
  readonly layers: readonly Layer[];
}

/** A peer, ready to train: each step is forward, backward, update, and the loss fetched. */
export interface Peer {
  readonly name: string;
  step(): Promise<number>;
  close(): void;
}

/** Uniform numbers in [0, 1) that depend on the seed alone (mulberry32). */
export function mulberry32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Inputs uniform in [-1, 1), weights the same over the square root of the inputs, biases zero. */
export function makeData(seed = 1): Data {
  const next = mulberry32(seed);
  const uniform = (count: number, scale: number): Float32Array<ArrayBuffer> =>
    Float32Array.from({ length: count }, () => (2 * next() - 1) * scale);
  const images = uniform(BATCH * SIZES[0], 1);
  const labels = Int32Array.from({ length: BATCH }, () => Math.floor(next() * CLASSES));
  const oneHot = new Float32Array(BATCH * CLASSES);
  labels.forEach((label, row) => {
    oneHot[row * CLASSES + label] = 1;
  });
  const layers = SIZES.slice(1).map((outputs, i): Layer => {
    const inputs = SIZES[i];
    return {
      inputs,
      outputs,
      weights: uniform(inputs * outputs, 1 / Math.sqrt(inputs)),
      bias: new Float32Array(outputs),
    };
  });
  return { images, labels, oneHot, layers };
}
