// Random programs over a few shapes: a list of steps, each of which picks an op and earlier values. A
// step that does not fit its operands is skipped, so that any list of steps is a program.

import type { NDArray } from '../core/ndarray.ts';
import type { Tensor } from '../graph/tensor.ts';
import * as tl from '../index.ts';
import { drawValue, generator } from './draw.ts';

/** One step of a program: an op and the values it takes, as numbers that wrap around. */
export interface Step {
  readonly op: number;
  readonly a: number;
  readonly b: number;
  readonly k: number;
}

/** A program: a batch size, a seed for its data, and steps. */
export interface Program {
  readonly batch: number;
  readonly seed: number;
  readonly steps: readonly Step[];
}

/** The program of a seed. */
export function randomProgram(seed: number): Program {
  const next = generator(seed);
  const below = (n: number): number => Math.floor(next() * n);
  const steps = Array.from({ length: 1 + below(14) }, () => ({
    op: below(1000),
    a: below(100),
    b: below(100),
    k: below(100),
  }));
  return { batch: BATCHES[below(BATCHES.length)], seed, steps };
}

/** The batch sizes of programs. */
export const BATCHES: readonly number[] = [0, 1, 2, 3, 5, 8];

type Make = (a: Tensor, b: Tensor, k: number) => Tensor;

/** Keeps values small, so that float32 and float64 stay close. */
const squash = (x: Tensor): Tensor => tl.tanh(tl.mul(x, 0.5));

const OPS: readonly Make[] = [
  (a, b) => tl.add(a, b),
  (a, b) => tl.sub(a, b),
  (a, b) => tl.mul(a, b),
  (a, b) => tl.div(a, tl.add(tl.square(b), 1)),
  (a, b) => tl.maximum(a, b),
  (a, b) => tl.minimum(a, b),
  (a) => tl.neg(a),
  (a) => tl.tanh(a),
  (a) => tl.exp(squash(a)),
  (a) => tl.log(tl.add(tl.square(a), 1)),
  (a) => tl.sigmoid(a),
  (a) => tl.relu(a),
  (a) => tl.sqrt(tl.add(tl.square(a), 0.5)),
  (a, b) => tl.select(tl.greater(a, 0.123), b, tl.neg(b)),
  (a, _, k) => tl.reduceSum(squash(a), { axis: axisOf(a, k), keepDims: k % 2 === 0 }),
  (a) => squash(tl.reduceSum(a)),
  (a, _, k) =>
    tl.reduceMax(tl.concat([a, tl.zerosLike(a)], axisOf(a, k)), {
      axis: axisOf(a, k),
      keepDims: k % 3 === 0,
    }),
  (a, _, k) => tl.softmax(a, { axis: axisOf(a, k) }),
  (a) => tl.logSoftmax(a),
  (a, b) => squash(tl.matmul(a, b)),
  (a, b) => squash(tl.matmul(a, b, { transposeA: true })),
  (a, b) => squash(tl.matmul(a, b, { transposeB: true })),
  (a) => tl.transpose(a),
  (a) => tl.reshape(a, [-1]),
  (a, b, k) => tl.concat([a, b], axisOf(a, k)),
  (a, _, k) => tl.expandDims(a, k % ((a.rank ?? 0) + 1)),
  (a) => tl.slice(a, new Int32Array(a.rank ?? 0).fill(0), tl.shape(a)),
  (a) => tl.reverse(a, [0]),
  (a) => tl.gather(a, [0, 2, 0, 1], { axis: -1 }),
  (a) =>
    tl.pad(
      a,
      Array.from({ length: a.rank ?? 0 }, (_, i) => [i % 2, 1] as [number, number]),
    ),
  (a) => tl.mul(tl.cast(tl.argMax(a, { axis: -1 }), 'float32'), 0.1),
  (a) => tl.mul(a, tl.stopGradient(squash(a))),
];

function axisOf(a: Tensor, k: number): number {
  return k % Math.max(1, a.rank ?? 1);
}

/** A program as a graph. */
export interface BuiltProgram {
  readonly graph: tl.Graph;
  readonly feeds: [Tensor, NDArray][];
  readonly fetches: readonly Tensor[];
}

/** Largest rank a program may make, so that hundreds of them stay quick. */
const MAX_RANK = 3;

/** Builds the graph of a program, with the gradients of a sum of its last values. */
export function buildProgram(p: Program): BuiltProgram {
  const graph = new tl.Graph();
  const next = generator(p.seed);
  return graph.asDefault(() => {
    const specs: [string, (number | null)[], number[]][] = [
      ['rows', [null, 4], [p.batch, 4]],
      ['column', [null, 1], [p.batch, 1]],
      ['vector', [4], [4]],
      ['matrix', [4, 3], [4, 3]],
      ['scalar', [], []],
      ['named', [null], [p.batch]],
    ];
    const inputs = specs.map(([name, spec]) => tl.placeholder('float32', spec, { name }));
    const feeds = specs.map(([, , shape], i): [Tensor, NDArray] => [
      inputs[i],
      drawValue(shape, 'float32', {}, next),
    ]);
    const values: Tensor[] = [...inputs];
    for (const s of p.steps) {
      const a = values[values.length - 1 - (s.a % values.length)];
      const b = values[values.length - 1 - (s.b % values.length)];
      try {
        const made = OPS[s.op % OPS.length](a, b, s.k);
        if ((made.rank ?? 0) <= MAX_RANK) values.push(made);
      } catch (e) {
        if (
          !(e instanceof tl.ShapeError || e instanceof tl.DTypeError || e instanceof tl.ValueError)
        )
          throw e;
      }
    }
    const made = values.slice(inputs.length).slice(-4);
    const loss = made
      .map((t) => tl.reduceSum(squash(t)))
      .reduce((x, y) => tl.add(x, y), tl.constant(0));
    const grads = tl.gradients([loss], inputs).filter((g) => g !== null);
    return { graph, feeds, fetches: [...made, loss, ...grads] };
  });
}
