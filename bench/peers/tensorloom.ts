// Tensorloom on its cpu backend. A workload whose ops do not exist yet says so and starts to count when
// they do.

import type { NDArray, Tensor } from '../../src/index.ts';
import { planned, tl } from '../own.ts';
import type { HostArray, Maker, Peer, Values, Workload } from '../types.ts';
import { workloadNamed } from '../workloads/all.ts';
import { EPSILON, TURNS } from '../workloads/elementwise.ts';
import { batchOf, LAYERS, LEARNING_RATE, SIZES } from '../workloads/mlp.ts';
import { dataOf, type Input, type Rig, rig, runnerOf } from './rig.ts';

type Tensors = Readonly<Record<string, Tensor>>;
type Build = (t: Tensors) => Tensor | Tensors;
type Unary = (x: Tensor, options: object) => Tensor;
type Binary = (x: Tensor, filter: Tensor, options: object) => Tensor;

export function inputsOf(workload: Workload, inputs: Values): Record<string, Input> {
  return Object.fromEntries(
    Object.entries(workload.inputs).map(([name, { shape }]) => [
      name,
      { shape, data: inputs[name] },
    ]),
  );
}

export function floats(shape: readonly number[], data: HostArray): NDArray {
  return new tl.NDArray('float32', shape, data as Float32Array<ArrayBuffer>);
}

function moments(x: Tensor): Tensors {
  if ('moments' in tl.nn) {
    const { mean, variance } = planned<(x: Tensor, axes: number[]) => Tensors>(tl.nn, 'moments')(
      x,
      [0],
    );
    return { mean, variance };
  }
  const mean = tl.reduceMean(x, { axis: 0 });
  return { mean, variance: tl.reduceMean(tl.square(tl.sub(x, mean)), { axis: 0 }) };
}

function layerNorm({ x, scale, offset }: Tensors): Tensor {
  if ('layerNorm' in tl.nn) {
    return planned<Unary>(tl.nn, 'layerNorm')(x, { scale, offset, epsilon: EPSILON });
  }
  const last = { axis: -1, keepDims: true };
  const centred = tl.sub(x, tl.reduceMean(x, last));
  const variance = tl.reduceMean(tl.square(centred), last);
  return tl.add(tl.mul(tl.div(centred, tl.sqrt(tl.add(variance, EPSILON))), scale), offset);
}

export function small50({ h, a, b, c }: Tensors): Tensor {
  let y = h;
  for (let turn = 0; turn < TURNS; turn++) {
    y = tl.tanh(tl.add(tl.mul(y, a), b));
    y = tl.sub(y, tl.mul(c, y));
  }
  return y;
}

function linreg({ x, t }: Tensors): Tensor {
  const centred = tl.sub(t, tl.reduceMean(t));
  const rows = tl.sub(x, tl.reduceMean(x, { axis: 1, keepDims: true }));
  const products = tl.reduceSum(tl.mul(centred, rows), { axis: 1 });
  return tl.div(products, tl.reduceSum(tl.square(centred)));
}

/** The last layer's logits. */
export function logits(x: Tensor, w: (name: string) => Tensor): Tensor {
  return LAYERS.reduce((h, i) => {
    const y = tl.add(tl.matmul(h, w(`w${i}`)), w(`b${i}`));
    return i < LAYERS.length - 1 ? tl.relu(y) : y;
  }, x);
}

/** The graph of `mlp_train` in the default graph: weights are trained variables. */
export function training(images: Tensor, labels: Tensor, inputs: Values) {
  const y = logits(images, (name) => {
    const i = Number(name.slice(1));
    const shape = name.startsWith('w') ? [SIZES[i], SIZES[i + 1]] : [SIZES[i + 1]];
    return tl.variable(floats(shape, inputs[name]), { name }).asTensor();
  });
  const loss = tl.reduceMean(tl.sparseSoftmaxCrossEntropyWithLogits(labels, y));
  return { loss, train: new tl.GradientDescentOptimizer(LEARNING_RATE).minimize(loss) };
}

const BUILDS: Readonly<Record<string, Build>> = {
  mm256: ({ a, b }) => tl.matmul(a, b),
  mm512: ({ a, b }) => tl.matmul(a, b),
  mm1024: ({ a, b }) => tl.matmul(a, b),
  mm512_at: ({ a, b }) => tl.matmul(a, b, { transposeA: true }),
  mm512_bt: ({ a, b }) => tl.matmul(a, b, { transposeB: true }),
  bmm: ({ a, b }) => tl.matmul(a, b),
  eltwise4M: ({ x }) => {
    const wave = tl.mul(tl.tanh(tl.add(tl.mul(x, 1.5), 0.25)), 0.75);
    return tl.add(wave, tl.exp(tl.neg(tl.square(x))));
  },
  moments0: ({ x }) => moments(x),
  softmax: ({ x }) => tl.nn.softmax(x),
  layernorm: layerNorm,
  conv2d: ({ x, filter }) =>
    planned<Binary>(tl.nn, 'conv2d')(x, filter, {
      strides: [1, 1],
      padding: 'SAME',
      dataFormat: 'NHWC',
    }),
  depthwise: ({ x, filter }) =>
    planned<Binary>(tl.nn, 'depthwiseConv2d')(x, filter, { strides: [1, 1], padding: 'SAME' }),
  einsum: ({ a, b }) =>
    planned<(equation: string, ...operands: Tensor[]) => Tensor>(tl, 'einsum')(
      'bij,bjk->bik',
      a,
      b,
    ),
  attention: ({ q, k, v }) => {
    const scores = tl.div(tl.matmul(q, k, { transposeB: true }), 8);
    return tl.matmul(tl.nn.softmax(scores), v);
  },
  mlp_fwd: ({ x, ...weights }) => logits(x, (name) => weights[name]),
  small50,
  linreg,
  matvec: ({ a, x }) => tl.matmul(a, tl.expandDims(x, 1)),
  transpose: ({ x }) => tl.transpose(x),
  gather: ({ x, indices }) => tl.gather(x, indices),
};

/** The graph that `BUILDS` gives, over resident inputs. */
export function staticRig(name: string, threads: number, inputs: Values): Promise<Rig> {
  return rig(threads, inputsOf(workloadNamed(name), inputs), (tensors) => {
    const built = BUILDS[name](tensors);
    return built instanceof tl.Tensor ? { y: built } : built;
  });
}

/** Images are fed from the host, a new batch size at each call; the weights are resident. */
function makeNewBatch(threads: number): Maker {
  return async ({ x, ...weights }) => {
    const graph = new tl.Graph();
    const { images, y, init } = graph.asDefault(() => {
      const images = tl.placeholder('float32', ['batch', SIZES[0]], { name: 'x' });
      const specs = workloadNamed('mlp_newbatch').inputs;
      const y = logits(images, (name) => {
        const value = floats(specs[name].shape, weights[name]);
        return tl.variable(value, { name, trainable: false }).asTensor();
      });
      return { images, y, init: tl.globalVariablesInitializer() };
    });
    const session = new tl.Session({ graph, backend: 'cpu', threads });
    await session.run(init);
    const callable = session.makeCallable({ feeds: { images }, fetches: { y } });
    return {
      async call(index) {
        const batch = batchOf(index);
        const fed = floats([batch, SIZES[0]], x.subarray(0, batch * SIZES[0]));
        return dataOf(await callable({ images: fed }));
      },
      close: () => session.close(),
    };
  };
}

/** The graph of `mlp_train` over a resident batch. */
export function trainRig(threads: number, inputs: Values): Promise<Rig> {
  const { x, labels } = inputsOf(workloadNamed('mlp_train'), inputs);
  return rig(threads, { x, labels }, (t) => training(t.x, t.labels, inputs));
}

export function makeTrain(threads: number): Maker {
  return async (inputs) => runnerOf(await trainRig(threads, inputs));
}

export const peer: Peer = {
  async open(threads) {
    const statics = Object.keys(BUILDS).map((name): [string, Maker] => [
      name,
      async (inputs) => runnerOf(await staticRig(name, threads, inputs)),
    ]);
    return {
      ...Object.fromEntries(statics),
      mlp_newbatch: makeNewBatch(threads),
      mlp_train: makeTrain(threads),
    };
  },
};
