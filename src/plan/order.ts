// The order of steps: what depends on what, and what may fail before what writes variables.

import type { Func } from '../graph/func.ts';
import { opRecord } from '../graph/op.ts';
import { takeReady } from './analysis.ts';
import type { Group } from './groups.ts';

/** Groups in an order that honours dependencies; what may fail comes before what writes. */
export function orderGroups(groups: readonly Group[], func: Func): Group[] {
  const next = new Map<number, number[]>();
  const waiting = new Map<number, number>();
  const link = (before: Group, after: Group): void => {
    const list = next.get(before.id);
    if (list) list.push(after.id);
    else next.set(before.id, [after.id]);
    waiting.set(after.id, (waiting.get(after.id) ?? 0) + 1);
  };
  for (const g of groups) for (const d of g.deps) link(d, g);
  const kinds = groups.map((g) => {
    const records = g.members.map((m) => opRecord(func.nodes[m].op));
    return {
      group: g,
      fails: records.some(
        (r) => r.effect === 'check' || r.form.kind === 'loop' || r.form.kind === 'host',
      ),
      writes: records.some((r) => r.form.kind === 'assign'),
    };
  });
  const failing = kinds.filter((k) => k.fails).map((k) => k.group);
  for (const k of kinds) {
    if (!k.writes) continue;
    for (const f of failing) if (f !== k.group && !dependsOn(f, k.group)) link(f, k.group);
  }
  const order = takeReady(
    groups.map((g) => g.id),
    waiting,
    next,
  );
  return order.map((id) => groups[id]);
}

function dependsOn(group: Group, on: Group): boolean {
  const seen = new Set<Group>();
  const stack = [group];
  while (stack.length > 0) {
    const g = stack.pop() as Group;
    if (g === on) return true;
    if (seen.has(g)) continue;
    seen.add(g);
    stack.push(...g.deps);
  }
  return false;
}
