// Gradient descent: w ← w - rate · g.

import { checkOptions } from '../../core/options.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { OP_OPTIONS, type OpOptions, type TensorLike } from '../../ops/convert.ts';
import { mul } from '../../ops/math.ts';
import type { Variable } from '../../ops/state.ts';
import { checkHyperparameter, Optimizer } from './optimizer.ts';

/** Plain gradient descent with a learning rate: a number or a scalar tensor. */
export class GradientDescentOptimizer extends Optimizer {
  private readonly rate: TensorLike;

  constructor(learningRate: TensorLike, options: OpOptions = {}) {
    checkHyperparameter('GradientDescentOptimizer: the learning rate', learningRate);
    checkOptions('GradientDescentOptimizer', options, OP_OPTIONS);
    super(options.name ?? 'GradientDescent');
    this.rate = learningRate;
  }

  protected createSlots(): void {}

  protected update(gradient: Tensor, v: Variable): Tensor[] {
    return [v.assignSub(mul(gradient, this.scalar(this.rate, v.dtype)))];
  }
}
