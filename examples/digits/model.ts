// The classifiers of 784 pixels into ten classes, trained with Adam: `dense` has two hidden layers of 256
// and 64 with ReLU, `conv` two convolutions with pooling. The batch size is left open.

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

/** A convolution with ReLU, and the maximum of each 2 by 2 of its outputs. */
function convolution(
  x: tl.Tensor,
  size: number,
  inputs: number,
  outputs: number,
  name: string,
): tl.Tensor {
  return tl.nameScope(name, () => {
    const scale = Math.sqrt(2 / (size * size * inputs));
    const filter = tl.variable(
      () => tl.randomNormal([size, size, inputs, outputs], { stddev: scale }),
      { name: 'filter' },
    );
    const bias = tl.variable(() => tl.zeros([outputs]), { name: 'bias' });
    return tl.nn.maxPool2d(tl.relu(tl.add(tl.nn.conv2d(x, filter), bias)), 2);
  });
}

/** 784 to 256 to 64 to 10. */
function denseLogits(images: tl.Tensor): tl.Tensor {
  const hidden1 = tl.relu(dense(images, 784, 256, 'hidden1'));
  const hidden2 = tl.relu(dense(hidden1, 256, 64, 'hidden2'));
  return dense(hidden2, 64, 10, 'logits');
}

/** 28x28x1 to 12x12x16 by a filter of 5x5, to 5x5x32 by one of 3x3, to 128, to 10. */
function convLogits(images: tl.Tensor): tl.Tensor {
  const conv1 = convolution(tl.reshape(images, [-1, 28, 28, 1]), 5, 1, 16, 'conv1');
  const conv2 = convolution(conv1, 3, 16, 32, 'conv2');
  const hidden = tl.relu(dense(tl.reshape(conv2, [-1, 800]), 800, 128, 'hidden'));
  return dense(hidden, 128, 10, 'logits');
}

/**
 * The models by name: logits, Adam's rate, epochs, digits a batch. To `augment` is to move the digits about while
 * training, and to let the rate fall to 0 towards its end.
 */
export const MODELS = {
  dense: { logits: denseLogits, rate: 0.001, epochs: 15, batch: 128, augment: false },
  conv: { logits: convLogits, rate: 0.003, epochs: 8, batch: 64, augment: true },
} as const;

export type ModelName = keyof typeof MODELS;

/** Builds a model in the default graph; equal seeds give equal weights. */
export function buildModel(seed: number, name: ModelName = 'dense') {
  tl.setRandomSeed(seed);
  const images = tl.placeholder('float32', [null, 784], { name: 'images' });
  const labels = tl.placeholder('int32', [null], { name: 'labels' });
  const rate = tl.placeholder('float32', [], { name: 'rate' });
  const logits = MODELS[name].logits(images);
  return tl.nameScope('train', () => {
    const loss = tl.reduceMean(tl.sparseSoftmaxCrossEntropyWithLogits(labels, logits));
    const answer = tl.argMax(logits, { axis: -1 });
    const accuracy = tl.reduceMean(tl.cast(tl.equal(answer, labels), 'float32'));
    const train = new tl.AdamOptimizer(rate).minimize(loss);
    const init = tl.globalVariablesInitializer();
    return { images, labels, rate, logits, loss, answer, accuracy, train, init };
  });
}
