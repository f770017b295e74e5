// Contractions: plain, transposed, batched, with a softmax between, and matrix-vector.

import type { Values, Workload } from '../types.ts';
import { matrix, product, sliceOf, softmaxRows, transposed } from './reference.ts';

const f32 = (...shape: number[]) => ({ dtype: 'float32', shape }) as const;

function square(name: string, n: number, form: 'ab' | 'at' | 'bt', target: Workload['target']) {
  const about = { ab: 'A·B', at: 'Aᵀ·B', bt: 'A·Bᵀ' }[form];
  return {
    name,
    about: `${about}, [${n}, ${n}] each`,
    inputs: { a: f32(n, n), b: f32(n, n) },
    flops: 2 * n ** 3,
    bytes: 12 * n ** 2,
    tolerance: { abs: 2e-4, rel: 1e-5 },
    target,
    reference({ a, b }: Values) {
      const [x, y] = [matrix(a, n, n), matrix(b, n, n)];
      return [
        { y: product(form === 'at' ? transposed(x) : x, form === 'bt' ? transposed(y) : y).data },
      ];
    },
  } satisfies Workload;
}

function stacked(name: string, about: string, size: Stack, target: Workload['target']): Workload {
  const { count, rows, inner, columns } = size;
  return {
    name,
    about,
    inputs: { a: f32(count, rows, inner), b: f32(count, inner, columns) },
    flops: 2 * count * rows * inner * columns,
    bytes: 4 * count * (rows * inner + inner * columns + rows * columns),
    tolerance: { abs: 5e-5, rel: 1e-5 },
    target,
    reference({ a, b }) {
      const y = new Float64Array(count * rows * columns);
      for (let i = 0; i < count; i++) {
        const c = product(sliceOf(a, i, rows, inner), sliceOf(b, i, inner, columns));
        y.set(c.data, i * rows * columns);
      }
      return [{ y }];
    },
  };
}

interface Stack {
  readonly count: number;
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
}

const HEADS = 8;
const LENGTH = 128;
const DEPTH = 64;

const attention: Workload = {
  name: 'attention',
  about: 'softmax(Q·Kᵀ/8)·V, [8, 128, 64] each',
  inputs: {
    q: f32(HEADS, LENGTH, DEPTH),
    k: f32(HEADS, LENGTH, DEPTH),
    v: f32(HEADS, LENGTH, DEPTH),
  },
  flops: HEADS * (4 * LENGTH * LENGTH * DEPTH + 5 * LENGTH * LENGTH),
  bytes: 16 * HEADS * LENGTH * DEPTH,
  tolerance: { abs: 1e-5, rel: 1e-5 },
  target: { ratio: 0.75 },
  reference({ q, k, v }) {
    const y = new Float64Array(HEADS * LENGTH * DEPTH);
    for (let h = 0; h < HEADS; h++) {
      const scaled = product(
        sliceOf(q, h, LENGTH, DEPTH),
        transposed(sliceOf(k, h, LENGTH, DEPTH)),
      );
      const scores = Float64Array.from(scaled.data, (s) => s / 8);
      const weights = softmaxRows(matrix(scores, LENGTH, LENGTH));
      y.set(product(weights, sliceOf(v, h, LENGTH, DEPTH)).data, h * LENGTH * DEPTH);
    }
    return [{ y }];
  },
};

const ROWS = 300_000;
const POINTS = 30;

const linreg: Workload = {
  name: 'linreg',
  about: 'slope of each row of [300000, 30] on [30]: Σ(t-t̄)(x-x̄) / Σ(t-t̄)²',
  inputs: { x: f32(ROWS, POINTS), t: f32(POINTS) },
  flops: 4 * ROWS * POINTS,
  bytes: 4 * (ROWS * POINTS + POINTS + ROWS),
  tolerance: { abs: 1e-5, rel: 1e-5 },
  target: { ms: 4 },
  reference({ x, t }) {
    const times = Float64Array.from(t);
    const mean = times.reduce((sum, v) => sum + v, 0) / POINTS;
    const centred = times.map((v) => v - mean);
    const spread = centred.reduce((sum, v) => sum + v * v, 0);
    const y = new Float64Array(ROWS);
    for (let i = 0; i < ROWS; i++) {
      let sum = 0;
      for (let j = 0; j < POINTS; j++) sum += x[i * POINTS + j];
      const rowMean = sum / POINTS;
      let dot = 0;
      for (let j = 0; j < POINTS; j++) dot += centred[j] * (x[i * POINTS + j] - rowMean);
      y[i] = dot / spread;
    }
    return [{ y }];
  },
};

const matvec: Workload = {
  name: 'matvec',
  about: '[300000, 30]·[30]',
  inputs: { a: f32(ROWS, POINTS), x: f32(POINTS) },
  flops: 2 * ROWS * POINTS,
  bytes: 4 * (ROWS * POINTS + POINTS + ROWS),
  tolerance: { abs: 1e-5, rel: 1e-5 },
  target: { ratio: 0.5 },
  reference: ({ a, x }) => [{ y: product(matrix(a, ROWS, POINTS), matrix(x, POINTS, 1)).data }],
};

export const linear: readonly Workload[] = [
  square('mm256', 256, 'ab', { ratio: 0.85 }),
  square('mm512', 512, 'ab', { ratio: 0.85, raw: 0.9, speedup: 1.8 }),
  square('mm1024', 1024, 'ab', { ratio: 0.85, raw: 0.9, speedup: 1.8 }),
  square('mm512_at', 512, 'at', { ratio: 0.5, raw: 0.85 }),
  square('mm512_bt', 512, 'bt', { ratio: 0.5, raw: 0.85 }),
  stacked(
    'bmm',
    '[64, 128, 64]·[64, 64, 128]',
    { count: 64, rows: 128, inner: 64, columns: 128 },
    { ratio: 0.75 },
  ),
  stacked(
    'einsum',
    'bij,bjk->bik, [64, 128, 128] twice',
    { count: 64, rows: 128, inner: 128, columns: 128 },
    { ratio: 0.95 },
  ),
  attention,
  linreg,
  matvec,
];
