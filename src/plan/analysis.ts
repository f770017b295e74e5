// What must run before what in a function, and which nodes are work. `Solid` nodes are computed in
// some step; the others (views, leaves, reads, known sizes) are looked through. Variables are put in
// versions here: a read sees the version of the last write that it is ordered after.

import type { Sym } from '../core/dim.ts';
import { collectSyms, symsOf } from '../core/dim-syms.ts';
import { InternalError } from '../core/error.ts';
import type { Func, Node, Ref } from '../graph/func.ts';
import { opRecord } from '../graph/op.ts';
import { axesFor, indexEquals, knownType, plainFrame, readsOf, traceViews } from './access.ts';

/** The variables that a function's bodies read and write. */
interface BodyVariables {
  readonly reads: ReadonlySet<string>;
  readonly writes: ReadonlySet<string>;
}

export interface Analysis {
  readonly func: Func;
  /** Live node ids in topological order; node order breaks ties. */
  readonly order: readonly number[];
  readonly solid: ReadonlySet<number>;
  /** For a solid node, the solid nodes that must have run before it. */
  deps(id: number): ReadonlySet<number>;
  /** The solid nodes behind a node: itself, or those that one looked through leads to. */
  sources(id: number): ReadonlySet<number>;
  /** Solid users of a node's value, looking through views. */
  readonly users: ReadonlyMap<number, readonly number[]>;
  /** Reads of variables that must be copied before the variable is written. */
  readonly copiedReads: ReadonlySet<number>;
  /** Variables written anywhere in this function, bodies included. */
  readonly written: ReadonlySet<string>;
}

/** The bodies that a node holds. */
export function bodiesOf(node: Node): readonly Func[] {
  const { form } = opRecord(node.op);
  if (form.kind === 'loop') {
    const cond = node.attrs.cond as Func | null;
    return cond ? [node.attrs.body as Func, cond] : [node.attrs.body as Func];
  }
  if (form.kind === 'branch') return node.attrs.branches as readonly Func[];
  return [];
}

/** Live nodes in topological order (inputs and controls first), smallest id first among the ready. */
export function liveOrder(func: Func): number[] {
  const state = new Uint8Array(func.nodes.length);
  const order: number[] = [];
  const roots = [...func.results.map((r) => r.node), ...func.effects];
  const stack: number[] = [];
  for (const root of roots) {
    stack.push(root);
    while (stack.length > 0) {
      const id = stack[stack.length - 1];
      if (state[id] === 2) {
        stack.pop();
        continue;
      }
      if (state[id] === 0) {
        state[id] = 1;
        const node = func.nodes[id];
        for (const r of node.inputs) if (state[r.node] === 0) stack.push(r.node);
        for (const c of node.controls) if (state[c] === 0) stack.push(c);
        continue;
      }
      state[id] = 2;
      order.push(id);
      stack.pop();
    }
  }
  return sortByNodeOrder(func, order);
}

/** Among all topological orders the one that takes the smallest ready id first. */
function sortByNodeOrder(func: Func, live: readonly number[]): number[] {
  const waiting = new Map<number, number>();
  const next = new Map<number, number[]>();
  const inSet = new Set(live);
  let ascending = true;
  for (const id of live) {
    const node = func.nodes[id];
    const before = new Set([...node.inputs.map((r) => r.node), ...node.controls]);
    let count = 0;
    for (const b of before) {
      if (!inSet.has(b)) continue;
      if (b > id) ascending = false;
      count++;
      const list = next.get(b);
      if (list) list.push(id);
      else next.set(b, [id]);
    }
    waiting.set(id, count);
  }
  if (ascending) return [...live].sort((a, b) => a - b);
  return takeReady(live, waiting, next);
}

/** Kahn's algorithm with a binary heap of ready ids. */
export function takeReady(
  all: readonly number[],
  waiting: Map<number, number>,
  next: ReadonlyMap<number, readonly number[]>,
): number[] {
  const heap: number[] = [];
  const push = (x: number): void => {
    let i = heap.push(x) - 1;
    while (i > 0 && heap[(i - 1) >> 1] > heap[i]) {
      const p = (i - 1) >> 1;
      [heap[p], heap[i]] = [heap[i], heap[p]];
      i = p;
    }
  };
  const pop = (): number => {
    const top = heap[0];
    const last = heap.pop() as number;
    if (heap.length > 0) {
      heap[0] = last;
      for (let i = 0; ; ) {
        const l = 2 * i + 1;
        if (l >= heap.length) break;
        const c = l + 1 < heap.length && heap[l + 1] < heap[l] ? l + 1 : l;
        if (heap[i] <= heap[c]) break;
        [heap[c], heap[i]] = [heap[i], heap[c]];
        i = c;
      }
    }
    return top;
  };
  for (const id of all) if ((waiting.get(id) ?? 0) === 0) push(id);
  const order: number[] = [];
  while (heap.length > 0) {
    const id = pop();
    order.push(id);
    for (const n of next.get(id) ?? []) {
      const w = (waiting.get(n) ?? 0) - 1;
      waiting.set(n, w);
      if (w === 0) push(n);
    }
  }
  if (order.length !== all.length) throw new InternalError('the function has a cycle');
  return order;
}

/** The variables read and written in a function, its bodies included. */
export function variablesOf(func: Func): BodyVariables {
  const reads = new Set<string>();
  const writes = new Set<string>();
  const work: Func[] = [func];
  while (work.length > 0) {
    const f = work.pop() as Func;
    for (const id of liveOrder(f)) {
      const node = f.nodes[id];
      const { form } = opRecord(node.op);
      if (form.kind === 'readVariable') reads.add(node.attrs.variable as string);
      if (form.kind === 'assign') {
        writes.add(node.attrs.variable as string);
        if (node.attrs.update !== 'set') reads.add(node.attrs.variable as string);
      }
      work.push(...bodiesOf(node));
    }
  }
  return { reads, writes };
}

/** The variables that must hold a value before a run, and those that it writes. */
export function variableUse(func: Func): { reads: string[]; writes: string[] } {
  const { reads, writes } = variablesOf(func);
  const needed = new Set<string>();
  for (const name of reads) if (!writes.has(name)) needed.add(name);
  for (const id of liveOrder(func)) {
    const node = func.nodes[id];
    const { form } = opRecord(node.op);
    const names =
      form.kind === 'readVariable' || (form.kind === 'assign' && node.attrs.update !== 'set')
        ? [node.attrs.variable as string]
        : [...variablesOfNode(node).reads];
    const before = names.some((n) => writes.has(n)) ? upstream(func, id) : new Set<number>();
    for (const name of names) {
      const set = [...before].some((b) => {
        const n = func.nodes[b];
        return opRecord(n.op).form.kind === 'assign' && n.attrs.variable === name;
      });
      if (!set) needed.add(name);
    }
  }
  return { reads: [...needed], writes: [...writes] };
}

/** The variables that the bodies of a node read and write. */
export function variablesOfNode(node: Node): BodyVariables {
  const reads = new Set<string>();
  const writes = new Set<string>();
  for (const body of bodiesOf(node)) {
    const v = variablesOf(body);
    for (const r of v.reads) reads.add(r);
    for (const w of v.writes) writes.add(w);
  }
  return { reads, writes };
}

/** Whether all of an int32 node's output is known as sizes, so that nothing computes it. */
export function isKnownSizes(node: Node): boolean {
  return (
    opRecord(node.op).form.kind !== 'kernel' &&
    node.values.length > 0 &&
    node.values.every((v) => v !== null && v !== undefined) &&
    node.types.every((t) => t.dtype === 'int32')
  );
}

/** Analyses a function; what needs a buffer of its own (`stored`) counts as work, views too. */
export function analyse(func: Func, stored: ReadonlySet<number>): Analysis {
  const order = liveOrder(func);
  const solid = new Set<number>();
  for (const id of order) {
    const node = func.nodes[id];
    const { form, effect } = opRecord(node.op);
    if (stored.has(id)) {
      solid.add(id);
      continue;
    }
    if (isKnownSizes(node) && (effect ?? 'none') === 'none') continue;
    const seeThrough =
      form.kind === 'leaf' ||
      form.kind === 'readVariable' ||
      form.kind === 'noOp' ||
      form.kind === 'view';
    if (!seeThrough) solid.add(id);
  }
  const versions = versionVariables(func, order, solid);
  for (const id of versions.copiedReads) solid.add(id);

  const sources = new Map<number, ReadonlySet<number>>();
  const nothing: ReadonlySet<number> = new Set();
  const sourcesOf = (id: number): ReadonlySet<number> =>
    solid.has(id) ? new Set([id]) : (sources.get(id) ?? nothing);
  const deps = new Map<number, Set<number>>();
  const users = new Map<number, number[]>();
  const addUser = (of: number, user: number): void => {
    const list = users.get(of);
    if (list) {
      if (list[list.length - 1] !== user) list.push(user);
    } else users.set(of, [user]);
  };
  const seen = new Map<number, ReadonlySet<number>>();
  const start = startSymbols(func);
  for (const id of order) {
    const node = func.nodes[id];
    const before = new Set<number>();
    for (const r of node.inputs) for (const s of sourcesOf(r.node)) before.add(s);
    for (const c of node.controls) for (const s of sourcesOf(c)) before.add(s);
    if (!solid.has(id) && isKnownSizes(node) && isSettled(node, start)) {
      sources.set(id, nothing);
    } else if (solid.has(id)) {
      deps.set(id, before);
      for (const r of node.inputs)
        for (const v of lookThrough(func, r, solid, seen)) addUser(v, id);
    } else sources.set(id, before);
  }
  for (const [before, after] of versions.edges) {
    if (before !== after) deps.get(after)?.add(before);
  }
  return {
    func,
    order: versions.edges.length > 0 ? orderWith(func, order, versions.edges) : order,
    solid,
    deps: (id) => deps.get(id) ?? nothing,
    sources: sourcesOf,
    users,
    copiedReads: versions.copiedReads,
    written: versions.written,
  };
}

/** The symbols that the function's parameters show. */
function startSymbols(func: Func): Set<string> {
  const out = new Map<string, Sym>();
  for (const p of func.params) {
    const { types, values } = func.nodes[p];
    for (const d of [...(types[0].shape ?? []), ...(values[0] ?? [])]) collectSyms(d, out);
  }
  return new Set(out.keys());
}

/** Whether sizes are known from the start, so that no step has to come first. */
function isSettled(node: Node, start: ReadonlySet<string>): boolean {
  return node.values.every((v) =>
    (v ?? []).every((d) => [...symsOf(d).keys()].every((id) => start.has(id))),
  );
}

/** The order that honours further pairs (before, after) besides inputs and controls. */
function orderWith(
  func: Func,
  order: readonly number[],
  edges: readonly (readonly [number, number])[],
): number[] {
  const next = new Map<number, number[]>();
  const waiting = new Map<number, number>();
  const link = (before: number, after: number): void => {
    const list = next.get(before);
    if (list) list.push(after);
    else next.set(before, [after]);
    waiting.set(after, (waiting.get(after) ?? 0) + 1);
  };
  for (const id of order) {
    const node = func.nodes[id];
    for (const r of node.inputs) link(r.node, id);
    for (const c of node.controls) link(c, id);
  }
  for (const [before, after] of edges) if (before !== after) link(before, after);
  return takeReady(order, waiting, next);
}

/** A node and, if it is a view that is looked through, the nodes behind it. */
function lookThrough(
  func: Func,
  ref: Ref,
  solid: ReadonlySet<number>,
  memo: Map<number, ReadonlySet<number>>,
): ReadonlySet<number> {
  const old = memo.get(ref.node);
  if (old) return old;
  const out = new Set<number>();
  let id = ref.node;
  for (;;) {
    out.add(id);
    const node = func.nodes[id];
    if (solid.has(id) || opRecord(node.op).form.kind !== 'view') break;
    id = node.inputs[0].node;
  }
  memo.set(ref.node, out);
  return out;
}

interface Versions {
  /** Pairs (before, after) of solid nodes. */
  readonly edges: readonly (readonly [number, number])[];
  readonly copiedReads: ReadonlySet<number>;
  readonly written: ReadonlySet<string>;
}

/**
 * Orders users of a variable's value before the next write of it. A use that itself depends on that
 * write gets a copy taken before it.
 */
function versionVariables(
  func: Func,
  order: readonly number[],
  solid: ReadonlySet<number>,
): Versions {
  const writers = new Map<string, number[]>();
  const readers = new Map<string, number[]>();
  const put = (map: Map<string, number[]>, name: string, id: number): void => {
    const list = map.get(name);
    if (list) list.push(id);
    else map.set(name, [id]);
  };
  for (const id of order) {
    const node = func.nodes[id];
    const { form } = opRecord(node.op);
    if (form.kind === 'assign') put(writers, node.attrs.variable as string, id);
    if (form.kind === 'readVariable') put(readers, node.attrs.variable as string, id);
    if (isBodyNode(node)) {
      const inside = variablesOfNode(node);
      for (const w of inside.writes) put(writers, w, id);
      for (const r of inside.reads) if (!inside.writes.has(r)) put(readers, r, id);
    }
  }
  const written = new Set(writers.keys());
  const edges: [number, number][] = [];
  const copiedReads = new Set<number>();
  if (written.size === 0) return { edges, copiedReads, written };

  const next = successors(func, order);
  const results = new Set(func.results.map((r) => r.node));
  // Edges found so far count too: two variables that are swapped must not wait for each other.
  const precede = (before: number, after: number): void => {
    edges.push([before, after]);
    const list = next.get(before);
    if (list) list.push(after);
    else next.set(before, [after]);
  };
  for (const [name, writes] of writers) {
    for (let i = 1; i < writes.length; i++) precede(writes[i - 1], writes[i]);
    const values = [...(readers.get(name) ?? []), ...writes.slice(0, -1)];
    for (const value of values) {
      const ancestors = upstream(func, value);
      let version = 0;
      writes.forEach((w, i) => {
        if (w === value || ancestors.has(w)) version = i + 1;
      });
      if (version === writes.length) continue;
      const write = writes[version];
      const after = downstream(next, write);
      const direct = directUsers(func, value, next, solid);
      const form = opRecord(func.nodes[value].op).form.kind;
      const late = direct.users.some((u) => u !== write && after.has(u));
      if (isBodyNode(func.nodes[value])) {
        precede(value, write);
      } else if (
        late ||
        (direct.reachesResult && results.size > 0) ||
        readsElsewhere(func, write, value) ||
        // A body may write the variable before it reads what it was given of it.
        (isBodyNode(func.nodes[write]) && direct.users.includes(write))
      ) {
        if (form !== 'readVariable') {
          throw new InternalError(`"${func.nodes[value].name}" is used after a later write`);
        }
        copiedReads.add(value);
        precede(value, write);
      } else for (const u of direct.users) if (u !== write) precede(u, write);
    }
  }
  return { edges, copiedReads, written };
}

/** Whether a node is the read of a variable that the function writes. */
export function readsWritten({ func, written }: Analysis, id: number): boolean {
  const { op, attrs } = func.nodes[id];
  return opRecord(op).form.kind === 'readVariable' && written.has(attrs.variable as string);
}

function isBodyNode(node: Node): boolean {
  const { kind } = opRecord(node.op).form;
  return kind === 'loop' || kind === 'branch';
}

/** Whether a write takes a value, through views, from other places than those it writes at the time. */
function readsElsewhere(func: Func, write: number, value: number): boolean {
  const node = func.nodes[write];
  if (opRecord(node.op).form.kind !== 'assign') return false;
  const frame = plainFrame(func);
  const { index } = axesFor(knownType(func, { node: write, port: 0 }).shape, 'w');
  return readsOf(frame, node, index).some((read) => {
    const at = traceViews(frame, read, () => false);
    return at.ref.node === value && !indexEquals(at.index, index);
  });
}

function successors(func: Func, order: readonly number[]): Map<number, number[]> {
  const next = new Map<number, number[]>();
  const link = (from: number, to: number): void => {
    const list = next.get(from);
    if (list) list.push(to);
    else next.set(from, [to]);
  };
  for (const id of order) {
    for (const r of func.nodes[id].inputs) link(r.node, id);
    for (const c of func.nodes[id].controls) link(c, id);
  }
  return next;
}

function upstream(func: Func, id: number): Set<number> {
  const seen = new Set<number>();
  const stack = [id];
  while (stack.length > 0) {
    const node = func.nodes[stack.pop() as number];
    for (const b of [...node.inputs.map((r) => r.node), ...node.controls]) {
      if (!seen.has(b)) {
        seen.add(b);
        stack.push(b);
      }
    }
  }
  return seen;
}

function downstream(next: ReadonlyMap<number, readonly number[]>, id: number): Set<number> {
  const seen = new Set<number>();
  const stack = [id];
  while (stack.length > 0) {
    for (const n of next.get(stack.pop() as number) ?? []) {
      if (!seen.has(n)) {
        seen.add(n);
        stack.push(n);
      }
    }
  }
  return seen;
}

/** The solid nodes that read a value, through views that are looked through. */
function directUsers(
  func: Func,
  id: number,
  next: ReadonlyMap<number, readonly number[]>,
  solid: ReadonlySet<number>,
): { users: number[]; reachesResult: boolean } {
  const users = new Set<number>();
  const results = new Set(func.results.map((r) => r.node));
  let reachesResult = results.has(id);
  const stack = [id];
  const seen = new Set(stack);
  while (stack.length > 0) {
    const at = stack.pop() as number;
    for (const n of next.get(at) ?? []) {
      if (seen.has(n)) continue;
      seen.add(n);
      if (!func.nodes[n].inputs.some((r) => r.node === at)) continue;
      if (solid.has(n)) users.add(n);
      else if (opRecord(func.nodes[n].op).form.kind === 'view') {
        if (results.has(n)) reachesResult = true;
        stack.push(n);
      }
    }
  }
  return { users: [...users], reachesResult };
}
