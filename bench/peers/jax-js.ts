// jax-js on its WebAssembly backend, each workload under `jit`. Node has no global Worker, so it stays on
// one thread.

import { defaultDevice, init, jit, lax, nn, numpy as np, tree, valueAndGrad } from '@jax-js/jax';
import type { HostArray, Maker, Outputs, Peer, Runner, Values } from '../types.ts';
import { workloadNamed } from '../workloads/all.ts';
import { channelsFirst, channelsLast, filterFirst, IMAGES, TAPS } from '../workloads/conv.ts';
import { EPSILON, TURNS } from '../workloads/elementwise.ts';
import { batchOf, CLASSES, LAYERS, LEARNING_RATE, oneHot, SIZES } from '../workloads/mlp.ts';

type Arrays = Record<string, np.Array>;

function onDevice(data: HostArray, shape: readonly number[]): np.Array {
  return np.array(data).reshape([...shape]);
}

function inputsOn(name: string, inputs: Values): Arrays {
  return Object.fromEntries(
    Object.entries(workloadNamed(name).inputs).map(([key, { shape }]) => [
      key,
      onDevice(inputs[key], shape),
    ]),
  );
}

function runner(
  arrays: Arrays,
  compute: (t: Arrays) => Arrays,
  tidy?: (outputs: Outputs) => Outputs,
): Runner {
  const f = jit(compute);
  return {
    call: () => read(f(tree.ref(arrays))),
    ...(tidy === undefined ? {} : { tidy }),
    close() {
      tree.dispose(arrays);
      f.dispose();
    },
  };
}

/** Reading takes the reference over. */
function read(made: Arrays): Outputs {
  const out: Record<string, ArrayLike<number>> = {};
  for (const key in made) out[key] = made[key].dataSync() as ArrayLike<number>;
  return out;
}

/** As all of jax-js, these functions take over the references they are given. */
const computes: Readonly<Record<string, (t: Arrays) => Arrays>> = {
  mm256: ({ a, b }) => ({ y: np.matmul(a, b) }),
  mm512: ({ a, b }) => ({ y: np.matmul(a, b) }),
  mm1024: ({ a, b }) => ({ y: np.matmul(a, b) }),
  mm512_at: ({ a, b }) => ({ y: np.matmul(np.transpose(a), b) }),
  mm512_bt: ({ a, b }) => ({ y: np.matmul(a, np.transpose(b)) }),
  bmm: ({ a, b }) => ({ y: np.matmul(a, b) }),
  eltwise4M({ x }) {
    const wave = np.tanh(x.ref.mul(1.5).add(0.25)).mul(0.75);
    return { y: wave.add(np.exp(np.square(x).neg())) };
  },
  moments0: ({ x }) => ({ mean: np.mean(x.ref, 0), variance: np.var_(x, 0) }),
  softmax: ({ x }) => ({ y: nn.softmax(x, -1) }),
  layernorm: ({ x, scale, offset }) => ({
    y: nn.standardize(x, -1, { epsilon: EPSILON }).mul(scale).add(offset),
  }),
  // Its parser of equations needs the iterator helpers that Node 22 brought.
  ...('Iterator' in globalThis && {
    einsum: ({ a, b }: Arrays) => ({ y: np.einsum('bij,bjk->bik', a, b) }),
  }),
  attention({ q, k, v }) {
    const scores = np.matmul(q, np.transpose(k, [0, 2, 1])).mul(1 / 8);
    return { y: np.matmul(nn.softmax(scores, -1), v) };
  },
  mlp_fwd: ({ x, ...weights }) => ({ y: logits(x, weights) }),
  small50({ h, a, b, c }) {
    let y = h;
    for (let turn = 0; turn < TURNS; turn++) {
      y = np.tanh(y.mul(a.ref).add(b.ref));
      y = y.ref.sub(c.ref.mul(y));
    }
    return { y };
  },
  linreg({ x, t }) {
    const centred = t.ref.sub(np.mean(t));
    const rows = x.ref.sub(np.mean(x, 1, { keepdims: true }));
    const products = np.sum(centred.ref.mul(rows), 1);
    return { y: products.div(np.sum(np.square(centred))) };
  },
  matvec: ({ a, x }) => ({ y: np.matmul(a, x) }),
  transpose: ({ x }) => ({ y: np.transpose(x) }),
  gather: ({ x, indices }) => ({ y: np.take(x, indices, 0) }),
};

/** Convolutions in the layout that jax-js has: channels first. */
function convolution(groups: number): Maker {
  return async ({ x, filter }) => {
    const { batch, channels, height, width } = IMAGES;
    const depthwise = groups > 1;
    const arrays = {
      x: onDevice(channelsFirst(x), [batch, channels, height, width]),
      filter: onDevice(filterFirst(filter, depthwise), [channels, channels / groups, TAPS, TAPS]),
    };
    const options = depthwise ? { featureGroupCount: groups } : {};
    return runner(
      arrays,
      (t) => ({ y: lax.convGeneralDilated(t.x, t.filter, [1, 1], 'SAME', options) }),
      ({ y }) => ({ y: channelsLast(y) }),
    );
  };
}

function logits(x: np.Array, weights: Arrays): np.Array {
  return LAYERS.reduce((h, i) => {
    const y = np.matmul(h, weights[`w${i}`]).add(weights[`b${i}`]);
    return i < LAYERS.length - 1 ? nn.relu(y) : y;
  }, x);
}

async function newBatch({ x, ...inputs }: Values): Promise<Runner> {
  const specs = workloadNamed('mlp_newbatch').inputs;
  const weights: Arrays = Object.fromEntries(
    Object.entries(inputs).map(([key, data]) => [key, onDevice(data, specs[key].shape)]),
  );
  const f = jit((images: np.Array, w: Arrays) => ({ y: logits(images, w) }));
  return {
    call(index) {
      const batch = batchOf(index);
      const data = x.slice(0, batch * SIZES[0]) as HostArray;
      return read(f(onDevice(data, [batch, SIZES[0]]), tree.ref(weights)));
    },
    close() {
      tree.dispose(weights);
      f.dispose();
    },
  };
}

function meanLoss(weights: Arrays, images: np.Array, classes: np.Array): np.Array {
  const batch = classes.shape[0];
  return nn
    .logSoftmax(logits(images, weights))
    .mul(classes)
    .sum()
    .mul(-1 / batch);
}

async function train(inputs: Values): Promise<Runner> {
  const { x, labels, ...rest } = inputsOn('mlp_train', inputs);
  labels.dispose();
  const classes = onDevice(oneHot(inputs.labels), [inputs.labels.length, CLASSES]);
  let weights: Arrays = rest;
  const lossAndGradients = valueAndGrad(meanLoss);
  const step = jit((old: Arrays, images: np.Array, target: np.Array) => {
    const [loss, gradients] = lossAndGradients(tree.ref(old), images, target);
    const updated: Arrays = {};
    for (const key in old) updated[key] = old[key].sub(gradients[key].mul(LEARNING_RATE));
    return { loss, updated };
  });
  return {
    call() {
      const { loss, updated } = step(weights, x.ref, classes.ref);
      weights = updated;
      return read({ loss });
    },
    close() {
      tree.dispose([weights, x, classes] as never);
      step.dispose();
    },
  };
}

export const peer: Peer = {
  async open() {
    const devices = await init('wasm');
    if (!devices.includes('wasm')) throw new Error('jax-js: no wasm backend');
    defaultDevice('wasm');
    const makers = Object.entries(computes).map(([name, compute]): [string, Maker] => [
      name,
      async (inputs) => runner(inputsOn(name, inputs), compute),
    ]);
    return {
      ...Object.fromEntries(makers),
      conv2d: convolution(1),
      depthwise: convolution(IMAGES.channels),
      mlp_newbatch: newBatch,
      mlp_train: train,
    };
  },
};
