// Orders and neighbourhoods of functions, all iterative: graphs are deep (50,000 nodes in a chain)
// and recursion would overflow. Each runs in time linear in nodes and edges.

import type { Func, Node, Ref } from './func.ts';

/** Key of one output, for maps. */
export function refKey(ref: Ref): string {
  return `${ref.node}:${ref.port}`;
}

/** All nodes with inputs and controls before their users. */
export function topologicalOrder(func: Pick<Func, 'nodes'>): number[] {
  return visit(
    func.nodes,
    func.nodes.map((n) => n.id),
  );
}

/** The nodes that results and effects need, inputs and controls first. */
export function liveNodes(func: Func): number[] {
  return visit(func.nodes, [...func.results.map((r) => r.node), ...func.effects]);
}

/** The nodes that `roots` need, themselves included, inputs and controls first. */
export function visit(nodes: readonly Node[], roots: readonly number[]): number[] {
  const state = new Uint8Array(nodes.length);
  const order: number[] = [];
  const stack: number[] = [];
  for (const root of roots) {
    if (state[root] !== 0) continue;
    stack.push(root);
    while (stack.length > 0) {
      const id = stack[stack.length - 1];
      if (state[id] === 0) {
        state[id] = 1;
        const node = nodes[id];
        for (const r of node.inputs) if (state[r.node] === 0) stack.push(r.node);
        for (const c of node.controls) if (state[c] === 0) stack.push(c);
        continue;
      }
      stack.pop();
      if (state[id] === 1) {
        state[id] = 2;
        order.push(id);
      }
    }
  }
  return order;
}

/** For each node the ids of the nodes that take one of its outputs as input. */
export function consumers(nodes: readonly Node[]): number[][] {
  const out: number[][] = nodes.map(() => []);
  for (const n of nodes) {
    for (const r of n.inputs) {
      const list = out[r.node];
      if (list[list.length - 1] !== n.id) list.push(n.id);
    }
  }
  return out;
}

/** The functions a node holds as attributes, by attribute. */
export function bodies(node: Node): Func[] {
  const out: Func[] = [];
  for (const v of Object.values(node.attrs)) {
    if (isFunc(v)) out.push(v);
    else if (Array.isArray(v)) for (const f of v) if (isFunc(f)) out.push(f);
  }
  return out;
}

/** Whether an attribute value is a function of nodes. */
export function isFunc(v: unknown): v is Func {
  return typeof v === 'object' && v !== null && 'nodes' in v && 'results' in v && 'params' in v;
}

/** The node with each body replaced by what `fn` makes of it; the node itself if none changes. */
export function mapBodies(node: Node, fn: (body: Func) => Func): Node {
  let changed = false;
  const attrs: Record<string, Node['attrs'][string]> = {};
  const one = (f: Func): Func => {
    const next = fn(f);
    if (next !== f) changed = true;
    return next;
  };
  for (const [key, v] of Object.entries(node.attrs)) {
    if (isFunc(v)) attrs[key] = one(v);
    else if (Array.isArray(v) && v.some(isFunc))
      attrs[key] = v.map((f) => (isFunc(f) ? one(f) : f));
    else attrs[key] = v;
  }
  return changed ? Object.freeze({ ...node, attrs }) : node;
}
