// Optimizers: the names and types of what they make, their updates against the formulas computed by
// hand, and what they refuse.

import { describe, expect, it } from 'vitest';
import '../../src/ops/all.ts';
import { ValueError } from '../../src/core/error.ts';
import type { HostTensor } from '../../src/core/ndarray.ts';
import { Graph } from '../../src/graph/graph.ts';
import type { Operation, Tensor } from '../../src/graph/tensor.ts';
import { AdamOptimizer } from '../../src/lib/train/adam.ts';
import { GradientDescentOptimizer } from '../../src/lib/train/gradient-descent.ts';
import { MomentumOptimizer } from '../../src/lib/train/momentum.ts';
import { constant, placeholder } from '../../src/ops/leaf.ts';
import { add, mul, square } from '../../src/ops/math.ts';
import { reduceSum } from '../../src/ops/reduce.ts';
import { globalVariables, trainableVariables, variable } from '../../src/ops/state.ts';
import { evalTensors, host } from '../support/eval.ts';
import { refuses } from '../support/refuses.ts';

type State = Map<string, HostTensor>;

/** The state after the writes of a step: all see what was there before it. */
function afterStep(step: Operation, state: State, feeds?: Map<Tensor, HostTensor>): State {
  const next: State = new Map(state);
  for (const op of step.controlInputs) {
    const { variable: name, update } = op.node.attrs as { variable: string; update: string };
    const [value] = evalTensors([op.inputs[0]], feeds, state);
    const sign = { set: 0, add: 1, sub: -1 }[update] as number;
    const old = state.get(name) as HostTensor;
    const data = Float64Array.from(value.data, (v, i) => (sign === 0 ? v : old.data[i] + sign * v));
    next.set(name, { ...old, data });
  }
  return next;
}

function initialState(): State {
  return new Map(
    globalVariables().map((v) => [v.name, evalTensors([v.initializedValue()])[0]] as const),
  );
}

/** The loss is the sum of w², so that the gradient is 2 w. */
function quadratic(): { w: ReturnType<typeof variable>; loss: Tensor } {
  const w = variable([1, -3], { name: 'w', dtype: 'float32' });
  return { w, loss: reduceSum(square(w)) };
}

function near(got: ArrayLike<number>, want: readonly number[]): void {
  expect(got.length).toBe(want.length);
  want.forEach((x, i) => expect(got[i]).toBeCloseTo(x, 6));
}

describe('optimizers', () => {
  it('descend the gradient', () =>
    new Graph().asDefault(() => {
      const { loss } = quadratic();
      const rate = placeholder('float32', []);
      const step = new GradientDescentOptimizer(rate).minimize(loss);
      expect(step.name).toBe('GradientDescent/step');
      const state = afterStep(step, initialState(), new Map([[rate, host([0.25])]]));
      near((state.get('w') as HostTensor).data, [0.5, -1.5]);
    }));

  it.each([false, true])('with momentum, Nesterov %s', (useNesterov) =>
    new Graph().asDefault(() => {
      const { w, loss } = quadratic();
      const optimizer = new MomentumOptimizer(0.1, 0.9, { useNesterov });
      const step = optimizer.minimize(loss);
      expect(optimizer.getSlotNames()).toEqual(['momentum']);
      expect(optimizer.getSlot(w, 'momentum')?.name).toBe('w/Momentum');
      let state = initialState();
      let [x, a] = [1, 0];
      for (let k = 0; k < 3; k++) {
        state = afterStep(step, state);
        const g = 2 * x;
        a = 0.9 * a + g;
        x -= 0.1 * (useNesterov ? g + 0.9 * a : a);
        expect((state.get('w') as HostTensor).data[0]).toBeCloseTo(x, 6);
      }
    }),
  );

  it('with Adam', () =>
    new Graph().asDefault(() => {
      const { w, loss } = quadratic();
      const optimizer = new AdamOptimizer(0.1, { beta1: 0.8, beta2: 0.95, epsilon: 1e-3 });
      const step = optimizer.minimize(loss);
      expect(optimizer.getSlotNames()).toEqual(['m', 'v']);
      expect(optimizer.getSlot(w, 'm')?.name).toBe('w/Adam');
      expect(optimizer.getSlot(w, 'v')?.name).toBe('w/Adam_1');
      expect(optimizer.getSlot(w, 'none')).toBeUndefined();
      const names = globalVariables().map((v) => v.name);
      expect(names.sort()).toEqual(['beta1_power', 'beta2_power', 'w', 'w/Adam', 'w/Adam_1']);
      expect(trainableVariables().map((v) => v.name)).toEqual(['w']);
      let state = initialState();
      let [x, m, s] = [1, 0, 0];
      for (let t = 1; t <= 4; t++) {
        state = afterStep(step, state);
        const g = 2 * x;
        m = 0.8 * m + 0.2 * g;
        s = 0.95 * s + 0.05 * g * g;
        const rate = (0.1 * Math.sqrt(1 - 0.95 ** t)) / (1 - 0.8 ** t);
        x -= (rate * m) / (Math.sqrt(s) + 1e-3);
        expect((state.get('w') as HostTensor).data[0]).toBeCloseTo(x, 5);
      }
    }));

  it('apply gradients that were changed, and count steps', () =>
    new Graph().asDefault(() => {
      const { w, loss } = quadratic();
      const unused = variable([1], { name: 'unused', dtype: 'float32' });
      const count = variable(0, { name: 'count', dtype: 'int32' });
      const optimizer = new GradientDescentOptimizer(1);
      const pairs = optimizer.computeGradients(loss);
      expect(pairs.map(([g, v]) => [g !== null, v])).toEqual([
        [true, w],
        [false, unused],
      ]);
      const halved = pairs.map(([g, v]) => [g && mul(g, 0.5), v] as const);
      const step = optimizer.applyGradients(halved, { globalStep: count, name: 'train' });
      expect(step.name.startsWith('train/')).toBe(true);
      const state = afterStep(step, initialState());
      near((state.get('w') as HostTensor).data, [0, 0]);
      expect((state.get('count') as HostTensor).data[0]).toBe(1);
      expect((state.get('unused') as HostTensor).data[0]).toBe(1);
    }));

  it('share the slots of a variable between two losses, not between graphs', () => {
    const optimizer = new AdamOptimizer();
    const slots = [new Graph(), new Graph()].map((graph) =>
      graph.asDefault(() => {
        const { w, loss } = quadratic();
        optimizer.minimize(loss);
        const slot = optimizer.getSlot(w, 'm');
        optimizer.minimize(add(loss, 1));
        expect(optimizer.getSlot(w, 'm')).toBe(slot);
        expect(slot?.graph).toBe(graph);
        expect(globalVariables()).toHaveLength(5);
        return slot;
      }),
    );
    expect(slots[0]).not.toBe(slots[1]);
  });

  it('refuse', async () => {
    const empty = new Graph();
    const one = empty.asDefault(() => constant(1, { dtype: 'float32' }));
    const optimizer = new GradientDescentOptimizer(0.1);
    await refuses(() => optimizer.minimize(one), ValueError, 'train/no-variables', /varList/);
    const other = new Graph();
    const loss = other.asDefault(() => {
      quadratic();
      return constant(1, { dtype: 'float32' });
    });
    await refuses(() => optimizer.minimize(loss), ValueError, 'train/no-gradients', /\bw\b/);
  });
});
