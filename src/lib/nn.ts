// The public names of `tl.nn`: what TensorFlow 1 keeps in its module of that name. Owns no code.

export { relu, sigmoid, tanh } from '../ops/math.ts';
export {
  logSoftmax,
  softmax,
  softmaxCrossEntropyWithLogits,
  sparseSoftmaxCrossEntropyWithLogits,
} from '../ops/nn.ts';
