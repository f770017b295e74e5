// The training step of a small classifier: what proofs and checks of plans use.

import { drawValue, generator } from '../../src/conformance/draw.ts';
import * as tl from '../../src/index.ts';

export interface Mlp {
  readonly graph: tl.Graph;
  readonly feeds: Record<string, tl.NDArray>;
  readonly init: tl.Operation;
  readonly train: tl.Operation;
  readonly loss: tl.Tensor;
}

/** A stack of dense layers with ReLU between, mean cross entropy, gradient descent. */
export function buildMlp(layers: readonly number[], batch: number): Mlp {
  const graph = new tl.Graph();
  const next = generator(11);
  const made = graph.asDefault(() => {
    const x = tl.placeholder('float32', [null, layers[0]], { name: 'x' });
    const labels = tl.placeholder('int32', [null], { name: 'labels' });
    let h: tl.Tensor = x;
    layers.slice(1).forEach((n, i) => {
      const scale = 1 / Math.sqrt(layers[i]);
      const w = tl.variable(
        drawValue([layers[i], n], 'float32', { low: -scale, high: scale }, next),
        { name: `w${i}` },
      );
      const b = tl.variable(tl.zeros([n]), { name: `b${i}` });
      h = tl.add(tl.matmul(h, w), b);
      if (i < layers.length - 2) h = tl.relu(h);
    });
    const loss = tl.reduceMean(tl.sparseSoftmaxCrossEntropyWithLogits(labels, h));
    const train = new tl.GradientDescentOptimizer(0.1).minimize(loss);
    return { loss, train, init: tl.globalVariablesInitializer() };
  });
  const feeds = {
    x: drawValue([batch, layers[0]], 'float32', { low: -1, high: 1 }, next),
    labels: drawValue([batch], 'int32', { low: 0, high: layers[layers.length - 1] - 1 }, next),
  };
  return { graph, feeds, ...made };
}
