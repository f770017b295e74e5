// TensorFlow.js on its WebAssembly backend (SIMD; it has no threads under Node).

import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { setThreadsCount, setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { BATCH, CLASSES, type Data, LEARNING_RATE, type Peer, SIZES } from '../data.ts';

export async function make(data: Data): Promise<Peer> {
  const main = fileURLToPath(import.meta.resolve('@tensorflow/tfjs-backend-wasm'));
  setWasmPaths(join(dirname(main), '/'));
  setThreadsCount(1);
  if (!(await tf.setBackend('wasm'))) throw new Error('tfjs: no wasm backend');
  await tf.ready();
  const images = tf.tensor2d(data.images, [BATCH, SIZES[0]]);
  const oneHot = tf.tensor2d(data.oneHot, [BATCH, CLASSES]);
  const layers = data.layers.map(({ inputs, outputs, weights, bias }) => ({
    weights: tf.variable(tf.tensor2d(weights, [inputs, outputs])),
    bias: tf.variable(tf.tensor1d(bias)),
  }));
  const optimizer = tf.train.sgd(LEARNING_RATE);

  const meanLoss = (): tf.Scalar => {
    let x: tf.Tensor2D = images;
    layers.forEach(({ weights, bias }, i) => {
      x = tf.add(tf.matMul(x, weights), bias);
      if (i < layers.length - 1) x = tf.relu(x);
    });
    return tf.losses.softmaxCrossEntropy(oneHot, x) as tf.Scalar;
  };
  return {
    name: 'tfjs-wasm',
    async step() {
      const loss = optimizer.minimize(meanLoss, true)!;
      const [value] = await loss.data();
      loss.dispose();
      return value;
    },
    close() {
      for (const { weights, bias } of layers) tf.dispose([weights, bias]);
      tf.dispose([images, oneHot]);
      optimizer.dispose();
    },
  };
}
