// Loops and branches: their types and values, their gradients of first and second order against
// finite differences, and what they refuse.

import { describe, expect, it } from 'vitest';
import '../../src/ops/all.ts';
import { gradients } from '../../src/autodiff/gradients.ts';
import { DTypeError, GraphError, ShapeError, ValueError } from '../../src/core/error.ts';
import type { HostTensor } from '../../src/core/ndarray.ts';
import { shapeToString } from '../../src/core/type.ts';
import { Graph } from '../../src/graph/graph.ts';
import type { Tensor } from '../../src/graph/tensor.ts';
import { less } from '../../src/ops/compare.ts';
import { cond, foldl, foldr, mapFn, scan, switchCase, whileLoop } from '../../src/ops/control.ts';
import { constant, placeholder } from '../../src/ops/leaf.ts';
import { matmul } from '../../src/ops/linear.ts';
import { add, mul, neg, sin, square, sub, tanh } from '../../src/ops/math.ts';
import { reduceSum } from '../../src/ops/reduce.ts';
import { evalTensors, host, numericGradient } from '../support/eval.ts';
import { refuses } from '../support/refuses.ts';

type Feeds = Map<Tensor, HostTensor>;

function near(got: ArrayLike<number>, want: ArrayLike<number>, tolerance = 1e-6): void {
  expect(got.length).toBe(want.length);
  for (let i = 0; i < want.length; i++) {
    expect(Math.abs(got[i] - want[i]), `element ${i}: ${got[i]} for ${want[i]}`).toBeLessThan(
      tolerance * (1 + Math.abs(want[i])),
    );
  }
}

/** First and second derivatives of the sum of `y` by all of `xs`, mixed ones included. */
function checkTwice(y: Tensor, xs: readonly Tensor[], feeds: Feeds): void {
  const grads = gradients(y, xs) as Tensor[];
  xs.forEach((x, i) => {
    near(evalTensors([grads[i]], feeds)[0].data, numericGradient(y, x, feeds));
  });
  // An uneven sum of all first derivatives, so that its own derivatives mix them.
  const mixed = grads.map((g, i) => reduceSum(mul(square(g), i + 1))).reduce((a, b) => add(a, b));
  const second = gradients(mixed, xs) as Tensor[];
  xs.forEach((x, i) => {
    expect(second[i], `second derivative ${i}`).not.toBeNull();
    near(evalTensors([second[i]], feeds)[0].data, numericGradient(mixed, x, feeds), 1e-5);
  });
}

function inGraph(fn: (graph: Graph) => void): void {
  const graph = new Graph();
  graph.asDefault(() => fn(graph));
}

const int = (v: number): HostTensor => ({ dtype: 'int32', shape: [], data: Int32Array.of(v) });
const bool = (v: boolean): HostTensor => ({
  dtype: 'bool',
  shape: [],
  data: Uint8Array.of(v ? 1 : 0),
});

describe('scan', () => {
  it('has both derivatives of a recurrent layer', () =>
    inGraph(() => {
      const xs = placeholder('float32', [5, 1, 2]);
      const w = placeholder('float32', [2, 2]);
      const h0 = placeholder('float32', [1, 2]);
      const hs = scan((h, x) => tanh(add(matmul(h, w), x)), xs, { initializer: h0 });
      expect(shapeToString(hs.shape)).toBe('(5, 1, 2)');
      checkTwice(
        hs,
        [xs, w, h0],
        new Map([
          [xs, host([0.1, -0.3, 0.5, 0.2, -0.4, 0.6, 0.3, -0.2, 0.7, 0.1], [5, 1, 2])],
          [w, host([0.4, -0.5, 0.3, 0.8], [2, 2])],
          [h0, host([0.2, -0.1], [1, 2])],
        ]),
      );
    }));

  it('has both derivatives in reverse and over a length of the run', () =>
    inGraph(() => {
      const xs = placeholder('float32', [null, 2]);
      const h0 = placeholder('float32', [2]);
      const hs = scan((h, x) => mul(sin(add(h, x)), x), xs, { initializer: h0, reverse: true });
      const feeds: Feeds = new Map<Tensor, HostTensor>([
        [xs, host([0.1, -0.3, 0.5, 0.2, -0.4, 0.6], [3, 2])],
        [h0, host([0.2, -0.1], [2])],
      ]);
      checkTwice(hs, [xs, h0], feeds);
      feeds.set(xs, host([], [0, 2]));
      const [gh] = gradients(reduceSum(hs), [h0]) as Tensor[];
      near(evalTensors([gh], feeds)[0].data, [0, 0]);
    }));

  it('has both derivatives of a loop in a loop', () =>
    inGraph(() => {
      const xs = placeholder('float32', [2, 3]);
      const w = placeholder('float32', []);
      const y = foldl(
        (acc, row) => foldl((a, x) => tanh(add(mul(a, w), x)), row, { initializer: mul(acc, 0.5) }),
        xs,
        { initializer: constant(0.3) },
      );
      checkTwice(
        y,
        [xs, w],
        new Map([
          [xs, host([0.1, -0.3, 0.5, 0.2, -0.4, 0.6], [2, 3])],
          [w, host([0.7])],
        ]),
      );
    }));

  it('starts with the first element where there is no initializer', () =>
    inGraph(() => {
      const xs = placeholder('float32', [4]);
      const feeds: Feeds = new Map<Tensor, HostTensor>([[xs, host([1, 2, 3, 4], [4])]]);
      const forth = scan((a, x) => add(mul(a, 2), x), xs);
      const back = scan((a, x) => add(mul(a, 2), x), xs, { reverse: true });
      const left = foldl((a, x) => sub(a, x), xs);
      const right = foldr((a, x) => sub(a, x), xs);
      const values = evalTensors([forth, back, left, right], feeds).map((v) => [...v.data]);
      expect(values).toEqual([[1, 4, 11, 26], [49, 24, 11, 4], [-8], [-2]]);
      checkTwice(
        scan((a, x) => mul(a, x), xs),
        [xs],
        feeds,
      );
    }));

  it('refuses elements of unknown rank or no rank', async () => {
    const graph = new Graph();
    const any = graph.asDefault(() => placeholder('float32', null));
    const scalar = graph.asDefault(() => placeholder('float32', []));
    for (const x of [any, scalar]) {
      await refuses(() => scan((a, e) => add(a, e), x), ShapeError, 'shape/rank', /no elements/);
    }
    await refuses(
      () => scan((a, e) => add(a, e), scalar, { initializer: 0 }),
      ShapeError,
      'shape/rank',
      /scalar/,
    );
  });

  it('maps', () =>
    inGraph(() => {
      const a = placeholder('float32', [3]);
      const b = placeholder('float32', [3]);
      const made = mapFn(({ x, y }) => [mul(x, y), { s: add(x, y) }], { x: a, y: b }) as [
        Tensor,
        { s: Tensor },
      ];
      const feeds: Feeds = new Map<Tensor, HostTensor>([
        [a, host([1, 2, 3], [3])],
        [b, host([4, 5, 6], [3])],
      ]);
      const values = evalTensors([made[0], made[1].s], feeds).map((v) => [...v.data]);
      expect(values).toEqual([
        [4, 10, 18],
        [5, 7, 9],
      ]);
      checkTwice(made[0], [a, b], feeds);
    }));
});

describe('whileLoop', () => {
  it('has both derivatives over an unknown number of turns', () =>
    inGraph(() => {
      const x = placeholder('float32', [2]);
      const w = placeholder('float32', []);
      const n = placeholder('int32', []);
      const [i, y] = whileLoop(
        ([k]) => less(k, n),
        ([k, v]) => [add(k, 1), add(mul(sin(v), w), mul(v, v))],
        [constant(0, { dtype: 'int32' }), x] as const,
      );
      for (const turns of [3, 1, 0]) {
        const feeds: Feeds = new Map<Tensor, HostTensor>([
          [x, host([0.3, -0.4], [2])],
          [w, host([0.6])],
          [n, int(turns)],
        ]);
        expect(evalTensors([i], feeds)[0].data[0]).toBe(turns);
        checkTwice(y, [x, w], feeds);
      }
    }));

  it('ends at maximumIterations', () =>
    inGraph(() => {
      const x = placeholder('float32', []);
      const y = whileLoop(
        (v) => less(v, 1e6),
        (v) => mul(v, 2),
        x,
        { maximumIterations: 4, name: 'twice' },
      );
      expect(y.name).toBe('twice:0');
      const feeds: Feeds = new Map<Tensor, HostTensor>([[x, host([3])]]);
      const [g] = gradients(y, [x]) as Tensor[];
      near(evalTensors([y, g], feeds)[0].data, [48]);
      near(evalTensors([g], feeds)[0].data, [16]);
    }));

  it('keeps records by their keys, whatever their order', () =>
    inGraph(() => {
      const a = placeholder('float32', []);
      const out = whileLoop(
        ({ n }) => less(n, 2),
        ({ p, q, n }) => ({ n: add(n, 1), q: add(q, p), p: mul(p, 10) }),
        { p: a, q: constant(0), n: constant(0, { dtype: 'int32' }) },
      );
      const feeds: Feeds = new Map<Tensor, HostTensor>([[a, host([1])]]);
      const values = evalTensors([out.p, out.q], feeds).map((v) => v.data[0]);
      expect(values).toEqual([100, 11]);
    }));

  it('refuses', async () => {
    const graph = new Graph();
    const x = graph.asDefault(() => placeholder('float32', [2], { name: 'x' }));
    const below = (v: Tensor) => less(reduceSum(v), 10);
    const loop = (body: (v: Tensor) => unknown, test: unknown = below) =>
      whileLoop(test as typeof below, body as () => Tensor, x);
    await refuses(() => loop(() => placeholder('float32', [3])), ShapeError, 'control/carry', /0/);
    await refuses(() => loop((v) => less(v, 0)), ShapeError, 'control/carry', /bool/);
    await refuses(() => loop((v) => [v, v]), ValueError, 'control/structure', /2 values/);
    await refuses(() => loop((v) => ({ v })), ValueError, 'control/structure', /structure/);
    await refuses(() => loop(neg, () => true), DTypeError, 'control/predicate', /bool tensor/);
    await refuses(
      () => loop(neg, (v: Tensor) => less(v, 0)),
      DTypeError,
      'control/predicate',
      /scalar/,
    );
    await refuses(() => loop(async (v) => v), GraphError, 'graph/async-scope', /promise/);
    await refuses(
      () => loop(neg, async (v: Tensor) => below(v)),
      GraphError,
      'graph/async-scope',
      /promise/,
    );
    await refuses(
      () => whileLoop(below, neg, x, { maximumIterations: -1 }),
      ValueError,
      'control/limit',
      /-1/,
    );
    let leak: Tensor | undefined;
    loop((v) => {
      leak = neg(v);
      return leak;
    });
    await refuses(
      () => graph.asDefault(() => neg(leak as Tensor)),
      GraphError,
      'graph/loop-leak',
      /body/,
    );
  });
});

describe('cond', () => {
  it('has both derivatives in either branch', () =>
    inGraph(() => {
      const p = placeholder('bool', []);
      const x = placeholder('float32', [2]);
      const w = placeholder('float32', []);
      const y = cond(
        p,
        () => mul(sin(mul(x, w)), w),
        () => mul(square(x), mul(x, 0.5)),
      );
      for (const taken of [true, false]) {
        const feeds: Feeds = new Map<Tensor, HostTensor>([
          [p, bool(taken)],
          [x, host([0.3, -0.4], [2])],
          [w, host([0.6])],
        ]);
        checkTwice(y, [x, w], feeds);
      }
    }));

  it('passes gradients of captured values through as they are', () =>
    inGraph(() => {
      const p = placeholder('bool', []);
      const w = placeholder('float32', []);
      const x = square(w);
      const [a, b] = cond(
        p,
        () => [x, mul(w, x)],
        () => [mul(w, 2), x],
      );
      const alone = cond(
        p,
        () => x,
        () => mul(w, 2),
      );
      for (const taken of [true, false]) {
        const feeds: Feeds = new Map<Tensor, HostTensor>([
          [p, bool(taken)],
          [w, host([3])],
        ]);
        for (const y of [alone, add(a, mul(b, b))]) {
          const [g] = gradients(y, [w]) as Tensor[];
          near(evalTensors([g], feeds)[0].data, numericGradient(y, w, feeds));
        }
      }
    }));

  it('has both derivatives in a loop', () =>
    inGraph(() => {
      const xs = placeholder('float32', [4]);
      const w = placeholder('float32', []);
      const hs = scan(
        (h, x) =>
          cond(
            less(x, 0),
            () => mul(h, w),
            () => tanh(add(h, mul(x, w))),
          ),
        xs,
        { initializer: constant(0.4) },
      );
      const feeds: Feeds = new Map<Tensor, HostTensor>([
        [xs, host([0.3, -0.4, 0.8, -0.2], [4])],
        [w, host([0.6])],
      ]);
      checkTwice(hs, [xs, w], feeds);
    }));

  it('chooses by number, the last one where there is none', () =>
    inGraph(() => {
      const i = placeholder('int32', []);
      const x = placeholder('float32', []);
      const y = switchCase(i, [() => neg(x), () => square(x), () => mul(x, 7)]);
      const [g] = gradients(y, [x]) as Tensor[];
      const values = [0, 1, 2, 9, -1].map((v) => {
        const feeds: Feeds = new Map<Tensor, HostTensor>([
          [i, int(v)],
          [x, host([3])],
        ]);
        return evalTensors([y, g], feeds).map((t) => t.data[0]);
      });
      expect(values).toEqual([
        [-3, -1],
        [9, 6],
        [21, 7],
        [21, 7],
        [21, 7],
      ]);
    }));

  it('keeps records by their keys, whatever their order', () =>
    inGraph(() => {
      const p = placeholder('bool', []);
      const x = placeholder('float32', []);
      const out = cond(
        p,
        () => ({ a: x, b: neg(x) }),
        () => ({ b: mul(x, 2), a: mul(x, 3) }),
      );
      const feeds: Feeds = new Map<Tensor, HostTensor>([
        [p, bool(false)],
        [x, host([1])],
      ]);
      expect(evalTensors([out.a, out.b], feeds).map((v) => v.data[0])).toEqual([3, 2]);
    }));

  it('refuses', async () => {
    const graph = new Graph();
    const x = graph.asDefault(() => placeholder('float32', [2]));
    const p = graph.asDefault(() => placeholder('bool', []));
    const same = () => x;
    await refuses(() => cond(true, same, same), DTypeError, 'control/predicate', /bool tensor/);
    await refuses(() => cond(x, same, same), DTypeError, 'control/predicate', /bool scalar/);
    await refuses(
      () => cond(p, same, () => reduceSum(x)),
      ShapeError,
      'control/branches',
      /output 0/,
    );
    await refuses(
      () => cond(p, same, (() => [x, x]) as never),
      ValueError,
      'control/structure',
      /structure/,
    );
    await refuses(
      () => cond(p, same, (async () => x) as never),
      GraphError,
      'graph/async-scope',
      /promise/,
    );
    await refuses(() => switchCase(0, []), ValueError, 'control/branches', /nothing/);
  });
});
