// Placement: which nodes a device can't run, because they need a dtype that it lacks, and so run on the
// CPU. They are gathered in as few regions as possible. Invariant: levels never fall along dependencies,
// even ones are the device's and odd ones the CPU's, and the CPU's nodes of one level are one region, so
// no region can wait for itself.

import type { DType } from '../core/dtype.ts';
import type { Func, Node, Ref } from '../graph/func.ts';
import { opRecord } from '../graph/op.ts';
import { refKey } from '../graph/walk.ts';
import { type Analysis, bodiesOf, isKnownSizes, liveOrder } from './analysis.ts';

/** Nodes that run on the CPU together, as one step. */
export interface Region {
  /** In the order of the analysis. */
  readonly members: readonly number[];
  /** The values of members that are needed outside of it. */
  readonly outputs: readonly Ref[];
}

/** Where the solid nodes of a function run. */
export interface Places {
  /** Even: on the device. Odd: on the CPU. */
  level(id: number): number;
  /** The region of an odd level. */
  region(level: number): Region;
  /** Why a node is on the CPU. */
  why(id: number): string | undefined;
}

/** Joins a region although the device could run it. */
const BETWEEN = 'read on the CPU alone';

/** Places the solid nodes of a function; undefined where the device can run all of them. */
export function placeNodes(analysis: Analysis, lacks: ReadonlySet<DType>): Places | undefined {
  const { func, order, solid } = analysis;
  const ids = order.filter((id) => solid.has(id));
  const why = new Map<number, string>();
  for (const id of ids) {
    const reason = missingDType(func, func.nodes[id], lacks);
    if (reason) why.set(id, reason);
  }
  if (why.size === 0) return undefined;
  joinBetween(analysis, ids, why);
  const levels = new Map<number, number>();
  const members = new Map<number, number[]>();
  for (const id of ids) {
    const parity = why.has(id) ? 1 : 0;
    let level = parity;
    for (const d of analysis.deps(id)) level = Math.max(level, levels.get(d) as number);
    if (level % 2 !== parity) level++;
    levels.set(id, level);
    if (parity === 0) continue;
    const list = members.get(level);
    if (list) list.push(id);
    else members.set(level, [id]);
  }
  const level = (id: number): number => levels.get(id) ?? 0;
  const outputs = outputsByLevel(analysis, ids, level);
  return {
    level,
    region: (at) => ({ members: members.get(at) ?? [], outputs: outputs.get(at) ?? [] }),
    why: (id) => why.get(id),
  };
}

/** The dtype that a node needs and a device lacks, as the reason to place the node elsewhere. */
function missingDType(func: Func, node: Node, lacks: ReadonlySet<DType>): string | undefined {
  const inputs = isKnownSizes(node) ? [] : node.inputs.map((r) => func.nodes[r.node].types[r.port]);
  const own = [...node.types, ...inputs].find((t) => lacks.has(t.dtype));
  if (own) return own.dtype;
  const work = [...bodiesOf(node)];
  while (work.length > 0) {
    const body = work.pop() as Func;
    for (const id of liveOrder(body)) {
      const inner = body.nodes[id];
      const type = inner.types.find((t) => lacks.has(t.dtype));
      if (type) return `${type.dtype} in its body`;
      work.push(...bodiesOf(inner));
    }
  }
  return undefined;
}

/**
 * Nodes whose values are read on the CPU alone go there too if they are cheap: what they read would have
 * to be brought there anyway, and a way back and forth costs more than they do.
 */
function joinBetween(analysis: Analysis, ids: readonly number[], why: Map<number, string>): void {
  const { func } = analysis;
  const users = new Map<number, number[]>();
  for (const id of ids) {
    for (const d of analysis.deps(id)) {
      const list = users.get(d);
      if (list) list.push(id);
      else users.set(d, [id]);
    }
  }
  const fetched = new Set(func.results.map((r) => r.node));
  const seen = new Set<number>();
  const joining: number[] = [];
  for (const root of ids) {
    if (seen.has(root) || why.has(root)) continue;
    // All that hangs together without a node on the CPU goes there as a whole, or stays.
    const part: number[] = [];
    const stack = [root];
    seen.add(root);
    let joins = true;
    let read = false;
    while (stack.length > 0) {
      const id = stack.pop() as number;
      part.push(id);
      joins &&= isCheap(func.nodes[id]) && !fetched.has(id);
      const after = users.get(id) ?? [];
      read ||= after.some((u) => why.has(u));
      for (const n of [...after, ...analysis.deps(id)]) {
        if (seen.has(n) || why.has(n)) continue;
        seen.add(n);
        stack.push(n);
      }
    }
    if (joins && read) joining.push(...part);
  }
  for (const id of joining) why.set(id, BETWEEN);
}

function isCheap(node: Node): boolean {
  const { form, effect } = opRecord(node.op);
  if ((effect ?? 'none') !== 'none') return false;
  if (form.kind === 'reduce') return !form.contraction;
  return form.kind === 'scalar' || form.kind === 'view' || form.kind === 'index';
}

/** What nodes elsewhere, and the results, need of each region. */
function outputsByLevel(
  analysis: Analysis,
  ids: readonly number[],
  level: (id: number) => number,
): Map<number, Ref[]> {
  const { func, solid } = analysis;
  const out = new Map<number, Map<string, Ref>>();
  const need = (refs: readonly Ref[], user: number): void => {
    const seen = new Set<number>();
    const stack = [...refs];
    while (stack.length > 0) {
      const ref = stack.pop() as Ref;
      const node = func.nodes[ref.node];
      if (!solid.has(ref.node)) {
        // Known sizes need no values.
        if (isKnownSizes(node) || seen.has(ref.node)) continue;
        seen.add(ref.node);
        stack.push(...node.inputs);
        continue;
      }
      const at = level(ref.node);
      if (at % 2 === 0 || at === user) continue;
      const known = out.get(at);
      if (known) known.set(refKey(ref), ref);
      else out.set(at, new Map([[refKey(ref), ref]]));
    }
  };
  for (const id of ids) {
    if (!isKnownSizes(func.nodes[id])) need(func.nodes[id].inputs, level(id));
  }
  need(func.results, -1);
  return new Map([...out].map(([at, refs]) => [at, [...refs.values()]]));
}
