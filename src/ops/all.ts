// The list of all op records, and their only registration.

import { type OpRecord, registerOps } from '../graph/op.ts';
import { castOp, identityOp, noOpOp, stopGradientOp } from './basic.ts';
import {
  equalOp,
  greaterEqualOp,
  greaterOp,
  lessEqualOp,
  lessOp,
  logicalAndOp,
  logicalNotOp,
  logicalOrOp,
  notEqualOp,
  selectOp,
} from './compare.ts';
import { condOp, loopOp } from './control.ts';
import { convFilterOp, convOp, convTransposeOp } from './conv.ts';
import { customGradientOp } from './custom.ts';
import { checkIndicesOp, gatherOp, oneHotOp, scatterSumOp, whereOp } from './gather.ts';
import { hostCallOp } from './host.ts';
import { constOp, paramOp, placeholderOp, placeholderWithDefaultOp } from './leaf.ts';
import { broadcastShapeOp, dotGeneralOp, matmulOp } from './linear.ts';
import {
  absOp,
  addOp,
  cosOp,
  divOp,
  expOp,
  floorDivOp,
  logOp,
  maximumOp,
  minimumOp,
  modOp,
  mulOp,
  negOp,
  reluOp,
  sigmoidOp,
  signOp,
  sinOp,
  sqrtOp,
  squareOp,
  subOp,
  tanhOp,
} from './math.ts';
import {
  logSoftmaxOp,
  softmaxCrossEntropyOp,
  softmaxOp,
  sparseSoftmaxCrossEntropyOp,
} from './nn.ts';
import { avgPoolOp, maxPoolOp } from './pool.ts';
import { boundedIntOp, randomBitsOp, unitFloatOp } from './random.ts';
import { allOp, anyOp, argMaxOp, argMinOp, maxOp, meanOp, minOp, prodOp, sumOp } from './reduce.ts';
import {
  broadcastToOp,
  expandDimsOp,
  reshapeOp,
  shapeOp,
  sizeOp,
  squeezeOp,
  transposeOp,
} from './shape.ts';
import { asSizeOp } from './sizes.ts';
import { concatOp, dynamicSliceOp, padToOp, rangeOp, reverseOp, sliceOp } from './slicing.ts';
import { assignOp, readVariableOp, variableOp } from './state.ts';
import { unbroadcastOp } from './unbroadcast.ts';
import { windowPickOp, windowPutOp, windowSumOp, windowsOp } from './windows.ts';

/** Every op there is. */
// biome-ignore lint/suspicious/noExplicitAny: records of all attribute types share one list
export const ALL_OPS: readonly OpRecord<any>[] = [
  placeholderOp,
  placeholderWithDefaultOp,
  paramOp,
  constOp,
  identityOp,
  stopGradientOp,
  noOpOp,
  castOp,
  addOp,
  subOp,
  mulOp,
  divOp,
  floorDivOp,
  modOp,
  maximumOp,
  minimumOp,
  negOp,
  absOp,
  signOp,
  squareOp,
  expOp,
  logOp,
  tanhOp,
  sigmoidOp,
  sinOp,
  cosOp,
  sqrtOp,
  reluOp,
  equalOp,
  notEqualOp,
  lessOp,
  lessEqualOp,
  greaterOp,
  greaterEqualOp,
  logicalAndOp,
  logicalOrOp,
  logicalNotOp,
  selectOp,
  shapeOp,
  sizeOp,
  reshapeOp,
  transposeOp,
  broadcastToOp,
  expandDimsOp,
  squeezeOp,
  asSizeOp,
  sliceOp,
  dynamicSliceOp,
  padToOp,
  concatOp,
  reverseOp,
  rangeOp,
  checkIndicesOp,
  gatherOp,
  scatterSumOp,
  oneHotOp,
  whereOp,
  sumOp,
  prodOp,
  maxOp,
  minOp,
  allOp,
  anyOp,
  meanOp,
  argMaxOp,
  argMinOp,
  unbroadcastOp,
  dotGeneralOp,
  matmulOp,
  broadcastShapeOp,
  windowsOp,
  windowSumOp,
  windowPickOp,
  windowPutOp,
  convOp,
  convTransposeOp,
  convFilterOp,
  maxPoolOp,
  avgPoolOp,
  softmaxOp,
  logSoftmaxOp,
  softmaxCrossEntropyOp,
  sparseSoftmaxCrossEntropyOp,
  randomBitsOp,
  unitFloatOp,
  boundedIntOp,
  variableOp,
  readVariableOp,
  assignOp,
  condOp,
  loopOp,
  hostCallOp,
  customGradientOp,
];

registerOps(ALL_OPS);
