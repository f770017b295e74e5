// Groups that read and store more values than a kernel may bind buffers, cut into as few that do not.
// Whatever else they share, results that need the same inputs stay together. Invariant: the parts of a group
// stand in its place, in an order that dependencies allow, and hold its members at their places.

import { opRecord } from '../graph/op.ts';
import { type Frame, plainFrame, readsOf, reduceReads, traceViews } from './access.ts';
import { type Analysis, isKnownSizes } from './analysis.ts';
import { type Group, isContraction, isOwnStep, type Place } from './groups.ts';
import { chooseStored } from './stored.ts';

/** Groups of at most `limit` buffers each where that is possible, and what of them is stored. */
export function splitGroups(
  analysis: Analysis,
  whole: readonly Group[],
  fuse: boolean,
  limit: number,
): { readonly groups: readonly Group[]; readonly stored: ReadonlySet<number> } {
  if (limit === Number.POSITIVE_INFINITY) {
    return { groups: whole, stored: chooseStored(analysis, whole, fuse) };
  }
  let groups = whole;
  for (;;) {
    const stored = chooseStored(analysis, groups, fuse);
    const splitter = new Splitter(analysis, groups, stored, limit);
    const parts = groups.map((g) => splitter.parts(g));
    // What is cut off may have to be stored, which is another buffer.
    if (parts.every((p) => p.length === 1)) return { groups, stored };
    groups = regroup(analysis, groups, parts);
  }
}

/** What a member needs: other members of its group, and buffers by key. */
interface Needs {
  readonly members: ReadonlySet<number>;
  readonly buffers: ReadonlySet<string>;
}

class Splitter {
  private readonly analysis: Analysis;
  private readonly stored: ReadonlySet<number>;
  private readonly limit: number;
  private readonly frame: Frame;
  private readonly groupOf = new Map<number, Group>();
  private readonly known = new Map<number, Needs>();

  constructor(
    analysis: Analysis,
    groups: readonly Group[],
    stored: ReadonlySet<number>,
    limit: number,
  ) {
    this.analysis = analysis;
    this.stored = stored;
    this.limit = limit;
    this.frame = plainFrame(analysis.func);
    for (const g of groups) for (const m of g.members) this.groupOf.set(m, g);
  }

  /** The members of a group, cut where they bind too many buffers. */
  parts(g: Group): readonly (readonly number[])[] {
    // Reductions may need one for partial results.
    const limit = this.limit - (g.redAxes.length > 0 ? 1 : 0);
    const fits = (members: readonly number[]): boolean => this.buffersOf(g, members) <= limit;
    if (isOwnStep(g) || g.members.length < 2 || fits(g.members)) return [g.members];
    const parts: (readonly number[])[] = [];
    let part: readonly number[] = [];
    const add = (unit: readonly number[]): void => {
      const both = [...part, ...unit];
      if (part.length > 0 && !fits(both)) {
        parts.push(part);
        part = unit;
      } else part = both;
    };
    for (const unit of this.units(g)) {
      if (fits(unit)) add(unit);
      else for (const m of unit) add([m]);
    }
    return [...parts, part];
  }

  /** For each member that no other needs, those it needs that come with no earlier one: before it. */
  private units(g: Group): number[][] {
    const needed = new Set(g.members.flatMap((m) => [...this.before(g, m)]));
    const seen = new Set<number>();
    return g.members
      .filter((m) => !needed.has(m))
      .map((end) => {
        const unit: number[] = [];
        const stack = [{ id: end, rest: [...this.before(g, end)] }];
        seen.add(end);
        while (stack.length > 0) {
          const top = stack[stack.length - 1];
          const next = top.rest.pop();
          if (next === undefined) {
            unit.push(top.id);
            stack.pop();
          } else if (!seen.has(next)) {
            seen.add(next);
            stack.push({ id: next, rest: [...this.before(g, next)] });
          }
        }
        return unit;
      });
  }

  /** The members that must come before one of them. */
  private before(g: Group, id: number): number[] {
    return [...this.analysis.deps(id)].filter((d) => d !== id && g.places.has(d));
  }

  /** How many buffers a kernel of some members of a group binds. */
  private buffersOf(g: Group, members: readonly number[]): number {
    const inside = new Set(members);
    const keys = new Set<string>();
    for (const m of members) {
      const needs = this.needs(g, m);
      for (const key of needs.buffers) keys.add(key);
      for (const other of needs.members) if (!inside.has(other)) keys.add(this.homeOf(other, 0));
      const users = this.analysis.users.get(m) ?? [];
      const leaves = users.some((u) => g.places.has(u) && !inside.has(u));
      if (leaves || this.stored.has(m)) keys.add(this.homeOf(m, 0));
    }
    return keys.size;
  }

  private needs(g: Group, member: number): Needs {
    const old = this.known.get(member);
    if (old) return old;
    const { func } = this.analysis;
    const members = new Set<number>();
    const buffers = new Set<string>();
    const seen = new Set<number>([member]);
    const stack = [{ id: member, place: g.places.get(member) as Place }];
    while (stack.length > 0) {
      const { id, place } = stack.pop() as (typeof stack)[number];
      const node = func.nodes[id];
      const { red } = place;
      const reads = red
        ? reduceReads(this.frame, node, () => ({ out: place.index, red })).reads
        : readsOf(this.frame, node, place.index);
      for (const read of reads) {
        const { ref, index } = traceViews(this.frame, read, (n) => this.groupOf.has(n));
        const home = this.groupOf.get(ref.node);
        if (home === g) members.add(ref.node);
        else if (!home || isOwnStep(home) || this.stored.has(ref.node)) {
          if (home || !this.isFree(ref.node)) buffers.add(this.homeOf(ref.node, ref.port));
        } else if (!seen.has(ref.node)) {
          // What is not stored is computed again from what it reads.
          seen.add(ref.node);
          stack.push({ id: ref.node, place: { level: 'full', index } });
        }
      }
    }
    const made = { members, buffers };
    this.known.set(member, made);
    return made;
  }

  /** Whether a value needs no buffer: a size, or a constant that is one number. */
  private isFree(id: number): boolean {
    const node = this.analysis.func.nodes[id];
    const data = node.attrs.data as ArrayLike<unknown> | undefined;
    return isKnownSizes(node) || (node.op === 'const' && data?.length === 1);
  }

  /** What tells the buffer of a value from all others. */
  private homeOf(id: number, port: number): string {
    const node = this.analysis.func.nodes[id];
    const { form } = opRecord(node.op);
    const held = form.kind === 'readVariable' && !this.analysis.solid.has(id);
    if (held || form.kind === 'assign') return `variable ${node.attrs.variable}`;
    return `${id}:${port}`;
  }
}

/** Groups with some of them cut in parts. */
function regroup(
  analysis: Analysis,
  groups: readonly Group[],
  parts: readonly (readonly (readonly number[])[])[],
): Group[] {
  const out: Group[] = [];
  const groupOf = new Map<number, Group>();
  groups.forEach((g, i) => {
    for (const members of parts[i]) {
      const part = partOf(analysis, g, members, out.length);
      out.push(part);
      for (const m of members) groupOf.set(m, part);
    }
  });
  for (const g of out) {
    for (const m of g.members) {
      for (const d of analysis.deps(m)) {
        const before = groupOf.get(d);
        if (before && before !== g) g.deps.add(before);
      }
    }
  }
  return out;
}

function partOf(analysis: Analysis, g: Group, members: readonly number[], id: number): Group {
  const places = new Map(members.map((m) => [m, g.places.get(m) as Place]));
  const reduces = [...places.values()].some((p) => p.red || p.level === 'full');
  const contracts = members.some((m) => isContraction(analysis.func.nodes[m]));
  return {
    ...g,
    id,
    kind: isOwnStep(g) ? g.kind : contracts ? 'contraction' : 'nest',
    members: [...members],
    places,
    redAxes: reduces ? g.redAxes : [],
    deps: new Set(),
  };
}
