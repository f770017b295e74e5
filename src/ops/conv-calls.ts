// The functions users call for convolutions, under TensorFlow 1's names: they read options in its
// several spellings and leave the rest to the records.

import { ValueError } from '../core/error.ts';
import { checkOptions, isList, nameOf } from '../core/options.ts';
import { getDefaultGraph } from '../graph/graph.ts';
import type { Tensor } from '../graph/tensor.ts';
import { conv, convTranspose } from './conv.ts';
import type { ConvAttrs } from './conv-parts.ts';
import { inGraphOf, type OpOptions, pair, type TensorLike } from './convert.ts';
import { type ShapeLike, shapeTensor } from './sizes.ts';
import type { Padding } from './window-sizes.ts';

/** The order of axes: channels last (N..C) or before the spatial axes (NC..). */
export type DataFormat = 'NWC' | 'NCW' | 'NHWC' | 'NCHW' | 'NDHWC' | 'NCDHW';

/** Options of everything that slides a window. */
export interface WindowOptions extends OpOptions {
  /** Steps between windows: a number, one per spatial axis, or one per axis (batch and channels 1). */
  readonly strides?: number | readonly number[];
  /** 'VALID' (default), 'SAME', or [before, after] for each spatial axis or each axis. */
  readonly padding?: Padding;
  /** Channels last by default. */
  readonly dataFormat?: DataFormat;
}

/** Options of convolutions. */
export interface ConvOptions extends WindowOptions {
  /** Steps between elements within the filter, given like `strides`. */
  readonly dilations?: number | readonly number[];
  /** Groups of channels that do not mix; the filter has `channels / groups` input channels. */
  readonly groups?: number;
}

export const WINDOW_OPTIONS: readonly (keyof WindowOptions)[] = [
  'strides',
  'padding',
  'dataFormat',
  'name',
];
const DEPTHWISE_OPTIONS: readonly (keyof ConvOptions)[] = [...WINDOW_OPTIONS, 'dilations'];
const CONV_OPTIONS: readonly (keyof ConvOptions)[] = [...DEPTHWISE_OPTIONS, 'groups'];

const FORMATS: Readonly<Record<number, readonly [DataFormat, DataFormat]>> = {
  1: ['NWC', 'NCW'],
  2: ['NHWC', 'NCHW'],
  3: ['NDHWC', 'NCDHW'],
};

/** Where channels stand for a data format of some number of spatial axes. */
export function layoutOf(fn: string, rank: number, format: DataFormat | undefined) {
  const [last, first] = FORMATS[rank];
  if (format === undefined || format === last) return 'last';
  if (format === first) return 'first';
  throw new ValueError(
    'value/data-format',
    `${fn}: the data format is ${last} or ${first}, got ${JSON.stringify(format)}. Use one of the two.`,
  );
}

/** Integers of at least 1 per spatial axis, from a number, a list of them, or one per axis. */
export function perAxis(
  fn: string,
  what: string,
  rank: number,
  layout: 'last' | 'first',
  value: number | readonly number[],
): readonly number[] {
  // What is no list has no entries, which are too few.
  const given = isList(value) ? [...value] : [];
  const list = typeof value === 'number' ? new Array<number>(rank).fill(value) : given;
  const inner = layout === 'last' ? list.slice(1, rank + 1) : list.slice(2);
  const outer = layout === 'last' ? [list[0], list[rank + 1]] : list.slice(0, 2);
  const full = list.length === rank + 2;
  const out = full ? inner : list;
  const good = out.length === rank && out.every((n) => Number.isInteger(n) && n >= 1);
  if (good && (!full || outer.every((n) => n === 1))) return out;
  throw new ValueError(
    'value/window',
    `${fn}: ${what} must be integers of at least 1, one for each of ${rank} spatial axes ` +
      `(or one for each axis, with 1 for batch and channels), got ${nameOf(value)}. Correct it.`,
  );
}

/** Padding as the records take it. */
export function paddingOf(
  fn: string,
  rank: number,
  layout: 'last' | 'first',
  value: Padding = 'VALID',
): Padding {
  if (value === 'SAME' || value === 'VALID') return value;
  if (Array.isArray(value)) {
    const full = value.length === rank + 2;
    const inner = layout === 'last' ? value.slice(1, rank + 1) : value.slice(2);
    const outer = layout === 'last' ? [value[0], value[rank + 1]] : value.slice(0, 2);
    const out = (full ? inner : value) as readonly (readonly [number, number])[];
    const isPair = (p: unknown): p is [number, number] =>
      Array.isArray(p) && p.length === 2 && p.every((n) => Number.isInteger(n) && n >= 0);
    const zero = (p: unknown): boolean => isPair(p) && p[0] === 0 && p[1] === 0;
    if (out.length === rank && out.every(isPair) && (!full || outer.every(zero))) {
      return out.map(([before, after]) => [before, after] as const);
    }
  }
  throw new ValueError(
    'value/padding',
    `${fn}: the padding is 'SAME', 'VALID', or [before, after] (integers of at least 0) for each of ` +
      `${rank} spatial axes, got ${JSON.stringify(value)}. Correct the option.`,
  );
}

function convAttrs(fn: string, rank: number, options: ConvOptions, depthwise = false): ConvAttrs {
  checkOptions(fn, options, depthwise ? DEPTHWISE_OPTIONS : CONV_OPTIONS);
  const layout = layoutOf(fn, rank, options.dataFormat);
  const { groups = 1 } = options;
  if (!Number.isInteger(groups) || groups < 1) {
    throw new ValueError(
      'value/groups',
      `${fn}: the number of groups must be an integer of at least 1, got ${groups}. Correct the option.`,
    );
  }
  return {
    strides: perAxis(fn, 'strides', rank, layout, options.strides ?? 1),
    dilations: perAxis(fn, 'dilations', rank, layout, options.dilations ?? 1),
    padding: paddingOf(fn, rank, layout, options.padding),
    layout,
    groups,
    depthwise,
  };
}

function convolve(rank: number, x: TensorLike, filter: TensorLike, options: ConvOptions): Tensor {
  const attrs = convAttrs(`conv${rank}d`, rank, options);
  return inGraphOf([x, filter], () => {
    const [a, b] = pair(x, filter);
    return conv(a, b, attrs, options.name ?? `Conv${rank}D`);
  });
}

function transposed(
  rank: number,
  y: TensorLike,
  filter: TensorLike,
  outputShape: ShapeLike,
  options: ConvOptions,
): Tensor {
  const attrs = convAttrs(`conv${rank}dTranspose`, rank, options);
  return inGraphOf([y, filter], () => {
    const [a, b] = pair(y, filter);
    const name = options.name ?? `Conv${rank}DTranspose`;
    return convTranspose(a, b, shapeTensor(outputShape), attrs, name);
  });
}

/**
 * The convolution of x [batch, width, channels] by a filter [width, channels / groups, outputs], as
 * TensorFlow has it: sums of products of windows with the filter, which is not turned around. float32
 * or int32. Throws ShapeError where the channels differ or the filter does not fit.
 */
export function conv1d(x: TensorLike, filter: TensorLike, options: ConvOptions = {}): Tensor {
  return convolve(1, x, filter, options);
}

/**
 * The convolution of x [batch, height, width, channels] by a filter [height, width, channels / groups,
 * outputs]; see {@link conv1d}. With padding 'SAME' the result has ceil(size / stride) positions.
 *
 * ```ts
 * const y = tl.nn.conv2d(images, filter, { strides: 2, padding: 'SAME' });
 * ```
 */
export function conv2d(x: TensorLike, filter: TensorLike, options: ConvOptions = {}): Tensor {
  return convolve(2, x, filter, options);
}

/** The convolution of x [batch, depth, height, width, channels]; see {@link conv2d}. */
export function conv3d(x: TensorLike, filter: TensorLike, options: ConvOptions = {}): Tensor {
  return convolve(3, x, filter, options);
}

/** The transpose of {@link conv1d} in its input; see {@link conv2dTranspose}. */
export function conv1dTranspose(
  y: TensorLike,
  filter: TensorLike,
  outputShape: ShapeLike,
  options: ConvOptions = {},
): Tensor {
  return transposed(1, y, filter, outputShape, options);
}

/**
 * The transpose of {@link conv2d} in its input, also called deconvolution: what the gradient of
 * `conv2d(x, filter)` with respect to an x of `outputShape` is for the gradient y of its result. The
 * filter is [height, width, outputs / groups, channels of y]. Throws ShapeError where y has not the
 * sizes that conv2d would give.
 */
export function conv2dTranspose(
  y: TensorLike,
  filter: TensorLike,
  outputShape: ShapeLike,
  options: ConvOptions = {},
): Tensor {
  return transposed(2, y, filter, outputShape, options);
}

/** The transpose of {@link conv3d} in its input; see {@link conv2dTranspose}. */
export function conv3dTranspose(
  y: TensorLike,
  filter: TensorLike,
  outputShape: ShapeLike,
  options: ConvOptions = {},
): Tensor {
  return transposed(3, y, filter, outputShape, options);
}

/**
 * Convolves each channel of x [batch, height, width, channels] by itself with a filter [height, width,
 * channels, multiplier]; output channel `c * multiplier + q` comes from channel c.
 */
export function depthwiseConv2d(
  x: TensorLike,
  filter: TensorLike,
  options: Omit<ConvOptions, 'groups'> = {},
): Tensor {
  const attrs = convAttrs('depthwiseConv2d', 2, options, true);
  return inGraphOf([x, filter], () => {
    const [a, b] = pair(x, filter);
    return conv(a, b, attrs, options.name ?? 'depthwise');
  });
}

/**
 * {@link depthwiseConv2d}, and then a convolution of its channels by a filter [1, 1, channels *
 * multiplier, outputs]. Strides, padding and dilations are those of the first.
 */
export function separableConv2d(
  x: TensorLike,
  depthwiseFilter: TensorLike,
  pointwiseFilter: TensorLike,
  options: Omit<ConvOptions, 'groups'> = {},
): Tensor {
  checkOptions('separableConv2d', options, DEPTHWISE_OPTIONS);
  const { name = 'separable_conv2d', ...rest } = options;
  return inGraphOf([x, depthwiseFilter, pointwiseFilter], () =>
    getDefaultGraph().nameScope(name, () => {
      const { dataFormat } = options;
      const each = depthwiseConv2d(x, depthwiseFilter, rest);
      return conv2d(each, pointwiseFilter, dataFormat === undefined ? {} : { dataFormat });
    }),
  );
}
