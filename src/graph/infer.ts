// Runs the inference of op records: output types, symbolic contents and constraints of one node, and
// of all nodes of a function when the types of its parameters change. A size that only the run can
// tell is a symbol named after its node, so that inferring twice gives the same symbol.

import { bcastDim, type Dim, dimEquals, dimOf, isNonNegative, subDim } from '../core/dim.ts';
import { boundOf } from '../core/dim-bound.ts';
import { dimToString } from '../core/dim-text.ts';
import { ShapeError } from '../core/error.ts';
import { type TensorType, tensorType, typeEquals } from '../core/type.ts';
import type { Attrs, AttrValue, Constraint, Func, Node } from './func.ts';
import { type KnownType, opRecord } from './op.ts';
import { isFunc, topologicalOrder } from './walk.ts';

const NOT_NEGATIVE = 'a size must not be negative';

/** What is known of a value before the run. */
export interface Known {
  readonly type: TensorType;
  readonly value: readonly Dim[] | null;
}

/** What inference finds out about a node. */
export interface Inferred {
  readonly types: readonly TensorType[];
  readonly values: readonly (readonly Dim[] | null)[];
  readonly constraints: readonly Constraint[];
}

/**
 * Infers one node. `uid` (the node's name) makes its fresh symbols unique. Throws what the record
 * throws: errors without op and node.
 */
export function inferNode(
  op: string,
  attrs: Attrs,
  inputs: readonly Known[],
  uid: string,
): Inferred {
  const record = opRecord(op);
  if (record.form.kind !== 'leaf' && inputs.some((k) => k.type.shape === null)) {
    const dtypes = inputs.map((k) => k.type.dtype);
    const out = record.dtypes ? record.dtypes(dtypes, attrs) : [dtypes[0]];
    return {
      types: out.map((d) => tensorType(d, null)),
      values: out.map(() => null),
      constraints: [],
    };
  }
  const constraints: Constraint[] = [];
  const demand = (kind: Constraint['kind'], a: Dim, b: Dim, why: string): void => {
    constraints.push({ kind, a, b, why });
  };
  const atMost = (a: Dim, b: Dim, why: string): void => {
    const room = subDim(b, a);
    if (isNonNegative(room)) return;
    if (typeof room === 'number') {
      const [x, y] = [dimToString(a), dimToString(b)];
      throw new ShapeError('shape/size', `${why}: ${x} is more than ${y}. Make it ${y} or less.`);
    }
    demand('le', a, b, why);
  };
  const result = record.infer({
    types: inputs.map((k) => k.type as KnownType),
    values: inputs.map((k) => k.value),
    attrs,
    fresh: (label, bound) =>
      dimOf(`${uid}:${label}`, '?', bound === undefined ? {} : { bound: boundOf(bound) }),
    asSize: (value) => {
      // Symbols are taken for sizes everywhere else, so nothing else would ask.
      if (typeof value !== 'number') demand('le', 0, value, NOT_NEGATIVE);
      return value;
    },
    equal: (a, b, why) => {
      if (dimEquals(a, b)) return a;
      if (typeof subDim(a, b) === 'number') {
        const [x, y] = [dimToString(a), dimToString(b)];
        throw new ShapeError('shape/mismatch', `${why}: ${x} is not ${y}. Make them equal.`);
      }
      demand('eq', a, b, why);
      return typeof a === 'number' ? a : b;
    },
    broadcast: (a, b, why) => {
      if (dimEquals(a, b) || a === 1 || b === 1) return bcastDim(a, b);
      if (typeof a === 'number' && typeof b === 'number') {
        throw new ShapeError(
          'shape/broadcast',
          `${why}: ${a} and ${b} do not broadcast. Make the sizes equal, or one of them 1.`,
        );
      }
      demand('bcast', a, b, why);
      return bcastDim(a, b);
    },
    atMost,
  });
  const types = result.types.map((t) => tensorType(t.dtype, t.shape));
  for (const { shape } of types) {
    for (const d of shape ?? []) {
      if (!isNonNegative(d)) atMost(0, d, NOT_NEGATIVE);
    }
  }
  return {
    types,
    values: result.values ?? result.types.map(() => null),
    constraints,
  };
}

/** A node with its inference done again for new facts about its inputs. */
export function reinferNode(node: Node, inputs: readonly Known[]): Node {
  const inferred = inferNode(node.op, node.attrs, inputs, node.name);
  return Object.freeze({ ...node, ...inferred });
}

function sameValue(a: readonly Dim[] | null, b: readonly Dim[] | null): boolean {
  if (a === null || b === null) return a === b;
  return a.length === b.length && a.every((d, i) => dimEquals(d, b[i]));
}

/** Whether two nodes have the same types and contents. */
export function sameFacts(a: Node, b: Node): boolean {
  return (
    a.types.length === b.types.length &&
    a.types.every((t, i) => typeEquals(t, b.types[i])) &&
    a.values.every((v, i) => sameValue(v, b.values[i]))
  );
}

/** The facts of one output. */
export function knownOf(func: Func, ref: { node: number; port: number }): Known {
  const n = func.nodes[ref.node];
  return { type: n.types[ref.port], value: n.values[ref.port] ?? null };
}

/**
 * Infers a function again where facts changed. `params` gives new facts of parameters by position,
 * undefined to keep them. Bodies are inferred again when what they capture or carry changes.
 */
export function inferFunc(func: Func, params: readonly (Known | undefined)[]): Func {
  const nodes = [...func.nodes];
  const changed = new Set<number>();
  func.params.forEach((id, i) => {
    const known = params[i];
    if (!known) return;
    const old = nodes[id];
    const attrs = { ...old.attrs, type: known.type, value: known.value } as unknown as Attrs;
    const next = Object.freeze({ ...old, attrs, types: [known.type], values: [known.value] });
    if (sameFacts(old, next)) return;
    nodes[id] = next;
    changed.add(id);
  });
  if (changed.size === 0) return func;
  for (const id of topologicalOrder(func)) {
    const node = nodes[id];
    if (changed.has(id) || !node.inputs.some((r) => changed.has(r.node))) continue;
    const inputs = node.inputs.map((r) => ({
      type: nodes[r.node].types[r.port],
      value: nodes[r.node].values[r.port] ?? null,
    }));
    const next = reinferNode({ ...node, attrs: bodiesFor(node, inputs) }, inputs);
    nodes[id] = next;
    if (!sameFacts(node, next)) changed.add(id);
  }
  return Object.freeze({ ...func, nodes });
}

/** A node's attributes with its bodies inferred for what the inputs give to their parameters. */
export function bodiesFor(node: Node, inputs: readonly Known[]): Attrs {
  const { bodyInputs } = opRecord(node.op);
  if (!bodyInputs) return node.attrs;
  const attrs: Record<string, AttrValue> = { ...node.attrs };
  const given = bodyInputs(inputs, node.attrs);
  for (const [key, known] of Object.entries(given)) {
    const value = node.attrs[key];
    if (isFunc(value)) attrs[key] = inferFunc(value, known);
    else if (Array.isArray(value)) {
      attrs[key] = value.map((f) => (isFunc(f) ? inferFunc(f, known) : f));
    }
  }
  return attrs;
}
