// Momentum, as TF1 has it: a ← momentum · a + g; w ← w - rate · a, or with Nesterov's look-ahead
// w ← w - rate · (g + momentum · a).

import { checkOptions } from '../../core/options.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { TensorLike } from '../../ops/convert.ts';
import { add, mul } from '../../ops/math.ts';
import type { Variable } from '../../ops/state.ts';
import { checkHyperparameter, Optimizer } from './optimizer.ts';

/** Options of {@link MomentumOptimizer}. */
export interface MomentumOptions {
  /** Looks ahead as Nesterov's method does. */
  readonly useNesterov?: boolean;
  readonly name?: string;
}

const MOMENTUM_OPTIONS: readonly (keyof MomentumOptions)[] = ['useNesterov', 'name'];

/** Gradient descent with momentum; slot `momentum`. */
export class MomentumOptimizer extends Optimizer {
  private readonly rate: TensorLike;
  private readonly momentum: TensorLike;
  private readonly nesterov: boolean;

  constructor(learningRate: TensorLike, momentum: TensorLike, options: MomentumOptions = {}) {
    checkHyperparameter('MomentumOptimizer: the learning rate', learningRate);
    checkHyperparameter('MomentumOptimizer: the momentum', momentum);
    checkOptions('MomentumOptimizer', options, MOMENTUM_OPTIONS);
    super(options.name ?? 'Momentum');
    this.rate = learningRate;
    this.momentum = momentum;
    this.nesterov = options.useNesterov ?? false;
  }

  protected createSlots(v: Variable): void {
    this.zerosSlot(v, 'momentum', 'Momentum');
  }

  protected update(gradient: Tensor, v: Variable): Tensor[] {
    const slot = this.getSlot(v, 'momentum') as Variable;
    const decay = this.scalar(this.momentum, v.dtype);
    const accumulated = add(mul(slot, decay), gradient);
    const step = this.nesterov ? add(gradient, mul(accumulated, decay)) : accumulated;
    return [slot.assign(accumulated), v.assignSub(mul(step, this.scalar(this.rate, v.dtype)))];
  }
}
