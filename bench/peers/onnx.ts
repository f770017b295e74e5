// Writes the small part of ONNX's protobuf format that the benchmark models need: one graph of nodes,
// inputs, initializers and outputs. Field numbers are those of onnx.proto3.

import type { HostArray } from '../types.ts';

type Attribute = number | readonly number[] | string | { readonly float: number };

export interface OnnxNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly output: string;
  readonly attributes?: Readonly<Record<string, Attribute>>;
}

/** A number is a size, a string the name of one that each run may choose. */
export interface OnnxValue {
  readonly name: string;
  readonly dtype: 'float32' | 'int32' | 'int64';
  readonly shape: readonly (number | string)[];
}

export interface OnnxInitializer {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: HostArray | BigInt64Array<ArrayBuffer>;
}

export interface OnnxModel {
  readonly nodes: readonly OnnxNode[];
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  readonly initializers: readonly OnnxInitializer[];
}

const OPSET = 17;
const IR_VERSION = 8;
const ELEMENT = { float32: 1, int32: 6, int64: 7 };
const ATTRIBUTE = { float: 1, int: 2, string: 3, ints: 7 };

type Bytes = Uint8Array<ArrayBuffer>;

function varint(value: number): Bytes {
  const out: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest >= 128n) {
    out.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  out.push(Number(rest));
  return Uint8Array.from(out);
}

function join(parts: readonly Uint8Array[]): Bytes {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

const integer = (field: number, value: number): Bytes => join([varint(field << 3), varint(value)]);

const bytes = (field: number, value: Uint8Array): Bytes =>
  join([varint((field << 3) | 2), varint(value.length), value]);

const text = (field: number, value: string): Bytes => bytes(field, new TextEncoder().encode(value));

const float = (field: number, value: number): Bytes =>
  join([varint((field << 3) | 5), new Uint8Array(Float32Array.of(value).buffer)]);

const message = (field: number, ...parts: readonly Bytes[]): Bytes => bytes(field, join(parts));

function attribute(name: string, value: Attribute): Bytes {
  const head = text(1, name);
  if (typeof value === 'number')
    return message(5, head, integer(3, value), integer(20, ATTRIBUTE.int));
  if (typeof value === 'string')
    return message(5, head, text(4, value), integer(20, ATTRIBUTE.string));
  if ('float' in value)
    return message(5, head, float(2, value.float), integer(20, ATTRIBUTE.float));
  return message(5, head, ...value.map((v) => integer(8, v)), integer(20, ATTRIBUTE.ints));
}

function node({ op, inputs, output, attributes = {} }: OnnxNode): Bytes {
  return message(
    1,
    ...inputs.map((name) => text(1, name)),
    text(2, output),
    text(4, op),
    ...Object.entries(attributes).map(([name, value]) => attribute(name, value)),
  );
}

function value(field: number, { name, dtype, shape }: OnnxValue): Bytes {
  const dims = shape.map((d) => message(1, typeof d === 'number' ? integer(1, d) : text(2, d)));
  const tensor = message(1, integer(1, ELEMENT[dtype]), message(2, ...dims));
  return message(field, text(1, name), message(2, tensor));
}

function initializer({ name, shape, data }: OnnxInitializer): Bytes {
  return message(
    5,
    ...shape.map((d) => integer(1, d)),
    integer(2, ELEMENT[dtypeOf(data)]),
    text(8, name),
    bytes(9, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
  );
}

export function dtypeOf(data: OnnxInitializer['data']): OnnxValue['dtype'] {
  if (data instanceof Float32Array) return 'float32';
  return data instanceof Int32Array ? 'int32' : 'int64';
}

/** The model as bytes of an `.onnx` file. */
export function encodeModel({ nodes, inputs, outputs, initializers }: OnnxModel): Bytes {
  const graph = message(
    7,
    ...nodes.map(node),
    text(2, 'bench'),
    ...initializers.map(initializer),
    ...inputs.map((v) => value(11, v)),
    ...outputs.map((v) => value(12, v)),
  );
  return join([integer(1, IR_VERSION), graph, message(8, text(1, ''), integer(2, OPSET))]);
}
