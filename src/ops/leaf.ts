// Where values come from: constants, placeholders, and the parameters of functions.

import { type Dim, dimOf } from '../core/dim.ts';
import { type DType, dtypeNames, isDType, type TypedArray, toNumbers } from '../core/dtype.ts';
import { DTypeError, ShapeError, ValueError } from '../core/error.ts';
import { checkNoOptions, checkOptions } from '../core/options.ts';
import { shapeToString, type TensorType } from '../core/type.ts';
import { getDefaultGraph } from '../graph/graph.ts';
import { defineOp } from '../graph/op.ts';
import type { Tensor } from '../graph/tensor.ts';
import { constantOf, OP_OPTIONS, type OpOptions, type TensorLike, toTensor } from './convert.ts';
import { MAX_VALUES } from './rules.ts';

/** A dim as users write it: a size, a name shared across the graph, or null for unknown. */
export type DimSpec = number | string | null;

/** The dims of a placeholder's spec; anonymous ones are fresh. */
function dimsOf(spec: readonly DimSpec[], fresh: (label: string) => Dim): Dim[] {
  return spec.map((d, i) =>
    d === null ? fresh(`d${i}`) : typeof d === 'string' ? dimOf(`@${d}`, d) : d,
  );
}

type PlaceholderAttrs = { readonly dtype: DType; readonly shape: readonly DimSpec[] | null };

export const placeholderOp = defineOp<PlaceholderAttrs>({
  name: 'placeholder',
  nodeName: 'Placeholder',
  doc: 'A value to be fed. A run that needs it and does not feed it is an error.',
  inputs: [],
  attrs: {
    dtype: 'element type',
    shape: 'sizes, names of sizes, null for unknown; null for any rank',
  },
  infer: ({ attrs, fresh }) => ({
    types: [{ dtype: attrs.dtype, shape: attrs.shape && dimsOf(attrs.shape, fresh) }],
  }),
  form: { kind: 'leaf' },
});

export const placeholderWithDefaultOp = defineOp<PlaceholderAttrs>({
  name: 'placeholderWithDefault',
  nodeName: 'PlaceholderWithDefault',
  doc: 'The input, unless another value is fed in its place.',
  inputs: ['input'],
  attrs: placeholderOp.attrs,
  infer: ({ types, attrs, fresh }) => {
    const { dtype, shape } = types[0];
    if (dtype !== attrs.dtype) {
      throw new DTypeError(
        'dtype/mixed',
        `the default is ${dtype}, the placeholder ${attrs.dtype}. Make them one.`,
      );
    }
    const want = attrs.shape && dimsOf(attrs.shape, fresh);
    const fits =
      want === null ||
      (want.length === shape.length &&
        want.every(
          (d, i) => typeof d !== 'number' || typeof shape[i] !== 'number' || d === shape[i],
        ));
    if (!fits) {
      throw new ShapeError(
        'shape/mismatch',
        `the default's shape ${shapeToString(shape)} is not ${shapeToString(want)}. Give a default that fits.`,
      );
    }
    return { types: [{ dtype, shape: want }] };
  },
  gradient: ({ grad }) => [grad],
  reference: (_, [x]) => [x],
  isInput: true,
  movesData: true,
  form: { kind: 'view', view: (_, index) => [...index] },
});

export const paramOp = defineOp<{ readonly index: number }>({
  name: 'param',
  nodeName: 'Param',
  doc: 'A parameter of a function: a fed value, a carry of a loop, a captured tensor.',
  inputs: [],
  attrs: {
    index: 'position among the parameters',
    type: 'its type',
    value: 'its symbolic contents',
  },
  infer: ({ attrs }) => {
    const { type, value } = attrs as unknown as { type: TensorType; value: readonly Dim[] | null };
    return { types: [type], values: [value ?? null] };
  },
  form: { kind: 'leaf' },
});

type ConstAttrs = {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: TypedArray;
};

export const constOp = defineOp<ConstAttrs>({
  name: 'const',
  nodeName: 'Const',
  doc: 'A constant.',
  inputs: [],
  attrs: { dtype: 'element type', shape: 'sizes', data: 'row-major elements' },
  infer: ({ attrs }) => ({
    types: [{ dtype: attrs.dtype, shape: attrs.shape }],
    values: [
      attrs.dtype === 'int32' && attrs.data.length <= MAX_VALUES ? Array.from(attrs.data) : null,
    ],
  }),
  reference: (ctx, _, attrs) => {
    const data = ctx.alloc(attrs.dtype, attrs.data.length);
    data.set(toNumbers(attrs.dtype, attrs.data));
    return [{ dtype: attrs.dtype, shape: attrs.shape, data }];
  },
  form: { kind: 'leaf' },
});

function checkSpec(what: string, dtype: DType, shape: readonly DimSpec[] | null): void {
  if (!isDType(dtype)) {
    throw new DTypeError(
      'dtype/unknown',
      `${what}: "${dtype}" is no dtype. Use one of ${dtypeNames()}.`,
    );
  }
  if (shape !== null && !Array.isArray(shape)) {
    throw new ShapeError(
      'shape/spec',
      `${what}: the shape must be an array or null. Write [null, 10].`,
    );
  }
  for (const d of shape ?? []) {
    const ok =
      d === null ||
      (typeof d === 'string' && d !== '') ||
      (Number.isInteger(d) && (d as number) >= 0);
    if (!ok) {
      throw new ShapeError(
        'shape/spec',
        `${what}: ${String(d)} is no size. Use an integer >= 0, a name such as 'batch', or null.`,
      );
    }
  }
}

/**
 * A value to be fed when the graph is run. `shape` holds sizes, names (equal names are equal sizes
 * across the graph) and nulls; a null shape allows any rank.
 *
 * @example `const x = placeholder('float32', [null, 784], { name: 'x' });`
 */
export function placeholder<D extends DType>(
  dtype: D,
  shape: readonly DimSpec[] | null = null,
  options: OpOptions = {},
): Tensor<D> {
  checkOptions('placeholder', options, OP_OPTIONS);
  checkSpec('placeholder', dtype, shape);
  const attrs = { dtype, shape: shape && [...shape] };
  return getDefaultGraph().add('placeholder', [], attrs, options).output() as Tensor<D>;
}

/** A placeholder that takes the value of `input` where nothing is fed. */
export function placeholderWithDefault(
  input: TensorLike,
  shape: readonly DimSpec[] | null,
  options: OpOptions = {},
): Tensor {
  checkOptions('placeholderWithDefault', options, OP_OPTIONS);
  const x = toTensor(input);
  checkSpec('placeholderWithDefault', x.dtype, shape);
  const attrs = { dtype: x.dtype, shape: shape && [...shape] };
  return getDefaultGraph().add('placeholderWithDefault', [x], attrs, options).output();
}

/** Options of {@link constant}. */
export interface ConstantOptions extends OpOptions {
  readonly dtype?: DType;
  readonly shape?: readonly number[];
}

const CONSTANT_OPTIONS: readonly (keyof ConstantOptions)[] = ['dtype', 'shape', 'name'];
const MORE_CONSTANT_OPTIONS: readonly (keyof ConstantOptions)[] = ['shape', 'name'];

/**
 * A constant. Numbers are float32 unless a dtype is given, by itself or among the options; typed arrays
 * keep theirs. With `shape` the elements are laid out row-major, one element is repeated.
 *
 * @example `const n = constant([[1, 2], [3, 4]], 'int32');`
 */
export function constant(
  value: TensorLike,
  dtype?: DType | ConstantOptions,
  options?: ConstantOptions,
): Tensor {
  if (typeof value === 'object' && 'asTensor' in value) {
    throw new ValueError(
      'value/symbolic',
      'constant: the value is symbolic. Pass numbers, or use identity().',
    );
  }
  if (typeof dtype === 'string') {
    checkOptions('constant with a dtype', options, MORE_CONSTANT_OPTIONS);
    return constantOf(value, dtype, options?.name, options?.shape);
  }
  if (dtype !== undefined) checkNoOptions('constant after its options', [options]);
  const given = dtype ?? options ?? {};
  checkOptions('constant', given, CONSTANT_OPTIONS);
  return constantOf(value, given.dtype, given.name, given.shape);
}
