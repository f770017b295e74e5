// The gradient of a branch: another branch on the same selector, whose functions compute the forward
// function again and differentiate it. Only the one that ran is differentiated.

import { isFloat } from '../core/dtype.ts';
import type { Func } from '../graph/func.ts';
import type { Operation, Tensor } from '../graph/tensor.ts';
import { inlineFunc } from '../graph/trace.ts';
import { identity } from '../ops/basic.ts';
import { branchNode } from '../ops/control-nodes.ts';
import { zeros, zerosLike } from '../ops/shape.ts';
import { checkReplay } from './replay.ts';

/** What can be differentiated by: a tensor, or a variable (all its reads together). */
export type Differentiable = Tensor | { readonly name: string; asTensor(): Tensor };

/** A variable that bodies read, and its sizes. */
export interface ReadInside {
  readonly variable: Differentiable;
  readonly shape: readonly number[];
}

/** `gradients`, passed in because it calls this in turn. */
export type Differentiate = (
  ys: readonly Tensor[],
  xs: readonly Differentiable[],
  options: { readonly gradYs: readonly Tensor[] },
) => (Tensor | null)[];

/** What flows back from a loop or branch. */
export interface BodyGradient {
  /** One gradient or null per input. */
  readonly inputs: readonly (Tensor | null)[];
  /** One gradient per variable that was asked for. */
  readonly variables: readonly Tensor[];
}

/** The gradients of a branch node, by its inputs and by variables that its branches read. */
export function branchGradient(
  op: Operation,
  grads: readonly (Tensor | null)[],
  wanted: readonly boolean[],
  variables: readonly ReadInside[],
  differentiate: Differentiate,
): BodyGradient {
  const [selector, ...captured] = op.inputs;
  const branches = op.node.attrs.branches as readonly Func[];
  for (const branch of branches) checkReplay(op.node, branch, () => false);
  const targets = captured.flatMap((_, i) => (wanted[i + 1] ? [i] : []));
  const outs = branchNode(
    'cond_grad',
    selector,
    branches.map((branch) => () => {
      // Captured values get a name of this branch's own: differentiating by the outer tensors would
      // go on through what computed them, which the outer gradient does already.
      const own = captured.map((t) => identity(t));
      const values = inlineFunc(branch, own);
      const pairs = values.flatMap((v, i) => {
        const g = grads[i];
        return g && isFloat(v.dtype) ? [{ v, g }] : [];
      });
      const by = [...targets.map((i) => own[i]), ...variables.map((v) => v.variable)];
      const made = differentiateHere(pairs, by, differentiate);
      const none = [
        ...targets.map((i) => () => zerosLike(own[i])),
        ...variables.map((v) => () => zeros(v.shape)),
      ];
      return none.map((zero, i) => made[i] ?? zero());
    }),
  );
  const inputs: (Tensor | null)[] = op.inputs.map(() => null);
  targets.forEach((i, k) => {
    inputs[i + 1] = outs[k];
  });
  return { inputs, variables: outs.slice(targets.length) };
}

/** Differentiates values of the body being traced. */
export function differentiateHere(
  pairs: readonly { readonly v: Tensor; readonly g: Tensor }[],
  targets: readonly Differentiable[],
  differentiate: Differentiate,
): (Tensor | null)[] {
  if (pairs.length === 0) return targets.map(() => null);
  return differentiate(
    pairs.map((p) => p.v),
    targets,
    { gradYs: pairs.map((p) => p.g) },
  );
}
