// Tensorloom on its cpu backend. The inputs are fed at each step, as its programs do, so that the copy
// of 400 KB counts against it.

import * as tl from '../../src/index.ts';
import { type Data, LEARNING_RATE, type Peer, SIZES } from '../data.ts';

/** Builds the training graph in the default graph. */
function buildModel(data: Data) {
  const images = tl.placeholder('float32', [null, SIZES[0]], { name: 'images' });
  const labels = tl.placeholder('int32', [null], { name: 'labels' });
  let x: tl.Tensor = images;
  data.layers.forEach(({ inputs, outputs, weights, bias }, i) => {
    const w = tl.variable(new tl.NDArray('float32', [inputs, outputs], weights), {
      name: `weights${i}`,
    });
    const b = tl.variable(new tl.NDArray('float32', [outputs], bias), { name: `bias${i}` });
    x = tl.add(tl.matmul(x, w), b);
    if (i < data.layers.length - 1) x = tl.relu(x);
  });
  const loss = tl.reduceMean(tl.sparseSoftmaxCrossEntropyWithLogits(labels, x));
  const train = new tl.GradientDescentOptimizer(LEARNING_RATE).minimize(loss);
  return { images, labels, loss, train, init: tl.globalVariablesInitializer() };
}

export async function make(data: Data): Promise<Peer> {
  const graph = new tl.Graph();
  const model = graph.asDefault(() => buildModel(data));
  const session = new tl.Session({ graph, backend: 'cpu', threads: 1 });
  await session.run(model.init);
  const train = session.makeCallable({
    feeds: { images: model.images, labels: model.labels },
    fetches: { loss: model.loss, train: model.train },
  });
  const feeds = {
    images: new tl.NDArray('float32', [data.labels.length, SIZES[0]], data.images),
    labels: data.labels,
  };
  return {
    name: 'tensorloom',
    async step() {
      const { loss } = await train(feeds);
      return loss.item();
    },
    close() {
      void session.close();
    },
  };
}
