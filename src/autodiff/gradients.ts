// Reverse-mode differentiation on the graph: gradients are nodes like any others, so they fuse, run
// and differentiate like the forward pass. Nodes are visited once, from the last to the first.

import { isFloat } from '../core/dtype.ts';
import { DTypeError, GraphError, ValueError } from '../core/error.ts';
import { checkOptions, isList, nameOf } from '../core/options.ts';
import { withGraph } from '../graph/current.ts';
import type { Node } from '../graph/func.ts';
import type { Graph } from '../graph/graph.ts';
import { opRecord } from '../graph/op.ts';
import { Tensor } from '../graph/tensor.ts';
import { refKey, visit } from '../graph/walk.ts';
import { isSymbolic } from '../ops/convert.ts';
import { add } from '../ops/math.ts';
import { onesLike } from '../ops/shape.ts';
import { branchGradient, type Differentiable, type ReadInside } from './branch.ts';
import { loopGradient } from './loop.ts';
import { holdsBodies, variablesRead } from './replay.ts';

export type { Differentiable };

export interface GradientOptions {
  /** Gradients of the ys; ones where absent. */
  readonly gradYs?: readonly (Tensor | null)[];
  /** Tensors that count as constants. */
  readonly stopGradients?: readonly Tensor[];
  /** Name scope of the new operations; `gradients` where absent. */
  readonly name?: string;
}

const GRADIENT_OPTIONS: readonly (keyof GradientOptions)[] = ['gradYs', 'stopGradients', 'name'];

/**
 * The gradients of the sum of `ys` with respect to each of `xs`; null where nothing connects them.
 * Throws DTypeError `gradients/dtype` for ys that are no floats, GraphError `gradients/none` at an op
 * between them that has no gradient.
 */
export function gradients(
  ys: Tensor | readonly Tensor[],
  xs: Differentiable | readonly Differentiable[],
  options: GradientOptions = {},
): (Tensor | null)[] {
  checkOptions('gradients', options, GRADIENT_OPTIONS);
  const targets = isList(ys) ? (ys as readonly Tensor[]) : [ys as Tensor];
  const sources = isList(xs) ? (xs as readonly Differentiable[]) : [xs as Differentiable];
  for (const y of targets) {
    if (!(y instanceof Tensor)) throw notSymbolic('ys', y, 'tensors, such as a loss');
  }
  for (const x of sources) {
    if (!isSymbolic(x)) throw notSymbolic('xs', x, 'tensors or variables of the graph');
  }
  if (targets.length === 0)
    throw new ValueError(
      'gradients/empty',
      'gradients: there is nothing to differentiate. Pass a tensor.',
    );
  const { graph } = targets[0];
  for (const y of targets) {
    if (!isFloat(y.dtype)) {
      throw new DTypeError(
        'gradients/dtype',
        `gradients: ${y} is no float and has no gradient. Cast it before it is computed from floats.`,
      );
    }
    if (y.graph !== graph)
      throw new GraphError(
        'graph/foreign',
        `gradients: ${y} and ${targets[0]} belong to different graphs. Use one.`,
      );
  }
  return withGraph(graph, () =>
    graph.nameScope(options.name ?? 'gradients', () =>
      new Backward(graph, options).run(targets, sources),
    ),
  );
}

function notSymbolic(what: string, got: unknown, want: string): ValueError {
  return new ValueError(
    'gradients/value',
    `gradients: ${what} are ${want}, got ${nameOf(got)}. Write gradients(ys, xs).`,
  );
}

class Backward {
  private readonly graph: Graph;
  private readonly options: GradientOptions;
  private readonly sums = new Map<string, Tensor[]>();
  private readonly stopped: Set<string>;
  /** The variables among the sources, by name. */
  private readonly variables = new Map<string, Differentiable>();

  constructor(graph: Graph, options: GradientOptions) {
    this.graph = graph;
    this.options = options;
    this.stopped = new Set((options.stopGradients ?? []).map((t) => refKey(t.ref)));
  }

  run(ys: readonly Tensor[], xs: readonly Differentiable[]): (Tensor | null)[] {
    const { nodes } = this.graph;
    for (const x of xs) if (!(x instanceof Tensor)) this.variables.set(x.name, x);
    const sources = xs.map((x) => this.refsOf(x));
    const path = this.path(ys, sources.flat());
    const { gradYs } = this.options;
    ys.forEach((y, i) => {
      if (path.has(y.id)) this.give(refKey(y.ref), gradYs?.[i] ?? onesLike(y));
    });
    // Ids grow with creation, so descending ids are in reverse topological order.
    for (const id of [...path].sort((a, b) => b - a)) {
      const node = nodes[id];
      const grads = node.types.map((_, port) => this.total(`${id}:${port}`));
      if (grads.some((g) => g !== null)) this.node(node, grads, path);
    }
    return sources.map((refs, i) => {
      const x = xs[i];
      const keys = refs.map((t) => refKey(t.ref));
      if (!(x instanceof Tensor)) keys.push(variableKey(x.name));
      const parts = keys.map((key) => this.total(key)).filter((g) => g !== null);
      return parts.length === 0 ? null : parts.reduce((a, b) => add(a, b));
    });
  }

  /** The tensors of this graph that a source stands for. */
  private refsOf(x: Differentiable): Tensor[] {
    const { graph } = this;
    if (x instanceof Tensor) {
      if (x.graph === graph) return [x];
      const inside = graph.captured.indexOf(outerOf(x, graph) as Tensor);
      return inside < 0
        ? []
        : [
            graph.tensor({
              node: graph.params[graph.params.length - graph.captured.length + inside],
              port: 0,
            }),
          ];
    }
    return graph.nodes
      .filter((n) => opRecord(n.op).form.kind === 'readVariable' && n.attrs.variable === x.name)
      .map((n) => graph.tensor({ node: n.id, port: 0 }));
  }

  /** The nodes between sources and ys, both included. */
  private path(ys: readonly Tensor[], sources: readonly Tensor[]): Set<number> {
    const { nodes } = this.graph;
    const reached = new Set(sources.map((t) => t.id));
    for (const n of this.variables.size > 0 ? nodes : []) {
      if (this.readInside(n).length > 0) reached.add(n.id);
    }
    const out = new Set<number>();
    const ancestors = visit(
      nodes.map((n) => (n.controls.length === 0 ? n : { ...n, controls: [] })),
      ys.map((y) => y.id),
    );
    for (const id of ancestors) {
      const through = nodes[id].inputs.some(
        (r) =>
          reached.has(r.node) &&
          !this.stopped.has(refKey(r)) &&
          isFloat(nodes[r.node].types[r.port].dtype),
      );
      if (through) reached.add(id);
      if (reached.has(id)) out.add(id);
    }
    return out;
  }

  /** The variables among the sources that bodies of a node read. */
  private readInside(node: Node): ReadInside[] {
    if (this.variables.size === 0 || !holdsBodies(node)) return [];
    return [...variablesRead(node)].flatMap(([name, shape]) => {
      const variable = this.variables.get(name);
      return variable ? [{ variable, shape }] : [];
    });
  }

  /** Runs `fn` under the control dependencies of a node: its bodies must read what they read then. */
  private ordered<T>(node: Node, fn: () => T): T {
    if (node.controls.length === 0) return fn();
    const ops = node.controls.map((id) => this.graph.operation(id));
    return this.graph.controlDependencies(ops, fn);
  }

  private give(key: string, g: Tensor): void {
    const list = this.sums.get(key);
    if (list) list.push(g);
    else this.sums.set(key, [g]);
  }

  /** The sum of what was given under a key: that of a tensor, or of a variable for its inner reads. */
  private total(key: string): Tensor | null {
    const list = this.sums.get(key);
    if (!list) return null;
    while (list.length > 1) list.push(add(list.shift() as Tensor, list.shift() as Tensor));
    return list[0];
  }

  private node(node: Node, grads: readonly (Tensor | null)[], path: ReadonlySet<number>): void {
    const inputs = node.inputs.map((r) => this.graph.tensor(r));
    const wanted = inputs.map(
      (t) => path.has(t.id) && isFloat(t.dtype) && !this.stopped.has(refKey(t.ref)),
    );
    const inside = this.readInside(node);
    if (!wanted.includes(true) && inside.length === 0) return;
    const record = opRecord(node.op);
    const op = this.graph.operation(node.id);
    const local = node.name.slice(node.name.lastIndexOf('/') + 1);
    const made = this.graph.nameScope(`${local}_grad`, (): readonly (Tensor | null)[] => {
      if (holdsBodies(node)) {
        const { kind } = record.form;
        const of = kind === 'loop' ? loopGradient : branchGradient;
        return this.ordered(node, () => {
          const flow = of(op, grads, wanted, inside, gradients);
          inside.forEach((v, i) => {
            this.give(variableKey((v.variable as { name: string }).name), flow.variables[i]);
          });
          return flow.inputs;
        });
      }
      if (!record.gradient) {
        throw new GraphError(
          'gradients/none',
          `${record.nodeName} "${node.name}" has no gradient, and the gradients asked for go through it. ` +
            'Put stopGradient() around it, or give it one with customGradient().',
          { op: record.nodeName, node: node.name, ...(node.site ? { site: node.site } : {}) },
        );
      }
      const grad = grads[0];
      if (grad === null) return [];
      return record.gradient({ inputs, outputs: op.outputs, grads, grad, attrs: node.attrs });
    });
    made.forEach((g, i) => {
      if (g !== null && wanted[i]) this.give(refKey(inputs[i].ref), g);
    });
  }
}

/** Where the gradients of a variable's reads inside bodies are summed up. */
function variableKey(name: string): string {
  return `variable:${name}`;
}

/** The tensor of `graph`'s parent that a tensor of any ancestor is known as there. */
function outerOf(x: Tensor, graph: Graph): Tensor | undefined {
  if (x.graph === graph.parent) return x;
  let g: Graph | null = graph.parent;
  while (g && g !== x.graph) g = g.parent;
  return g ? graph.parent?.capture(x) : undefined;
}
