// Adam (Kingma and Ba, 2015), in the form of TF1 with epsilon-hat:
//   rate_t = rate · sqrt(1 - β2^t) / (1 - β1^t);  m ← β1 m + (1-β1) g;  v ← β2 v + (1-β2) g²;
//   w ← w - rate_t · m / (sqrt(v) + ε).

import { invariant } from '../../core/error.ts';
import { checkOptions } from '../../core/options.ts';
import { type Graph, getDefaultGraph } from '../../graph/graph.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { cast } from '../../ops/basic.ts';
import type { TensorLike } from '../../ops/convert.ts';
import { add, div, mul, sqrt, square, sub } from '../../ops/math.ts';
import { type Variable, variable } from '../../ops/state.ts';
import { checkHyperparameter, Optimizer } from './optimizer.ts';

interface Powers {
  readonly one: Variable;
  readonly two: Variable;
}

/** Options of {@link AdamOptimizer}. */
export interface AdamOptions {
  /** 0.9 by default. */
  readonly beta1?: number;
  /** 0.999 by default. */
  readonly beta2?: number;
  /** 1e-8 by default. */
  readonly epsilon?: number;
  readonly name?: string;
}

const ADAM_OPTIONS: readonly (keyof AdamOptions)[] = ['beta1', 'beta2', 'epsilon', 'name'];

/** Adam; slots `m` and `v`, and the powers of both betas. */
export class AdamOptimizer extends Optimizer {
  private readonly rate: TensorLike;
  private readonly beta1: number;
  private readonly beta2: number;
  private readonly epsilon: number;
  /** The powers of the betas, of each graph that the optimizer works in. */
  private readonly powers = new Map<Graph, Powers>();
  private stepRate: Tensor | undefined;

  constructor(learningRate: TensorLike = 0.001, options: AdamOptions = {}) {
    checkHyperparameter('AdamOptimizer: the learning rate', learningRate);
    checkOptions('AdamOptimizer', options, ADAM_OPTIONS);
    super(options.name ?? 'Adam');
    this.rate = learningRate;
    this.beta1 = options.beta1 ?? 0.9;
    this.beta2 = options.beta2 ?? 0.999;
    this.epsilon = options.epsilon ?? 1e-8;
  }

  protected createSlots(v: Variable): void {
    this.zerosSlot(v, 'm', 'Adam');
    this.zerosSlot(v, 'v', 'Adam_1');
  }

  protected override prepare(): void {
    const { one, two } = this.powersHere();
    this.stepRate = div(mul(this.scalar(this.rate, 'float32'), sqrt(sub(1, two))), sub(1, one));
  }

  private powersHere(): Powers {
    const graph = getDefaultGraph();
    let powers = this.powers.get(graph);
    if (!powers) {
      // TF1 names them outside of all scopes.
      const power = (value: number, name: string): Variable =>
        graph.nameScope('/', () => variable(value, { name, trainable: false }));
      powers = {
        one: power(this.beta1, 'beta1_power'),
        two: power(this.beta2, 'beta2_power'),
      };
      this.powers.set(graph, powers);
    }
    return powers;
  }

  protected update(gradient: Tensor, v: Variable): Tensor[] {
    const [m, s] = [this.getSlot(v, 'm') as Variable, this.getSlot(v, 'v') as Variable];
    const mean = add(mul(m, this.beta1), mul(gradient, 1 - this.beta1));
    const variance = add(mul(s, this.beta2), mul(square(gradient), 1 - this.beta2));
    invariant(this.stepRate, 'updates come after prepare');
    const rate = cast(this.stepRate, v.dtype);
    const step = div(mul(mean, rate), add(sqrt(variance), this.epsilon));
    return [m.assign(mean), s.assign(variance), v.assignSub(step)];
  }

  protected override finish(): Tensor[] {
    const { one, two } = this.powersHere();
    return [one.assign(mul(one, this.beta1)), two.assign(mul(two, this.beta2))];
  }
}
