// Merges nodes that are the same function of the same inputs under the same control inputs. Nodes
// with effects are left alone: two draws of a random op are two draws, two reads may see two values.

import { type Dim, dimKey } from '../core/dim.ts';
import { FuncEdit } from '../graph/edit.ts';
import type { AttrValue, Func, Node } from '../graph/func.ts';
import { opRecord } from '../graph/op.ts';
import { isFunc, liveNodes, refKey } from '../graph/walk.ts';
import { eachBody } from './bodies.ts';
import type { Pass } from './pass.ts';
import { noteMergedSizes, substituteFunc } from './sizes.ts';

export const csePass: Pass = {
  name: 'cse',
  doc: 'Merges equal pure nodes with equal inputs and control inputs.',
  run: (func) => eachBody(mergeEqual(func), (body) => csePass.run(body)),
};

function mergeEqual(func: Func): Func {
  const edit = new FuncEdit(func);
  const seen = new Map<string, number>();
  const ids = new Map<object, number>();
  const sizes = new Map<string, Dim>();
  for (const id of liveNodes(func)) {
    const node = func.nodes[id];
    if (!isPure(node)) continue;
    const inputs = node.inputs.map((r) => refKey(edit.resolve(r)));
    const key = `${node.op}(${inputs})[${[...node.controls].sort()}]${attrsKey(node.attrs, ids)}`;
    const old = seen.get(key);
    if (old === undefined) {
      seen.set(key, id);
      continue;
    }
    node.types.forEach((_, port) => {
      edit.redirect({ node: id, port }, { node: old, port });
    });
    noteMergedSizes(node, (port) => ({ of: func.nodes[old], port }), sizes);
  }
  const { func: merged } = edit.apply();
  return sizes.size > 0 ? substituteFunc(merged, (s) => sizes.get(s.id)) : merged;
}

function isPure(node: Node): boolean {
  const record = opRecord(node.op);
  const kind = record.form.kind;
  if (kind === 'leaf') return node.op === 'const';
  return (record.effect ?? 'none') === 'none' && kind !== 'loop' && kind !== 'branch';
}

/** Text that is equal for equal attributes; large or opaque values go by identity. */
function attrsKey(v: AttrValue, ids: Map<object, number>): string {
  if (typeof v === 'number') return Object.is(v, -0) ? '-0' : String(v);
  if (v === null || typeof v !== 'object') {
    return typeof v === 'function' ? identity(v, ids) : (JSON.stringify(v) ?? 'undefined');
  }
  if (ArrayBuffer.isView(v)) {
    const data = v as Float32Array;
    if (data.length > 64) return identity(v, ids);
    return `${data.constructor.name}[${Array.from(data, (x) => (Object.is(x, -0) ? '-0' : String(x)))}]`;
  }
  if (isFunc(v)) return identity(v, ids);
  if (Array.isArray(v)) return `[${v.map((x) => attrsKey(x, ids)).join(',')}]`;
  if ('terms' in v) return dimKey(v as never);
  return `{${Object.entries(v)
    .map(([k, x]) => `${k}:${attrsKey(x as AttrValue, ids)}`)
    .join(',')}}`;
}

function identity(v: object, ids: Map<object, number>): string {
  let id = ids.get(v);
  if (id === undefined) {
    id = ids.size;
    ids.set(v, id);
  }
  return `#${id}`;
}
