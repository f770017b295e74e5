// Variables: state that outlives runs. Resource semantics: using one makes a read under the control
// dependencies in force; a read not ordered after a write sees the value from before the run.

import { type DType, isFloat } from '../core/dtype.ts';
import { DTypeError, GraphError, StateError, ValueError } from '../core/error.ts';
import { checkFunction, checkNoOptions, checkOptions } from '../core/options.ts';
import { shapeToString } from '../core/type.ts';
import { type Graph, getDefaultGraph } from '../graph/graph.ts';
import { defineOp } from '../graph/op.ts';
import type { Operation, Tensor } from '../graph/tensor.ts';
import { group } from './basic.ts';
import { inGraphOf, OP_OPTIONS, type OpOptions, type TensorLike, toTensor } from './convert.ts';

type VariableAttrs = {
  readonly variable: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
};

const ATTRS = { variable: 'name of the variable', dtype: 'its element type', shape: 'its sizes' };

export const variableOp = defineOp<VariableAttrs & { readonly trainable: boolean }>({
  name: 'variable',
  nodeName: 'Variable',
  doc: 'Declares a variable.',
  inputs: [],
  attrs: { ...ATTRS, trainable: 'whether optimizers update it by default' },
  infer: () => ({ types: [] }),
  form: { kind: 'noOp' },
});

export const readVariableOp = defineOp<VariableAttrs>({
  name: 'readVariable',
  nodeName: 'ReadVariable',
  doc: 'The value of a variable: after the writes this read is ordered after, else from before the run.',
  inputs: [],
  attrs: ATTRS,
  effect: 'read',
  infer: ({ attrs }) => ({ types: [{ dtype: attrs.dtype, shape: attrs.shape }] }),
  gradient: () => [],
  form: { kind: 'readVariable' },
});

export const assignOp = defineOp<VariableAttrs & { readonly update: 'set' | 'add' | 'sub' }>({
  name: 'assign',
  nodeName: 'Assign',
  doc: 'Sets, increases or decreases a variable; the output is its value afterwards.',
  inputs: ['value'],
  attrs: { ...ATTRS, update: 'set, add or sub' },
  effect: 'write',
  infer: ({ types: [x], attrs, equal }) => {
    if (x.dtype !== attrs.dtype) {
      throw new DTypeError(
        'dtype/mixed',
        `the variable "${attrs.variable}" is ${attrs.dtype}, the value ${x.dtype}. Cast the value.`,
      );
    }
    const why = `the value must have the shape ${shapeToString(attrs.shape)} of "${attrs.variable}"`;
    equal(x.shape.length, attrs.shape.length, why);
    x.shape.forEach((d, i) => {
      equal(d, attrs.shape[i], why);
    });
    return { types: [{ dtype: attrs.dtype, shape: attrs.shape }] };
  },
  form: { kind: 'assign' },
});

/** Names of the collections that variables go into. */
export const GLOBAL_VARIABLES = 'variables';
export const TRAINABLE_VARIABLES = 'trainable_variables';
export const LOCAL_VARIABLES = 'local_variables';

export interface VariableOptions extends OpOptions {
  readonly dtype?: DType;
  /** Whether optimizers update it by default (yes, where it is float32). */
  readonly trainable?: boolean;
  /** Collections besides those of all variables. */
  readonly collections?: readonly string[];
}

const VARIABLE_OPTIONS: readonly (keyof VariableOptions)[] = [
  'dtype',
  'trainable',
  'collections',
  'name',
];
/** `getVariable` has the name by itself. */
const GET_VARIABLE_OPTIONS = VARIABLE_OPTIONS.filter((key) => key !== 'name');

/** State that outlives runs, of static shape. Use it like a tensor. */
export class Variable<D extends DType = DType> {
  readonly graph: Graph;
  /** The name, without an output number: `scope/w`. */
  readonly name: string;
  readonly dtype: D;
  readonly shape: readonly number[];
  readonly trainable: boolean;
  /** The operation that gives it its initial value. */
  readonly initializer: Operation;
  private readonly initial: Tensor;
  private readonly reads = new Map<Graph, Tensor>();

  constructor(initial: TensorLike | (() => TensorLike), options: VariableOptions) {
    checkOptions('Variable', options, VARIABLE_OPTIONS);
    const graph = getDefaultGraph();
    if (graph.parent !== null) {
      throw new GraphError(
        'graph/variable-in-body',
        'a variable was made inside the body of a loop or branch. Make it outside and use it inside.',
      );
    }
    const value = graph.withoutControls(() =>
      graph.nameScope('Initializer', () =>
        toTensor(typeof initial === 'function' ? initial() : initial, options.dtype),
      ),
    );
    const shape = value.shape;
    if (!shape?.every((d) => typeof d === 'number')) {
      throw new ValueError(
        'variable/shape',
        `a variable needs a shape of known sizes, its initial value has ${shapeToString(shape)}. Use reshape() with numbers.`,
      );
    }
    if (options.dtype !== undefined && options.dtype !== value.dtype) {
      throw new DTypeError(
        'dtype/mixed',
        `the variable is to be ${options.dtype}, its initial value is ${value.dtype}. Cast one.`,
      );
    }
    this.graph = graph;
    this.dtype = value.dtype as D;
    this.shape = shape as readonly number[];
    this.trainable = options.trainable ?? isFloat(value.dtype);
    this.initial = value;
    const name = graph.uniqueName(graph.scopedName(options.name ?? 'Variable'), options.name);
    this.name = name;
    graph.withoutControls(() => {
      graph.addNamed('variable', name, { ...this.attrs(), trainable: this.trainable });
    });
    this.initializer = graph.withoutControls(() =>
      graph.nameScope(`${name}/`, () => this.write(value, 'set', {}).op),
    );
    // Made now, so that a finalized graph can still be asked for the variable's value.
    graph.withoutControls(() => this.read());
  }

  private attrs(): VariableAttrs {
    return { variable: this.name, dtype: this.dtype, shape: this.shape };
  }

  /** A read under the control dependencies in force. */
  read(): Tensor<D> {
    let graph = getDefaultGraph();
    if (graph.root !== this.graph) graph = this.graph;
    const cached = graph.hasControls ? undefined : this.reads.get(graph);
    if (cached) return cached as Tensor<D>;
    const scope = graph.parent ? graph.scopedName(this.name) : this.name;
    const t = graph.nameScope(`${scope}/`, () =>
      graph.add('readVariable', [], this.attrs(), { name: 'read' }).output(),
    );
    if (!graph.hasControls) this.reads.set(graph, t);
    return t as Tensor<D>;
  }

  asTensor(): Tensor<D> {
    return this.read();
  }

  /**
   * The value it starts with, for the initial values of other variables: within one run of the
   * initializers both see the same draw.
   */
  initializedValue(): Tensor<D> {
    return this.initial as Tensor<D>;
  }

  private write(value: TensorLike, update: 'set' | 'add' | 'sub', options: OpOptions): Tensor<D> {
    return inGraphOf([this], () => {
      const names = { set: 'Assign', add: 'AssignAdd', sub: 'AssignSub' } as const;
      const attrs = { ...this.attrs(), update };
      return getDefaultGraph()
        .add('assign', [toTensor(value, this.dtype)], attrs, {
          name: options.name ?? names[update],
        })
        .output() as Tensor<D>;
    });
  }

  /** Sets the variable when run; the result is its new value. */
  assign(value: TensorLike, options: OpOptions = {}): Tensor<D> {
    checkOptions('assign', options, OP_OPTIONS);
    return this.write(value, 'set', options);
  }

  /** Adds to the latest value when run; unordered ones all count. */
  assignAdd(value: TensorLike, options: OpOptions = {}): Tensor<D> {
    checkOptions('assignAdd', options, OP_OPTIONS);
    return this.write(value, 'add', options);
  }

  /** Subtracts from the latest value when run. */
  assignSub(value: TensorLike, options: OpOptions = {}): Tensor<D> {
    checkOptions('assignSub', options, OP_OPTIONS);
    return this.write(value, 'sub', options);
  }

  toString(): string {
    return `Variable '${this.name}' shape=${shapeToString(this.shape)} dtype=${this.dtype}`;
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }
}

/**
 * Makes a variable with an initial value (a function is called for it). It holds nothing until its
 * initializer has run.
 */
export function variable(
  initial: TensorLike | (() => TensorLike),
  options: VariableOptions = {},
): Variable {
  checkOptions('variable', options, VARIABLE_OPTIONS);
  const v = new Variable(initial, options);
  const own = options.collections ?? [];
  if (!own.includes(LOCAL_VARIABLES)) v.graph.addToCollection(GLOBAL_VARIABLES, v);
  if (v.trainable && !own.includes(LOCAL_VARIABLES))
    v.graph.addToCollection(TRAINABLE_VARIABLES, v);
  for (const name of own) v.graph.addToCollection(name, v);
  return v;
}

/** The variables of the current graph, in order of creation. */
export function globalVariables(): Variable[] {
  return getDefaultGraph().root.getCollection(GLOBAL_VARIABLES) as Variable[];
}

/** Those that optimizers update. */
export function trainableVariables(): Variable[] {
  return getDefaultGraph().root.getCollection(TRAINABLE_VARIABLES) as Variable[];
}

/** Those made with the collection `local_variables`. */
export function localVariables(): Variable[] {
  return getDefaultGraph().root.getCollection(LOCAL_VARIABLES) as Variable[];
}

/** An operation that initializes the given variables. */
export function variablesInitializer(
  list: readonly Variable[],
  options: OpOptions = {},
): Operation {
  checkOptions('variablesInitializer', options, OP_OPTIONS);
  return group(
    list.map((v) => v.initializer),
    { name: options.name ?? 'init' },
  );
}

/** An operation that initializes all variables made so far. */
export function globalVariablesInitializer(): Operation;
export function globalVariablesInitializer(...more: unknown[]): Operation {
  checkNoOptions('globalVariablesInitializer', more);
  return variablesInitializer(globalVariables());
}

/** An operation that initializes the local variables made so far. */
export function localVariablesInitializer(): Operation;
export function localVariablesInitializer(...more: unknown[]): Operation {
  checkNoOptions('localVariablesInitializer', more);
  return variablesInitializer(localVariables(), { name: 'init_local' });
}

interface VariableScope {
  readonly prefix: string;
  readonly reuse: boolean | 'auto';
}

/** Options of {@link variableScope}. */
export interface VariableScopeOptions {
  /** true to find variables made before, false to make new ones, 'auto' for either. */
  readonly reuse?: boolean | 'auto';
}

const SCOPE_OPTIONS: readonly (keyof VariableScopeOptions)[] = ['reuse'];

const scopes = new WeakMap<Graph, VariableScope[]>();
const stores = new WeakMap<Graph, Map<string, Variable>>();

/**
 * Runs `fn` (synchronous) with the names of `getVariable` prefixed. `reuse`: true to find variables
 * made before, false to make new ones (the default), 'auto' for either.
 */
export function variableScope<T>(name: string, fn: () => T, options: VariableScopeOptions = {}): T {
  checkFunction('variableScope', fn);
  checkOptions('variableScope', options, SCOPE_OPTIONS);
  const graph = getDefaultGraph();
  const stack = scopes.get(graph) ?? [];
  scopes.set(graph, stack);
  const outer = stack[stack.length - 1];
  const prefix = outer ? `${outer.prefix}/${name}` : name;
  stack.push({ prefix, reuse: options.reuse ?? outer?.reuse ?? false });
  try {
    return graph.nameScope(name, fn);
  } finally {
    stack.pop();
  }
}

/** The variable of a name within the variable scopes in force, made or found as they say. */
export function getVariable(
  name: string,
  initial?: TensorLike | (() => TensorLike),
  options: Omit<VariableOptions, 'name'> = {},
): Variable {
  checkOptions('getVariable', options, GET_VARIABLE_OPTIONS);
  const graph = getDefaultGraph();
  const scope = scopes.get(graph)?.at(-1);
  const store = stores.get(graph) ?? new Map<string, Variable>();
  stores.set(graph, store);
  const full = scope ? `${scope.prefix}/${name}` : name;
  const found = store.get(full);
  if (found && scope?.reuse) return found;
  if (found) {
    throw new StateError(
      'variable/exists',
      `getVariable: "${full}" exists already. Use variableScope(name, fn, { reuse: true }) to share it.`,
    );
  }
  if (scope?.reuse === true) {
    throw new StateError(
      'variable/missing',
      `getVariable: "${full}" was not made before, and the scope only reuses. Make it first, or use reuse: 'auto'.`,
    );
  }
  if (initial === undefined) {
    throw new ValueError(
      'variable/initial',
      `getVariable: "${full}" is new and needs an initial value. Pass one.`,
    );
  }
  const made = graph.nameScope(scope ? `${scope.prefix}/` : '/', () =>
    variable(initial, { ...options, name }),
  );
  store.set(full, made);
  return made;
}
