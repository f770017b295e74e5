// Graphs as JSON and back. Numbers that JSON can't hold go through base64 of their bytes; symbols of
// sizes are written structurally. A loaded graph is built anew through inference, so a file whose
// types do not follow from its operations is refused.

import {
  type Atom,
  addDim,
  bcastDim,
  type Dim,
  type DimExpr,
  type DimFn,
  dimOf,
  floorDiv,
  maxDim,
  minDim,
  modDim,
  mulDim,
  ne1Dim,
} from '../core/dim.ts';
import { GraphError, TensorloomError } from '../core/error.ts';
import { checkNoOptions } from '../core/options.ts';
import { typeToString } from '../core/type.ts';
import type { Attrs, AttrValue, Func, Node } from './func.ts';
import { Graph } from './graph.ts';
import { inferNode } from './infer.ts';
import { hasOp } from './op.ts';
import type { Tensor } from './tensor.ts';
import { isFunc } from './walk.ts';

/** Version of the format, raised when old readers could not read new files. */
const FORMAT = 1;

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

function base64(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  }
  return btoa(text);
}

function fromBase64(text: string): Uint8Array {
  const raw = atob(text);
  return Uint8Array.from(raw, (c) => c.charCodeAt(0));
}

const ARRAYS = {
  Float32Array,
  Float64Array,
  Int8Array,
  Uint8Array,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  BigInt64Array,
} as const;

function encodeAtom(a: Atom): Json {
  if (a.kind === 'sym') {
    const out: { [key: string]: Json } = { sym: a.id, name: a.name };
    if (a.bound !== undefined) out.bound = encodeDim(a.bound);
    return out;
  }
  return { fn: a.fn, args: a.args.map(encodeDim) };
}

function encodeDim(d: Dim): Json {
  if (typeof d === 'number') return d;
  return { sum: d.terms.map((t) => [t.coef, ...t.atoms.map(encodeAtom)]) };
}

function decodeDim(j: Json): Dim {
  if (typeof j === 'number') return j;
  const { sum } = j as { sum: Json[][] };
  return sum.reduce<Dim>((total, [coef, ...atoms]) => {
    const product = atoms.reduce<Dim>((p, a) => mulDim(p, decodeAtom(a)), coef as number);
    return addDim(total, product);
  }, 0);
}

function decodeAtom(j: Json): Dim {
  const a = j as { sym?: string; name?: string; bound?: Json; fn?: DimFn; args?: Json[] };
  if (a.sym !== undefined) {
    return dimOf(a.sym, a.name, a.bound === undefined ? {} : { bound: decodeDim(a.bound) });
  }
  const args = (a.args ?? []).map(decodeDim);
  const make = { floordiv: floorDiv, mod: modDim, max: maxDim, min: minDim, bcast: bcastDim };
  return a.fn === 'ne1' ? ne1Dim(args[0]) : make[a.fn as keyof typeof make](args[0], args[1]);
}

function encode(v: AttrValue, where: string): Json {
  if (v === undefined) return { undefined: true };
  if (typeof v === 'number')
    return Number.isFinite(v) && !Object.is(v, -0)
      ? v
      : { number: String(Object.is(v, -0) ? '-0' : v) };
  if (v === null || typeof v === 'boolean' || typeof v === 'string') return v;
  if (typeof v === 'function') {
    throw new GraphError(
      'json/function',
      `"${where}" holds a JavaScript function, which JSON can't. Build it in code after loading.`,
    );
  }
  if (ArrayBuffer.isView(v)) {
    const bytes = new Uint8Array(v.buffer, v.byteOffset, v.byteLength);
    return { array: v.constructor.name, data: base64(bytes) };
  }
  if (isFunc(v)) return { func: encodeFunc(v) };
  if (Array.isArray(v)) return v.map((x) => encode(x, where));
  if ('terms' in v) return { dim: encodeDim(v as unknown as DimExpr) };
  const entries = Object.entries(v).map(([k, x]) => [k, encode(x as AttrValue, where)]);
  return { record: Object.fromEntries(entries) };
}

function decode(j: Json): AttrValue {
  if (j === null || typeof j !== 'object') return j;
  if (Array.isArray(j)) return j.map(decode);
  if ('undefined' in j) return undefined;
  if ('number' in j) return Number(j.number);
  if ('array' in j) {
    const bytes = fromBase64(j.data as string);
    return new ARRAYS[j.array as 'Float32Array'](bytes.buffer as ArrayBuffer);
  }
  if ('func' in j) return decodeFunc(j.func);
  if ('dim' in j) return decodeDim(j.dim) as unknown as AttrValue;
  const entries = Object.entries(j.record as { [key: string]: Json });
  return Object.fromEntries(entries.map(([k, x]) => [k, decode(x)]));
}

function encodeNode(n: Node): Json {
  return {
    op: n.op,
    name: n.name,
    inputs: n.inputs.map((r) => [r.node, r.port]),
    controls: [...n.controls],
    attrs: encode(n.attrs as AttrValue, n.name),
    types: n.types.map(typeToString),
  };
}

function encodeFunc(f: Func): Json {
  return {
    name: f.name,
    params: [...f.params],
    captured: f.captured,
    nodes: f.nodes.map(encodeNode),
    results: f.results.map((r) => [r.node, r.port]),
    effects: [...f.effects],
  };
}

function decodeFunc(j: Json): Func {
  const f = j as {
    name: string;
    params: number[];
    captured: number;
    nodes: Json[];
    results: number[][];
    effects: number[];
  };
  const nodes: Node[] = [];
  for (const [id, raw] of f.nodes.entries()) {
    const n = raw as unknown as RawNode;
    checkNode(n, id);
    const attrs = decode(n.attrs) as Attrs;
    const inputs = n.inputs.map(([node, port]) => ({ node, port }));
    const known = inputs.map((r) => ({
      type: nodes[r.node].types[r.port],
      value: nodes[r.node].values[r.port] ?? null,
    }));
    const inferred = inferNode(n.op, attrs, known, n.name);
    checkTypes(n, inferred.types.map(typeToString));
    nodes.push(
      Object.freeze({
        id,
        op: n.op,
        name: n.name,
        inputs,
        controls: n.controls,
        attrs,
        ...inferred,
      }),
    );
  }
  const { name, params, captured, effects } = f;
  return Object.freeze({
    name,
    params,
    captured,
    nodes,
    results: f.results.map(([node, port]) => ({ node, port })),
    effects,
  });
}

interface RawNode {
  op: string;
  name: string;
  inputs: [number, number][];
  controls: number[];
  attrs: Json;
  types: string[];
}

function checkNode(n: RawNode, id: number): void {
  if (typeof n?.op !== 'string' || !hasOp(n.op)) {
    throw new GraphError(
      'json/op',
      `node ${id}: there is no op "${n?.op}". Load the file with the version that wrote it.`,
    );
  }
  const bad = [...n.inputs.map((r) => r[0]), ...n.controls].find((r) => !(r >= 0 && r < id));
  if (bad !== undefined) {
    throw new GraphError(
      'json/order',
      `node ${id} "${n.name}" refers to node ${bad}, which is not before it. The file is damaged.`,
    );
  }
}

function checkTypes(n: RawNode, got: readonly string[]): void {
  if (got.length === n.types.length && got.every((t, i) => t === n.types[i])) return;
  throw new GraphError(
    'json/types',
    `node "${n.name}": the file says ${n.types.join(', ') || 'no outputs'}, inference ${got.join(', ') || 'none'}. The file is damaged or from another version.`,
  );
}

/** A graph as a JSON text: operations, names, attributes, control edges, seed. */
export function graphToJson(graph: Graph): string;
export function graphToJson(graph: Graph, ...more: unknown[]): string {
  checkNoOptions('graphToJson', more);
  return JSON.stringify({
    format: FORMAT,
    seed: graph.seed,
    opSeeds: graph.opSeeds,
    nodes: graph.nodes.map(encodeNode),
  });
}

/** A graph from the text of {@link graphToJson}. Throws GraphError where it is not what it says. */
export function graphFromJson(text: string): Graph;
export function graphFromJson(text: string, ...more: unknown[]): Graph {
  checkNoOptions('graphFromJson', more);
  let file: { format?: number; seed?: number | null; opSeeds?: number; nodes?: Json[] };
  try {
    file = JSON.parse(text);
  } catch (e) {
    throw new GraphError('json/syntax', `the text is no JSON: ${(e as Error).message}`, {
      cause: e,
    });
  }
  if (file?.format !== FORMAT || !Array.isArray(file.nodes)) {
    throw new GraphError(
      'json/format',
      `the text is no graph of format ${FORMAT}, got format ${file?.format}. Save it again with this version.`,
    );
  }
  const graph = new Graph();
  if (file.seed !== undefined) graph.seed = file.seed;
  graph.opSeeds = file.opSeeds ?? 0;
  file.nodes.forEach((raw, id) => {
    const n = raw as unknown as RawNode;
    checkNode(n, id);
    const inputs = n.inputs.map(([node, port]): Tensor => {
      if (port >= graph.nodes[node].types.length) {
        throw new GraphError(
          'json/order',
          `node ${id} "${n.name}" reads output ${port} of "${graph.nodes[node].name}", which has none. The file is damaged.`,
        );
      }
      return graph.tensor({ node, port });
    });
    const controls = n.controls.map((c) => graph.operation(c));
    let op: ReturnType<Graph['operation']>;
    try {
      op = graph.addLoaded(n.op, n.name, inputs, decode(n.attrs) as Attrs, controls);
    } catch (e) {
      if (!(e instanceof TensorloomError)) throw e;
      throw new GraphError('json/invalid', `node "${n.name}" can't be built: ${e.message}`, {
        cause: e,
      });
    }
    checkTypes(n, op.node.types.map(typeToString));
  });
  return graph;
}
