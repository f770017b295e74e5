// The classifier: 784 pixels, two hidden layers of 256 and 64 with ReLU, ten classes; trained with Adam.
// The batch size is left open.

import * as tl from '../../src/index.ts';

/** A fully connected layer under a name scope: weights drawn as He et al. (2015) advise for ReLU. */
function dense(x: tl.Tensor, inputs: number, outputs: number, name: string): tl.Tensor {
  return tl.nameScope(name, () => {
    const scale = Math.sqrt(2 / inputs);
    const weights = tl.variable(() => tl.randomNormal([inputs, outputs], { stddev: scale }), {
      name: 'weights',
    });
    const bias = tl.variable(() => tl.zeros([outputs]), { name: 'bias' });
    return tl.add(tl.matmul(x, weights), bias);
  });
}

/** Builds the model in the default graph; equal seeds give equal weights. */
export function buildModel(seed: number) {
  tl.setRandomSeed(seed);
  const images = tl.placeholder('float32', [null, 784], { name: 'images' });
  const labels = tl.placeholder('int32', [null], { name: 'labels' });
  const hidden1 = tl.relu(dense(images, 784, 256, 'hidden1'));
  const hidden2 = tl.relu(dense(hidden1, 256, 64, 'hidden2'));
  const logits = dense(hidden2, 64, 10, 'logits');
  return tl.nameScope('train', () => {
    const loss = tl.reduceMean(tl.sparseSoftmaxCrossEntropyWithLogits(labels, logits));
    const answer = tl.argMax(logits, { axis: -1 });
    const accuracy = tl.reduceMean(tl.cast(tl.equal(answer, labels), 'float32'));
    const train = new tl.AdamOptimizer(0.001).minimize(loss);
    return { images, labels, loss, answer, accuracy, train, init: tl.globalVariablesInitializer() };
  });
}
