// The drawable structure of a graph, as a compound graphlib graph: operations as nodes, name scopes as
// clusters, tensors as edges labelled with their types. Ids are made here, never user names.

import { Graph as CompoundGraph } from '@dagrejs/graphlib';
import { ValueError } from '../core/error.ts';
import { typeToString } from '../core/type.ts';
import { Graph } from '../graph/graph.ts';
import { opRecord } from '../graph/op.ts';

/** Label of a node: an operation, or a scope. */
export interface DrawnNode {
  readonly kind: 'operation' | 'scope';
  readonly label: string;
  readonly op: string;
}

/** Label of an edge. */
export interface DrawnEdge {
  readonly kind: 'data' | 'control';
  readonly label: string;
}

/** Builds the compound graph. Scopes are `s0`, `s1`, …, operations `n0`, `n1`, …. */
export function drawnGraph(graph: Graph): CompoundGraph<unknown, DrawnNode, DrawnEdge> {
  if (!(graph instanceof Graph)) {
    throw new ValueError(
      'value/graph',
      `a graph is drawn, got ${String(graph)}. Pass the graph itself, such as tensor.graph.`,
    );
  }
  const out = new CompoundGraph<unknown, DrawnNode, DrawnEdge>({
    directed: true,
    compound: true,
    multigraph: true,
  });
  const scopes = new Map<string, string>();
  const scopeId = (path: string): string => {
    const old = scopes.get(path);
    if (old) return old;
    const id = `s${scopes.size}`;
    scopes.set(path, id);
    const cut = path.lastIndexOf('/');
    out.setNode(id, { kind: 'scope', label: path.slice(cut + 1), op: '' });
    if (cut >= 0) out.setParent(id, scopeId(path.slice(0, cut)));
    return id;
  };
  for (const node of graph.nodes) {
    const id = `n${node.id}`;
    const cut = node.name.lastIndexOf('/');
    const op = opRecord(node.op).nodeName;
    out.setNode(id, { kind: 'operation', label: node.name.slice(cut + 1), op });
    if (cut >= 0) out.setParent(id, scopeId(node.name.slice(0, cut)));
  }
  for (const node of graph.nodes) {
    node.inputs.forEach((r, i) => {
      const type = graph.nodes[r.node].types[r.port];
      out.setEdge(
        `n${r.node}`,
        `n${node.id}`,
        { kind: 'data', label: typeToString(type) },
        `${r.port}:${i}`,
      );
    });
    for (const c of node.controls) {
      out.setEdge(`n${c}`, `n${node.id}`, { kind: 'control', label: '' }, 'control');
    }
  }
  return out;
}
