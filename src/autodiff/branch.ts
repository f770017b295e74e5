// The gradient of a branch: another branch on the same selector, whose functions compute the forward
// function again and differentiate it. Only the one that ran is differentiated.

import { isFloat } from '../core/dtype.ts';
import type { Func } from '../graph/func.ts';
import type { Operation, Tensor } from '../graph/tensor.ts';
import { inlineFunc } from '../graph/trace.ts';
import { branchNode } from '../ops/control.ts';
import { zerosLike } from '../ops/shape.ts';

/** `gradients`, passed in because it calls this in turn. */
export type Differentiate = (
  ys: readonly Tensor[],
  xs: readonly Tensor[],
  options: { readonly gradYs: readonly Tensor[] },
) => (Tensor | null)[];

/** One gradient or null per input of a branch node. */
export function branchGradient(
  op: Operation,
  grads: readonly (Tensor | null)[],
  wanted: readonly boolean[],
  differentiate: Differentiate,
): (Tensor | null)[] {
  const [selector, ...captured] = op.inputs;
  const branches = op.node.attrs.branches as readonly Func[];
  const targets = captured.filter((_, i) => wanted[i + 1]);
  const outs = branchNode(
    'cond_grad',
    selector,
    branches.map((branch) => () => {
      const values = inlineFunc(branch, captured);
      const pairs = values.flatMap((v, i) => {
        const g = grads[i];
        return g && isFloat(v.dtype) ? [{ v, g }] : [];
      });
      const made = differentiateHere(pairs, targets, differentiate);
      return targets.map((t, i) => made[i] ?? zerosLike(t));
    }),
  );
  let at = 0;
  return [null, ...captured.map((_, i) => (wanted[i + 1] ? outs[at++] : null))];
}

/** Differentiates values of the body being traced; a value that is captured as it is passes through. */
export function differentiateHere(
  pairs: readonly { readonly v: Tensor; readonly g: Tensor }[],
  targets: readonly Tensor[],
  differentiate: Differentiate,
): (Tensor | null)[] {
  if (pairs.length === 0) return targets.map(() => null);
  return differentiate(
    pairs.map((p) => p.v),
    targets,
    { gradYs: pairs.map((p) => p.g) },
  );
}
