// Evaluates what depends on constants alone, with the records' own references, and sizes that turned
// out to be numbers. Large results stay computed: a constant takes memory where a kernel takes none.

import { prodDims } from '../core/dim.ts';
import { dtypeInfo } from '../core/dtype.ts';
import type { HostTensor } from '../core/ndarray.ts';
import { FuncEdit } from '../graph/edit.ts';
import type { Attrs, Func, Node, Ref } from '../graph/func.ts';
import { opRecord, type ReferenceContext } from '../graph/op.ts';
import { liveNodes } from '../graph/walk.ts';
import { callReference } from '../ops/reference.ts';
import { eachBody } from './bodies.ts';
import type { Pass } from './pass.ts';

/** Largest result that is folded, in elements. */
const MAX_ELEMENTS = 65536;

const CONTEXT: ReferenceContext = {
  alloc: (dtype, size) => dtypeInfo(dtype).alloc(size),
  run: 0,
  iteration: 0,
};

export const foldPass: Pass = {
  name: 'fold',
  doc: 'Evaluates nodes of constant inputs, up to 64K elements.',
  run: (func) => eachBody(foldOnce(func), (body) => foldPass.run(body)),
};

function foldOnce(func: Func): Func {
  const edit = new FuncEdit(func);
  const known = new Map<number, readonly HostTensor[]>();
  for (const id of liveNodes(func)) {
    const node = func.nodes[id];
    if (node.op === 'const') {
      known.set(id, [node.attrs as unknown as HostTensor]);
      continue;
    }
    const values = sizesOf(node) ?? evaluate(node, known);
    if (!values) continue;
    known.set(id, values);
    values.forEach((v, port) => {
      const at = edit.nextId;
      edit.append(constNode(node, port, v, at));
      edit.redirect({ node: id, port }, { node: at, port: 0 });
    });
  }
  return edit.apply().func;
}

/** A scalar that inference knows as a number. */
function sizesOf(node: Node): readonly HostTensor[] | undefined {
  if (!isFoldable(node) || node.values.length === 0) return undefined;
  const out: HostTensor[] = [];
  for (const [i, type] of node.types.entries()) {
    const value = node.values[i];
    const shape = type.shape;
    const fixed =
      value?.every((d) => typeof d === 'number') && shape?.every((d) => typeof d === 'number');
    if (!fixed || type.dtype !== 'int32' || value?.length !== 1) return undefined;
    out.push({
      dtype: 'int32',
      shape: shape as number[],
      data: Int32Array.from(value as number[]),
    });
  }
  return out;
}

function isFoldable(node: Node): boolean {
  const record = opRecord(node.op);
  return (
    (record.effect ?? 'none') === 'none' &&
    record.form.kind !== 'leaf' &&
    node.controls.length === 0
  );
}

function evaluate(
  node: Node,
  known: ReadonlyMap<number, readonly HostTensor[]>,
): readonly HostTensor[] | undefined {
  const record = opRecord(node.op);
  if (!record.reference || !isFoldable(node) || node.inputs.length === 0) return undefined;
  if (!node.inputs.every((r: Ref) => known.has(r.node))) return undefined;
  const inputs = node.inputs.map((r) => (known.get(r.node) as readonly HostTensor[])[r.port]);
  const sizes = node.types.map((t) => (t.shape === null ? Number.NaN : prodDims(t.shape)));
  const most = Math.max(1, ...inputs.map((x) => x.data.length));
  // Repeated and counted elements are free in a kernel's index, and are left there.
  const cheap = sizes.every((n) => typeof n === 'number' && n <= MAX_ELEMENTS && n <= most);
  if (!cheap) return undefined;
  try {
    return callReference(record, CONTEXT, inputs, node.attrs);
  } catch {
    // What fails fails in the run, with the run's error.
    return undefined;
  }
}

function constNode(node: Node, port: number, v: HostTensor, id: number): Node {
  const type = { dtype: v.dtype, shape: v.shape };
  return Object.freeze({
    id,
    op: 'const',
    name: port === 0 ? `${node.name}/folded` : `${node.name}/folded${port}`,
    inputs: [],
    controls: [],
    attrs: { dtype: v.dtype, shape: v.shape, data: v.data } as unknown as Attrs,
    types: [type],
    values: [v.dtype === 'int32' && v.data.length <= 64 ? Array.from(v.data) : null],
    constraints: [],
    site: node.site,
  });
}
