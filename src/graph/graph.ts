// The Graph that a program builds: append-only nodes, TF1's names and scopes, control dependencies,
// collections. Nodes stay exactly as the user made them, nothing is merged here. A body of a loop or
// branch is traced as a Graph whose `parent` is set; tensors of its ancestors become parameters.

import type { Dim } from '../core/dim.ts';
import {
  DTypeError,
  GraphError,
  ShapeError,
  type Site,
  type TensorloomError,
  ValueError,
} from '../core/error.ts';
import { checkFunction, checkList, checkNoOptions, checkOptions } from '../core/options.ts';
import { type TensorType, typeToString } from '../core/type.ts';
import { innermost, rejectAsync, replaceFallback, withGraph } from './current.ts';
import type { Attrs, Node, Ref } from './func.ts';
import { type Inferred, inferNode, type Known } from './infer.ts';
import { opRecord } from './op.ts';
import { creationSite } from './site.ts';
import { Operation, Tensor } from './tensor.ts';
import { refKey } from './walk.ts';

export interface AddOptions {
  readonly name?: string;
  readonly controls?: readonly Operation[];
}

/** Options of {@link Graph}: of one that traces a body. */
export interface GraphOptions {
  /** The graph that the body is part of. */
  readonly parent?: Graph;
  /** The name scope that it begins in. */
  readonly scope?: string;
}

const ADD_OPTIONS: readonly (keyof AddOptions)[] = ['name', 'controls'];
const GRAPH_OPTIONS: readonly (keyof GraphOptions)[] = ['parent', 'scope'];

const NAME = /^[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*$/;
let graphs = 0;

/** A graph of operations; see the module comment. */
export class Graph {
  readonly uid: number = ++graphs;
  /** The graph this body is being traced in, or null for a graph of its own. */
  readonly parent: Graph | null;
  /** Ids of the `param` nodes of a body, captured tensors last. */
  readonly params: number[] = [];
  /** The tensors of `parent` that the body captured, in the order of their params. */
  readonly captured: Tensor[] = [];
  private readonly list: Node[] = [];
  private readonly byName = new Map<string, number>();
  private readonly usedNames = new Map<string, number>();
  private readonly lists = new Map<string, unknown[]>();
  private readonly captures = new Map<string, number>();
  private readonly tensors = new Map<string, Tensor>();
  private readonly operations = new Map<number, Operation>();
  private controlStack: (readonly number[])[] = [];
  private scope = '';
  private done = false;
  private seeds = 0;
  private graphSeed: number | null = null;
  private lastRun = -1;
  private growth = 0;

  constructor(options: GraphOptions = {}) {
    checkOptions('Graph', options, GRAPH_OPTIONS);
    this.parent = options.parent ?? null;
    this.scope = options.scope ?? '';
  }

  get nodes(): readonly Node[] {
    return this.list;
  }

  toString(): string {
    return `Graph operations=${this.list.length}${this.done ? ' finalized' : ''}`;
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }

  /** Grows with every node. */
  get version(): number {
    return this.list.length;
  }

  /** The outermost graph: the user's. */
  get root(): Graph {
    let g: Graph = this;
    while (g.parent) g = g.parent;
    return g;
  }

  /** The seed of random ops, null where `setRandomSeed` was not called. */
  get seed(): number | null {
    return this.root.graphSeed;
  }

  set seed(value: number | null) {
    this.root.graphSeed = value;
  }

  /** A number for the next random op: how many there were before it. */
  nextOpSeed(): number {
    return this.root.seeds++;
  }

  get isFinalized(): boolean {
    return this.done;
  }

  /** Refuses new nodes from now on: for programs that must not grow between runs. */
  finalize(): void {
    this.done = true;
  }

  /** Runs `fn` (synchronous) with this graph as the default one. */
  asDefault<T>(fn: () => T): T {
    checkFunction('asDefault', fn);
    return withGraph<Graph, T>(this, () => rejectAsync('asDefault()', fn()));
  }

  /** Appends a node: captures, infers, names. Errors name the op, the node and the input types. */
  add(op: string, inputs: readonly Tensor[], attrs: Attrs, options: AddOptions = {}): Operation {
    checkOptions(op, options, ADD_OPTIONS);
    const record = opRecord(op);
    const name = this.uniqueName(this.scopedName(options.name ?? record.nodeName), options.name);
    return this.append(op, name, inputs, attrs, options.controls ?? []);
  }

  /** Appends a node without inputs under a name that {@link uniqueName} gave. */
  addNamed(op: string, name: string, attrs: Attrs): Operation {
    return this.append(op, name, [], attrs, []);
  }

  /** Appends a node of a file, whose name and controls are settled. */
  addLoaded(
    op: string,
    name: string,
    inputs: readonly Tensor[],
    attrs: Attrs,
    controls: readonly Operation[],
  ): Operation {
    if (this.uniqueName(name) !== name) {
      throw new GraphError('json/name', `the name "${name}" occurs twice. The file is damaged.`);
    }
    return this.append(op, name, inputs, attrs, controls);
  }

  /** How many random ops took a number so far. */
  get opSeeds(): number {
    return this.root.seeds;
  }

  set opSeeds(n: number) {
    this.root.seeds = n;
  }

  private append(
    op: string,
    name: string,
    inputs: readonly Tensor[],
    attrs: Attrs,
    controls: readonly Operation[],
  ): Operation {
    const record = opRecord(op);
    if (this.root.done) {
      throw new GraphError(
        'graph/finalized',
        `${record.nodeName} "${name}": the graph is finalized and takes no new operations. ` +
          'Build everything before finalize(), or work in another Graph.',
        { op: record.nodeName, node: name },
      );
    }
    const site = creationSite();
    const own = inputs.map((t) => this.own(t, record.nodeName, name));
    const known: Known[] = own.map((t) => ({ type: t.type, value: t.value }));
    let inferred: Inferred;
    try {
      inferred = inferNode(op, attrs, known, name);
    } catch (e) {
      this.usedNames.delete(name.toLowerCase());
      throw describeError(e, record.nodeName, name, known, site);
    }
    const id = this.list.length;
    const node: Node = Object.freeze({
      id,
      op,
      name,
      inputs: Object.freeze(own.map((t) => t.ref)),
      controls: Object.freeze(this.controlsInForce(controls, record.nodeName)),
      attrs: Object.freeze(attrs),
      ...inferred,
      site,
    });
    this.list.push(node);
    this.byName.set(name, id);
    return this.operation(id);
  }

  private controlsInForce(extra: readonly Operation[], op: string): number[] {
    const ids = new Set<number>();
    for (const c of extra) ids.add(this.ownControl(c, op));
    for (const list of this.controlStack) for (const c of list) ids.add(c);
    return [...ids];
  }

  private ownControl(c: Operation, op: string): number {
    if (c.graph === this) return c.id;
    throw new GraphError(
      'graph/foreign',
      `${op}: the control dependency "${c.name}" belongs to another graph or body. ` +
        'Name operations of the same graph and body.',
      { op },
    );
  }

  /** The tensor itself, or the parameter that stands for a tensor of an enclosing graph. */
  private own(t: Tensor, op: string, name: string): Tensor {
    if (t.graph === this) return t;
    for (let g = this.parent; g; g = g.parent) if (g === t.graph) return this.capture(t);
    const inner = t.graph.parent !== null;
    throw new GraphError(
      inner ? 'graph/loop-leak' : 'graph/foreign',
      inner
        ? `${op} "${name}": ${t} lives inside the body of a loop or branch and has no value ` +
            'outside of it. Return it from the body and use what the loop or branch gives back.'
        : `${op} "${name}": ${t} belongs to another graph. ` +
            'Build all operands in one graph (see Graph.asDefault).',
      { op, node: name },
    );
  }

  /** The parameter of this body that stands for a tensor of an enclosing graph. */
  capture(t: Tensor): Tensor {
    const parent = this.parent as Graph;
    const outer = t.graph === parent ? t : parent.capture(t);
    const key = refKey(outer.ref);
    let id = this.captures.get(key);
    if (id === undefined) {
      id = this.param(outer.type, 'captured', outer.value).id;
      this.captures.set(key, id);
      this.captured.push(outer);
    }
    return this.tensor({ node: id, port: 0 });
  }

  /** Appends a parameter to a body. */
  param(type: TensorType, name: string, value: readonly Dim[] | null = null): Tensor {
    const attrs = { index: this.params.length, type, value } as unknown as Attrs;
    const controls = this.controlStack;
    this.controlStack = [];
    const op = this.add('param', [], attrs, { name });
    this.controlStack = controls;
    this.params.push(op.id);
    return op.output();
  }

  /** The handle of an output; the same object each time. */
  tensor(ref: Ref): Tensor {
    const key = refKey(ref);
    let t = this.tensors.get(key);
    if (!t) {
      t = new Tensor(this, ref.node, ref.port);
      this.tensors.set(key, t);
    }
    return t;
  }

  /** The handle of a node; the same object each time. */
  operation(id: number): Operation {
    let op = this.operations.get(id);
    if (!op) {
      op = new Operation(this, id);
      this.operations.set(id, op);
    }
    return op;
  }

  /** The operation of a name. */
  getOperationByName(name: string): Operation {
    const id = this.byName.get(name);
    if (id === undefined) {
      throw new GraphError(
        'graph/name',
        `no operation "${name}" in the graph${this.near(name)}. ` +
          'Names are those of `operation.name`, such as "scope/MatMul_1".',
      );
    }
    return this.operation(id);
  }

  /** The tensor of a name such as `scope/MatMul:0`. */
  getTensorByName(name: string): Tensor {
    const m = /^(.*):(\d+)$/.exec(name);
    if (!m) {
      throw new GraphError(
        'graph/name',
        `"${name}" names no tensor. A tensor's name ends in its output's number: "${name}:0".`,
      );
    }
    const op = this.getOperationByName(m[1]);
    const port = Number(m[2]);
    if (port >= op.node.types.length) {
      throw new GraphError(
        'graph/name',
        `"${name}": the operation has ${op.node.types.length} outputs. ` +
          `Use a number below ${op.node.types.length}.`,
      );
    }
    return op.output(port);
  }

  private near(name: string): string {
    const tail = name.slice(name.lastIndexOf('/') + 1).toLowerCase();
    const hits = [...this.byName.keys()].filter((n) => n.toLowerCase().includes(tail)).slice(0, 3);
    return hits.length > 0 ? ` (there is ${hits.map((h) => `"${h}"`).join(', ')})` : '';
  }

  /** A name with the scopes in force in front. */
  scopedName(name: string): string {
    return this.scope === '' ? name : `${this.scope}/${name}`;
  }

  /** A name not used in this graph yet: `base`, `base_1`, … . Case does not tell names apart. */
  uniqueName(base: string, given?: string): string {
    if (given !== undefined && !NAME.test(given)) {
      throw new ValueError(
        'graph/bad-name',
        `"${given}" is no name for an operation. ` +
          'Use letters, digits, and . _ - / > with a letter, digit or . first.',
      );
    }
    const key = base.toLowerCase();
    let n = this.usedNames.get(key);
    if (n === undefined) {
      this.usedNames.set(key, 1);
      return base;
    }
    while (this.usedNames.has(`${key}_${n}`)) n++;
    this.usedNames.set(key, n + 1);
    this.usedNames.set(`${key}_${n}`, 1);
    return `${base}_${n}`;
  }

  /**
   * Runs `fn` with names prefixed by a scope; a scope used before gets a number. A name that ends in
   * `/` is a whole scope to enter again, as it is.
   */
  nameScope<T>(name: string, fn: (scope: string) => T): T {
    checkFunction('nameScope', fn);
    const outer = this.scope;
    this.scope = name.endsWith('/')
      ? name.slice(0, -1)
      : this.uniqueName(this.scopedName(name), name);
    try {
      return rejectAsync(`nameScope("${name}")`, fn(this.scope));
    } finally {
      this.scope = outer;
    }
  }

  /** Runs `fn`; operations made in it run after `ops`. */
  controlDependencies<T>(ops: readonly (Operation | Tensor)[], fn: () => T): T {
    checkList('controlDependencies: the operations', ops);
    checkFunction('controlDependencies', fn);
    const ids = ops.map((o) => {
      const op = o instanceof Tensor ? o.op : o;
      return this.ownControl(op, 'controlDependencies');
    });
    this.controlStack.push(ids);
    try {
      return rejectAsync('controlDependencies()', fn());
    } finally {
      this.controlStack.pop();
    }
  }

  /** Whether control dependencies are in force. */
  get hasControls(): boolean {
    return this.controlStack.length > 0;
  }

  /** Runs `fn` without the control dependencies in force (initial values, for example). */
  withoutControls<T>(fn: () => T): T {
    const outer = this.controlStack;
    this.controlStack = [];
    try {
      return fn();
    } finally {
      this.controlStack = outer;
    }
  }

  addToCollection(name: string, value: unknown): void {
    const list = this.lists.get(name);
    if (list) list.push(value);
    else this.lists.set(name, [value]);
  }

  /** A copy of the collection of a name; empty where there is none. */
  getCollection(name: string): unknown[] {
    return [...(this.lists.get(name) ?? [])];
  }

  get collectionNames(): string[] {
    return [...this.lists.keys()];
  }

  /** Notes a run; warns once where the graph has grown before each of five runs in a row. */
  noteRun(): void {
    if (this.lastRun >= 0) this.growth = this.version > this.lastRun ? this.growth + 1 : 0;
    this.lastRun = this.version;
    if (this.growth === 5) {
      const last = this.list[this.list.length - 1];
      const [at] = last.site?.frames ?? [];
      const where = at === undefined ? '' : ` at ${at}`;
      console.warn(
        `tensorloom: the graph has grown before each of the last 5 runs (the newest operation is ` +
          `"${last.name}"${where}). Build the graph once, before the loop; graph.finalize() makes ` +
          'growth an error.',
      );
    }
  }
}

/** Gives an error of a record the form `op "node": what, got types. fix.` */
export function describeError(
  e: unknown,
  op: string,
  node: string,
  inputs: readonly Known[],
  site: Site | undefined,
): unknown {
  if (!(e instanceof ShapeError || e instanceof DTypeError || e instanceof ValueError)) return e;
  if (e.op !== undefined) return e;
  const types = inputs.map((k) => typeToString(k.type)).join(' and ');
  const cut = e.message.indexOf('. ');
  const what = cut < 0 ? e.message.replace(/\.$/, '') : e.message.slice(0, cut);
  const fix = cut < 0 ? '' : e.message.slice(cut + 1);
  const got = inputs.length > 0 && !what.includes(', got ') ? `, got ${types}` : '';
  const Kind = e.constructor as new (
    ...args: ConstructorParameters<typeof TensorloomError>
  ) => Error;
  return new Kind(e.code, `${op} "${node}": ${what}${got}.${fix}`, {
    op,
    node,
    ...(site ? { site } : {}),
  });
}

/** The graph that new operations go into. */
export function getDefaultGraph(): Graph {
  return innermost(() => new Graph());
}

/** Starts a new default graph; the old one stays usable through its tensors' `graph`. */
export function resetDefaultGraph(): void {
  replaceFallback(new Graph());
}

/** Runs `fn` (synchronous) with names of new operations prefixed; TF1's rules. */
export function nameScope<T>(name: string, fn: (scope: string) => T): T {
  return getDefaultGraph().nameScope(name, fn);
}

/** Runs `fn` (synchronous); operations made in it run after `ops`. */
export function controlDependencies<T>(ops: readonly (Operation | Tensor)[], fn: () => T): T {
  return getDefaultGraph().controlDependencies(ops, fn);
}

/** Seeds the random ops of the current graph: equal seeds give equal draws on every backend. */
export function setRandomSeed(seed: number): void;
export function setRandomSeed(seed: number, ...more: unknown[]): void {
  checkNoOptions('setRandomSeed', more);
  if (!Number.isInteger(seed)) {
    throw new ValueError('graph/seed', `setRandomSeed: ${seed} is no integer. Use an integer.`);
  }
  getDefaultGraph().seed = seed;
}
