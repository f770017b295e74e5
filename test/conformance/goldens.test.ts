// Programs of TensorFlow 1 with the values it gave, on every backend here. The values are not part of
// the project: TENSORLOOM_GOLDENS names the folder that holds them.

import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as tl from '../../src/index.ts';

const GOLDENS = process.env.TENSORLOOM_GOLDENS ?? '';
const FILE = `${GOLDENS}/tf1-semantics.json`;
const present = GOLDENS !== '' && existsSync(FILE);

interface Value {
  readonly shape: number[];
  readonly dtype: string;
  readonly data: number[];
}

interface Moments {
  readonly x: Value;
  readonly axes: number[];
  readonly mean?: Value;
  readonly variance?: Value;
  readonly float_mean?: Value;
  readonly float_variance?: Value;
}

interface Product {
  readonly a?: Value;
  readonly b?: Value;
  readonly out?: Value;
  readonly transpose_a?: boolean;
  readonly transpose_b?: boolean;
}

interface Control {
  readonly foldl: { elems: number[]; no_init: number; init_10: number };
  readonly foldr: { elems: number[]; no_init: number; init_10: number };
  readonly map_fn: { elems: number[]; out: number[] };
  readonly scan: {
    elems: number[];
    no_init: number[];
    init_2: number[];
    reverse: number[];
    reverse_init_2: number[];
  };
  readonly scan_sum: { elems: number[]; out: number[]; init_2: number[] };
  readonly while_countdown: { [from: string]: number };
  readonly while_count_to_10000: number;
  readonly nested_while: number;
}

interface Goldens {
  readonly moments: Moments[];
  readonly matmul: Product[];
  readonly control_flow: Control;
}

const goldens = present ? (JSON.parse(readFileSync(FILE, 'utf8')) as Goldens) : undefined;
const BACKENDS = ['reference', 'cpu', ...((await tl.webgpu.available()) ? ['webgpu'] : [])];

const given = ({ shape, data }: Value): tl.Tensor =>
  tl.constant(new tl.NDArray('float32', shape, Float32Array.from(data)));

/** Builds values in a graph of their own, runs them, and compares with what they should be. */
async function check(
  backend: string,
  build: () => readonly (readonly [tl.Tensor, number | readonly number[]])[],
): Promise<void> {
  const graph = new tl.Graph();
  const pairs = graph.asDefault(build);
  // Folding would leave nothing for the backend to do.
  const session = new tl.Session({ graph, backend, disablePasses: ['fold'] });
  const got = await session.run(pairs.map(([t]) => t));
  await session.close();
  got.forEach((v, i) => {
    const want = [pairs[i][1]].flat() as number[];
    expect(v.data.length).toBe(want.length);
    const scale = Math.max(1, ...want.map(Math.abs));
    want.forEach((w, k) => {
      expect(Math.abs((v.data[k] as number) - w)).toBeLessThanOrEqual(1e-5 * scale);
    });
  });
}

describe('goldens of TensorFlow', () => {
  it.skipIf(present)('are absent: set TENSORLOOM_GOLDENS to their folder to run them', (c) =>
    c.skip(),
  );
  if (!goldens) return;
  const { moments, matmul, control_flow: flow } = goldens;
  for (const backend of BACKENDS) {
    moments.forEach((m, i) => {
      const mean = m.float_mean ?? m.mean;
      const variance = m.float_variance ?? m.variance;
      if (!mean || !variance) return;
      it(`moments ${i} on ${backend}`, () =>
        check(backend, () => {
          const got = tl.nn.moments(given(m.x), m.axes);
          return [
            [got.mean, mean.data],
            [got.variance, variance.data],
          ];
        }));
    });

    matmul.forEach(({ a, b, out, transpose_a = false, transpose_b = false }, i) => {
      // Those of complex numbers have other fields.
      if (!a || !b || !out) return;
      it(`matmul ${i} on ${backend}`, () =>
        check(backend, () => [
          [
            tl.matmul(given(a), given(b), { transposeA: transpose_a, transposeB: transpose_b }),
            out.data,
          ],
        ]));
    });

    it(`folds and maps on ${backend}`, () =>
      check(backend, () => {
        const xs = tl.constant(flow.foldl.elems, { dtype: 'int32' });
        const twice = (a: tl.Tensor, x: tl.Tensor): tl.Tensor => tl.mul(tl.add(a, x), 2);
        const ten = { initializer: tl.constant(10, { dtype: 'int32' }) };
        return [
          [tl.foldl(twice, xs), flow.foldl.no_init],
          [tl.foldl(twice, xs, ten), flow.foldl.init_10],
          [tl.foldr(twice, xs), flow.foldr.no_init],
          [tl.foldr(twice, xs, ten), flow.foldr.init_10],
          [tl.mapFn((x) => tl.mul(tl.add(x, 3), 2), xs), flow.map_fn.out],
        ];
      }));

    it(`scans on ${backend}`, () =>
      check(backend, () => {
        const xs = tl.constant(flow.scan.elems, { dtype: 'int32' });
        const product = (a: tl.Tensor, x: tl.Tensor): tl.Tensor => tl.mul(a, x);
        const sum = (a: tl.Tensor, x: tl.Tensor): tl.Tensor => tl.mul(tl.add(a, x), 2);
        const initializer = tl.constant(2, { dtype: 'int32' });
        return [
          [tl.scan(product, xs), flow.scan.no_init],
          [tl.scan(product, xs, { initializer }), flow.scan.init_2],
          [tl.scan(product, xs, { reverse: true }), flow.scan.reverse],
          [tl.scan(product, xs, { initializer, reverse: true }), flow.scan.reverse_init_2],
          [tl.scan(sum, xs), flow.scan_sum.out],
          [tl.scan(sum, xs, { initializer }), flow.scan_sum.init_2],
        ];
      }));

    it(
      `loops on ${backend}`,
      () =>
        check(backend, () => {
          const whole = (n: number): tl.Tensor => tl.constant(n, { dtype: 'int32' });
          const down = (n: number): tl.Tensor =>
            tl.whileLoop(
              ([left]) => tl.greater(left, 0),
              ([left, sum]) => [tl.sub(left, 1), tl.add(sum, left)],
              [whole(n), whole(0)],
            )[1];
          return [
            ...Object.entries(flow.while_countdown).map(
              ([n, sum]) => [down(Number(n)), sum] as const,
            ),
            [
              tl.whileLoop(
                ([i]) => tl.less(i, 10000),
                ([i]) => [tl.add(i, 1)],
                [whole(0)],
              )[0],
              flow.while_count_to_10000,
            ],
          ];
        }),
      120_000,
    );
  }
});
