// Runs a pass on the bodies of loops and branches.

import { FuncEdit } from '../graph/edit.ts';
import type { Func } from '../graph/func.ts';
import { liveNodes, mapBodies } from '../graph/walk.ts';

/** The function with `fn` applied to each body of a live node. */
export function eachBody(func: Func, fn: (body: Func) => Func): Func {
  const edit = new FuncEdit(func);
  for (const id of liveNodes(func)) {
    const node = func.nodes[id];
    const next = mapBodies(node, fn);
    if (next !== node) edit.replace(next);
  }
  return edit.apply().func;
}
