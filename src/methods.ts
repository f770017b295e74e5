// Chained methods on Tensor: the op functions with the tensor as first argument, installed once when
// the package is loaded. `x.matmul(w).add(b)` is `add(matmul(x, w), b)`.

import type { DType } from './core/dtype.ts';
import type { Dims } from './core/type.ts';
import { Tensor } from './graph/tensor.ts';
import * as statistics from './lib/statistics.ts';
import * as activations from './ops/activations.ts';
import * as basic from './ops/basic.ts';
import * as compare from './ops/compare.ts';
import { type AxisOptions, inGraphOf, type OpOptions, type TensorLike } from './ops/convert.ts';
import * as gather from './ops/gather.ts';
import * as linear from './ops/linear.ts';
import * as math from './ops/math.ts';
import * as float from './ops/math-float.ts';
import * as nn from './ops/nn.ts';
import * as reduce from './ops/reduce.ts';
import * as shape from './ops/shape.ts';
import type { ShapeLike } from './ops/sizes.ts';
import * as slicing from './ops/slicing.ts';
import { reduceVariance } from './ops/variance.ts';

const METHODS = {
  add: math.add,
  sub: math.sub,
  mul: math.mul,
  div: math.div,
  floorDiv: math.floorDiv,
  mod: math.mod,
  maximum: math.maximum,
  minimum: math.minimum,
  neg: math.neg,
  abs: math.abs,
  sign: math.sign,
  square: math.square,
  sqrt: math.sqrt,
  exp: math.exp,
  log: math.log,
  tanh: math.tanh,
  sigmoid: math.sigmoid,
  sin: math.sin,
  cos: math.cos,
  relu: math.relu,
  pow: float.pow,
  squaredDifference: float.squaredDifference,
  log1p: float.log1p,
  expm1: float.expm1,
  erf: float.erf,
  rsqrt: float.rsqrt,
  reciprocal: float.reciprocal,
  floor: float.floor,
  ceil: float.ceil,
  round: float.round,
  isNan: float.isNan,
  isInf: float.isInf,
  isFinite: float.isFinite,
  clipByValue: float.clipByValue,
  softplus: activations.softplus,
  elu: activations.elu,
  relu6: activations.relu6,
  leakyRelu: activations.leakyRelu,
  equal: compare.equal,
  notEqual: compare.notEqual,
  less: compare.less,
  lessEqual: compare.lessEqual,
  greater: compare.greater,
  greaterEqual: compare.greaterEqual,
  logicalAnd: compare.logicalAnd,
  logicalOr: compare.logicalOr,
  logicalNot: compare.logicalNot,
  select: compare.select,
  where: gather.where,
  cast: basic.cast,
  identity: basic.identity,
  stopGradient: basic.stopGradient,
  sum: reduce.reduceSum,
  mean: reduce.reduceMean,
  variance: reduceVariance,
  std: statistics.reduceStd,
  logSumExp: statistics.reduceLogSumExp,
  prod: reduce.reduceProd,
  max: reduce.reduceMax,
  min: reduce.reduceMin,
  all: reduce.reduceAll,
  any: reduce.reduceAny,
  argMax: reduce.argMax,
  argMin: reduce.argMin,
  reshape: shape.reshape,
  transpose: shape.transpose,
  broadcastTo: shape.broadcastTo,
  expandDims: shape.expandDims,
  squeeze: shape.squeeze,
  slice: slicing.slice,
  pad: slicing.pad,
  reverse: slicing.reverse,
  gather: gather.gather,
  oneHot: gather.oneHot,
  matmul: linear.matmul,
  softmax: nn.softmax,
  logSoftmax: nn.logSoftmax,
} as const;

for (const [name, fn] of Object.entries(METHODS)) {
  Object.defineProperty(Tensor.prototype, name, {
    configurable: true,
    writable: true,
    value(this: Tensor, ...args: unknown[]): Tensor {
      const call = fn as (...all: unknown[]) => Tensor;
      return inGraphOf([this], () => call(this, ...args));
    },
  });
}

/** A method of one tensor. */
export type UnaryMethod = (options?: OpOptions) => Tensor;
/** A method that takes a second operand; both broadcast. */
export type BinaryMethod = (y: TensorLike, options?: OpOptions) => Tensor;
/** A comparison with a second operand; both broadcast. */
export type ComparisonMethod = (y: TensorLike, options?: OpOptions) => Tensor<'bool'>;
/** A reduction over axes. */
export type ReductionMethod = (options?: reduce.ReduceOptions) => Tensor;

declare module './graph/tensor.ts' {
  // The op functions with this tensor as the first argument; see there.
  interface Tensor<D extends DType = DType, S extends Dims | null = Dims | null> {
    add: BinaryMethod;
    sub: BinaryMethod;
    mul: BinaryMethod;
    div: BinaryMethod;
    floorDiv: BinaryMethod;
    mod: BinaryMethod;
    maximum: BinaryMethod;
    minimum: BinaryMethod;
    neg: UnaryMethod;
    abs: UnaryMethod;
    sign: UnaryMethod;
    square: UnaryMethod;
    sqrt: UnaryMethod;
    exp: UnaryMethod;
    log: UnaryMethod;
    tanh: UnaryMethod;
    sigmoid: UnaryMethod;
    sin: UnaryMethod;
    cos: UnaryMethod;
    relu: UnaryMethod;
    pow: BinaryMethod;
    squaredDifference: BinaryMethod;
    log1p: UnaryMethod;
    expm1: UnaryMethod;
    erf: UnaryMethod;
    rsqrt: UnaryMethod;
    reciprocal: UnaryMethod;
    floor: UnaryMethod;
    ceil: UnaryMethod;
    round: UnaryMethod;
    isNan: (options?: OpOptions) => Tensor<'bool'>;
    isInf: (options?: OpOptions) => Tensor<'bool'>;
    isFinite: (options?: OpOptions) => Tensor<'bool'>;
    clipByValue: (low: TensorLike, high: TensorLike, options?: OpOptions) => Tensor;
    softplus: UnaryMethod;
    elu: UnaryMethod;
    relu6: UnaryMethod;
    leakyRelu: (options?: activations.LeakyReluOptions) => Tensor;
    equal: ComparisonMethod;
    notEqual: ComparisonMethod;
    less: ComparisonMethod;
    lessEqual: ComparisonMethod;
    greater: ComparisonMethod;
    greaterEqual: ComparisonMethod;
    logicalAnd: ComparisonMethod;
    logicalOr: ComparisonMethod;
    logicalNot: (options?: OpOptions) => Tensor<'bool'>;
    select: (x: TensorLike, y: TensorLike, options?: OpOptions) => Tensor;
    where: (options?: OpOptions) => Tensor<'int32'>;
    cast: <T extends DType>(dtype: T, options?: OpOptions) => Tensor<T>;
    identity: UnaryMethod;
    stopGradient: UnaryMethod;
    sum: ReductionMethod;
    mean: ReductionMethod;
    variance: ReductionMethod;
    std: ReductionMethod;
    logSumExp: ReductionMethod;
    prod: ReductionMethod;
    max: ReductionMethod;
    min: ReductionMethod;
    all: (options?: reduce.ReduceOptions) => Tensor<'bool'>;
    any: (options?: reduce.ReduceOptions) => Tensor<'bool'>;
    argMax: (options?: AxisOptions) => Tensor<'int32'>;
    argMin: (options?: AxisOptions) => Tensor<'int32'>;
    reshape: (to: ShapeLike, options?: OpOptions) => Tensor;
    transpose: (perm?: readonly number[] | null, options?: OpOptions) => Tensor;
    broadcastTo: (to: ShapeLike, options?: OpOptions) => Tensor;
    expandDims: (axis: number, options?: OpOptions) => Tensor;
    squeeze: (options?: shape.AxesOptions) => Tensor;
    slice: (begin: TensorLike, size: ShapeLike, options?: OpOptions) => Tensor;
    pad: (paddings: readonly (readonly [number, number])[], options?: slicing.PadOptions) => Tensor;
    reverse: (axes: readonly number[], options?: OpOptions) => Tensor;
    gather: (indices: TensorLike, options?: AxisOptions) => Tensor;
    oneHot: (depth: number, options?: gather.OneHotOptions) => Tensor;
    matmul: (b: TensorLike, options?: linear.MatmulOptions) => Tensor;
    softmax: (options?: AxisOptions) => Tensor;
    logSoftmax: (options?: AxisOptions) => Tensor;
  }
}
