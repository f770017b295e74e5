// A case as a graph: inputs, outputs, and the gradients of a weighted sum of the outputs.

import { type DType, isFloat } from '../core/dtype.ts';
import type { NDArray } from '../core/ndarray.ts';
import type { Tensor } from '../graph/tensor.ts';
import * as tl from '../index.ts';
import type { OpCase, Shapes } from './case.ts';
import { drawValue, generator } from './draw.ts';

/** A case as a graph. */
export interface BuiltCase {
  readonly graph: tl.Graph;
  readonly inputs: readonly Tensor[];
  readonly values: readonly NDArray[];
  readonly outputs: readonly Tensor[];
  /** Gradients of a weighted sum of the float outputs, for the float inputs that have one. */
  readonly gradients: readonly { readonly input: number; readonly tensor: Tensor }[];
  readonly loss: Tensor | null;
}

/** Builds a case for one dtype and one set of shapes; its inputs are drawn from a fixed seed. */
export function buildCase(c: OpCase, dtype: DType, shapes: Shapes): BuiltCase {
  const graph = new tl.Graph();
  const next = generator(1234);
  return graph.asDefault(() => {
    const types = shapes.inputs.map((_, i) => c.draws?.[i]?.dtype ?? dtype);
    const inputs = shapes.inputs.map((s, i) =>
      tl.placeholder(
        types[i],
        s.map((n, a) => (shapes.open || shapes.openAxes?.[i].includes(a) ? null : n)),
        { name: `in${i}` },
      ),
    );
    const values = shapes.inputs.map((s, i) => drawValue(s, types[i], c.draws?.[i] ?? {}, next));
    const made = c.build(inputs);
    const outputs = Array.isArray(made) ? (made as Tensor[]) : [made as Tensor];
    if (c.gradient === false || !isFloat(dtype)) {
      return { graph, inputs, values, outputs, gradients: [], loss: null };
    }
    const terms = outputs
      .filter((t) => isFloat(t.dtype))
      .map((t) => tl.reduceSum(tl.cast(tl.mul(t, weights(t)), dtype)));
    const loss = terms.reduce((a, b) => tl.add(a, b));
    const floats = inputs.flatMap((t, i) => (isFloat(t.dtype) ? [i] : []));
    const grads = tl.gradients(
      [loss],
      floats.map((i) => inputs[i]),
    );
    const gradients = floats.flatMap((input, k) => {
      const tensor = grads[k];
      return tensor ? [{ input, tensor }] : [];
    });
    return { graph, inputs, values, outputs, gradients, loss };
  });
}

/** Uneven weights, so that gradients that sum to zero do not hide: 1, 1.3, 1.6, … repeating. */
function weights(t: Tensor): Tensor {
  const flat = tl.mod(tl.range(tl.size(t)), 7);
  return tl.reshape(tl.add(tl.mul(tl.cast(flat, t.dtype), 0.3), 1), tl.shape(t));
}

/** The inputs with their values. */
export function feedsOf(b: BuiltCase): [Tensor, NDArray][] {
  return b.inputs.map((t, i) => [t, b.values[i]]);
}
