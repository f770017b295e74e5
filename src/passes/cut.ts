// Cuts the part of a graph that some fetches need into a function whose parameters are the feeds.
// Fed tensors are opaque from here on, names stay, ids are new in the graph's node order (which is
// the order of unordered writes), and what follows from the feeds' types is inferred afresh.

import { type Dim, dimOf, prodDims } from '../core/dim.ts';
import { FeedError } from '../core/error.ts';
import { type TensorType, typeEquals, typeToString } from '../core/type.ts';
import type { Attrs, Func, Node, Ref } from '../graph/func.ts';
import { describeError, type Graph } from '../graph/graph.ts';
import { bodiesFor, type Known, reinferNode } from '../graph/infer.ts';
import { opRecord } from '../graph/op.ts';
import { refKey } from '../graph/walk.ts';

/** A parameter of the function: the tensors it stands for and its type in this run. */
export interface CutFeed {
  readonly refs: readonly Ref[];
  readonly type: TensorType;
  readonly name: string;
}

/** The function of some fetches and effects. Throws FeedError `feed/missing` at an unfed placeholder. */
export function cutFunc(
  graph: Graph,
  fetches: readonly Ref[],
  effects: readonly number[],
  feeds: readonly CutFeed[],
): Func {
  return new Cut(graph, feeds).run(fetches, effects);
}

class Cut {
  private readonly nodes: readonly Node[];
  private readonly feeds: readonly CutFeed[];
  private readonly fed = new Map<string, number>();
  /** Nodes all of whose outputs are fed: nothing of them runs. */
  private readonly replaced = new Set<number>();

  constructor(graph: Graph, feeds: readonly CutFeed[]) {
    this.nodes = graph.nodes;
    this.feeds = feeds;
    feeds.forEach((f, i) => {
      for (const r of f.refs) this.fed.set(refKey(r), i);
    });
    for (const f of feeds) {
      for (const r of f.refs) {
        const all = this.nodes[r.node].types.every((_, port) => this.fed.has(`${r.node}:${port}`));
        if (all) this.replaced.add(r.node);
      }
    }
  }

  run(fetches: readonly Ref[], effects: readonly number[]): Func {
    const wanted = [
      ...fetches.map((r) => this.source(r)),
      ...effects.map((node) => ({ node, port: 0 })),
    ];
    const live = this.live(wanted);
    const out: Node[] = [];
    const params = this.feeds.map((f, i) => {
      const node = paramNode(f, i, this.nodes, live);
      out.push(node);
      return node.id;
    });
    const at = new Map<number, number>();
    for (const id of [...live].sort((a, b) => a - b)) at.set(id, 0);
    for (const id of this.inOrder(at)) {
      at.set(id, out.length);
      out.push(this.copy(this.nodes[id], out, at));
    }
    const place = (r: Ref): Ref => this.place(this.source(r), at);
    const kept = effects.filter((e) => at.has(e)).map((e) => at.get(e) as number);
    const via = effects.filter((e) => !at.has(e)).flatMap((e) => this.controls(e));
    const viaIds = via.map((e) => at.get(e) as number);
    return Object.freeze({
      name: 'main',
      params,
      captured: 0,
      nodes: out,
      results: fetches.map(place),
      effects: [...new Set([...kept, ...viaIds])],
    });
  }

  /** Where a ref leads through nodes that are nothing but their input. */
  private source(ref: Ref): Ref {
    let at = ref;
    for (;;) {
      if (this.fed.has(refKey(at))) return at;
      const node = this.nodes[at.node];
      if (!opRecord(node.op).isInput || node.controls.length > 0) return at;
      at = node.inputs[0];
    }
  }

  /** The working nodes behind a control edge: groups stand for what they group. */
  private controls(id: number): number[] {
    const out = new Set<number>();
    const seen = new Set<number>();
    const stack = [id];
    while (stack.length > 0) {
      const n = stack.pop() as number;
      if (seen.has(n) || this.replaced.has(n)) continue;
      seen.add(n);
      const node = this.nodes[n];
      const record = opRecord(node.op);
      if (record.form.kind === 'noOp') stack.push(...node.controls);
      else if (record.isInput && node.controls.length === 0) {
        const s = this.source(node.inputs[0]);
        if (!this.fed.has(refKey(s))) stack.push(s.node);
      } else if (record.form.kind !== 'leaf') out.add(n);
    }
    return [...out];
  }

  private live(wanted: readonly Ref[]): Set<number> {
    const live = new Set<number>();
    const stack: number[] = [];
    const need = (r: Ref): void => {
      const s = this.source(r);
      if (!this.fed.has(refKey(s))) stack.push(s.node);
    };
    for (const r of wanted) {
      if (opRecord(this.nodes[r.node].op).form.kind === 'noOp')
        stack.push(...this.controls(r.node));
      else if (this.nodes[r.node].types.length === 0) stack.push(r.node);
      else need(r);
    }
    while (stack.length > 0) {
      const id = stack.pop() as number;
      if (live.has(id)) continue;
      live.add(id);
      const node = this.nodes[id];
      if (node.op === 'placeholder') throw missing(node);
      for (const r of node.inputs) need(r);
      for (const c of node.controls) stack.push(...this.controls(c));
    }
    return live;
  }

  /** Live ids with inputs first; the graph is append-only, so ascending ids are in order. */
  private inOrder(at: ReadonlyMap<number, number>): number[] {
    return [...at.keys()];
  }

  private place(r: Ref, at: ReadonlyMap<number, number>): Ref {
    const feed = this.fed.get(refKey(r));
    if (feed !== undefined) return { node: feed, port: 0 };
    return { node: at.get(r.node) as number, port: r.port };
  }

  private copy(node: Node, out: readonly Node[], at: ReadonlyMap<number, number>): Node {
    const inputs = node.inputs.map((r) => this.place(this.source(r), at));
    const controls = [...new Set(node.controls.flatMap((c) => this.controls(c)))].map(
      (c) => at.get(c) as number,
    );
    const moved: Node = { ...node, id: at.get(node.id) as number, inputs, controls };
    const known = inputs.map((r): Known => {
      const n = out[r.node];
      return { type: n.types[r.port], value: n.values[r.port] ?? null };
    });
    const same = node.inputs.every((r, i) => {
      const old = this.nodes[r.node];
      return typeEquals(old.types[r.port], known[i].type) && old.values[r.port] === known[i].value;
    });
    if (same) return Object.freeze(moved);
    try {
      return reinferNode({ ...moved, attrs: bodiesFor(moved, known) }, known);
    } catch (e) {
      throw describeError(e, opRecord(node.op).nodeName, node.name, known, node.site);
    }
  }
}

function paramNode(feed: CutFeed, index: number, nodes: readonly Node[], live: Set<number>): Node {
  const [first] = feed.refs;
  const old = nodes[first.node];
  const name = live.has(first.node) ? `${old.name}:${first.port}` : feed.name;
  // The contents of a fed shape are sizes that the run knows before it starts.
  const size = feed.type.shape === null ? null : prodDims(feed.type.shape);
  const value =
    old.values[first.port] && typeof size === 'number'
      ? Array.from({ length: size }, (_, i): Dim => dimOf(`${name}[${i}]`, '?'))
      : null;
  return Object.freeze({
    id: index,
    op: 'param',
    name,
    inputs: [],
    controls: [],
    attrs: { index, type: feed.type, value } as unknown as Attrs,
    types: [feed.type],
    values: [value],
    constraints: [],
    site: old.site,
  });
}

function missing(node: Node): FeedError {
  const type = typeToString(node.types[0]);
  return new FeedError(
    'feed/missing',
    `Placeholder "${node.name}": nothing is fed for it, and the fetches need it, got no value for ${type}. ` +
      `Add it to the feeds: [[${node.name.replace(/.*\//, '')}, value]].`,
    { op: 'Placeholder', node: node.name, site: node.site },
  );
}
