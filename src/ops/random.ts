// Seeded random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
// SC 2011). Key: the graph seed. Counter: block of four, loop turn, run, op seed. So draws advance
// between runs, repeat for equal seeds, and are the same bits on every backend.

import type { Dim } from '../core/dim.ts';
import { floorDiv as floorDivDim, modDim } from '../core/dim.ts';
import { type DType, dtypeNames, isFloat } from '../core/dtype.ts';
import { DTypeError, ValueError } from '../core/error.ts';
import { sizeOf } from '../core/ndarray.ts';
import { checkOptions } from '../core/options.ts';
import { linearIndex } from '../core/type.ts';
import { type Graph, getDefaultGraph } from '../graph/graph.ts';
import { defineOp } from '../graph/op.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { Expr } from '../kernel/expr.ts';
import * as k from '../kernel/expr.ts';
import { cast } from './basic.ts';
import { apply, type OpOptions } from './convert.ts';
import { add, cos, log, mul, sqrt } from './math.ts';
import { mapHost, needKind } from './rules.ts';
import { type ShapeLike, shapeFromInput, shapeTensor } from './sizes.ts';

const M0 = 0xd2511f53 | 0;
const M1 = 0xcd9e8d57 | 0;
const W0 = 0x9e3779b9 | 0;
const W1 = 0xbb67ae85 | 0;
const ROUNDS = 10;

type Four<T> = [T, T, T, T];

interface Arithmetic<T> {
  constant(v: number): T;
  add(a: T, b: T): T;
  xor(a: T, b: T): T;
  mul(a: T, b: T): T;
  mulhi(a: T, b: T): T;
}

/** Philox4x32-10 over any arithmetic of 32-bit words. */
function philox<T>(m: Arithmetic<T>, counter: Four<T>, key: readonly [T, T]): Four<T> {
  let [c0, c1, c2, c3] = counter;
  for (let i = 0; i < ROUNDS; i++) {
    const k0 = m.add(key[0], m.constant(Math.imul(i, W0)));
    const k1 = m.add(key[1], m.constant(Math.imul(i, W1)));
    const hi0 = m.mulhi(m.constant(M0), c0);
    const lo0 = m.mul(m.constant(M0), c0);
    const hi1 = m.mulhi(m.constant(M1), c2);
    const lo1 = m.mul(m.constant(M1), c2);
    c0 = m.xor(m.xor(hi1, c1), k0);
    c1 = lo1;
    c2 = m.xor(m.xor(hi0, c3), k1);
    c3 = lo0;
  }
  return [c0, c1, c2, c3];
}

const HOST: Arithmetic<number> = {
  constant: (v) => v,
  add: (a, b) => (a + b) | 0,
  xor: (a, b) => a ^ b,
  mul: Math.imul,
  mulhi: (a, b) => {
    const [al, ah, bl, bh] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16];
    const low = al * bl;
    const mid = ah * bl + (low >>> 16);
    const mid2 = al * bh + (mid % 65536);
    return (ah * bh + Math.floor(mid / 65536) + Math.floor(mid2 / 65536)) | 0;
  },
};

const EXPR: Arithmetic<Expr> = {
  constant: (v) => k.i32(v),
  add: k.add,
  xor: (a, b) => k.binary('xor', a, b),
  mul: k.mul,
  mulhi: (a, b) => k.binary('mulhiu', a, b),
};

type BitsAttrs = { readonly graphSeed: number; readonly opSeed: number };

/** The two words of the key from a seed of up to 53 bits. */
function keyOf(seed: number): [number, number] {
  return [seed | 0, Math.floor(seed / 4294967296) | 0];
}

export const randomBitsOp = defineOp<BitsAttrs>({
  name: 'randomBits',
  nodeName: 'RandomBits',
  doc: '32 random bits per element, as int32; new ones in each run and loop turn.',
  inputs: ['shape'],
  attrs: { graphSeed: 'key of the generator', opSeed: 'word of its counter' },
  effect: 'random',
  infer: (ctx) => ({ types: [{ dtype: 'int32', shape: shapeFromInput(ctx, 0) }] }),
  reference: (ctx, [s], { graphSeed, opSeed }) => {
    const shape = Array.from(s.data);
    const data = ctx.alloc('int32', sizeOf(shape));
    for (let i = 0; i < data.length; i += 4) {
      const counter: Four<number> = [i / 4, ctx.iteration | 0, ctx.run | 0, opSeed];
      const four = philox(HOST, counter, keyOf(graphSeed));
      for (let j = 0; j < 4 && i + j < data.length; j++) data[i + j] = four[j];
    }
    return [{ dtype: 'int32', shape, data }];
  },
  gradient: () => [null],
  form: {
    kind: 'index',
    at: (ctx, index) => {
      const at: Dim = linearIndex(index, ctx.output.shape);
      const { graphSeed, opSeed } = ctx.attrs;
      const counter: Four<Expr> = [
        k.dimValue(floorDivDim(at, 4)),
        k.dimValue(ctx.iteration),
        k.dimValue(ctx.run),
        ctx.argument(opSeed),
      ];
      const [low, high] = keyOf(graphSeed);
      const four = philox(EXPR, counter, [ctx.argument(low), ctx.argument(high)]);
      const lane = k.dimValue(modDim(at, 4));
      const is = (n: number): Expr => k.compare('eq', lane, k.i32(n));
      const later = k.select(is(2), four[2], four[3]);
      return k.select(is(0), four[0], k.select(is(1), four[1], later));
    },
  },
});

export const unitFloatOp = defineOp({
  name: 'unitFloat',
  nodeName: 'UnitFloat',
  doc: 'The upper 24 of 32 random bits as a float32 in [0, 1), exactly.',
  inputs: ['bits'],
  attrs: {},
  infer: ({ types: [x] }) => {
    needKind(x.dtype, ['int']);
    return { types: [{ dtype: 'float32', shape: x.shape }] };
  },
  dtypes: () => ['float32'],
  reference: (ctx, xs) => [mapHost(ctx, 'float32', xs, (x) => (x >>> 8) / 16777216)],
  gradient: () => [null],
  form: {
    kind: 'scalar',
    scalar: ([x]) => {
      const upper = k.binary('shru', x, k.constant('i32', 8, x.lanes));
      return k.mul(k.cast('f32', upper), k.constant('f32', 1 / 16777216, x.lanes));
    },
  },
});

export const boundedIntOp = defineOp<{ readonly low: number; readonly high: number }>({
  name: 'boundedInt',
  nodeName: 'BoundedInt',
  doc: '32 random bits as an int32 in [low, high): the high word of bits times the range.',
  inputs: ['bits'],
  attrs: { low: 'least value', high: 'greatest value plus 1' },
  infer: ({ types: [x] }) => {
    needKind(x.dtype, ['int']);
    return { types: [x] };
  },
  reference: (ctx, xs, { low, high }) => [
    mapHost(ctx, 'int32', xs, (x) => (low + HOST.mulhi(x, (high - low) | 0)) | 0),
  ],
  gradient: () => [null],
  form: {
    kind: 'scalar',
    scalar: ([x], { low, high }) => {
      const c = (v: number): Expr => k.constant('i32', v, x.lanes);
      return k.add(c(low), k.binary('mulhiu', x, c((high - low) | 0)));
    },
  },
});

/** What TF1 takes for the graph seed where only an op seed is given. */
const DEFAULT_GRAPH_SEED = 87654321;

/** Options of random ops. */
export interface RandomOptions extends OpOptions {
  /** With the graph's seed it fixes the draws; without either they differ from process to process. */
  readonly seed?: number;
}

/** Options of {@link randomUniform}. */
export interface RandomUniformOptions extends RandomOptions {
  readonly minval?: number;
  readonly maxval?: number;
  readonly dtype?: DType;
}

const UNIFORM_OPTIONS: readonly (keyof RandomUniformOptions)[] = [
  'minval',
  'maxval',
  'dtype',
  'seed',
  'name',
];

/** Options of {@link randomNormal}. */
export interface RandomNormalOptions extends RandomOptions {
  readonly mean?: number;
  readonly stddev?: number;
  readonly dtype?: DType;
}

const NORMAL_OPTIONS: readonly (keyof RandomNormalOptions)[] = [
  'mean',
  'stddev',
  'dtype',
  'seed',
  'name',
];

function bits(graph: Graph, shape: Tensor, seed: number | undefined, stream: number): Tensor {
  const opSeed = seed === undefined ? graph.nextOpSeed() : seed;
  if (!Number.isInteger(opSeed)) {
    throw new ValueError('value/seed', `the seed ${seed} is no integer. Use an integer.`);
  }
  let graphSeed = graph.seed;
  if (graphSeed === null) {
    graphSeed = seed === undefined ? Math.floor(Math.random() * 2 ** 52) : DEFAULT_GRAPH_SEED;
  }
  // Streams of one op are far apart, so that they never share a counter with another op's seed.
  const word = (opSeed + stream * 0x40000000) | 0;
  return apply('randomBits', [shape], { graphSeed, opSeed: word });
}

/**
 * Uniform random numbers in [minval, maxval): float32 by default, another float, or int32. The draws of a run differ
 * from those of the next, and repeat for equal seeds.
 */
export function randomUniform(shape: ShapeLike, options: RandomUniformOptions = {}): Tensor {
  checkOptions('randomUniform', options, UNIFORM_OPTIONS);
  const { minval = 0, maxval = 1, dtype = 'float32', seed } = options;
  const graph = getDefaultGraph();
  return graph.nameScope(options.name ?? 'random_uniform', () => {
    const raw = bits(graph, shapeTensor(shape), seed, 0);
    if (dtype === 'int32') {
      if (
        options.maxval === undefined ||
        !Number.isInteger(minval) ||
        !Number.isInteger(maxval) ||
        maxval <= minval
      ) {
        throw new ValueError(
          'value/range',
          `randomUniform: [${minval}, ${maxval}) is no range of integers. Give an integer maxval above minval.`,
        );
      }
      return apply('boundedInt', [raw], { low: minval, high: maxval });
    }
    if (!isFloat(dtype)) {
      throw new DTypeError(
        'dtype/unsupported',
        `randomUniform: no ${dtype} draws. Use int32, or one of ${dtypeNames(['float'])}.`,
      );
    }
    const more = dtype === 'float64' ? bits(graph, shapeTensor(shape), seed, 1) : undefined;
    const unit = unitOf(raw, more, dtype);
    const scaled = maxval - minval === 1 ? unit : mul(unit, maxval - minval);
    return minval === 0 ? scaled : add(scaled, minval);
  });
}

/** A draw from [0, 1): 24 bits of a word, and in wider floats 24 of another below them. */
function unitOf(high: Tensor, low: Tensor | undefined, dtype: DType): Tensor {
  const unit = cast(apply('unitFloat', [high], {}), dtype);
  if (!low) return unit;
  return add(unit, mul(cast(apply('unitFloat', [low], {}), dtype), 2 ** -24));
}

/** Normal random numbers, by the Box-Muller transform; float32 by default. */
export function randomNormal(shape: ShapeLike, options: RandomNormalOptions = {}): Tensor {
  checkOptions('randomNormal', options, NORMAL_OPTIONS);
  const { mean = 0, stddev = 1, dtype = 'float32', seed } = options;
  const graph = getDefaultGraph();
  return graph.nameScope(options.name ?? 'random_normal', () => {
    const to = shapeTensor(shape);
    const own = seed ?? graph.nextOpSeed();
    const given = seed !== undefined || graph.seed !== null;
    const draw = (stream: number): Tensor => bits(graph, to, given ? own : undefined, stream);
    const [a, b] = [draw(0), draw(1)];
    const wide = dtype === 'float64';
    const u = unitOf(a, wide ? draw(2) : undefined, dtype);
    const v = unitOf(b, wide ? draw(3) : undefined, dtype);
    // 1 - u lies in (0, 1]: its logarithm is finite.
    const radius = sqrt(mul(log(add(mul(u, -1), 1)), -2));
    const z = mul(radius, cos(mul(v, 2 * Math.PI)));
    const scaled = stddev === 1 ? z : mul(z, stddev);
    return mean === 0 ? scaled : add(scaled, mean);
  });
}
