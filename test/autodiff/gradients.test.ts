// Gradients of straight-line graphs, and what `gradients` refuses. Values are judged by finite
// differences on the float64 evaluation.

import { describe, expect, it } from 'vitest';
import '../../src/ops/all.ts';
import { gradients } from '../../src/autodiff/gradients.ts';
import { DTypeError, GraphError, UnsupportedError, ValueError } from '../../src/core/error.ts';
import type { HostTensor } from '../../src/core/ndarray.ts';
import type { Func } from '../../src/graph/func.ts';
import { Graph } from '../../src/graph/graph.ts';
import type { Tensor } from '../../src/graph/tensor.ts';
import { cast, stopGradient } from '../../src/ops/basic.ts';
import { greater, select } from '../../src/ops/compare.ts';
import { cond, foldl, scan } from '../../src/ops/control.ts';
import { customGradient } from '../../src/ops/custom.ts';
import { hostCall } from '../../src/ops/host.ts';
import { constant, placeholder } from '../../src/ops/leaf.ts';
import { matmul } from '../../src/ops/linear.ts';
import { add, exp, mul, square, tanh } from '../../src/ops/math.ts';
import { reduceSum } from '../../src/ops/reduce.ts';
import { variable } from '../../src/ops/state.ts';
import { evalTensors, host, numericGradient } from '../support/eval.ts';
import { refuses } from '../support/refuses.ts';

function near(got: ArrayLike<number>, want: ArrayLike<number>, tolerance = 1e-6): void {
  expect(got.length).toBe(want.length);
  for (let i = 0; i < want.length; i++) {
    expect(Math.abs(got[i] - want[i]), `element ${i}: ${got[i]} for ${want[i]}`).toBeLessThan(
      tolerance * (1 + Math.abs(want[i])),
    );
  }
}

function inGraph(fn: (graph: Graph) => void): void {
  const graph = new Graph();
  graph.asDefault(() => fn(graph));
}

describe('gradients', () => {
  it('sums what reaches a tensor along several ways', () =>
    inGraph(() => {
      const x = placeholder('float32', [2, 3]);
      const w = placeholder('float32', [3, 2]);
      const y = reduceSum(tanh(add(matmul(x, w), mul(reduceSum(x), 0.1))));
      const feeds = new Map([
        [x, host([0.1, -0.4, 0.3, 0.7, 0.2, -0.6], [2, 3])],
        [w, host([0.5, -0.1, 0.2, 0.9, -0.3, 0.4], [3, 2])],
      ]);
      const grads = gradients(y, [x, w]) as Tensor[];
      const values = evalTensors(grads, feeds);
      near(values[0].data, numericGradient(y, x, feeds));
      near(values[1].data, numericGradient(y, w, feeds));
      expect(grads[0].name.startsWith('gradients/')).toBe(true);
    }));

  it('gives derivatives of derivatives', () =>
    inGraph(() => {
      const x = placeholder('float32', [3]);
      const y = reduceSum(mul(exp(mul(x, 0.5)), tanh(x)));
      const [g] = gradients(y, [x]) as Tensor[];
      const [h] = gradients(reduceSum(square(g)), [x]) as Tensor[];
      const feeds = new Map([[x, host([0.3, -0.8, 1.1], [3])]]);
      near(evalTensors([h], feeds)[0].data, numericGradient(square(g), x, feeds));
    }));

  it('gives null where nothing connects, and stops where it is told', () =>
    inGraph(() => {
      const x = placeholder('float32', [2]);
      const z = placeholder('float32', [2]);
      const n = cast(x, 'int32');
      const mid = square(x);
      const y = reduceSum(mul(mid, x));
      expect(gradients(y, [z])[0]).toBeNull();
      expect(gradients(reduceSum(mul(stopGradient(x), z)), [x])[0]).toBeNull();
      expect(gradients(reduceSum(cast(n, 'float32')), [x])[0]).toBeNull();
      const feeds = new Map([[x, host([2, 3], [2])]]);
      const [g] = gradients(y, [x], { stopGradients: [mid] }) as Tensor[];
      near(evalTensors([g], feeds)[0].data, [4, 9]);
    }));

  it('differentiates by tensors upstream and downstream of each other', () =>
    inGraph(() => {
      const x = placeholder('float32', []);
      const y = square(x);
      const z = mul(y, 3);
      const [gz, gy, gx] = gradients(z, [z, y, x]) as Tensor[];
      const feeds = new Map([[x, host([2])]]);
      const values = evalTensors([gz, gy, gx], feeds).map((v) => v.data[0]);
      expect(values).toEqual([1, 3, 12]);
    }));

  it('takes gradients of the ys', () =>
    inGraph(() => {
      const x = placeholder('float32', [2]);
      const dy = placeholder('float32', [2]);
      const [g] = gradients([square(x), mul(x, 5)], [x], { gradYs: [dy, null] }) as Tensor[];
      const feeds = new Map([
        [x, host([2, 3], [2])],
        [dy, host([10, 1], [2])],
      ]);
      near(evalTensors([g], feeds)[0].data, [45, 11]);
    }));

  it('sums over all reads of a variable', () =>
    inGraph((graph) => {
      const v = variable(2, { name: 'v', dtype: 'float32' });
      const first = v.read();
      const again = graph.controlDependencies([first], () => v.read());
      const [g] = gradients(mul(first, square(again)), [v]) as Tensor[];
      const variables = new Map([['v', host([2])]]);
      near(evalTensors([g], new Map(), variables)[0].data, [12]);
    }));

  it('sums over the reads of a variable inside bodies', () =>
    inGraph(() => {
      const v = variable(0.5, { name: 'v', dtype: 'float32' });
      const xs = placeholder('float32', [4]);
      const p = placeholder('bool', []);
      const hs = scan((h, x) => tanh(add(mul(h, v), x)), xs, { initializer: mul(v, 0.1) });
      const y = cond(
        p,
        () => reduceSum(mul(hs, square(v))),
        () => reduceSum(hs),
      );
      const [g] = gradients(y, [v]) as Tensor[];
      expect(g).not.toBeNull();
      for (const flag of [0, 1]) {
        const feeds = new Map<Tensor, HostTensor>([
          [xs, host([0.3, -0.2, 0.5, 0.1], [4])],
          [p, { dtype: 'bool', shape: [], data: Uint8Array.of(flag) }],
        ]);
        const at = (x: number) =>
          evalTensors([y], feeds, new Map([['v', host([x])]]))[0].data[0] as number;
        const want = (at(0.5 + 1e-5) - at(0.5 - 1e-5)) / 2e-5;
        near(evalTensors([g], feeds, new Map([['v', host([0.5])]]))[0].data, [want]);
      }
    }));

  it('gives second derivatives by variables read in nested bodies', () =>
    inGraph(() => {
      const v = variable([0.5, -0.3], { name: 'v', dtype: 'float32' });
      const xs = placeholder('float32', [2, 3]);
      const y = foldl(
        (h, row) =>
          foldl((a, x) => tanh(add(mul(a, v), mul(x, square(v)))), row, { initializer: h }),
        xs,
        { initializer: constant([0.4, 0.2]) },
      );
      const [g] = gradients(y, [v]) as Tensor[];
      const [h] = gradients(reduceSum(square(g)), [v]) as Tensor[];
      const feeds = new Map([[xs, host([0.3, -0.2, 0.5, 0.1, 0.8, -0.6], [2, 3])]]);
      const sumAt = (t: Tensor, value: number[]): number => {
        const [out] = evalTensors([t], feeds, new Map([['v', host(value, [2])]]));
        return Array.from(out.data).reduce((a, b) => a + b, 0);
      };
      const slopes = (t: Tensor) =>
        [0, 1].map((i) => {
          const at = (by: number) => sumAt(t, [0.5, -0.3].with(i, [0.5, -0.3][i] + by));
          return (at(1e-5) - at(-1e-5)) / 2e-5;
        });
      const state = new Map([['v', host([0.5, -0.3], [2])]]);
      near(evalTensors([g], feeds, state)[0].data, slopes(y));
      near(evalTensors([h], feeds, state)[0].data, slopes(square(g)), 1e-5);
    }));

  it('runs bodies that read variables under the control dependencies they had', () =>
    inGraph((graph) => {
      const v = variable(0.5, { name: 'v', dtype: 'float32' });
      const xs = placeholder('float32', [3]);
      const set = v.assign(2);
      const ys = graph.controlDependencies([set], () =>
        scan((h, x) => mul(h, mul(v, x)), xs, { initializer: 1 }),
      );
      gradients(reduceSum(ys), [v, xs]);
      const loops = graph.nodes.filter((n) => n.op === 'loop');
      expect(loops).toHaveLength(3);
      for (const n of loops) expect(n.controls).toContain(set.op.id);
    }));

  it('saves what a loop reads of a variable that it changes', () =>
    inGraph((graph) => {
      const v = variable(0.5, { name: 'v', dtype: 'float32' });
      const xs = placeholder('float32', [3]);
      const ys = scan(
        (h, x) => {
          const next = mul(h, mul(v, x));
          v.assignAdd(1);
          return next;
        },
        xs,
        { initializer: 1 },
      );
      expect(gradients(reduceSum(ys), [v, xs]).every((g) => g !== null)).toBe(true);
      const [, saved, back] = graph.nodes.filter((n) => n.op === 'loop');
      // The carry, the stacked results, the carry of each turn, and the variable's value in it.
      expect(saved.types).toHaveLength(4);
      const inner = (back.attrs.body as Func).nodes;
      expect(inner.some((n) => n.op === 'assign')).toBe(false);
    }));

  it('works in a body, by its own tensors and captured ones', () =>
    inGraph(() => {
      const xs = placeholder('float32', [3]);
      const w = placeholder('float32', []);
      const ys = scan(
        (acc, x) => {
          const y = mul(square(x), mul(w, w));
          const [gx, gw] = gradients(y, [x, w]) as Tensor[];
          return add(acc, add(gx, gw));
        },
        xs,
        { initializer: 0 },
      );
      const feeds = new Map([
        [xs, host([1, 2, 3], [3])],
        [w, host([0.5])],
      ]);
      // 2 x w² + 2 x² w, summed up.
      near(evalTensors([ys], feeds)[0].data, [1.5, 6.5, 17]);
    }));

  it('refuses', async () => {
    const graph = new Graph();
    const x = graph.asDefault(() => placeholder('float32', [2], { name: 'x' }));
    const called = graph.asDefault(
      () => hostCall((v) => v, [x], [{ dtype: 'float32', shape: [2] }], { name: 'call' })[0],
    );
    const other = new Graph().asDefault(() => placeholder('float32', [2]));
    await refuses(() => gradients([], [x]), ValueError, 'gradients/empty', /nothing/);
    await refuses(
      () => gradients(greater(x, 0), [x]),
      DTypeError,
      'gradients/dtype',
      /Cast it before/,
    );
    await refuses(() => gradients(called, [x]), GraphError, 'gradients/none', /"call"/);
    const total = graph.asDefault(() => variable(0, { name: 'total', dtype: 'float32' }));
    const summed = graph.asDefault(() =>
      foldl((_, e) => total.assignAdd(e), x, { initializer: constant(0, { dtype: 'float32' }) }),
    );
    await refuses(
      () => gradients(summed, [x]),
      UnsupportedError,
      'gradients/write-in-body',
      /"total"/,
    );
    await refuses(
      () => gradients([x, other], [x]),
      GraphError,
      'graph/foreign',
      /different graphs/,
    );
  });
});

describe('customGradient', () => {
  it('takes the gradient that was given, and its derivative', () =>
    inGraph(() => {
      const x = placeholder('float32', [2]);
      const y = customGradient(
        (v) => ({ value: select(greater(v, 0), v, 0), gradient: (dy) => [mul(dy, square(v))] }),
        [x],
      );
      const feeds = new Map([[x, host([2, -3], [2])]]);
      const [g] = gradients(reduceSum(y), [x]) as Tensor[];
      const [h] = gradients(reduceSum(g), [x]) as Tensor[];
      const [vy, vg, vh] = evalTensors([y, g, h], feeds);
      near(vy.data, [2, 0]);
      near(vg.data, [4, 9]);
      near(vh.data, [4, -6]);
    }));

  it('works in a loop', () =>
    inGraph(() => {
      const xs = placeholder('float32', [3]);
      const ys = scan(
        (acc, x) =>
          add(
            acc,
            customGradient((v) => ({ value: v, gradient: (dy) => [mul(dy, 10)] }), [x]),
          ),
        xs,
        { initializer: 0 },
      );
      const [g] = gradients(reduceSum(ys), [xs]) as Tensor[];
      near(evalTensors([g], new Map([[xs, host([1, 2, 3], [3])]]))[0].data, [30, 20, 10]);
    }));

  it('refuses a wrong number of gradients', async () => {
    const x = new Graph().asDefault(() => placeholder('float32', [2]));
    await refuses(
      () => customGradient((v) => ({ value: v, gradient: () => [] }), [x]),
      ValueError,
      'gradients/custom',
      /0 values for 1/,
    );
  });
});
