// jax-js on its WebAssembly backend, the whole step under `jit`. Node has no global Worker, so it stays
// on one thread.

import { defaultDevice, init, jit, nn, numpy as np, tree, valueAndGrad } from '@jax-js/jax';
import { BATCH, CLASSES, type Data, LEARNING_RATE, type Peer, SIZES } from '../data.ts';

type Params = { weights: np.Array; bias: np.Array }[];

/** The mean cross-entropy. As all of jax-js, it takes over the references it is given. */
function meanLoss(params: Params, images: np.Array, oneHot: np.Array): np.Array {
  let x = images;
  params.forEach(({ weights, bias }, i) => {
    x = np.matmul(x, weights).add(bias);
    if (i < params.length - 1) x = nn.relu(x);
  });
  return nn
    .logSoftmax(x)
    .mul(oneHot)
    .sum()
    .mul(-1 / BATCH);
}

export async function make(data: Data): Promise<Peer> {
  const devices = await init('wasm');
  if (!devices.includes('wasm')) throw new Error('jax-js: no wasm backend');
  defaultDevice('wasm');
  const images = np.array(data.images).reshape([BATCH, SIZES[0]]);
  const oneHot = np.array(data.oneHot).reshape([BATCH, CLASSES]);
  let params: Params = data.layers.map(({ inputs, outputs, weights, bias }) => ({
    weights: np.array(weights).reshape([inputs, outputs]),
    bias: np.array(bias),
  }));

  const lossAndGrads = valueAndGrad(meanLoss);
  const train = jit((old: Params, x: np.Array, y: np.Array) => {
    const [loss, grads] = lossAndGrads(tree.ref(old), x, y);
    const updated: Params = old.map(({ weights, bias }, i) => ({
      weights: weights.sub(grads[i].weights.mul(LEARNING_RATE)),
      bias: bias.sub(grads[i].bias.mul(LEARNING_RATE)),
    }));
    return { loss, updated };
  });
  return {
    name: 'jax-js',
    async step() {
      const { loss, updated } = train(params, images.ref, oneHot.ref);
      params = updated;
      const [value] = await loss.data();
      return value;
    },
    close() {
      tree.dispose([params, images, oneHot] as never);
      train.dispose();
    },
  };
}
