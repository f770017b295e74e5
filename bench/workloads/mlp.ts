// A small classifier, 784-256-128-10 with ReLU: forward, forward with a new batch size at each call, and
// training by gradient descent on the mean cross-entropy.

import type { InputSpec, Values, Workload } from '../types.ts';
import { type Matrix, matrix, product, softmaxRows, transposed } from './reference.ts';

export const BATCH = 128;
export const SIZES: readonly number[] = [784, 256, 128, 10];
export const CLASSES = 10;
export const LEARNING_RATE = 0.1;
/** The layers' numbers, which end the names of their weights and biases: `w0`, `b0`, … */
export const LAYERS: readonly number[] = [0, 1, 2];

const FIRST_BATCH = 64;
const POOL = 320;

/** The batch size of a call of `mlp_newbatch`: 64, 65, 66, … */
export function batchOf(index: number): number {
  if (FIRST_BATCH + index > POOL) throw new RangeError(`mlp_newbatch: no data for call ${index}`);
  return FIRST_BATCH + index;
}

function weights(): Record<string, InputSpec> {
  return Object.fromEntries(
    LAYERS.flatMap((i): [string, InputSpec][] => {
      const scale = 1 / Math.sqrt(SIZES[i]);
      return [
        [`w${i}`, { dtype: 'float32', shape: [SIZES[i], SIZES[i + 1]], scale }],
        [`b${i}`, { dtype: 'float32', shape: [SIZES[i + 1]], scale }],
      ];
    }),
  );
}

const images = (batch: number) => ({ dtype: 'float32', shape: [batch, SIZES[0]] }) as const;
const products = LAYERS.map((i) => SIZES[i] * SIZES[i + 1]);
const parameters = products.reduce((n, p) => n + p) + SIZES.slice(1).reduce((n, p) => n + p);
const forwardFlops = (batch: number): number => 2 * batch * products.reduce((n, p) => n + p);
const forwardBytes = (batch: number): number => 4 * (parameters + batch * (SIZES[0] + CLASSES));

interface Layer {
  w: Matrix;
  b: Float64Array;
}

function layersOf(inputs: Values): Layer[] {
  return LAYERS.map((i) => ({
    w: matrix(Float64Array.from(inputs[`w${i}`]), SIZES[i], SIZES[i + 1]),
    b: Float64Array.from(inputs[`b${i}`]),
  }));
}

/** What each layer gets, and what the last gives. */
function forward(x: Matrix, layers: readonly Layer[]): Matrix[] {
  const values = [x];
  layers.forEach(({ w, b }, i) => {
    const y = product(values[i], w);
    const last = i === layers.length - 1;
    const data = Float64Array.from(y.data, (v, at) => {
      const sum = v + b[at % y.columns];
      return last ? sum : Math.max(sum, 0);
    });
    values.push(matrix(data, y.rows, y.columns));
  });
  return values;
}

function subtract(from: ArrayLike<number>, step: ArrayLike<number>): Float64Array {
  return Float64Array.from(from, (v, i) => v - LEARNING_RATE * step[i]);
}

/** One step of gradient descent, in place; gives the loss before it. */
function trainStep(x: Matrix, labels: ArrayLike<number>, layers: readonly Layer[]): number {
  const values = forward(x, layers);
  const probabilities = softmaxRows(values[layers.length]);
  let loss = 0;
  const gradient = Float64Array.from(probabilities.data, (p) => p / x.rows);
  for (let i = 0; i < x.rows; i++) {
    const at = i * CLASSES + labels[i];
    loss -= Math.log(probabilities.data[at]) / x.rows;
    gradient[at] -= 1 / x.rows;
  }
  let g = matrix(gradient, x.rows, CLASSES);
  for (let i = layers.length - 1; i >= 0; i--) {
    const { w, b } = layers[i];
    const below = values[i];
    const dw = product(transposed(below), g);
    const db = new Float64Array(g.columns);
    for (let at = 0; at < g.data.length; at++) db[at % g.columns] += g.data[at];
    const dx = product(g, transposed(w));
    g = matrix(
      Float64Array.from(dx.data, (v, at) => (below.data[at] > 0 ? v : 0)),
      dx.rows,
      dx.columns,
    );
    layers[i].w = matrix(subtract(w.data, dw.data), w.rows, w.columns);
    layers[i].b = subtract(b, db);
  }
  return loss;
}

function logits(inputs: Values, batch: number): ArrayLike<number> {
  const x = matrix(inputs.x, batch, SIZES[0]);
  return forward(x, layersOf(inputs))[LAYERS.length].data;
}

const mlpForward: Workload = {
  name: 'mlp_fwd',
  about: '784-256-128-10, batch 128, ReLU; forward',
  inputs: { x: images(BATCH), ...weights() },
  flops: forwardFlops(BATCH),
  bytes: forwardBytes(BATCH),
  tolerance: { abs: 2e-5, rel: 1e-5 },
  target: { ratio: 0.85, speedup: 1.8 },
  reference: (inputs) => [{ y: logits(inputs, BATCH) }],
};

const CALLS = { warm: 10, perRound: 20 };
/** In the middle of five rounds, each led by one call off the clock. */
const MIDDLE_BATCH = FIRST_BATCH + CALLS.warm + Math.round(2.5 * (CALLS.perRound + 1));

const mlpNewBatch: Workload = {
  name: 'mlp_newbatch',
  about: 'the same, batch 64, 65, 66, … each call a new one, images fed from the host',
  inputs: { x: images(POOL), ...weights() },
  flops: forwardFlops(MIDDLE_BATCH),
  bytes: forwardBytes(MIDDLE_BATCH),
  tolerance: { abs: 2e-5, rel: 1e-5 },
  target: { ratio: 0.95 },
  stateful: true,
  calls: CALLS,
  checks: 2,
  reference(inputs) {
    const at = (index: number) => ({
      ...inputs,
      x: inputs.x.subarray(0, batchOf(index) * SIZES[0]),
    });
    return [0, 1].map((index) => ({ y: logits(at(index), batchOf(index)) }));
  },
};

const mlpTrain: Workload = {
  name: 'mlp_train',
  about: 'the same, batch 128: forward, backward, gradient descent, the mean cross-entropy fetched',
  inputs: {
    x: images(BATCH),
    labels: { dtype: 'int32', shape: [BATCH], below: CLASSES },
    ...weights(),
  },
  flops: 3 * forwardFlops(BATCH) - 2 * BATCH * products[0],
  bytes: forwardBytes(BATCH) + 8 * parameters,
  tolerance: { abs: 2e-5, rel: 2e-5 },
  target: { ratio: 0.75, speedup: 1.6 },
  stateful: true,
  checks: 4,
  reference(inputs) {
    const layers = layersOf(inputs);
    const x = matrix(inputs.x, BATCH, SIZES[0]);
    return [0, 1, 2, 3].map(() => ({ loss: [trainStep(x, inputs.labels, layers)] }));
  },
};

/** The labels as rows of zeros and a one. */
export function oneHot(labels: ArrayLike<number>): Float32Array<ArrayBuffer> {
  const out = new Float32Array(labels.length * CLASSES);
  for (let i = 0; i < labels.length; i++) out[i * CLASSES + labels[i]] = 1;
  return out;
}

export const mlp: readonly Workload[] = [mlpForward, mlpNewBatch, mlpTrain];
