// Random programs whose sizes are found in the run: filters, ranges, branches of different sizes, loops over
// what was found, and gradients through all of it. Compiled backends give what the reference gives, an error
// where it gives one. All numbers are small integers, so that the order of sums makes no difference.

import { describe, expect, it } from 'vitest';
import { generator } from '../../src/conformance/draw.ts';
import * as tl from '../../src/index.ts';
import { webgpuAvailable } from '../support/wgsl-run.ts';

const available = await webgpuAvailable();

interface Program {
  readonly graph: tl.Graph;
  readonly fetches: readonly tl.Tensor[];
}

const float = (t: tl.Tensor): tl.Tensor => tl.cast(t, 'float32');
const small = (t: tl.Tensor): tl.Tensor => tl.mod(t, 7);
const above = (v: tl.Tensor, least: tl.TensorLike): tl.Tensor =>
  tl.squeeze(tl.where(tl.greater(v, least)), { axis: [1] });
const filter = (v: tl.Tensor, least: tl.TensorLike = 2): tl.Tensor => tl.gather(v, above(v, least));

function program(seed: number): Program {
  const next = generator(seed);
  const below = (n: number): number => Math.floor(next() * n);
  /** Late values more often than early ones. */
  const pick = <T>(list: readonly T[]): T =>
    list[list.length - 1 - Math.min(below(list.length), below(list.length))];
  const graph = new tl.Graph();
  return graph.asDefault(() => {
    const x = tl.placeholder('float32', [null], { name: 'x' });
    const m = tl.placeholder('float32', [null, 3], { name: 'm' });
    const vectors: tl.Tensor[] = [x, tl.reduceSum(m, { axis: 1 })];
    const rows: tl.Tensor[] = [m];
    const scalars: tl.Tensor[] = [tl.reduceSum(x)];
    const outer = (): tl.Tensor =>
      small(tl.mul(tl.expandDims(pick(vectors), 1), tl.expandDims(pick(vectors), 0)));
    const differentiate = (y: tl.Tensor): void => {
      const [gx, gm] = tl.gradients([y], [x, m]);
      if (gx) vectors.push(small(gx));
      if (gm) rows.push(small(gm));
    };
    const loop = (start: tl.Tensor, turn: (s: tl.Tensor, i: tl.Tensor) => tl.Tensor): tl.Tensor =>
      tl.whileLoop(
        ({ i }) => tl.less(i, 2),
        ({ i, s }) => ({ i: tl.add(i, 1), s: small(tl.add(s, turn(s, i))) }),
        { i: tl.constant(0, { dtype: 'int32' }), s: start },
      ).s;
    const steps: readonly (() => unknown)[] = [
      () => vectors.push(filter(pick(vectors), below(4))),
      () => {
        const a = pick(rows);
        rows.push(tl.gather(a, above(tl.reduceSum(a, { axis: 1 }), 5)));
      },
      () => vectors.push(float(tl.onesLike(above(pick(vectors), below(4))))),
      () => scalars.push(float(tl.size(above(pick(vectors), below(4))))),
      () => scalars.push(small(tl.reduceSum(pick(vectors)))),
      () => vectors.push(small(tl.add(pick(vectors), pick(scalars)))),
      () => vectors.push(tl.concat([pick(vectors), pick(vectors)], 0)),
      () => vectors.push(small(tl.reduceSum(outer(), { axis: below(2) }))),
      () => vectors.push(small(tl.reduceSum(pick(rows), { axis: 1 }))),
      () => vectors.push(float(tl.range(tl.mod(tl.cast(pick(scalars), 'int32'), 5)))),
      () => vectors.push(tl.broadcastTo(pick(scalars), tl.shape(pick(vectors)))),
      () => vectors.push(tl.slice(pick(vectors), [0], tl.shape(above(pick(vectors), 2)))),
      () => vectors.push(tl.reverse(pick(vectors), [0])),
      () => {
        const [a, b, large] = [pick(vectors), pick(vectors), tl.greater(pick(scalars), 2)];
        const [inA, inB] = [below(2), below(2)];
        vectors.push(
          tl.cond(
            large,
            () => (inA ? filter(a) : tl.add(a, 1)),
            () => (inB ? filter(b) : tl.mul(b, 2)),
          ),
        );
      },
      () => {
        const [a, b] = [pick(vectors), pick(vectors)];
        const which = tl.mod(tl.cast(pick(scalars), 'int32'), 3);
        vectors.push(tl.switchCase(which, [() => a, () => tl.mul(b, 2), () => filter(a)]));
      },
      () => {
        const a = pick(vectors);
        scalars.push(loop(pick(scalars), (_, i) => tl.reduceSum(filter(a, float(i)))));
      },
      () => {
        const [a, b] = [pick(vectors), pick(vectors)];
        const turn = (s: tl.Tensor): tl.Tensor =>
          tl.reduceSum(
            tl.cond(
              tl.greater(s, 3),
              () => filter(a),
              () => tl.add(b, s),
            ),
          );
        scalars.push(loop(pick(scalars), turn));
      },
      () => {
        const a = pick(vectors);
        vectors.push(loop(pick(vectors), (s) => tl.add(s, tl.reduceSum(filter(a)))));
      },
      () => {
        const b = pick(vectors);
        const more = (acc: tl.Tensor, e: tl.Tensor): tl.Tensor =>
          small(tl.add(acc, tl.add(e, float(tl.size(b)))));
        vectors.push(tl.scan(more, pick(vectors), { initializer: tl.constant(1) }));
      },
      () => {
        const a = pick(vectors);
        const stacked = tl.mapFn((e) => tl.add(filter(a), e), pick(vectors));
        vectors.push(small(tl.reduceSum(stacked as tl.Tensor, { axis: below(2) })));
      },
      () => differentiate(pick(vectors)),
      () => differentiate(pick(scalars)),
      () => differentiate(tl.square(pick(vectors))),
    ];
    for (let k = 3 + below(12); k > 0; k--) {
      try {
        pick(steps)();
      } catch (e) {
        // A program may take a step that does not fit its operands.
        if (!(e instanceof tl.ShapeError)) throw e;
      }
    }
    const fetches = [vectors, scalars, rows, vectors, scalars].map((list) => pick(list));
    return { graph, fetches };
  });
}

const SIZES: readonly (readonly [number, number])[] = [
  [3, 2],
  [0, 0],
  [6, 4],
  [1, 1],
];

async function trial({ graph, fetches }: Program, options: tl.SessionOptions) {
  const session = new tl.Session({ graph, ...options });
  const out: string[] = [];
  for (const [n, rows] of SIZES) {
    const feeds = {
      x: Array.from({ length: n }, (_, i) => (i * 5 + 3) % 7),
      m: tl.toNDArray(
        Array.from({ length: 3 * rows }, (_, i) => (i * 3 + 1) % 7),
        'float32',
        [rows, 3],
      ),
    };
    try {
      for (const { shape, data } of await session.run(fetches, feeds)) {
        out.push(`[${shape}] ${Array.from(data as Float32Array, (v) => v + 0).join()}`);
      }
    } catch (e) {
      if (!(e instanceof tl.ExecutionError || e instanceof tl.ShapeError)) throw e;
      out.push(e.code);
    }
  }
  await session.close();
  return out;
}

describe('programs that find sizes', () => {
  const agree = async (count: number, options: tl.SessionOptions): Promise<void> => {
    for (let seed = 1; seed <= count; seed++) {
      const made = program(seed);
      const want = await trial(made, { backend: 'reference' });
      expect(await trial(made, options), `program ${seed}`).toEqual(want);
    }
  };

  it('give on the CPU what the reference gives', () => agree(120, { backend: 'cpu' }));

  it('give it without fusion too', () => agree(40, { backend: 'cpu', fuse: false }));

  it.skipIf(!available)('give it on WebGPU', () => agree(30, { backend: 'webgpu' }));
});
