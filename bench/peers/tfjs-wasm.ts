// TensorFlow.js on its WebAssembly backend (SIMD; it has no threads under Node). It has no einsum there. The
// whole package, since tfjs-core alone comes without gradients in a form that Node can import.

import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { setThreadsCount, setWasmPaths } from '@tensorflow/tfjs-backend-wasm';

import type { Maker, Peer, Runner, Values } from '../types.ts';
import { workloadNamed } from '../workloads/all.ts';
import { EPSILON, TURNS } from '../workloads/elementwise.ts';
import { batchOf, CLASSES, LAYERS, LEARNING_RATE, oneHot, SIZES } from '../workloads/mlp.ts';

type Tensors = Readonly<Record<string, tf.Tensor>>;

/** Runs `compute` on resident inputs and reads its results. */
function onResident(
  name: string,
  compute: (t: Tensors) => tf.Tensor | Record<string, tf.Tensor>,
): Maker {
  return async (inputs) => {
    const tensors = Object.fromEntries(
      Object.entries(workloadNamed(name).inputs).map(([key, { shape, dtype }]) => [
        key,
        tf.tensor(inputs[key], [...shape], dtype),
      ]),
    );
    return {
      call() {
        const made = tf.tidy(() => compute(tensors));
        return made instanceof tf.Tensor ? read({ y: made }) : read(made);
      },
      close: () => tf.dispose(tensors),
    };
  };
}

function read(made: Record<string, tf.Tensor>) {
  const out: Record<string, ArrayLike<number>> = {};
  for (const key in made) {
    out[key] = made[key].dataSync();
    made[key].dispose();
  }
  return out;
}

function logits(x: tf.Tensor2D, weights: Tensors): tf.Tensor2D {
  return LAYERS.reduce((h, i) => {
    const y = tf.add(tf.matMul(h, weights[`w${i}`] as tf.Tensor2D), weights[`b${i}`]);
    return (i < LAYERS.length - 1 ? tf.relu(y) : y) as tf.Tensor2D;
  }, x);
}

async function newBatch(inputs: Values): Promise<Runner> {
  const specs = workloadNamed('mlp_newbatch').inputs;
  const weights = Object.fromEntries(
    Object.keys(inputs)
      .filter((key) => key !== 'x')
      .map((key) => [key, tf.tensor(inputs[key], [...specs[key].shape])]),
  );
  return {
    call(index) {
      const batch = batchOf(index);
      const data = inputs.x.subarray(0, batch * SIZES[0]);
      return read({ y: tf.tidy(() => logits(tf.tensor2d(data, [batch, SIZES[0]]), weights)) });
    },
    close: () => tf.dispose(weights),
  };
}

async function train(inputs: Values): Promise<Runner> {
  const specs = workloadNamed('mlp_train').inputs;
  const batch = inputs.labels.length;
  const images = tf.tensor2d(inputs.x, [batch, SIZES[0]]);
  const classes = tf.tensor2d(oneHot(inputs.labels), [batch, CLASSES]);
  const weights = Object.fromEntries(
    LAYERS.flatMap((i) => [`w${i}`, `b${i}`]).map((key) => [
      key,
      tf.variable(tf.tensor(inputs[key], [...specs[key].shape])),
    ]),
  );
  const optimizer = tf.train.sgd(LEARNING_RATE);
  const meanLoss = () =>
    tf.losses.softmaxCrossEntropy(classes, logits(images, weights)) as tf.Scalar;
  return {
    call: () => read({ loss: optimizer.minimize(meanLoss, true)! }),
    close() {
      tf.dispose([images, classes, ...Object.values(weights)]);
      optimizer.dispose();
    },
  };
}

const matMul =
  (transposeA = false, transposeB = false) =>
  ({ a, b }: Tensors) =>
    tf.matMul(a, b, transposeA, transposeB);

const computes: Readonly<Record<string, (t: Tensors) => tf.Tensor | Record<string, tf.Tensor>>> = {
  mm256: matMul(),
  mm512: matMul(),
  mm1024: matMul(),
  mm512_at: matMul(true),
  mm512_bt: matMul(false, true),
  bmm: matMul(),
  eltwise4M: ({ x }) =>
    tf.add(tf.mul(tf.tanh(tf.add(tf.mul(x, 1.5), 0.25)), 0.75), tf.exp(tf.neg(tf.square(x)))),
  moments0({ x }) {
    const { mean, variance } = tf.moments(x, 0);
    return { mean, variance };
  },
  softmax: ({ x }) => tf.softmax(x),
  layernorm({ x, scale, offset }) {
    const { mean, variance } = tf.moments(x, -1, true);
    const factor = tf.rsqrt(tf.add(variance, EPSILON));
    return tf.add(tf.mul(tf.mul(tf.sub(x, mean), factor), scale), offset);
  },
  conv2d: ({ x, filter }) => tf.conv2d(x as tf.Tensor4D, filter as tf.Tensor4D, 1, 'same'),
  depthwise: ({ x, filter }) =>
    tf.depthwiseConv2d(x as tf.Tensor4D, filter as tf.Tensor4D, 1, 'same'),
  attention: ({ q, k, v }) => tf.matMul(tf.softmax(tf.div(tf.matMul(q, k, false, true), 8)), v),
  mlp_fwd: ({ x, ...weights }) => logits(x as tf.Tensor2D, weights),
  small50({ h, a, b, c }) {
    let y = h;
    for (let turn = 0; turn < TURNS; turn++) {
      y = tf.tanh(tf.add(tf.mul(y, a), b));
      y = tf.sub(y, tf.mul(c, y));
    }
    return y;
  },
  linreg({ x, t }) {
    const centred = tf.sub(t, tf.mean(t));
    const rows = tf.sub(x, tf.mean(x, 1, true));
    return tf.div(tf.sum(tf.mul(centred, rows), 1), tf.sum(tf.square(centred)));
  },
  matvec: ({ a, x }) => tf.matMul(a as tf.Tensor2D, tf.reshape(x, [-1, 1])),
  transpose: ({ x }) => tf.transpose(x),
  gather: ({ x, indices }) => tf.gather(x, indices as tf.Tensor1D),
};

export const peer: Peer = {
  async open() {
    const main = fileURLToPath(import.meta.resolve('@tensorflow/tfjs-backend-wasm'));
    setWasmPaths(join(dirname(main), '/'));
    setThreadsCount(1);
    if (!(await tf.setBackend('wasm'))) throw new Error('tfjs: no wasm backend');
    await tf.ready();
    const makers = Object.entries(computes).map(([name, f]) => [name, onResident(name, f)]);
    return { ...Object.fromEntries(makers), mlp_newbatch: newBatch, mlp_train: train };
  },
};
