// A graph as Graphviz DOT: scopes as clusters, control edges dashed.

import { checkNoOptions } from '../core/options.ts';
import type { Graph } from '../graph/graph.ts';
import { drawnGraph } from './structure.ts';

function quote(text: string): string {
  return `"${text.replace(/\\/g, '\\\\').replace(/"/g, '\\"')}"`;
}

/** The text of a graph for Graphviz: `dot -Tsvg`. */
export function toDot(graph: Graph): string;
export function toDot(graph: Graph, ...more: unknown[]): string {
  checkNoOptions('toDot', more);
  const drawn = drawnGraph(graph);
  const lines: string[] = [
    'digraph tensorloom {',
    '  rankdir=BT;',
    '  node [shape=box, style="rounded,filled", fillcolor="#f6f8fa", fontname="Helvetica", fontsize=11];',
    '  edge [fontname="Helvetica", fontsize=9, color="#57606a"];',
  ];
  const stack = drawn
    .children()
    .map((id) => ({ id, depth: 1, close: false }))
    .reverse();
  while (stack.length > 0) {
    const { id, depth, close } = stack.pop() as { id: string; depth: number; close: boolean };
    const pad = '  '.repeat(depth);
    const node = drawn.node(id);
    if (close) lines.push(`${pad}}`);
    else if (node.kind === 'scope') {
      lines.push(
        `${pad}subgraph cluster_${id} {`,
        `${pad}  label=${quote(node.label)}; style=rounded;`,
      );
      stack.push({ id, depth, close: true });
      for (const child of drawn.children(id).reverse())
        stack.push({ id: child, depth: depth + 1, close: false });
    } else {
      const label = node.label === node.op ? node.op : `${node.label}\\n${node.op}`;
      lines.push(`${pad}${id} [label=${quote(label).replace(/\\\\n/g, '\\n')}];`);
    }
  }
  for (const e of drawn.edges()) {
    const { kind, label } = drawn.edge(e);
    lines.push(
      `  ${e.v} -> ${e.w} [${kind === 'control' ? 'style=dashed' : `label=${quote(label)}`}];`,
    );
  }
  return [...lines, '}', ''].join('\n');
}
