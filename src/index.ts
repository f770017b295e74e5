// The public face of tensorloom: the only barrel. Loading it registers the ops and the backends that
// come with the package, and installs the chained methods of Tensor.

import './backends/register.ts';
import './methods.ts';
import './ops/all.ts';

export { type Differentiable, type GradientOptions, gradients } from './autodiff/gradients.ts';
export type {
  AdapterOptions,
  Backend,
  Device,
  DeviceOptions,
  DeviceStats,
  DeviceValue,
  Executable,
  ExecutableStats,
  PlacedStats,
  RunBindings,
} from './backends/backend.ts';
export { registerBackend } from './backends/backend.ts';
export * as webgpu from './backends/webgpu/public.ts';
export type { Atom, Dim, DimExpr, DimFn, FnAtom, Sym, Term } from './core/dim.ts';

export { dimToString } from './core/dim-text.ts';
export type { DType, NumericDType, TypedArray } from './core/dtype.ts';
export type { ErrorContext, Site } from './core/error.ts';
export {
  AbortedError,
  DTypeError,
  ExecutionError,
  FeedError,
  FetchError,
  GraphError,
  InternalError,
  OutOfMemoryError,
  ShapeError,
  StateError,
  TensorloomError,
  TimeoutError,
  UnsupportedError,
  ValueError,
} from './core/error.ts';
export type { ArrayLike } from './core/from-nested.ts';
export { toNDArray } from './core/from-nested.ts';
export { type DataOf, type HostTensor, NDArray, type NestedArray } from './core/ndarray.ts';
export type { Dims, TensorType } from './core/type.ts';
export type { Attrs, AttrValue, Constraint, Func, Node, Ref } from './graph/func.ts';
export {
  type AddOptions,
  controlDependencies,
  Graph,
  type GraphOptions,
  getDefaultGraph,
  nameScope,
  resetDefaultGraph,
  setRandomSeed,
} from './graph/graph.ts';
export { graphFromJson, graphToJson } from './graph/json.ts';
export { Operation, Tensor } from './graph/tensor.ts';
export type {
  BinaryExpr,
  BinaryOp,
  BitcastExpr,
  CastExpr,
  CompareExpr,
  CompareOp,
  ConstExpr,
  DimValue,
  Expr,
  ExtractExpr,
  Lanes,
  LoadExpr,
  LocalExpr,
  MaddExpr,
  PackExpr,
  ScalarType,
  SelectExpr,
  SplatExpr,
  UnaryExpr,
  UnaryOp,
} from './kernel/expr.ts';
export type {
  ArrayStmt,
  AxisRole,
  BufferParam,
  Combine,
  FailStmt,
  ForStmt,
  IfStmt,
  Kernel,
  LetStmt,
  OutlineStmt,
  SetStmt,
  Stmt,
  StoreStmt,
  VarStmt,
  WhileStmt,
} from './kernel/ir.ts';
export * as nn from './lib/nn.ts';
export { reduceLogSumExp, reduceStd } from './lib/statistics.ts';
export { AdamOptimizer, type AdamOptions } from './lib/train/adam.ts';
export { GradientDescentOptimizer } from './lib/train/gradient-descent.ts';
export { MomentumOptimizer, type MomentumOptions } from './lib/train/momentum.ts';
export { type GradientPair, type MinimizeOptions, Optimizer } from './lib/train/optimizer.ts';
export type {
  BinaryMethod,
  ComparisonMethod,
  ReductionMethod,
  UnaryMethod,
} from './methods.ts';
export { elu, type LeakyReluOptions, leakyRelu, relu6, softplus } from './ops/activations.ts';
export { cast, group, identity, noOp, stopGradient } from './ops/basic.ts';
export {
  equal,
  greater,
  greaterEqual,
  less,
  lessEqual,
  logicalAnd,
  logicalNot,
  logicalOr,
  notEqual,
  select,
} from './ops/compare.ts';
export {
  cond,
  type FoldOptions,
  foldl,
  foldr,
  mapFn,
  type Packed,
  type ScanOptions,
  scan,
  switchCase,
  type WhileOptions,
  whileLoop,
} from './ops/control.ts';
export type { AxisOptions, OpOptions, TensorLike } from './ops/convert.ts';
export { customGradient, type ValueWithGradient } from './ops/custom.ts';
export { einsum } from './ops/einsum.ts';
export { gather, type OneHotOptions, oneHot, where } from './ops/gather.ts';
export { type HostType, hostCall } from './ops/host.ts';
export {
  type ConstantOptions,
  constant,
  type DimSpec,
  placeholder,
  placeholderWithDefault,
} from './ops/leaf.ts';
export { type DotAxes, dotGeneral, type MatmulOptions, matmul } from './ops/linear.ts';
export {
  abs,
  add,
  cos,
  div,
  exp,
  floorDiv,
  log,
  maximum,
  minimum,
  mod,
  mul,
  neg,
  relu,
  sigmoid,
  sign,
  sin,
  sqrt,
  square,
  sub,
  tanh,
} from './ops/math.ts';
export {
  ceil,
  clipByValue,
  erf,
  expm1,
  floor,
  isFinite,
  isInf,
  isNan,
  log1p,
  pow,
  reciprocal,
  round,
  rsqrt,
  squaredDifference,
} from './ops/math-float.ts';
export type { Nest } from './ops/nest.ts';
export {
  logSoftmax,
  softmax,
  softmaxCrossEntropyWithLogits,
  sparseSoftmaxCrossEntropyWithLogits,
} from './ops/nn.ts';
export {
  type RandomNormalOptions,
  type RandomOptions,
  type RandomUniformOptions,
  randomNormal,
  randomUniform,
} from './ops/random.ts';
export {
  argMax,
  argMin,
  type ReduceOptions,
  reduceAll,
  reduceAny,
  reduceMax,
  reduceMean,
  reduceMin,
  reduceProd,
  reduceSum,
} from './ops/reduce.ts';
export {
  type AxesOptions,
  broadcastTo,
  expandDims,
  type FillOptions,
  fill,
  ones,
  onesLike,
  reshape,
  shape,
  size,
  squeeze,
  transpose,
  zeros,
  zerosLike,
} from './ops/shape.ts';
export type { ShapeLike } from './ops/sizes.ts';
export {
  concat,
  type PadOptions,
  pad,
  type RangeOptions,
  range,
  reverse,
  slice,
  stack,
} from './ops/slicing.ts';
export {
  getVariable,
  globalVariables,
  globalVariablesInitializer,
  localVariables,
  localVariablesInitializer,
  trainableVariables,
  Variable,
  type VariableOptions,
  type VariableScopeOptions,
  variable,
  variableScope,
  variablesInitializer,
} from './ops/state.ts';
export { reduceVariance } from './ops/variance.ts';
export type {
  BindStep,
  BranchStep,
  BufferKind,
  BufferView,
  CheckStep,
  HostStep,
  KernelStep,
  LetStep,
  LoopStep,
  PlacedInput,
  PlacedStep,
  Plan,
  PlanBuffer,
  PlanCheck,
  PlanConstraint,
  PlanFeed,
  PlanResult,
  ReserveStep,
  Segment,
  SharedVariable,
  StartSym,
  Step,
} from './plan/types.ts';
export type { Given } from './session/call-site.ts';
export { DeviceTensor } from './session/device-tensor.ts';
export type { Feedable, Feeds } from './session/feeds.ts';
export type {
  CallableSpec,
  Keep,
  PutOptions,
  RunOptions,
  SessionOptions,
} from './session/options.ts';
export {
  type Callable,
  type ProgramStats,
  Session,
  type SessionStats,
} from './session/session.ts';
export type {
  Fetchable,
  Fetches,
  FetchResult,
  KeptResult,
  KnownDType,
} from './session/structure.ts';
export { toDot } from './viz/dot.ts';
export { toMermaid } from './viz/mermaid.ts';
