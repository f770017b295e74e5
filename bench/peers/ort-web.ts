// ONNX Runtime Web on its WebAssembly provider. Resident inputs are initializers that a run could replace
// (they are declared as graph inputs too), so that the runtime holds them but must not fold them away;
// weights of the classifier are plain initializers, which it may pack. Training is not in its build.

import * as ort from 'onnxruntime-web';
import type { Maker, Outputs, Peer, Runner, Values } from '../types.ts';
import { workloadNamed } from '../workloads/all.ts';
import { channelsFirst, channelsLast, filterFirst, IMAGES, TAPS } from '../workloads/conv.ts';
import { EPSILON, TURNS } from '../workloads/elementwise.ts';
import { batchOf, CLASSES, LAYERS, SIZES } from '../workloads/mlp.ts';
import {
  dtypeOf,
  encodeModel,
  type OnnxInitializer,
  type OnnxNode,
  type OnnxValue,
} from './onnx.ts';

interface Model {
  readonly nodes: readonly OnnxNode[];
  /** Names of the results, each with its rank. */
  readonly outputs: Readonly<Record<string, number>>;
  readonly constants?: readonly OnnxInitializer[];
}

type Sizes = readonly (number | string)[];

function result(name: string, rank: number): OnnxValue {
  const shape = Array.from({ length: rank }, (_, i) => `${name}_${i}`);
  return { name, dtype: 'float32', shape };
}

async function open(
  model: Model,
  resident: readonly OnnxInitializer[],
  fed: Readonly<Record<string, Sizes>> = {},
): Promise<ort.InferenceSession> {
  const held = resident.map(({ name, shape, data }): OnnxValue => {
    return { name, shape, dtype: dtypeOf(data) };
  });
  const given = Object.entries(fed).map(([name, shape]): OnnxValue => {
    return { name, shape, dtype: 'float32' };
  });
  const bytes = encodeModel({
    nodes: model.nodes,
    inputs: [...given, ...held],
    outputs: Object.entries(model.outputs).map(([name, rank]) => result(name, rank)),
    initializers: [...resident, ...(model.constants ?? [])],
  });
  return ort.InferenceSession.create(bytes, {
    executionProviders: ['wasm'],
    graphOptimizationLevel: 'all',
  });
}

function read(values: ort.InferenceSession.OnnxValueMapType): Outputs {
  const out: Record<string, ArrayLike<number>> = {};
  for (const name in values) out[name] = (values[name] as ort.Tensor).data as Float32Array;
  return out;
}

function runnerOf(session: ort.InferenceSession): Runner {
  return {
    call: async () => read(await session.run({})),
    close: () => session.release(),
  };
}

/** A chain of nodes: each line is an output, an op, its inputs and attributes. */
function n(
  output: string,
  op: string,
  inputs: string,
  attributes: OnnxNode['attributes'] = {},
): OnnxNode {
  return { output, op, inputs: inputs.split(' '), attributes };
}

function scalar(name: string, value: number): OnnxInitializer {
  return { name, shape: [], data: Float32Array.of(value) };
}

function axes(name: string, ...list: number[]): OnnxInitializer {
  return { name, shape: [list.length], data: BigInt64Array.from(list, BigInt) };
}

const matMul: Model = { nodes: [n('y', 'MatMul', 'a b')], outputs: { y: 2 } };

function small50(): Model {
  const nodes: OnnxNode[] = [];
  let h = 'h';
  for (let turn = 0; turn < TURNS; turn++) {
    const last = turn === TURNS - 1;
    nodes.push(
      n(`m${turn}`, 'Mul', `${h} a`),
      n(`s${turn}`, 'Add', `m${turn} b`),
      n(`t${turn}`, 'Tanh', `s${turn}`),
      n(`c${turn}`, 'Mul', `c t${turn}`),
      n(last ? 'y' : `h${turn}`, 'Sub', `t${turn} c${turn}`),
    );
    h = `h${turn}`;
  }
  return { nodes, outputs: { y: 2 } };
}

const models: Readonly<Record<string, Model>> = {
  mm256: matMul,
  mm512: matMul,
  mm1024: matMul,
  mm512_at: { nodes: [n('y', 'Gemm', 'a b', { transA: 1 })], outputs: { y: 2 } },
  mm512_bt: { nodes: [n('y', 'Gemm', 'a b', { transB: 1 })], outputs: { y: 2 } },
  bmm: { ...matMul, outputs: { y: 3 } },
  eltwise4M: {
    nodes: [
      n('m', 'Mul', 'x k1'),
      n('s', 'Add', 'm k2'),
      n('t', 'Tanh', 's'),
      n('w', 'Mul', 't k3'),
      n('q', 'Mul', 'x x'),
      n('g', 'Neg', 'q'),
      n('e', 'Exp', 'g'),
      n('y', 'Add', 'w e'),
    ],
    outputs: { y: 1 },
    constants: [scalar('k1', 1.5), scalar('k2', 0.25), scalar('k3', 0.75)],
  },
  moments0: {
    nodes: [
      n('mean', 'ReduceMean', 'x', { axes: [0], keepdims: 0 }),
      n('d', 'Sub', 'x mean'),
      n('q', 'Mul', 'd d'),
      n('variance', 'ReduceMean', 'q', { axes: [0], keepdims: 0 }),
    ],
    outputs: { mean: 1, variance: 1 },
  },
  softmax: { nodes: [n('y', 'Softmax', 'x', { axis: -1 })], outputs: { y: 2 } },
  layernorm: {
    nodes: [
      n('y', 'LayerNormalization', 'x scale offset', { axis: -1, epsilon: { float: EPSILON } }),
    ],
    outputs: { y: 2 },
  },
  einsum: {
    nodes: [n('y', 'Einsum', 'a b', { equation: 'bij,bjk->bik' })],
    outputs: { y: 3 },
  },
  attention: {
    nodes: [
      n('kt', 'Transpose', 'k', { perm: [0, 2, 1] }),
      n('s', 'MatMul', 'q kt'),
      n('d', 'Div', 's eight'),
      n('p', 'Softmax', 'd', { axis: -1 }),
      n('y', 'MatMul', 'p v'),
    ],
    outputs: { y: 3 },
    constants: [scalar('eight', 8)],
  },
  small50: small50(),
  linreg: {
    nodes: [
      n('tm', 'ReduceMean', 't', { axes: [0], keepdims: 1 }),
      n('tc', 'Sub', 't tm'),
      n('xm', 'ReduceMean', 'x', { axes: [1], keepdims: 1 }),
      n('xc', 'Sub', 'x xm'),
      n('p', 'Mul', 'tc xc'),
      n('num', 'ReduceSum', 'p one', { keepdims: 0 }),
      n('tq', 'Mul', 'tc tc'),
      n('den', 'ReduceSum', 'tq zero', { keepdims: 0 }),
      n('y', 'Div', 'num den'),
    ],
    outputs: { y: 1 },
    constants: [axes('one', 1), axes('zero', 0)],
  },
  matvec: { nodes: [n('y', 'MatMul', 'a x')], outputs: { y: 1 } },
  transpose: { nodes: [n('y', 'Transpose', 'x', { perm: [1, 0] })], outputs: { y: 2 } },
  gather: { nodes: [n('y', 'Gather', 'x indices', { axis: 0 })], outputs: { y: 2 } },
};

function onResident(name: string): Maker {
  return async (inputs) => {
    const resident = Object.entries(workloadNamed(name).inputs).map(([key, { shape }]) => ({
      name: key,
      shape,
      data: inputs[key],
    }));
    return runnerOf(await open(models[name], resident));
  };
}

/** Convolutions in the layout that ONNX has: channels first. */
function convolution(groups: number): Maker {
  return async ({ x, filter }) => {
    const { batch, channels, height, width } = IMAGES;
    const pads = [1, 1, 1, 1];
    const session = await open(
      {
        nodes: [n('y', 'Conv', 'x filter', { group: groups, kernel_shape: [TAPS, TAPS], pads })],
        outputs: { y: 4 },
        constants: [
          {
            name: 'filter',
            shape: [channels, channels / groups, TAPS, TAPS],
            data: filterFirst(filter, groups > 1),
          },
        ],
      },
      [{ name: 'x', shape: [batch, channels, height, width], data: channelsFirst(x) }],
    );
    return { ...runnerOf(session), tidy: ({ y }) => ({ y: channelsLast(y) }) };
  };
}

function classifier(inputs: Values): Model {
  const nodes = LAYERS.flatMap((i) => {
    const last = i === LAYERS.length - 1;
    const gemm = n(last ? 'y' : `g${i}`, 'Gemm', `${i === 0 ? 'x' : `h${i - 1}`} w${i} b${i}`);
    return last ? [gemm] : [gemm, n(`h${i}`, 'Relu', `g${i}`)];
  });
  const constants = LAYERS.flatMap((i) => [
    { name: `w${i}`, shape: [SIZES[i], SIZES[i + 1]], data: inputs[`w${i}`] },
    { name: `b${i}`, shape: [SIZES[i + 1]], data: inputs[`b${i}`] },
  ]);
  return { nodes, outputs: { y: 2 }, constants };
}

async function forward(inputs: Values): Promise<Runner> {
  const shape = workloadNamed('mlp_fwd').inputs.x.shape;
  return runnerOf(await open(classifier(inputs), [{ name: 'x', shape, data: inputs.x }]));
}

async function newBatch(inputs: Values): Promise<Runner> {
  const session = await open(classifier(inputs), [], { x: ['batch', SIZES[0]] });
  return {
    async call(index) {
      const batch = batchOf(index);
      const data = inputs.x.subarray(0, batch * SIZES[0]) as Float32Array;
      const { y } = await session.run({ x: new ort.Tensor('float32', data, [batch, SIZES[0]]) });
      if (y.dims[1] !== CLASSES) throw new Error(`ort-web: logits of shape ${y.dims}`);
      return { y: y.data as Float32Array };
    },
    close: () => session.release(),
  };
}

export const peer: Peer = {
  async open(threads) {
    ort.env.wasm.numThreads = threads;
    ort.env.logLevel = 'error';
    const makers = Object.keys(models).map((name): [string, Maker] => [name, onResident(name)]);
    return {
      ...Object.fromEntries(makers),
      conv2d: convolution(1),
      depthwise: convolution(IMAGES.channels),
      mlp_fwd: forward,
      mlp_newbatch: newBatch,
    };
  },
};
