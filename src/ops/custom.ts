// Values with a gradient of the user's own. The gradient is traced into a function when the value is
// made, so that it can be copied with the node: into loop bodies, files, derivatives of derivatives.

import { ValueError } from '../core/error.ts';
import { checkFunction, checkList, checkOptions, nameOf } from '../core/options.ts';
import type { Attrs, Func } from '../graph/func.ts';
import { getDefaultGraph } from '../graph/graph.ts';
import { defineOp } from '../graph/op.ts';
import { Tensor } from '../graph/tensor.ts';
import { inlineFunc, traceBody } from '../graph/trace.ts';
import { inGraphOf, OP_OPTIONS, type OpOptions, type TensorLike, toTensor } from './convert.ts';

type CustomAttrs = { readonly xs: number; readonly gradient: Func };

export const customGradientOp = defineOp<CustomAttrs>({
  name: 'customGradient',
  nodeName: 'CustomGradient',
  doc: 'The value, whose gradient with respect to xs is a function of its own.',
  inputs: ['value', 'xs and captured...'],
  attrs: {
    xs: 'number of inputs with a gradient',
    gradient: 'from dy and captured values to gradients',
  },
  infer: ({ types: [value], values: [known] }) => ({ types: [value], values: [known] }),
  reference: (_, [value]) => [value],
  gradient: ({ inputs, grad, attrs }) => {
    const captured = inputs.slice(1 + attrs.xs);
    const grads = inlineFunc(attrs.gradient, [grad, ...captured]);
    return [null, ...grads, ...captured.map(() => null)];
  },
  isInput: true,
  form: { kind: 'view', view: (_, index) => [...index] },
});

/** What the function of {@link customGradient} returns. */
export interface ValueWithGradient {
  readonly value: Tensor;
  /** From the gradient of the value to the gradients of the arguments, one each. */
  gradient(dy: Tensor): readonly Tensor[];
}

/**
 * Makes `fn(...xs)` differentiate as it says: `fn` returns its value and a function from the value's
 * gradient to those of its arguments. Derivatives of that gradient follow as usual.
 *
 * @example `customGradient((x) => ({ value: exp(x), gradient: (dy) => [mul(dy, 2)] }), [x])`
 */
export function customGradient(
  fn: (...xs: Tensor[]) => ValueWithGradient,
  xs: readonly TensorLike[],
  options: OpOptions = {},
): Tensor {
  checkFunction('customGradient', fn);
  checkList('customGradient: xs', xs);
  checkOptions('customGradient', options, OP_OPTIONS);
  return inGraphOf(xs, () => {
    const graph = getDefaultGraph();
    const inputs = xs.map((x) => toTensor(x));
    const { value, gradient } = valueWithGradient(fn(...inputs));
    const name = graph.uniqueName(graph.scopedName('custom_gradient'));
    const { func, captured } = traceBody(name, [value.type], (dy) => {
      const grads = gradient(dy);
      if (grads.length !== inputs.length) {
        throw new ValueError(
          'gradients/custom',
          `customGradient: the gradient gave ${grads.length} values for ${inputs.length} arguments. Return one each.`,
        );
      }
      return grads;
    });
    const attrs = { xs: inputs.length, gradient: func } as unknown as Attrs;
    return graph.add('customGradient', [value, ...inputs, ...captured], attrs, options).output();
  });
}

/** What the function returned, where it is what it must be. */
function valueWithGradient(made: unknown): ValueWithGradient {
  const { value, gradient } = (made ?? {}) as { readonly [key: string]: unknown };
  if (value instanceof Tensor && typeof gradient === 'function') return made as ValueWithGradient;
  throw new ValueError(
    'gradients/custom',
    `customGradient: the function returned ${nameOf(made)}. Return { value, gradient }: a tensor and a function of dy.`,
  );
}
