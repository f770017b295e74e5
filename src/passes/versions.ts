// Where a variable is written more than once, the value of a write is taken by a read of its own: reads
// are what the planner copies when a later write would overwrite what is still needed.

import { FuncEdit } from '../graph/edit.ts';
import type { Attrs, Func } from '../graph/func.ts';
import { opRecord } from '../graph/op.ts';
import { bodies, liveNodes } from '../graph/walk.ts';
import { eachBody } from './bodies.ts';
import type { Pass } from './pass.ts';

export const versionsPass: Pass = {
  name: 'versions',
  doc: 'Gives the values of writes reads of their own, where a variable is written more than once.',
  run: (func) => eachBody(readWrites(func), (body) => versionsPass.run(body)),
};

function readWrites(func: Func): Func {
  const edit = new FuncEdit(func);
  const writes = new Map<string, number[]>();
  const inBodies = new Set<string>();
  for (const id of liveNodes(func)) {
    const node = func.nodes[id];
    for (const body of bodies(node)) addWritten(body, inBodies);
    if (opRecord(node.op).form.kind !== 'assign') continue;
    const name = node.attrs.variable as string;
    writes.set(name, [...(writes.get(name) ?? []), id]);
  }
  const several = [...writes].filter(([name, ids]) => ids.length > 1 || inBodies.has(name));
  for (const [, ids] of several) {
    for (const id of ids) {
      const node = func.nodes[id];
      const { variable, dtype, shape } = node.attrs;
      const at = edit.nextId;
      edit.append(
        Object.freeze({
          id: at,
          op: 'readVariable',
          name: `${node.name}/value`,
          inputs: [],
          controls: [id],
          attrs: { variable, dtype, shape } as Attrs,
          types: node.types,
          values: node.values,
          constraints: [],
          site: node.site,
        }),
      );
      edit.redirect({ node: id, port: 0 }, { node: at, port: 0 });
    }
  }
  const { func: out } = edit.apply();
  // What was fetched as a value is now fetched as a read; the writes themselves stay as effects.
  const kept = several.flatMap(([, ids]) => ids);
  return kept.length === 0
    ? out
    : Object.freeze({ ...out, effects: [...new Set([...out.effects, ...kept])] });
}

/** Adds the variables that a function and the bodies in it write. */
function addWritten(func: Func, to: Set<string>): void {
  const work = [func];
  while (work.length > 0) {
    const f = work.pop() as Func;
    for (const id of liveNodes(f)) {
      const node = f.nodes[id];
      if (opRecord(node.op).form.kind === 'assign') to.add(node.attrs.variable as string);
      work.push(...bodies(node));
    }
  }
}
