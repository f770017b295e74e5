// What convolutions are composed of. Channel axes are split into groups where there are groups, and
// the operands brought into forms that one contraction (or, where a group has one input channel, one
// product and sum) takes as they are: views, and a copy only where x is padded.
//
// Axes by letter: n batch, o output positions, k positions within the filter, g groups, c input
// channels and m output channels of a group.

import { getDefaultGraph } from '../graph/graph.ts';
import type { Tensor } from '../graph/tensor.ts';
import { dotGeneral } from './linear.ts';
import { mul } from './math.ts';
import { reduceSum } from './reduce.ts';
import { broadcastTo, reshape, transpose } from './shape.ts';
import { reverse } from './slicing.ts';
import {
  countAlong,
  cropAxes,
  type Padding,
  padAxes,
  paddingAlong,
  SIZES,
  type Size,
  sizesOf,
  spanOf,
  vectorOf,
} from './window-sizes.ts';
import { type WindowAttrs, windowSum, windows } from './windows.ts';

/** How a convolution goes; one entry of `strides` and `dilations` per spatial axis. */
export type ConvAttrs = {
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly padding: Padding;
  /** Where the channel axis stands: after the spatial axes (NHWC) or before them (NCHW). */
  readonly layout: 'last' | 'first';
  readonly groups: number;
  /** Each input channel is a group of its own, and the filter is [k.., channels, multiplier]. */
  readonly depthwise: boolean;
};

function count(n: number, from = 0): number[] {
  return Array.from({ length: n }, (_, i) => i + from);
}

/** The spatial axes and the channel axis of a tensor as users see it. */
export function axesOf(attrs: ConvAttrs): { rank: number; spatial: number[]; channel: number } {
  const rank = attrs.strides.length;
  return attrs.layout === 'last'
    ? { rank, spatial: count(rank, 1), channel: rank + 1 }
    : { rank, spatial: count(rank, 2), channel: 1 };
}

/** `t` with axes of size 1 inserted before some of its axes, counted in the result. */
function spread(t: Tensor, at: readonly number[]): Tensor {
  const graph = getDefaultGraph();
  return [...at]
    .sort((a, b) => a - b)
    .reduce((x, axis) => graph.add('expandDims', [x], { axis }).output(), t);
}

/** The three forms of one convolution, from the sizes of its input and filter as users see them. */
export class ConvParts {
  private readonly attrs: ConvAttrs;
  private readonly rank: number;
  private readonly last: boolean;
  private readonly xSizes: readonly Size[];
  private readonly k: readonly Size[];
  private readonly o: readonly Size[];
  private readonly before: readonly Size[];
  private readonly after: readonly Size[];
  /** The number of groups; null where there is but one, which has no axis. */
  private readonly g: Size | null;
  private readonly c: Size;
  private readonly m: Size;
  /** Groups have one input channel, which has no axis. */
  private readonly lone: boolean;

  constructor(attrs: ConvAttrs, xSizes: readonly Size[], filterSizes: readonly Size[]) {
    const { rank, spatial } = axesOf(attrs);
    this.attrs = attrs;
    this.rank = rank;
    this.last = attrs.layout === 'last';
    this.xSizes = xSizes;
    this.k = filterSizes.slice(0, rank);
    const input = spatial.map((a) => xSizes[a]);
    this.o = input.map((n, i) => countAlong(SIZES, n, this.k[i], attrs, i));
    const pads = input.map((n, i) => paddingAlong(SIZES, n, this.k[i], attrs, i));
    this.before = pads.map((p) => p.before);
    this.after = pads.map((p) => p.after);
    const [takes, gives] = filterSizes.slice(rank);
    this.lone = attrs.depthwise || (attrs.groups > 1 && takes === 1);
    this.g = attrs.depthwise ? takes : attrs.groups > 1 ? attrs.groups : null;
    this.c = attrs.depthwise ? 1 : takes;
    this.m = attrs.depthwise ? gives : SIZES.div(gives, attrs.groups);
  }

  forward(x: Tensor, filter: Tensor): Tensor {
    const w = this.xWindows(x);
    const f = this.splitFilter(filter);
    if (this.lone) {
      const product = mul(spread(w, [this.cAt + this.rank + 1]), this.besideWindows(f));
      return this.joinY(reduceSum(product, { axis: this.kAxes }));
    }
    return this.joinY(this.contract(w, f, false));
  }

  transposed(y: Tensor, filter: Tensor, shape: Tensor): Tensor {
    const f = this.splitFilter(filter);
    const flat = this.attrs.strides.every((s) => s === 1);
    return flat ? this.flipped(y, f) : this.scattered(y, f, shape);
  }

  filter(x: Tensor, y: Tensor, shape: Tensor): Tensor {
    const { rank, cAt } = this;
    const w = this.xWindows(x);
    const g = this.splitY(y);
    if (this.lone) {
      const product = mul(spread(w, [cAt + rank + 1]), spread(g, this.kAxes));
      const sum = reduceSum(product, {
        axis: [0, ...this.oAxes(2).map((a) => a + (this.last ? 0 : rank))],
      });
      return reshape(sum, shape);
    }
    const channels = this.g === null ? 1 : 2;
    const group = this.g === null ? [] : [cAt];
    const raw = dotGeneral(w, g, {
      lhsBatch: group.map((a) => a + rank),
      rhsBatch: group,
      lhsContract: [0, ...this.oAxes(channels).map((a) => a + (this.last ? 0 : rank))],
      rhsContract: [0, ...this.oAxes(channels)],
    });
    if (this.g === null) return raw;
    const perm = [...count(rank + 1, 1), 0, rank + 2];
    return reshape(transpose(raw, perm), shape);
  }

  /** For strides of 1: a convolution of the padded output side by the filter turned around. */
  private flipped(y: Tensor, f: Tensor): Tensor {
    const { dilations } = this.attrs;
    const { spatial } = axesOf(this.attrs);
    const reach = this.k.map((n, i) => SIZES.add(spanOf(SIZES, n, dilations[i]), -1));
    const minus = (a: Size, b: Size): Size => SIZES.add(a, SIZES.mul(b, -1));
    const before = reach.map((r, i) => minus(r, this.before[i]));
    const after = reach.map((r, i) => minus(r, this.after[i]));
    const padded = padAxes(y, this.rank + 2, spatial, before, after);
    const input = spatial.map((a) => this.xSizes[a]);
    const w = this.windowsOf(this.splitY(padded), this.lone ? 2 : this.g === null ? 1 : 2, input);
    const turned = reverse(f, count(this.rank));
    if (this.lone) {
      const product = mul(w, this.besideWindows(turned));
      const sum = reduceSum(product, { axis: [...this.kAxes, this.cAt + this.rank + 1] });
      return this.joinX(sum);
    }
    return this.joinX(this.contract(w, turned, true));
  }

  /** For any strides: what each output gives to each window element, added up where they overlap. */
  private scattered(y: Tensor, f: Tensor, shape: Tensor): Tensor {
    const { rank, cAt } = this;
    const { spatial } = axesOf(this.attrs);
    const g = this.splitY(y);
    let parts: Tensor;
    if (this.lone) {
      const product = mul(spread(g, this.kAxes), this.besideWindows(f));
      parts = reduceSum(product, { axis: cAt + rank + 1 });
    } else parts = this.partsOf(g, f);
    const channels = this.lone || this.g === null ? 1 : 2;
    const sizes = spatial.map((a, i) => SIZES.add(this.xSizes[a], this.before[i]));
    const sum = windowSum(parts, vectorOf(sizes), this.windowAttrs(channels));
    const joined = this.joinX(sum, sizes);
    if (this.before.every((n) => n === 0)) return joined;
    return cropAxes(joined, rank + 2, spatial, this.before, shape);
  }

  /** The products of each output with the filter, summed over m: windows of the input side. */
  private partsOf(g: Tensor, f: Tensor): Tensor {
    const { rank, last } = this;
    const grouped = this.g !== null;
    if (last) {
      const raw = dotGeneral(g, f, {
        lhsBatch: grouped ? [rank + 1] : [],
        rhsBatch: grouped ? [rank + 1] : [],
        lhsContract: [rank + (grouped ? 2 : 1)],
        rhsContract: [rank + (grouped ? 2 : 1)],
      });
      // [g, n, o.., k.., c]
      return grouped ? transpose(raw, [...count(2 * rank + 1, 1), 0, 2 * rank + 2]) : raw;
    }
    const raw = dotGeneral(this.perImage(f), g, {
      lhsBatch: grouped ? [0, rank + 2] : [0],
      rhsBatch: grouped ? [0, 1] : [0],
      lhsContract: [rank + (grouped ? 3 : 2)],
      rhsContract: [grouped ? 2 : 1],
    });
    // [n, g, k.., c, o..]
    return grouped ? transpose(raw, [0, ...count(rank, 2), 1, ...count(rank + 1, rank + 2)]) : raw;
  }

  /**
   * Windows contracted with the filter over k and one of c and m. Channels last: [(g), n, o.., other],
   * with g put in place. Channels first: the filter comes first, and the images are a batch axis, so
   * that the result needs no transpose.
   */
  private contract(w: Tensor, f: Tensor, overM: boolean): Tensor {
    const { rank, last, cAt } = this;
    const grouped = this.g !== null;
    const filterChannel = overM ? rank + (grouped ? 2 : 1) : rank;
    const wContract = [...this.kAxes, cAt + rank + (grouped ? 1 : 0)];
    const fContract = [...count(rank), filterChannel];
    const wGroup = grouped ? [cAt + rank] : [];
    if (last) {
      const raw = dotGeneral(w, f, {
        lhsBatch: wGroup,
        rhsBatch: grouped ? [rank + 1] : [],
        lhsContract: wContract,
        rhsContract: fContract,
      });
      return grouped ? transpose(raw, [...count(rank + 1, 1), 0, rank + 2]) : raw;
    }
    return dotGeneral(this.perImage(f), w, {
      lhsBatch: grouped ? [0, rank + 2] : [0],
      rhsBatch: [0, ...wGroup],
      lhsContract: fContract.map((a) => a + 1),
      rhsContract: wContract,
    });
  }

  /** The filter repeated for each image: a view. */
  private perImage(f: Tensor): Tensor {
    return broadcastTo(f, vectorOf([this.xSizes[0], ...sizesOf(f)]));
  }

  /** Where channel axes begin. */
  private get cAt(): number {
    return this.last ? this.rank + 1 : 1;
  }

  /** The axes within windows; those of the windowed tensor's channels follow. */
  private get kAxes(): number[] {
    return count(this.rank, this.cAt);
  }

  /** The spatial axes of a tensor with so many channel axes. */
  private oAxes(channels: number): number[] {
    return count(this.rank, this.last ? 1 : 1 + channels);
  }

  private windowAttrs(channels: number): WindowAttrs {
    const { strides, dilations } = this.attrs;
    return { axes: this.oAxes(channels), strides, dilations, at: this.cAt };
  }

  /** Windows of the output side, at stride 1, which is the only one that asks for them. */
  private windowsOf(t: Tensor, channels: number, counts: readonly Size[]): Tensor {
    return windows(t, vectorOf(this.k), vectorOf(counts), this.windowAttrs(channels));
  }

  private xWindows(x: Tensor): Tensor {
    const { spatial } = axesOf(this.attrs);
    const padded = padAxes(x, this.rank + 2, spatial, this.before, this.after);
    const split =
      this.g === null || this.lone
        ? padded
        : this.reshaped(padded, sizesOf(padded), [this.g, this.c]);
    return this.windowsOf(split, this.g === null || this.lone ? 1 : 2, this.o);
  }

  /** `t`, of sizes with one channel axis, with others in its place. */
  private reshaped(t: Tensor, sizes: readonly Size[], channels: readonly Size[]): Tensor {
    const { channel } = axesOf(this.attrs);
    return reshape(
      t,
      vectorOf([...sizes.slice(0, channel), ...channels, ...sizes.slice(channel + 1)]),
    );
  }

  private splitY(y: Tensor): Tensor {
    return this.g === null ? y : this.reshaped(y, sizesOf(y), [this.g, this.m]);
  }

  private joinY(y: Tensor): Tensor {
    if (this.g === null) return y;
    const { spatial, channel } = axesOf(this.attrs);
    const sizes = [...this.xSizes];
    spatial.forEach((a, i) => {
      sizes[a] = this.o[i];
    });
    sizes[channel] = SIZES.mul(this.g, this.m);
    return reshape(y, vectorOf(sizes));
  }

  private joinX(x: Tensor, spatialSizes?: readonly Size[]): Tensor {
    if (this.g === null || this.lone) return x;
    const { spatial } = axesOf(this.attrs);
    const sizes = [...this.xSizes];
    spatialSizes?.forEach((n, i) => {
      sizes[spatial[i]] = n;
    });
    return reshape(x, vectorOf(sizes));
  }

  /** The filter as [k.., c, m], [k.., c, g, m], or [k.., g, m] where groups have one input channel. */
  private splitFilter(f: Tensor): Tensor {
    if (this.g === null || this.attrs.depthwise) return f;
    const inner = this.lone ? [this.g, this.m] : [this.c, this.g, this.m];
    return reshape(f, vectorOf([...this.k, ...inner]));
  }

  /** [k.., g, m] with an axis of size 1 for each spatial axis behind, where those stand behind. */
  private besideWindows(f: Tensor): Tensor {
    return this.last ? f : spread(f, count(this.rank, this.rank + 2));
  }
}
