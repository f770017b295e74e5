// What the gradient of a loop or branch must know of its bodies, as it runs them once more: which
// variables they read, to differentiate by them too, and whether running them again is harmless.

import type { DType } from '../core/dtype.ts';
import { isFloat } from '../core/dtype.ts';
import { UnsupportedError } from '../core/error.ts';
import type { Func, Node } from '../graph/func.ts';
import { opRecord } from '../graph/op.ts';
import { bodies, liveNodes } from '../graph/walk.ts';

/** Whether a node holds functions that run as part of it. */
export function holdsBodies(node: Node): boolean {
  const { kind } = opRecord(node.op).form;
  return kind === 'loop' || kind === 'branch';
}

/** The float variables that the bodies of a loop or branch read, with their sizes, by name. */
export function variablesRead(node: Node): Map<string, readonly number[]> {
  const out = new Map<string, readonly number[]>();
  if (!holdsBodies(node)) return out;
  for (const n of inside(node)) {
    if (opRecord(n.op).form.kind === 'readVariable' && isFloat(n.attrs.dtype as DType)) {
      out.set(n.attrs.variable as string, n.attrs.shape as readonly number[]);
    }
  }
  return out;
}

/** All nodes in the bodies of a node, at any depth. */
function inside(node: Node): Node[] {
  const out: Node[] = [];
  const stack = bodies(node);
  for (let f = stack.pop(); f; f = stack.pop()) {
    for (const n of f.nodes) {
      out.push(n);
      stack.push(...bodies(n));
    }
  }
  return out;
}

/** The variables that a body writes, at any depth. */
export function variablesWritten(body: Func): Set<string> {
  const all = body.nodes.flatMap((n) => [n, ...inside(n)]);
  const writes = all.filter((n) => opRecord(n.op).form.kind === 'assign');
  return new Set(writes.map((n) => n.attrs.variable as string));
}

/**
 * Refuses bodies that can not run once more for their gradient: whose results come from writes, or
 * from reads that a write of the same body has made stale. `saved` says which nodes need not run.
 */
export function checkReplay(op: Node, body: Func, saved: (node: Node) => boolean): void {
  const written = variablesWritten(body);
  if (written.size === 0) return;
  for (const id of liveNodes({ ...body, effects: [] })) {
    const node = body.nodes[id];
    for (const n of [node, ...inside(node)]) {
      const { kind } = opRecord(n.op).form;
      const stale = kind === 'readVariable' && written.has(n.attrs.variable as string) && !saved(n);
      if (kind !== 'assign' && !stale) continue;
      throw new UnsupportedError(
        'gradients/write-in-body',
        `the results of "${op.name}" depend on the variable "${n.attrs.variable}" that its body writes, and its gradient would write again. ` +
          'Return the new value from the body and assign it afterwards.',
        { op: opRecord(op.op).nodeName, node: op.name, ...(op.site ? { site: op.site } : {}) },
      );
    }
  }
}
