// Calls of JavaScript functions from a graph. They end a segment: the device waits for the host.

import { dimOf, type Sym } from '../core/dim.ts';
import { collectSyms } from '../core/dim-syms.ts';
import { type DType, dtypeNames, isDType } from '../core/dtype.ts';
import { DTypeError, ValueError } from '../core/error.ts';
import type { NDArray } from '../core/ndarray.ts';
import { checkFunction, checkList, checkOptions } from '../core/options.ts';
import { type TensorType, tensorType } from '../core/type.ts';
import type { Attrs } from '../graph/func.ts';
import { getDefaultGraph } from '../graph/graph.ts';
import { defineOp } from '../graph/op.ts';
import type { Tensor } from '../graph/tensor.ts';
import { inGraphOf, OP_OPTIONS, type OpOptions, type TensorLike, toTensor } from './convert.ts';

export const hostCallOp = defineOp({
  name: 'hostCall',
  nodeName: 'HostCall',
  doc: 'The results of a JavaScript function of the inputs, of declared types. No gradient.',
  inputs: ['inputs...'],
  attrs: { fn: 'the function', types: 'types of the outputs' },
  effect: 'host',
  infer: ({ attrs }) => ({ types: (attrs as unknown as { types: TensorType[] }).types }),
  dtypes: (_, attrs) => (attrs as unknown as { types: TensorType[] }).types.map((t) => t.dtype),
  form: { kind: 'host' },
});

/** The declared type of an output: sizes, or names of sizes that the inputs show. */
export interface HostType {
  readonly dtype: DType;
  readonly shape: readonly (number | string)[];
}

/**
 * Calls `fn` with NDArrays when the graph runs; it returns as many values as there are types (one value,
 * or an array), or a promise of them. Throws ValueError `host/size` for a name that
 * no input shows. Throws in the run: ExecutionError `host/threw`, `host/result`.
 */
export function hostCall(
  // biome-ignore lint/suspicious/noExplicitAny: any values that become tensors
  fn: (...inputs: NDArray[]) => any,
  inputs: readonly TensorLike[],
  types: readonly HostType[],
  options: OpOptions = {},
): Tensor[] {
  checkFunction('hostCall', fn);
  checkList('hostCall: inputs', inputs);
  checkList('hostCall: types', types);
  checkOptions('hostCall', options, OP_OPTIONS);
  const declared = types.map(({ dtype, shape }) => {
    if (!isDType(dtype))
      throw new DTypeError(
        'dtype/unknown',
        `hostCall: "${dtype}" is no dtype. Use one of ${dtypeNames()}.`,
      );
    if (
      !Array.isArray(shape) ||
      shape.some((d) => typeof d !== 'string' && !(Number.isInteger(d) && d >= 0))
    ) {
      throw new ValueError(
        'host/type',
        'hostCall: a declared shape holds sizes or names of sizes. Write [3] or ["batch"].',
      );
    }
    return tensorType(
      dtype,
      shape.map((d) => (typeof d === 'string' ? dimOf(`@${d}`, d) : d)),
    );
  });
  return inGraphOf(inputs, () => {
    const given = inputs.map((x) => toTensor(x));
    const shown = new Map<string, Sym>();
    for (const x of given) for (const d of x.type.shape ?? []) collectSyms(d, shown);
    for (const name of types.flatMap((t) => t.shape)) {
      if (typeof name !== 'string' || shown.has(`@${name}`)) continue;
      throw new ValueError(
        'host/size',
        `hostCall: a result has the size "${name}", which no input shows. Name it where it comes ` +
          `from, as in placeholder('float32', ['${name}']), and pass that or what has its size.`,
      );
    }
    const attrs = { fn, types: declared } as unknown as Attrs;
    return getDefaultGraph().add('hostCall', given, attrs, options).outputs;
  });
}
