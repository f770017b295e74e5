// The public names of `tl.nn`: what TensorFlow 1 keeps in its module of that name. Owns no code.

export { elu, type LeakyReluOptions, leakyRelu, relu6, softplus } from '../ops/activations.ts';
export {
  type ConvOptions,
  conv1d,
  conv1dTranspose,
  conv2d,
  conv2dTranspose,
  conv3d,
  conv3dTranspose,
  type DataFormat,
  depthwiseConv2d,
  separableConv2d,
  type WindowOptions,
} from '../ops/conv-calls.ts';
export { relu, sigmoid, tanh } from '../ops/math.ts';
export {
  logSoftmax,
  softmax,
  softmaxCrossEntropyWithLogits,
  sparseSoftmaxCrossEntropyWithLogits,
} from '../ops/nn.ts';
export {
  avgPool,
  avgPool1d,
  avgPool2d,
  avgPool3d,
  maxPool,
  maxPool1d,
  maxPool2d,
  maxPool3d,
  type PoolOptions,
} from '../ops/pool.ts';
export type { Padding } from '../ops/window-sizes.ts';
export {
  type GeluOptions,
  gelu,
  type L2NormalizeOptions,
  type LayerNormOptions,
  l2Normalize,
  layerNorm,
} from './normalization.ts';
export { type Moments, type MomentsOptions, moments } from './statistics.ts';
