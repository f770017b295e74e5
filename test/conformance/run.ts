// Runs conformance cases: the float64 reference is the truth of values, finite differences on it the
// truth of gradients; every backend is then compared with the reference, optimised and not.

import { expect } from 'vitest';
import { type DType, isFloat } from '../../src/core/dtype.ts';
import type { NDArray } from '../../src/core/ndarray.ts';
import type { Tensor } from '../../src/graph/tensor.ts';
import * as tl from '../../src/index.ts';
import { contendersOf } from '../support/matrix.ts';
import type { Draw, OpCase, Shapes } from './case.ts';

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
    return new tl.NDArray(
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
    if (dtype === 'int32') return new tl.NDArray('int32', shape, Int32Array.from(order));
    return new tl.NDArray(
      'float32',
      shape,
      Float32Array.from(order, (x) => x / 8),
    );
  }
  if (dtype === 'int32') {
    const [a, b] = [Math.ceil(low), Math.floor(high)];
    return new tl.NDArray(
      'int32',
      shape,
      Int32Array.from({ length: n }, () => a + Math.floor(next() * (b - a + 1))),
    );
  }
  return new tl.NDArray(
    'float32',
    shape,
    Float32Array.from({ length: n }, () => low + next() * (high - low)),
  );
}

interface Built {
  readonly graph: tl.Graph;
  readonly inputs: readonly Tensor[];
  readonly values: readonly NDArray[];
  readonly outputs: readonly Tensor[];
  /** Gradients of a weighted sum of the float outputs, for the float inputs that have one. */
  readonly gradients: readonly { readonly input: number; readonly tensor: Tensor }[];
  readonly loss: Tensor | null;
}

export function buildCase(c: OpCase, dtype: DType, shapes: Shapes): Built {
  const graph = new tl.Graph();
  const next = generator(1234);
  return graph.asDefault(() => {
    const types = shapes.inputs.map((_, i) => c.draws?.[i]?.dtype ?? dtype);
    const inputs = shapes.inputs.map((s, i) =>
      tl.placeholder(
        types[i],
        s.map((n, a) => (shapes.open || shapes.openAxes?.[i].includes(a) ? null : n)),
        { name: `in${i}` },
      ),
    );
    const values = shapes.inputs.map((s, i) => drawValue(s, types[i], c.draws?.[i] ?? {}, next));
    const made = c.build(inputs);
    const outputs = Array.isArray(made) ? (made as Tensor[]) : [made as Tensor];
    if (c.gradient === false || dtype !== 'float32') {
      return { graph, inputs, values, outputs, gradients: [], loss: null };
    }
    const terms = outputs
      .filter((t) => isFloat(t.dtype))
      .map((t) => tl.reduceSum(tl.mul(t, weights(t))));
    const loss = terms.reduce((a, b) => tl.add(a, b));
    const floats = inputs.flatMap((t, i) => (isFloat(t.dtype) ? [i] : []));
    const grads = tl.gradients(
      [loss],
      floats.map((i) => inputs[i]),
    );
    const gradients = floats.flatMap((input, k) => {
      const tensor = grads[k];
      return tensor ? [{ input, tensor }] : [];
    });
    return { graph, inputs, values, outputs, gradients, loss };
  });
}

/** Uneven weights, so that gradients that sum to zero do not hide: 1, 1.3, 1.6, … repeating. */
function weights(t: Tensor): Tensor {
  const flat = tl.mod(tl.range(tl.size(t)), 7);
  return tl.reshape(tl.add(tl.mul(tl.cast(flat, 'float32'), 0.3), 1), tl.shape(t));
}

function feedsOf(b: Built): [Tensor, NDArray][] {
  return b.inputs.map((t, i) => [t, b.values[i]]);
}

/** Largest input of which every element is probed by finite differences. */
const PROBES = 40;

export async function checkCase(
  c: OpCase,
  dtype: DType,
  shapes: Shapes,
  contenders = contendersOf(`${c.name} ${dtype} ${shapes.name}`),
): Promise<void> {
  const b = buildCase(c, dtype, shapes);
  const fetches = [...b.outputs, ...b.gradients.map((g) => g.tensor)];
  const exact = new tl.Session({ graph: b.graph, backend: 'reference', exact: true });
  const truth = (await exact.run(fetches, feedsOf(b))) as NDArray[];
  if (b.loss) await checkDifferences(c, b, exact, truth.slice(b.outputs.length));
  const results = new Map<string, readonly NDArray[]>();
  for (const { name, options, sameBitsAs } of contenders) {
    const session = new tl.Session({ ...options, graph: b.graph });
    const got = (await session.run(fetches, feedsOf(b))) as NDArray[];
    await session.close();
    results.set(name, got);
    const twin = sameBitsAs === undefined ? undefined : results.get(sameBitsAs);
    got.forEach((g, i) => {
      const which = i < b.outputs.length ? `output ${i}` : `gradient ${i - b.outputs.length}`;
      const what = `${c.name} ${dtype} ${shapes.name} on ${name}: ${which}`;
      compare(g, truth[i], c.tolerance ?? 2e-6, what);
      if (twin) sameBits(g, twin[i], what);
    });
  }
  await exact.close();
}

/** Compares with a tolerance relative to the largest element; integers and bools exactly. */
export function compare(got: NDArray, want: NDArray, tolerance: number, what: string): void {
  expect(got.dtype, what).toBe(want.dtype);
  expect([...got.shape], what).toEqual([...want.shape]);
  const scale = isFloat(got.dtype)
    ? Array.from(want.data).reduce((m, x) => (Number.isFinite(x) ? Math.max(m, Math.abs(x)) : m), 1)
    : 0;
  for (let i = 0; i < got.data.length; i++) {
    const [g, w] = [got.data[i], want.data[i]];
    if (Object.is(g, w) || g === w) continue;
    const off = Math.abs(g - w);
    if (!(off <= tolerance * scale)) {
      expect.fail(
        `${what}: element ${i} is ${g}, should be ${w} (off by ${off}, allowed ${tolerance * scale})`,
      );
    }
  }
}

/** Demands equal bits; all NaNs are alike. */
export function sameBits(got: NDArray, want: NDArray, what: string): void {
  for (let i = 0; i < want.data.length; i++) {
    if (!Object.is(got.data[i], want.data[i])) {
      expect.fail(`${what}: element ${i} is ${got.data[i]}, with one thread ${want.data[i]}`);
    }
  }
}

/** Central differences in float64 against the symbolic gradient in float64. */
async function checkDifferences(
  c: OpCase,
  b: Built,
  exact: tl.Session,
  grads: readonly NDArray[],
): Promise<void> {
  const step = 1 / 8192;
  for (const [k, g] of b.gradients.entries()) {
    const value = b.values[g.input];
    const data = value.data as Float32Array;
    const stride = Math.max(1, Math.floor(data.length / PROBES));
    for (let i = 0; i < data.length; i += stride) {
      const at = async (h: number): Promise<number> => {
        const moved = Float32Array.from(data);
        moved[i] += h;
        const feeds = feedsOf(b).map(
          ([t, v], j) =>
            [t, j === g.input ? new tl.NDArray('float32', value.shape, moved) : v] as const,
        );
        const session = c.fresh
          ? new tl.Session({ graph: b.graph, backend: 'reference', exact: true })
          : exact;
        const loss = (await session.run(b.loss as Tensor, feeds)) as NDArray;
        return loss.data[0];
      };
      // The step as float32 takes it, which is exact for small numbers but not for large ones.
      const [up, down] = [Math.fround(data[i] + step), Math.fround(data[i] - step)];
      const slope = ((await at(up - data[i])) - (await at(down - data[i]))) / (up - down);
      const want = grads[k].data[i];
      const allowed = 2e-5 * Math.max(1, Math.abs(slope), Math.abs(want));
      if (!(Math.abs(slope - want) <= allowed)) {
        expect.fail(`${c.name}: gradient ${g.input}[${i}] is ${want}, differences give ${slope}`);
      }
    }
  }
}
