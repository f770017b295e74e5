// What a conformance case is: how to build an op from its inputs, for which dtypes and shapes, and how
// close results must be. The runner does the rest, on every backend.

import type { DType } from '../core/dtype.ts';
import type { Tensor } from '../graph/tensor.ts';

/** One set of input shapes. `open` says which axes are left to the feed (placeholders with null). */
export interface Shapes {
  readonly name: string;
  readonly inputs: readonly (readonly number[])[];
  readonly open?: boolean;
  /** The axes of each input that are left to the feed, where not all are. */
  readonly openAxes?: readonly (readonly number[])[];
}

/** How the elements of an input are drawn. */
export interface Draw {
  readonly dtype?: DType;
  /** Range of floats, or of integers inclusive. */
  readonly low?: number;
  readonly high?: number;
  /** Distinct values, at least this far apart (for max, sort-like ops at their kinks). */
  readonly distinct?: boolean;
}

/** How an op is built, for which dtypes and shapes, and how close results must be. */
export interface OpCase {
  readonly name: string;
  /** The op that the case is of; the first word of the name where absent. */
  readonly op?: string;
  readonly dtypes: readonly DType[];
  readonly shapes: readonly Shapes[];
  /** Draws per input; the case's dtype where a draw has none. */
  readonly draws?: readonly Draw[];
  /** The results for inputs of the shapes. */
  build(inputs: readonly Tensor[]): Tensor | readonly Tensor[];
  /** Relative tolerance of float32 results against float64; 2e-6 where absent. */
  readonly tolerance?: number;
  /** Each evaluation in a session of its own: what is drawn depends on the number of the run. */
  readonly fresh?: boolean;
  /** False for ops without a gradient with respect to any float input. */
  readonly gradient?: boolean;
}

const sets = (name: string, ...inputs: number[][]): Shapes => ({ name, inputs });
const open = (name: string, ...inputs: number[][]): Shapes => ({ name, inputs, open: true });

/** Static, dynamic, zero-size, one-size, odd and scalar shapes for ops of one input. */
export const UNARY_SHAPES: readonly Shapes[] = [
  sets('static', [2, 3]),
  open('dynamic', [5, 4]),
  sets('zero', [0, 3]),
  open('zero dynamic', [0, 3]),
  sets('one', [1, 1]),
  sets('odd', [7, 5, 3]),
  sets('scalar', []),
  sets('long', [67]),
];

/** The same with broadcasting, for ops of two inputs. */
export const BINARY_SHAPES: readonly Shapes[] = [
  sets('static', [2, 3], [2, 3]),
  open('dynamic', [5, 4], [5, 4]),
  sets('zero', [0, 3], [0, 3]),
  sets('one', [1], [1]),
  sets('odd', [7, 5], [7, 5]),
  sets('scalar', [3, 4], []),
  sets('broadcast', [4, 1, 3], [2, 1]),
  open('broadcast dynamic', [4, 1, 3], [1, 5, 3]),
  open('rows dynamic', [6, 5], [5]),
  open('zero broadcast', [0, 3], [1, 3]),
];

/** Makers of {@link Shapes}: of sizes that the graph knows, and of sizes left to the feeds. */
export const shapesOf = { sets, open };
