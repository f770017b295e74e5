// Ops that compute nothing: identity, grouping, gradient stops; and conversion between dtypes.

import { type DType, dtypeInfo, dtypeNames, isBig, isDType, isFloat } from '../core/dtype.ts';
import { DTypeError } from '../core/error.ts';
import { checkList, checkOptions } from '../core/options.ts';
import { getDefaultGraph } from '../graph/graph.ts';
import { defineOp } from '../graph/op.ts';
import { type Operation, Tensor } from '../graph/tensor.ts';
import { converted } from '../kernel/narrow.ts';
import { applyUnary, isSymbolic, OP_OPTIONS, type OpOptions, type TensorLike } from './convert.ts';
import { mapHost } from './rules.ts';

export const identityOp = defineOp({
  name: 'identity',
  nodeName: 'Identity',
  doc: 'The input. Under control dependencies it is the input after them.',
  inputs: ['input'],
  attrs: {},
  infer: ({ types, values }) => ({ types, values }),
  reference: (_, [x]) => [x],
  gradient: ({ grad }) => [grad],
  isInput: true,
  movesData: true,
  form: { kind: 'view', view: (_, index) => [...index] },
});

export const stopGradientOp = defineOp({
  name: 'stopGradient',
  nodeName: 'StopGradient',
  doc: 'The input, through which no gradient flows.',
  inputs: ['input'],
  attrs: {},
  infer: ({ types, values }) => ({ types, values }),
  reference: (_, [x]) => [x],
  gradient: () => [null],
  isInput: true,
  movesData: true,
  form: { kind: 'view', view: (_, index) => [...index] },
});

export const noOpOp = defineOp({
  name: 'noOp',
  nodeName: 'NoOp',
  doc: 'Does nothing, after its control dependencies.',
  inputs: [],
  attrs: {},
  infer: () => ({ types: [] }),
  reference: () => [],
  form: { kind: 'noOp' },
});

/** A float to an integer as all backends do it: truncated, saturated, NaN gives 0. */
function truncated(x: number, dtype: DType): number {
  if (Number.isNaN(x)) return (isBig(dtype) ? 0n : 0) as number;
  const { min, max } = dtypeInfo(dtype);
  if (x <= min) return min as number;
  if (x >= max) return max as number;
  return (isBig(dtype) ? BigInt(Math.trunc(x)) : Math.trunc(x)) as number;
}

function fromBig(x: bigint, dtype: DType): number {
  return isFloat(dtype) ? Number(x) : Number(BigInt.asIntN(32, x));
}

export const castOp = defineOp<{ readonly dtype: DType }>({
  name: 'cast',
  nodeName: 'Cast',
  doc:
    'Converts by value. Floats round to the nearest, of two the even one; a float to an integer ' +
    'truncates toward zero, saturates at the limits of the dtype, and gives 0 for NaN; integers wrap ' +
    'around; anything to bool is `!= 0`; bool to numbers is 0 or 1.',
  inputs: ['x'],
  attrs: { dtype: 'the new element type' },
  infer: ({ types: [x], values, attrs }) => ({
    types: [{ dtype: attrs.dtype, shape: x.shape }],
    values: [attrs.dtype === 'int32' && x.dtype === 'int32' ? values[0] : null],
  }),
  dtypes: (_, attrs) => [attrs.dtype],
  reference: (ctx, [x], { dtype }) => [
    mapHost(ctx, dtype, [x], (v) => {
      if (dtype === 'bool') return Number(v) === 0 ? 0 : 1;
      if (isFloat(x.dtype) && !isFloat(dtype)) return truncated(v, dtype);
      if (isBig(dtype)) return BigInt(v) as unknown as number;
      // A bigint: of its low bits an integer is made, of all of them a float.
      return isBig(x.dtype) ? fromBig(v as unknown as bigint, dtype) : v;
    }),
  ],
  gradient: ({ inputs: [x], grad, attrs }) => [
    isFloat(x.dtype) && isFloat(attrs.dtype) ? cast(grad, x.dtype) : null,
  ],
  form: {
    kind: 'scalar',
    scalar: ([x], { dtype }) => converted(dtype, x),
  },
});

/** The input under a name of its own. */
export function identity(x: TensorLike, options?: OpOptions): Tensor {
  return applyUnary('identity', x, options);
}

/** The input, through which `gradients` sees nothing. */
export function stopGradient(x: TensorLike, options?: OpOptions): Tensor {
  return applyUnary('stopGradient', x, options);
}

/** An operation that does nothing. */
export function noOp(options: OpOptions = {}): Operation {
  checkOptions('noOp', options, OP_OPTIONS);
  return getDefaultGraph().add('noOp', [], {}, options);
}

/** An operation that runs after all of `inputs`. */
export function group(
  inputs: readonly (Operation | Tensor | { asTensor(): Tensor })[],
  options: OpOptions = {},
): Operation {
  checkOptions('group', options, OP_OPTIONS);
  checkList('group: inputs', inputs);
  const controls = inputs.map((x) => {
    if (x instanceof Tensor) return x.op;
    return isSymbolic(x) ? x.asTensor().op : (x as Operation);
  });
  return getDefaultGraph().add('noOp', [], {}, { name: options.name ?? 'group_deps', controls });
}

/** Converts to another dtype; see the op's rules. Returns the tensor itself where nothing changes. */
export function cast<D extends DType>(x: TensorLike, dtype: D, options?: OpOptions): Tensor<D> {
  checkOptions('cast', options, OP_OPTIONS);
  if (!isDType(dtype)) {
    throw new DTypeError(
      'dtype/unknown',
      `cast: "${dtype}" is no dtype. Use one of ${dtypeNames()}.`,
    );
  }
  if (x instanceof Tensor && x.dtype === dtype) return x as Tensor<D>;
  return applyUnary('cast', x, options, { dtype }) as Tensor<D>;
}
