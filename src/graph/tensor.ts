// The handles a program holds: Tensor (one output of one node) and Operation (one node). They carry
// identity only; all facts are read from the graph's nodes. Arithmetic methods are installed on
// Tensor by the public face, so that this file knows no op.

import type { Dim } from '../core/dim.ts';
import type { DType } from '../core/dtype.ts';
import { type Dims, shapeToString, type TensorType } from '../core/type.ts';
import type { Node, Ref } from './func.ts';
import type { Graph } from './graph.ts';
import { opRecord } from './op.ts';

/** One output of an operation: a symbolic value with a dtype and a shape. */
export class Tensor<D extends DType = DType, S extends Dims | null = Dims | null> {
  readonly graph: Graph;
  /** Id of the node in `graph.nodes`. */
  readonly id: number;
  /** Which output of the node. */
  readonly port: number;

  constructor(graph: Graph, id: number, port: number) {
    this.graph = graph;
    this.id = id;
    this.port = port;
  }

  get node(): Node {
    return this.graph.nodes[this.id];
  }

  get ref(): Ref {
    return { node: this.id, port: this.port };
  }

  get type(): TensorType {
    return this.node.types[this.port];
  }

  get dtype(): D {
    return this.type.dtype as D;
  }

  /** The dims, or null where not even the rank is known. */
  get shape(): S {
    return this.type.shape as S;
  }

  /** The number of axes, or null where it is unknown. */
  get rank(): number | null {
    return this.type.shape?.length ?? null;
  }

  /** `scope/MatMul:0`. */
  get name(): string {
    return `${this.node.name}:${this.port}`;
  }

  get op(): Operation {
    return this.graph.operation(this.id);
  }

  /** The symbolic contents of a small int32 tensor that holds sizes, where they are known. */
  get value(): readonly Dim[] | null {
    return this.node.values[this.port] ?? null;
  }

  toString(): string {
    return `Tensor '${this.name}' shape=${shapeToString(this.shape)} dtype=${this.dtype}`;
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }
}

/** A node of a graph: something that runs. */
export class Operation {
  readonly graph: Graph;
  readonly id: number;

  constructor(graph: Graph, id: number) {
    this.graph = graph;
    this.id = id;
  }

  get node(): Node {
    return this.graph.nodes[this.id];
  }

  get name(): string {
    return this.node.name;
  }

  /** The kind of operation, as in automatic names: `MatMul`. */
  get type(): string {
    return opRecord(this.node.op).nodeName;
  }

  get inputs(): Tensor[] {
    return this.node.inputs.map((r) => this.graph.tensor(r));
  }

  get outputs(): Tensor[] {
    return this.node.types.map((_, port) => this.graph.tensor({ node: this.id, port }));
  }

  get controlInputs(): Operation[] {
    return this.node.controls.map((id) => this.graph.operation(id));
  }

  /** One of the outputs. */
  output(port = 0): Tensor {
    return this.graph.tensor({ node: this.id, port });
  }

  toString(): string {
    return `Operation '${this.name}' type=${this.type}`;
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }
}
