// Convolution: three ops that are linear in each of their operands and each other's gradients, so that
// derivatives of any order follow. Each is a composition of padding, windows (a view) and one
// contraction; where a group has one input channel, a product and a sum take the contraction's place.
//
// Axes by letter: n batch, o output positions, k positions within the filter, g groups, c input
// channels and m output channels of a group. Filters are [k.., c, g*m]; of a depthwise convolution
// [k.., g, m].

import { type Dim, mulDim } from '../core/dim.ts';
import { dimToString } from '../core/dim-text.ts';
import { ShapeError } from '../core/error.ts';
import { type Dims, shapeToString } from '../core/type.ts';
import { getDefaultGraph } from '../graph/graph.ts';
import { defineOp, type InferContext } from '../graph/op.ts';
import type { Tensor } from '../graph/tensor.ts';
import { axesOf, type ConvAttrs, ConvParts } from './conv-parts.ts';
import { needKind, sameDType } from './rules.ts';
import { shape as shapeOf } from './shape.ts';
import { shapeFromInput } from './sizes.ts';
import { elementsOf, inferCount, sizesOf } from './window-sizes.ts';

const ATTRS = {
  strides: 'steps between outputs, per spatial axis',
  dilations: 'steps between elements within the filter, per spatial axis',
  padding: "'SAME', 'VALID', or [before, after] per spatial axis",
  layout: 'whether channels are the last axis, or the first after the batch',
  groups: 'groups of channels that do not mix',
  depthwise: 'whether each channel is a group, with a filter [k.., channels, multiplier]',
};

/** Demands the ranks that images and filters have. */
function needRanks(attrs: ConvAttrs, what: string, shape: Dims): void {
  const { rank } = axesOf(attrs);
  if (shape.length === rank + 2) return;
  const names =
    what === 'the filter' ? `${rank} sizes and two numbers of channels` : imageAxes(attrs);
  throw new ShapeError(
    'shape/rank',
    `${what} must have rank ${rank + 2} (${names}), it has rank ${shape.length}: ${shapeToString(shape)}. Reshape it first.`,
  );
}

function imageAxes({ strides, layout }: ConvAttrs): string {
  const spatial = ['width', 'height, width', 'depth, height, width'][strides.length - 1];
  return layout === 'last' ? `batch, ${spatial}, channels` : `batch, channels, ${spatial}`;
}

/** The shape of a convolution's result, with the constraints noted. */
function outputShape(
  ctx: Pick<InferContext, 'equal'>,
  x: Dims,
  filter: Dims,
  attrs: ConvAttrs,
): Dims {
  needRanks(attrs, 'the input', x);
  needRanks(attrs, 'the filter', filter);
  const { rank, spatial, channel } = axesOf(attrs);
  const [takes, gives] = filter.slice(rank);
  const wanted = attrs.depthwise ? takes : mulDim(takes, attrs.groups);
  const many = attrs.groups > 1 ? ` in each of ${attrs.groups} groups` : '';
  ctx.equal(
    x[channel],
    wanted,
    `the filter takes ${dimToString(takes)} channels${many}, axis ${channel} of the input must hold as many`,
  );
  if (typeof gives === 'number' && gives % attrs.groups !== 0) {
    throw new ShapeError(
      'shape/groups',
      `${gives} output channels do not divide into ${attrs.groups} groups. Use a multiple of the groups.`,
    );
  }
  const out: Dim[] = [...x];
  spatial.forEach((a, i) => {
    out[a] = inferCount(x[a], filter[i], attrs, i);
  });
  out[channel] = attrs.depthwise ? mulDim(takes, gives) : gives;
  return out;
}

/** Demands that `y` have the shape of the convolution of `x` by `filter`. */
function needOutput(
  ctx: Pick<InferContext, 'equal'>,
  x: Dims,
  filter: Dims,
  y: Dims,
  attrs: ConvAttrs,
): void {
  needRanks(attrs, 'the output side', y);
  outputShape(ctx, x, filter, attrs).forEach((d, i) => {
    ctx.equal(
      y[i],
      d,
      `a convolution of ${shapeToString(x)} by ${shapeToString(filter)} has other sizes along axis ${i}`,
    );
  });
}

export const convOp = defineOp<ConvAttrs>({
  name: 'conv',
  nodeName: 'Conv',
  doc: 'Convolution (as TensorFlow has it: cross-correlation) along 1 to 3 spatial axes: each output is the sum of products of a window of x with the filter.',
  inputs: ['x', 'filter'],
  attrs: ATTRS,
  infer: (ctx) => {
    const [x, filter] = ctx.types;
    const dtype = sameDType(ctx.types);
    needKind(dtype, ['float', 'int']);
    return { types: [{ dtype, shape: outputShape(ctx, x.shape, filter.shape, ctx.attrs) }] };
  },
  gradient: ({ inputs: [x, filter], grad, attrs }) => [
    convTranspose(grad, filter, shapeOf(x), attrs),
    convFilter(x, grad, shapeOf(filter), attrs),
  ],
  form: {
    kind: 'expand',
    expand: ([x, filter], attrs) => [
      new ConvParts(attrs, sizesOf(x), sizesOf(filter)).forward(x, filter),
    ],
  },
});

export const convTransposeOp = defineOp<ConvAttrs>({
  name: 'convTranspose',
  nodeName: 'ConvTranspose',
  doc: 'The transpose of a convolution in its input: from a tensor of the shape of its output to one of the given shape of its input.',
  inputs: ['y', 'filter', 'shape'],
  attrs: ATTRS,
  infer: (ctx) => {
    const [y, filter] = ctx.types;
    const dtype = sameDType([y, filter]);
    needKind(dtype, ['float', 'int']);
    const shape = shapeFromInput(ctx as InferContext, 2);
    needOutput(ctx, shape, filter.shape, y.shape, ctx.attrs);
    return { types: [{ dtype, shape }] };
  },
  gradient: ({ inputs: [y, filter], grad, attrs }) => [
    conv(grad, filter, attrs),
    convFilter(grad, y, shapeOf(filter), attrs),
    null,
  ],
  form: {
    kind: 'expand',
    expand: ([y, filter, shape], attrs) => [
      new ConvParts(attrs, elementsOf(shape), sizesOf(filter)).transposed(y, filter, shape),
    ],
  },
});

export const convFilterOp = defineOp<ConvAttrs>({
  name: 'convFilter',
  nodeName: 'ConvFilter',
  doc: 'The transpose of a convolution in its filter: from its input and a tensor of the shape of its output to one of the given shape of its filter.',
  inputs: ['x', 'y', 'shape'],
  attrs: ATTRS,
  infer: (ctx) => {
    const [x, y] = ctx.types;
    const dtype = sameDType([x, y]);
    needKind(dtype, ['float', 'int']);
    const shape = shapeFromInput(ctx as InferContext, 2);
    needOutput(ctx, x.shape, shape, y.shape, ctx.attrs);
    return { types: [{ dtype, shape }] };
  },
  gradient: ({ inputs: [x, y], grad, attrs }) => [
    convTranspose(y, grad, shapeOf(x), attrs),
    conv(x, grad, attrs),
    null,
  ],
  form: {
    kind: 'expand',
    expand: ([x, y, shape], attrs) => [
      new ConvParts(attrs, sizesOf(x), elementsOf(shape)).filter(x, y, shape),
    ],
  },
});

/** The convolution of x by a filter; see the record. */
export function conv(x: Tensor, filter: Tensor, attrs: ConvAttrs, name?: string): Tensor {
  return add('conv', [x, filter], attrs, name);
}

/** The transpose of a convolution in its input; see the record. */
export function convTranspose(
  y: Tensor,
  filter: Tensor,
  shape: Tensor,
  attrs: ConvAttrs,
  name?: string,
): Tensor {
  return add('convTranspose', [y, filter, shape], attrs, name);
}

/** The transpose of a convolution in its filter; see the record. */
export function convFilter(x: Tensor, y: Tensor, shape: Tensor, attrs: ConvAttrs): Tensor {
  return add('convFilter', [x, y, shape], attrs);
}

function add(op: string, inputs: readonly Tensor[], attrs: ConvAttrs, name?: string): Tensor {
  const options = name === undefined ? {} : { name };
  return getDefaultGraph()
    .add(op, inputs, { ...attrs }, options)
    .output();
}
