// Convolutions and pools against plain loops for random parameters, TensorFlow's rules of padding, the
// order of gradients, and what is refused.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ShapeError, ValueError } from '../../src/core/error.ts';
import * as tl from '../../src/index.ts';
import { evalTensors, host, numericGradient } from '../support/eval.ts';
import { refuses } from '../support/refuses.ts';

/** One spatial axis of a convolution. */
interface Axis {
  readonly input: number;
  readonly window: number;
  readonly stride: number;
  readonly dilation: number;
}

const span = (a: Axis): number => (a.window - 1) * a.dilation + 1;

/** TensorFlow's formulas for padding 'SAME' and 'VALID'. */
function place(a: Axis, same: boolean): { count: number; before: number } {
  if (!same) return { count: Math.floor((a.input - span(a)) / a.stride) + 1, before: 0 };
  const count = Math.ceil(a.input / a.stride);
  const total = Math.max((count - 1) * a.stride + span(a) - a.input, 0);
  return { count, before: Math.floor(total / 2) };
}

function values(n: number, seed: number): Float32Array {
  return Float32Array.from({ length: n }, (_, i) => Math.sin(seed + 12.9898 * i) * 2);
}

/** The positions of a window along an axis that lie within the input. */
function* reads(a: Axis, same: boolean, o: number): Generator<[k: number, at: number]> {
  const { before } = place(a, same);
  for (let k = 0; k < a.window; k++) {
    const at = o * a.stride - before + k * a.dilation;
    if (at >= 0 && at < a.input) yield [k, at];
  }
}

interface Problem {
  readonly axes: readonly [Axis, Axis];
  readonly same: boolean;
  readonly batch: number;
  readonly groups: number;
  readonly inside: number;
  readonly outside: number;
}

function naiveConv(p: Problem, x: Float32Array, f: Float32Array): number[] {
  const [a, b] = p.axes;
  const c = p.groups * p.inside;
  const m = p.groups * p.outside;
  const out: number[] = [];
  for (let n = 0; n < p.batch; n++) {
    for (let i = 0; i < place(a, p.same).count; i++) {
      for (let j = 0; j < place(b, p.same).count; j++) {
        for (let o = 0; o < m; o++) {
          const group = Math.floor(o / p.outside);
          let sum = 0;
          for (const [k, y] of reads(a, p.same, i)) {
            for (const [l, z] of reads(b, p.same, j)) {
              for (let e = 0; e < p.inside; e++) {
                const xAt = ((n * a.input + y) * b.input + z) * c + group * p.inside + e;
                const fAt = ((k * b.window + l) * p.inside + e) * m + o;
                sum += x[xAt] * f[fAt];
              }
            }
          }
          out.push(sum);
        }
      }
    }
  }
  return out;
}

const axis = fc
  .record({
    input: fc.integer({ min: 1, max: 9 }),
    window: fc.integer({ min: 1, max: 4 }),
    stride: fc.integer({ min: 1, max: 4 }),
    dilation: fc.integer({ min: 1, max: 3 }),
  })
  .filter((a) => span(a) <= a.input || a.input > 1);

const problem = fc
  .record({
    axes: fc.tuple(axis, axis),
    same: fc.boolean(),
    batch: fc.integer({ min: 0, max: 2 }),
    groups: fc.integer({ min: 1, max: 3 }),
    inside: fc.integer({ min: 1, max: 3 }),
    outside: fc.integer({ min: 1, max: 3 }),
    open: fc.constantFrom('nothing', 'the batch', 'the image'),
    first: fc.boolean(),
    backend: fc.constantFrom('reference', 'cpu'),
  })
  .filter((p) => p.same || p.axes.every((a) => span(a) <= a.input));

describe('conv2d', () => {
  it('is what plain loops give', async () => {
    await fc.assert(
      fc.asyncProperty(problem, async (p) => {
        const [a, b] = p.axes;
        const c = p.groups * p.inside;
        const m = p.groups * p.outside;
        const xShape = [p.batch, a.input, b.input, c];
        const fShape = [a.window, b.window, p.inside, m];
        const x = values(p.batch * a.input * b.input * c, 1);
        const f = values(a.window * b.window * p.inside * m, 2);
        const graph = new tl.Graph();
        const y = graph.asDefault(() => {
          const known = xShape.map((n, i) =>
            p.open === 'the batch'
              ? i === 0
                ? null
                : n
              : p.open === 'the image' && i < 3
                ? null
                : n,
          );
          const input = tl.placeholder('float32', known, { name: 'x' });
          const image = p.first ? tl.transpose(input, [0, 3, 1, 2]) : input;
          const out = tl.nn.conv2d(image, tl.placeholder('float32', fShape, { name: 'f' }), {
            strides: [a.stride, b.stride],
            dilations: [a.dilation, b.dilation],
            padding: p.same ? 'SAME' : 'VALID',
            groups: p.groups,
            dataFormat: p.first ? 'NCHW' : 'NHWC',
          });
          return p.first ? tl.transpose(out, [0, 2, 3, 1]) : out;
        });
        const session = new tl.Session({ graph, backend: p.backend });
        const got = await session.run(y, {
          x: new tl.NDArray('float32', xShape, x),
          f: new tl.NDArray('float32', fShape, f),
        });
        await session.close();
        expect(got.shape).toEqual([p.batch, ...p.axes.map((s) => place(s, p.same).count), m]);
        naiveConv(p, x, f).forEach((v, i) => {
          expect(Math.abs(got.data[i] - v)).toBeLessThan(1e-4);
        });
      }),
      { numRuns: 60, seed: 11 },
    );
  });

  it('pads SAME as TensorFlow does, what is odd at the end', async () => {
    const along = async (input: number, window: number, stride: number): Promise<number[]> => {
      const graph = new tl.Graph();
      const y = graph.asDefault(() =>
        tl.nn.conv1d(
          tl.reshape(tl.cast(tl.add(tl.range(input), 1), 'float32'), [1, input, 1]),
          tl.ones([window, 1, 1]),
          { strides: stride, padding: 'SAME' },
        ),
      );
      return Array.from((await new tl.Session({ graph }).run(y)).data);
    };
    // Window 3, stride 2: an even size is padded at the end alone, an odd one on both sides.
    expect(await along(4, 3, 2)).toEqual([1 + 2 + 3, 3 + 4]);
    expect(await along(5, 3, 2)).toEqual([1 + 2, 2 + 3 + 4, 4 + 5]);
    expect(await along(5, 2, 1)).toEqual([3, 5, 7, 9, 5]);
    expect(await along(5, 2, 3)).toEqual([1 + 2, 4 + 5]);
    expect(await along(5, 4, 1)).toEqual([1 + 2 + 3, 10, 14, 3 + 4 + 5, 4 + 5]);
    expect(await along(6, 1, 4)).toEqual([1, 5]);
  });

  it('reads strides, dilations and padding in either spelling', () => {
    const graph = new tl.Graph();
    graph.asDefault(() => {
      const x = tl.placeholder('float32', [1, 9, 9, 2]);
      const f = tl.placeholder('float32', [3, 3, 2, 4]);
      const shapeOf = (options: tl.nn.ConvOptions) => tl.nn.conv2d(x, f, options).shape;
      expect(shapeOf({ strides: [1, 2, 3, 1] })).toEqual(shapeOf({ strides: [2, 3] }));
      expect(shapeOf({ dilations: [1, 2, 2, 1] })).toEqual([1, 5, 5, 4]);
      const padding = [
        [0, 0],
        [1, 2],
        [0, 1],
        [0, 0],
      ] as const;
      expect(shapeOf({ padding })).toEqual([1, 10, 8, 4]);
      const y = tl.placeholder('float32', [1, 2, 9, 9]);
      const z = tl.nn.conv2d(y, f, { strides: [1, 1, 2, 3], dataFormat: 'NCHW' });
      expect(z.shape).toEqual([1, 4, 4, 3]);
    });
  });

  it('keeps the symbols of open sizes', () => {
    const graph = new tl.Graph();
    graph.asDefault(() => {
      const x = tl.placeholder('float32', ['batch', 'h', 8, 3]);
      const f = tl.placeholder('float32', [3, 3, 3, 4]);
      expect(String(tl.nn.conv2d(x, f, { padding: 'SAME' }))).toContain('(batch, h, 8, 4)');
      const half = tl.nn.conv2d(x, f, { padding: 'SAME', strides: 2 });
      expect(String(half)).toContain('(batch, floordiv(h+1, 2), 4, 4)');
    });
  });
});

describe('gradients of gradients', () => {
  const cases: readonly [string, number[], number[], tl.nn.ConvOptions][] = [
    ['SAME', [1, 4, 3, 2], [3, 2, 2, 2], { padding: 'SAME' }],
    ['strided', [1, 5, 4, 2], [2, 3, 2, 2], { strides: 2, padding: 'SAME' }],
    ['grouped', [1, 4, 3, 4], [2, 2, 2, 2], { groups: 2 }],
    ['lone channels', [1, 4, 3, 2], [2, 2, 1, 4], { groups: 2, strides: 2 }],
    ['channels first', [1, 2, 4, 3], [2, 2, 2, 3], { dataFormat: 'NCHW', strides: [1, 2] }],
  ];
  for (const [name, xShape, fShape, options] of cases) {
    it(`of conv2d, ${name}`, () => {
      const graph = new tl.Graph();
      const { loss, x, f, second } = graph.asDefault(() => {
        const x = tl.placeholder('float32', xShape);
        const f = tl.placeholder('float32', fShape);
        const y = tl.tanh(tl.nn.conv2d(x, f, options));
        const [gx, gf] = tl.gradients(y, [x, f]) as tl.Tensor[];
        const loss = tl.add(tl.reduceSum(tl.square(gx)), tl.reduceSum(tl.square(gf)));
        return { loss, x, f, second: tl.gradients(loss, [x, f]) as tl.Tensor[] };
      });
      const draw = (shape: number[], seed: number) =>
        host(
          Array.from(
            values(
              shape.reduce((a, b) => a * b, 1),
              seed,
            ),
            (v) => v / 3,
          ),
          shape,
        );
      const feeds = new Map([
        [x, draw(xShape, 1)],
        [f, draw(fShape, 2)],
      ]);
      const got = evalTensors(second, feeds);
      [x, f].forEach((t, k) => {
        numericGradient(loss, t, feeds).forEach((v, i) => {
          expect(Math.abs(got[k].data[i] - v)).toBeLessThan(1e-5 * Math.max(1, Math.abs(v)));
        });
      });
    });
  }

  for (const kind of ['maxPool2d', 'avgPool2d'] as const) {
    it(`of ${kind}`, () => {
      const graph = new tl.Graph();
      const { loss, x, second } = graph.asDefault(() => {
        const x = tl.placeholder('float32', [1, 5, 4, 2]);
        const y = tl.nn[kind](tl.tanh(x), 3, { strides: 2, padding: 'SAME' });
        const [g] = tl.gradients(tl.square(y), x) as tl.Tensor[];
        const loss = tl.reduceSum(tl.square(g));
        return { loss, x, second: tl.gradients(loss, x) as tl.Tensor[] };
      });
      const feeds = new Map([[x, host(Array.from(values(40, 3)), [1, 5, 4, 2])]]);
      const [got] = evalTensors(second, feeds);
      numericGradient(loss, x, feeds).forEach((v, i) => {
        expect(Math.abs(got.data[i] - v)).toBeLessThan(1e-5 * Math.max(1, Math.abs(v)));
      });
    });
  }
});

describe('pools', () => {
  it('give the gradient of a maximum to the first of equals', async () => {
    for (const backend of ['reference', 'cpu']) {
      const graph = new tl.Graph();
      const g = graph.asDefault(() => {
        const x = tl.zeros([1, 4, 4, 1]);
        return tl.gradients(tl.nn.maxPool2d(x, 2), x)[0] as tl.Tensor;
      });
      const got = await new tl.Session({ graph, backend }).run(g);
      expect(Array.from(got.data)).toEqual([1, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0]);
    }
  });

  it('count real elements alone in a mean', async () => {
    const graph = new tl.Graph();
    const y = graph.asDefault(() => {
      const x = tl.reshape(tl.cast(tl.range(9), 'float32'), [1, 3, 3, 1]);
      return tl.nn.avgPool2d(x, 2, { strides: 1, padding: 'SAME' });
    });
    const got = await new tl.Session({ graph }).run(y);
    expect(Array.from(got.data)).toEqual([2, 3, 3.5, 5, 6, 6.5, 6.5, 7.5, 8]);
  });

  it('of an image of open sizes', async () => {
    const graph = new tl.Graph();
    const [y, g, x] = graph.asDefault(() => {
      const x = tl.placeholder('float32', ['n', 'h', 'w', 2]);
      const y = tl.nn.avgPool(x, 3, { strides: 2, padding: 'SAME' });
      return [y, tl.gradients(y, x)[0] as tl.Tensor, x];
    });
    const session = new tl.Session({ graph });
    for (const [h, w] of [
      [4, 5],
      [7, 6],
      [1, 1],
    ]) {
      const ones = new tl.NDArray('float32', [1, h, w, 2], new Float32Array(h * w * 2).fill(1));
      const [mean, back] = await session.run([y, g], [[x, ones]]);
      expect(mean.shape).toEqual([1, Math.ceil(h / 2), Math.ceil(w / 2), 2]);
      for (const v of mean.data) expect(v).toBeCloseTo(1, 6);
      const total = Array.from(back.data).reduce((a, b) => a + b, 0);
      expect(total).toBeCloseTo(mean.data.length, 4);
    }
    await session.close();
  });
});

describe('a depthwise convolution', () => {
  it('keeps no windows in memory, forward or backward, at stride 1', () => {
    const graph = new tl.Graph();
    const fetches = graph.asDefault(() => {
      const x = tl.placeholder('float32', [2, 16, 16, 8]);
      const f = tl.placeholder('float32', [3, 3, 8, 1]);
      const y = tl.nn.depthwiseConv2d(x, f, { padding: 'SAME' });
      return [y, ...(tl.gradients(tl.square(y), [x, f]) as tl.Tensor[])];
    });
    const session = new tl.Session({ graph });
    const text = session.explain(fetches);
    expect(text).toMatch(/^kernel mul_sum/m);
    // The largest value is a padded image; windows of one would be nine times as large.
    const sizes = [...text.matchAll(/^@\d+ \w+ float32\[(\d+)\]/gm)].map((m) => Number(m[1]));
    expect(Math.max(...sizes)).toBe(2 * 18 * 18 * 8);
  });
});

describe('refusals', () => {
  const image = (...shape: number[]) => tl.placeholder('float32', shape);
  const within = (fn: () => unknown) => () => new tl.Graph().asDefault(fn);

  it('channels that differ', () =>
    refuses(
      within(() => tl.nn.conv2d(image(1, 5, 5, 3), image(3, 3, 4, 8))),
      ShapeError,
      'shape/mismatch',
      /^Conv "Conv2D": the filter takes 4 channels.*3 is not 4, got float32\[1, 5, 5, 3\] and float32\[3, 3, 4, 8\]/,
    ));
  it('a rank that is not that of images', () =>
    refuses(
      within(() => tl.nn.conv2d(image(5, 5, 3), image(3, 3, 3, 8))),
      ShapeError,
      'shape/rank',
      /the input must have rank 4 \(batch, height, width, channels\)/,
    ));
  it('a filter larger than the image', () =>
    refuses(
      within(() => tl.nn.conv2d(image(1, 3, 3, 1), image(5, 3, 1, 1))),
      ShapeError,
      'shape/window',
      /spans 5 elements does not fit into 3 along spatial axis 0/,
    ));
  it('outputs that do not divide into groups', () =>
    refuses(
      within(() => tl.nn.conv2d(image(1, 3, 3, 4), image(1, 1, 2, 3), { groups: 2 })),
      ShapeError,
      'shape/groups',
      /3 output channels do not divide into 2 groups/,
    ));
  it('a transposed shape that no convolution gives', () =>
    refuses(
      within(() =>
        tl.nn.conv2dTranspose(image(1, 4, 4, 2), image(3, 3, 5, 2), [1, 9, 8, 5], {
          strides: 2,
          padding: 'SAME',
        }),
      ),
      ShapeError,
      'shape/mismatch',
      /has other sizes along axis 1: 4 is not 5/,
    ));
  it('options that make no sense', async () => {
    const [x, f] = [() => image(1, 5, 5, 3), () => image(3, 3, 3, 2)];
    const code = (options: object) => within(() => tl.nn.conv2d(x(), f(), options));
    await refuses(code({ strides: 0 }), ValueError, 'value/window', /^conv2d: strides must be/);
    await refuses(
      code({ strides: [2, 1, 1, 1] }),
      ValueError,
      'value/window',
      /got \[2, 1, 1, 1\]/,
    );
    await refuses(code({ padding: 'same' }), ValueError, 'value/padding', /got "same"/);
    await refuses(code({ dataFormat: 'NWC' }), ValueError, 'value/data-format', /NHWC or NCHW/);
    await refuses(code({ groups: 1.5 }), ValueError, 'value/groups', /got 1.5/);
  });
});
