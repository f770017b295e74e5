// What optimizers share: gradients of the trainable variables, slots, and one operation that applies
// all updates.

import { gradients } from '../../autodiff/gradients.ts';
import { type DType, dtypeInfo } from '../../core/dtype.ts';
import { ValueError } from '../../core/error.ts';
import { NDArray } from '../../core/ndarray.ts';
import { checkList, checkOptions, nameOf } from '../../core/options.ts';
import { getDefaultGraph, nameScope } from '../../graph/graph.ts';
import { type Operation, Tensor } from '../../graph/tensor.ts';
import { cast, group } from '../../ops/basic.ts';
import { constantOf, isSymbolic, type TensorLike, toTensor } from '../../ops/convert.ts';
import { trainableVariables, Variable, variable } from '../../ops/state.ts';

/** A gradient (null where the loss does not depend on it) and its variable. */
export type GradientPair = readonly [Tensor | null, Variable];

export interface MinimizeOptions {
  /** The variables to train; all trainable ones of the graph where absent. */
  readonly varList?: readonly Variable[];
  /** An int32 variable that is increased by 1 with each step. */
  readonly globalStep?: Variable;
  readonly name?: string;
}

const APPLY_OPTIONS: readonly (keyof MinimizeOptions)[] = ['globalStep', 'name'];
const COMPUTE_OPTIONS: readonly (keyof MinimizeOptions)[] = ['varList'];
const MINIMIZE_OPTIONS: readonly (keyof MinimizeOptions)[] = [...COMPUTE_OPTIONS, ...APPLY_OPTIONS];

/** Throws ValueError `train/hyperparameter` for what is neither a number nor a tensor. */
export function checkHyperparameter(what: string, x: unknown): void {
  if (typeof x === 'number' && Number.isNaN(x)) {
    throw new ValueError('train/hyperparameter', `${what} is NaN. Pass a number such as 0.1.`);
  }
  const isArray = x instanceof NDArray || Array.isArray(x) || ArrayBuffer.isView(x);
  if (typeof x === 'number' || typeof x === 'bigint' || isArray || isSymbolic(x)) return;
  throw new ValueError(
    'train/hyperparameter',
    `${what} is a number or a scalar tensor, got ${nameOf(x)}. Pass one such as 0.1.`,
  );
}

/** The list, once it is seen to be one. */
function checkedList(what: string, list: unknown): readonly unknown[] {
  checkList(what, list);
  return list as readonly unknown[];
}

/** Base class of optimizers. */
export abstract class Optimizer {
  readonly name: string;
  private readonly slots = new Map<string, Map<Variable, Variable>>();

  constructor(name: string) {
    this.name = name;
  }

  /**
   * An operation that takes one step down the gradient of `loss`. Throws ValueError
   * `train/no-variables` or `train/no-gradients`.
   */
  minimize(loss: Tensor, options: MinimizeOptions = {}): Operation {
    checkOptions('minimize', options, MINIMIZE_OPTIONS);
    const { varList, ...rest } = options;
    return this.applyGradients(this.computeGradients(loss, varList ? { varList } : {}), rest);
  }

  /** The gradients of `loss` by the variables. */
  computeGradients(loss: Tensor, options: Pick<MinimizeOptions, 'varList'> = {}): GradientPair[] {
    checkOptions('computeGradients', options, COMPUTE_OPTIONS);
    if (!(loss instanceof Tensor)) {
      throw new ValueError(
        'train/loss',
        `${this.name}: the loss is a tensor, got ${nameOf(loss)}. Pass one such as reduceMean(…).`,
      );
    }
    for (const v of checkedList('varList', options.varList ?? [])) {
      if (v instanceof Variable) continue;
      throw new ValueError(
        'train/variable',
        `${this.name}: varList holds variables, got ${v instanceof Tensor ? v : nameOf(v)}. Pass what variable() gave.`,
      );
    }
    const list = options.varList ?? loss.graph.asDefault(() => trainableVariables());
    if (list.length === 0) {
      throw new ValueError(
        'train/no-variables',
        `${this.name}: there are no variables to train. Make some with variable(), or pass varList.`,
      );
    }
    const grads = gradients([loss], list);
    return list.map((v, i) => [grads[i], v] as const);
  }

  /** An operation that applies gradients to their variables; pairs without a gradient are left out. */
  applyGradients(
    pairs: readonly GradientPair[],
    options: Omit<MinimizeOptions, 'varList'> = {},
  ): Operation {
    checkOptions('applyGradients', options, APPLY_OPTIONS);
    for (const pair of checkedList('applyGradients: pairs', pairs)) {
      if (Array.isArray(pair) && pair.length === 2 && pair[1] instanceof Variable) continue;
      throw new ValueError(
        'train/pair',
        `applyGradients takes pairs [gradient, variable], got ${pair instanceof Tensor ? pair : nameOf(pair)}. Pass what computeGradients gave.`,
      );
    }
    const given = pairs.filter((p): p is readonly [Tensor, Variable] => p[0] !== null);
    if (given.length === 0) {
      const names = pairs.map(([, v]) => v.name).join(', ');
      throw new ValueError(
        'train/no-gradients',
        `${this.name}: the loss depends on none of the variables ${names || '(none)'}. Check what it is computed from.`,
      );
    }
    return given[0][1].graph.asDefault(() =>
      nameScope(options.name ?? this.name, () => {
        for (const [, v] of given) this.createSlots(v);
        this.prepare(given.map(([, v]) => v));
        const updates = given.map(([g, v]) =>
          nameScope(`update_${v.name.replaceAll('/', '_')}`, () => this.update(g, v)),
        );
        const ops: Operation[] = [
          ...updates.flat().map((t) => t.op),
          ...this.finish().map((t) => t.op),
        ];
        if (options.globalStep) ops.push(options.globalStep.assignAdd(1).op);
        return group(ops, { name: 'step' });
      }),
    );
  }

  /** A slot of a variable, undefined where there is none. */
  getSlot(v: Variable, name: string): Variable | undefined {
    return this.slots.get(name)?.get(v);
  }

  /** The names of the slots, after gradients have been applied. */
  getSlotNames(): string[] {
    return [...this.slots.keys()];
  }

  /** Makes the slots a variable needs. */
  protected abstract createSlots(v: Variable): void;

  /** Makes what all updates share. */
  protected prepare(_variables: readonly Variable[]): void {}

  /** The writes that move a variable. */
  protected abstract update(gradient: Tensor, v: Variable): Tensor[];

  /** Writes after all updates. */
  protected finish(): Tensor[] {
    return [];
  }

  /** A slot of zeros shaped like its variable, named after it: `w/Adam`. */
  protected zerosSlot(v: Variable, name: string, label: string): Variable {
    const old = this.getSlot(v, name);
    if (old) return old;
    const data = dtypeInfo(v.dtype).alloc(v.shape.reduce((a, b) => a * b, 1));
    const slot = getDefaultGraph().nameScope(`${v.name}/`, () =>
      variable(() => constantOf(data, v.dtype, undefined, v.shape), {
        name: label,
        trainable: false,
      }),
    );
    const of = this.slots.get(name) ?? new Map<Variable, Variable>();
    this.slots.set(name, of);
    of.set(v, slot);
    return slot;
  }

  /** A hyperparameter as a tensor of a variable's dtype. */
  protected scalar(x: TensorLike, dtype: DType): Tensor {
    return cast(toTensor(x, dtype), dtype);
  }
}
