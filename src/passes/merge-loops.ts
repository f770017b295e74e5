// Merges loops that run the same turns: a gradient adds a copy of its loop that stacks further values of
// each turn, and one loop that gives all results does the work of both.

import type { Dim } from '../core/dim.ts';
import { FuncEdit } from '../graph/edit.ts';
import type { Attrs, Func, Node, Ref } from '../graph/func.ts';
import { knownOf, reinferNode } from '../graph/infer.ts';
import { opRecord } from '../graph/op.ts';
import { liveNodes, refKey } from '../graph/walk.ts';
import { eachBody } from './bodies.ts';
import { noteMergedSizes, substituteFunc } from './sizes.ts';

/** The function with loops over the same nodes of a body and the same inputs merged. */
export function mergeLoops(func: Func): Func {
  const lists = new Map<string, Node[]>();
  const ids = new Map<object, number>();
  const identity = (o: object): number => {
    if (!ids.has(o)) ids.set(o, ids.size);
    return ids.get(o) as number;
  };
  for (const id of liveNodes(func)) {
    const node = func.nodes[id];
    if (opRecord(node.op).form.kind !== 'loop') continue;
    const body = node.attrs.body as Func;
    const cond = node.attrs.cond as Func | null;
    const key = [
      identity(body.nodes),
      cond ? identity(cond.nodes) : 'none',
      node.inputs.map(refKey),
      node.attrs.carries,
      node.attrs.xs,
      node.attrs.maxTrip,
      node.attrs.reverse,
      [...node.controls].sort(),
      body.params,
    ].join('|');
    const list = lists.get(key) ?? [];
    lists.set(key, list);
    list.push(node);
  }
  let out = func;
  for (const list of lists.values()) if (list.length > 1) out = mergeGroup(out, list);
  return eachBody(out, mergeLoops);
}

function mergeGroup(func: Func, list: readonly Node[]): Func {
  const [first] = list;
  const carries = first.attrs.carries as number;
  const bodies = list.map((n) => n.attrs.body as Func);
  const results: Ref[] = bodies[0].results.slice(0, carries);
  const at = new Map<string, number>();
  for (const b of bodies) {
    for (const r of b.results.slice(carries)) {
      if (at.has(refKey(r))) continue;
      at.set(refKey(r), results.length);
      results.push(r);
    }
  }
  const effects = [...new Set(bodies.flatMap((b) => b.effects))];
  const body: Func = Object.freeze({ ...bodies[0], results, effects });
  // The first of the loops takes the place of all: its id comes before all users.
  const edit = new FuncEdit(func);
  const attrs: Attrs = { ...first.attrs, body };
  const known = first.inputs.map((r) => knownOf(func, r));
  const whole = reinferNode({ ...first, attrs }, known);
  const sizes = new Map<string, Dim>();
  edit.replace(whole);
  list.forEach((node, k) => {
    const portOf = (port: number): number =>
      port < carries ? port : (at.get(refKey(bodies[k].results[port])) as number);
    if (node.id !== first.id) {
      edit.succeed(node.id, first.id);
      noteMergedSizes(node, (port) => ({ of: whole, port: portOf(port) }), sizes);
    }
    node.types.forEach((_, port) => {
      const to = portOf(port);
      if (node.id === first.id && to === port) return;
      edit.redirect({ node: node.id, port }, { node: first.id, port: to });
    });
  });
  const { func: edited } = edit.apply();
  const merged = sizes.size > 0 ? substituteFunc(edited, (s) => sizes.get(s.id)) : edited;
  // Effects of the copies are the first loop's now.
  const gone = new Set(list.slice(1).map((n) => n.id));
  const kept = merged.effects.map((e) => (gone.has(e) ? first.id : e));
  return Object.freeze({ ...merged, effects: [...new Set(kept)] });
}
