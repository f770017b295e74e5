// The order of steps: what depends on what, and what may fail before what writes variables.

import type { Func } from '../graph/func.ts';
import { opRecord } from '../graph/op.ts';
import { takeReady } from './analysis.ts';
import type { Group } from './groups.ts';

/**
 * Groups in an order that honours dependencies; what may fail comes before what writes, levels in turn, so
 * that there are no more changes of device than need be. A region both fails and writes: whoever runs it
 * can undo that.
 */
export function orderGroups(groups: readonly Group[], func: Func): Group[] {
  const next = new Map<number, number[]>();
  const waiting = new Map<number, number>();
  const ranked = [...groups].sort((a, b) => a.level - b.level || a.id - b.id);
  const ranks = new Map(ranked.map((g, rank) => [g, rank]));
  const rankOf = (g: Group): number => ranks.get(g) as number;
  const link = (before: Group, after: Group): void => {
    const [from, to] = [rankOf(before), rankOf(after)];
    const list = next.get(from);
    if (list) list.push(to);
    else next.set(from, [to]);
    waiting.set(to, (waiting.get(to) ?? 0) + 1);
  };
  for (const g of groups) for (const d of g.deps) link(d, g);
  const own = groups.filter((g) => g.kind !== 'placed');
  const kinds = own.map((g) => {
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
    ranked.map((_, rank) => rank),
    waiting,
    next,
  );
  return order.map((rank) => ranked[rank]);
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
