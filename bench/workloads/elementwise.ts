// Maps, reductions and movement: what is bound by memory or by elementary functions.

import type { Workload } from '../types.ts';
import { matrix, softmaxRows, transposed } from './reference.ts';

const f32 = (...shape: number[]) => ({ dtype: 'float32', shape }) as const;

const ELEMENTS = 4_194_304;

const eltwise: Workload = {
  name: 'eltwise4M',
  about: 'tanh(1.5x+.25)·.75 + exp(-x²), 4,194,304 elements',
  inputs: { x: f32(ELEMENTS) },
  flops: 8 * ELEMENTS,
  bytes: 8 * ELEMENTS,
  tolerance: { abs: 1e-6, rel: 1e-6 },
  target: { ratio: 0.5, speedup: 1.6 },
  reference({ x }) {
    const f = (v: number): number => Math.tanh(1.5 * v + 0.25) * 0.75 + Math.exp(-v * v);
    return [{ y: Float64Array.from(x, f) }];
  },
};

const MOMENTS = { rows: 4096, columns: 1024 };

const moments: Workload = {
  name: 'moments0',
  about: 'mean and variance over axis 0 of [4096, 1024]',
  inputs: { x: f32(MOMENTS.rows, MOMENTS.columns) },
  flops: 5 * MOMENTS.rows * MOMENTS.columns,
  bytes: 4 * (MOMENTS.rows + 2) * MOMENTS.columns,
  tolerance: { abs: 2e-5, rel: 5e-5 },
  target: { ratio: 0.5 },
  reference({ x }) {
    const { rows, columns } = MOMENTS;
    const mean = new Float64Array(columns);
    const variance = new Float64Array(columns);
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) mean[j] += x[i * columns + j] / rows;
    }
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) {
        variance[j] += (x[i * columns + j] - mean[j]) ** 2 / rows;
      }
    }
    return [{ mean, variance }];
  },
};

const SOFTMAX = 1024;

const softmax: Workload = {
  name: 'softmax',
  about: 'over the last axis of [1024, 1024]',
  inputs: { x: f32(SOFTMAX, SOFTMAX) },
  flops: 5 * SOFTMAX * SOFTMAX,
  bytes: 8 * SOFTMAX * SOFTMAX,
  tolerance: { abs: 1e-8, rel: 1e-5 },
  target: { ratio: 0.75, speedup: 1.6 },
  reference: ({ x }) => [{ y: softmaxRows(matrix(x, SOFTMAX, SOFTMAX)).data }],
};

const LAYERNORM = { rows: 4096, columns: 768 };
export const EPSILON = 1e-5;

const layernorm: Workload = {
  name: 'layernorm',
  about: 'over the last axis of [4096, 768], scale and shift, ε = 1e-5',
  inputs: {
    x: f32(LAYERNORM.rows, LAYERNORM.columns),
    scale: f32(LAYERNORM.columns),
    offset: f32(LAYERNORM.columns),
  },
  flops: 8 * LAYERNORM.rows * LAYERNORM.columns,
  bytes: 4 * (2 * LAYERNORM.rows + 2) * LAYERNORM.columns,
  tolerance: { abs: 2e-5, rel: 1e-5 },
  target: { ratio: 0.75 },
  reference({ x, scale, offset }) {
    const { rows, columns } = LAYERNORM;
    const y = new Float64Array(rows * columns);
    for (let i = 0; i < rows; i++) {
      const row = x.subarray(i * columns, (i + 1) * columns);
      let mean = 0;
      for (const v of row) mean += v / columns;
      let variance = 0;
      for (const v of row) variance += (v - mean) ** 2 / columns;
      const factor = 1 / Math.sqrt(variance + EPSILON);
      for (let j = 0; j < columns; j++) {
        y[i * columns + j] = (row[j] - mean) * factor * scale[j] + offset[j];
      }
    }
    return [{ y }];
  },
};

const H = { rows: 8, columns: 16 };
export const TURNS = 10;

const small50: Workload = {
  name: 'small50',
  about: 'h [8, 16]; a, b, c [16]; 10 times h = tanh(h*a+b); h = h - c*h, elementwise',
  inputs: {
    h: f32(H.rows, H.columns),
    a: f32(H.columns),
    b: f32(H.columns),
    c: f32(H.columns),
  },
  flops: 5 * TURNS * H.rows * H.columns,
  bytes: 4 * (2 * H.rows + 3) * H.columns,
  tolerance: { abs: 1e-5, rel: 1e-5 },
  target: { ratio: 0.5, ms: 0.008 },
  reference({ h, a, b, c }) {
    const y = Float64Array.from(h);
    for (let turn = 0; turn < TURNS; turn++) {
      for (let i = 0; i < y.length; i++) {
        const j = i % H.columns;
        y[i] = Math.tanh(y[i] * a[j] + b[j]);
        y[i] -= c[j] * y[i];
      }
    }
    return [{ y }];
  },
};

const SIDE = 2048;

const transpose: Workload = {
  name: 'transpose',
  about: '[2048, 2048] copied out transposed',
  inputs: { x: f32(SIDE, SIDE) },
  flops: 0,
  bytes: 8 * SIDE * SIDE,
  tolerance: { abs: 0, rel: 0 },
  target: { ratio: 1 },
  reference: ({ x }) => [{ y: transposed(matrix(x, SIDE, SIDE)).data }],
};

const GATHER = { rows: 50_000, columns: 64, count: 65_536 };

const gather: Workload = {
  name: 'gather',
  about: '65,536 rows of [50000, 64] by random int32',
  inputs: {
    x: f32(GATHER.rows, GATHER.columns),
    indices: { dtype: 'int32', shape: [GATHER.count], below: GATHER.rows },
  },
  flops: 0,
  bytes: GATHER.count * (8 * GATHER.columns + 4),
  tolerance: { abs: 0, rel: 0 },
  target: { ratio: 1 },
  reference({ x, indices }) {
    const { columns, count } = GATHER;
    const y = new Float64Array(count * columns);
    indices.forEach((row, i) => {
      y.set(x.subarray(row * columns, (row + 1) * columns), i * columns);
    });
    return [{ y }];
  },
};

export const elementwise: readonly Workload[] = [
  eltwise,
  moments,
  softmax,
  layernorm,
  small50,
  transpose,
  gather,
];
