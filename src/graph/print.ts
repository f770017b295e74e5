// The text form of functions: one node a line, bodies indented. Deterministic, for goldens, diffs and
// people. Not a format to read back; that is `json.ts`.

import { dimToString } from '../core/dim-text.ts';
import { type TensorType, typeToString } from '../core/type.ts';
import type { AttrValue, Func, Node, Ref } from './func.ts';
import { isFunc, liveNodes } from './walk.ts';

/** `%3`, or `%3.1` for a further output. */
export function printRef(ref: Ref): string {
  return ref.port === 0 ? `%${ref.node}` : `%${ref.node}.${ref.port}`;
}

/** An attribute's value as text; long arrays are cut. */
export function printAttr(v: AttrValue): string {
  if (ArrayBuffer.isView(v)) {
    const head = Array.from(v.subarray(0, 6)).join(', ');
    return `[${head}${v.length > 6 ? `, … ${v.length}` : ''}]`;
  }
  if (isFunc(v)) return `@${v.name}`;
  if (typeof v === 'function') return v.name === '' ? 'function' : v.name;
  if (Array.isArray(v)) return `[${v.map((x) => printAttr(x)).join(', ')}]`;
  if (typeof v === 'object' && v !== null) {
    if ('terms' in v) return dimToString(v as never);
    if ('dtype' in v && 'shape' in v) return typeToString(v as unknown as TensorType);
    return `{${Object.entries(v)
      .map(([k, x]) => `${k}: ${printAttr(x as AttrValue)}`)
      .join(', ')}}`;
  }
  return typeof v === 'string' ? JSON.stringify(v) : String(v);
}

/** One node: `%12 = add(%3, %7) : float32[?, 10]  // scope/Add`. */
export function printNode(node: Node): string {
  const attrs = Object.entries(node.attrs)
    .filter(([k, v]) => v !== undefined && v !== null && !(node.op === 'param' && k === 'value'))
    .map(([k, v]) => `${k}=${printAttr(v)}`);
  const controls = node.controls.length > 0 ? [`after ${node.controls.map((c) => `%${c}`)}`] : [];
  const args = [...node.inputs.map(printRef), ...attrs, ...controls].join(', ');
  const types = node.types.map(typeToString).join(', ');
  return `%${node.id} = ${node.op}(${args}) : ${types || '()'}  // ${node.name}`;
}

/** A function: its live nodes in order, then results; bodies follow the node that holds them. */
export function printFunc(func: Func, indent = ''): string {
  const lines: string[] = [];
  const params = func.params.map((p) => `%${p}: ${typeToString(func.nodes[p].types[0])}`);
  lines.push(`${indent}func ${func.name}(${params.join(', ')}) {`);
  for (const id of liveNodes(func).sort((a, b) => a - b)) {
    const node = func.nodes[id];
    if (func.params.includes(id)) continue;
    lines.push(`${indent}  ${printNode(node)}`);
    for (const v of Object.values(node.attrs)) {
      const held = isFunc(v) ? [v] : Array.isArray(v) ? v.filter(isFunc) : [];
      for (const f of held) lines.push(printFunc(f, `${indent}    `));
    }
  }
  const effects = func.effects.length > 0 ? `  effects ${func.effects.map((e) => `%${e}`)}` : '';
  lines.push(`${indent}  return ${func.results.map(printRef).join(', ')}${effects}`, `${indent}}`);
  return lines.join('\n');
}
