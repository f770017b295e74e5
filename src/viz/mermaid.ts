// A graph as a Mermaid flowchart: scopes as subgraphs, control edges dotted.

import { checkNoOptions } from '../core/options.ts';
import type { Graph } from '../graph/graph.ts';
import { drawnGraph } from './structure.ts';

/** Mermaid takes entity codes for characters that would end a label. */
function entities(text: string): string {
  return text.replace(/[#;"<>[\](){}|]/g, (c) => `#${c.charCodeAt(0)};`);
}

/** The text of a graph for Mermaid. */
export function toMermaid(graph: Graph): string;
export function toMermaid(graph: Graph, ...more: unknown[]): string {
  checkNoOptions('toMermaid', more);
  const drawn = drawnGraph(graph);
  const lines: string[] = ['flowchart BT'];
  const stack = drawn
    .children()
    .map((id) => ({ id, depth: 1, close: false }))
    .reverse();
  while (stack.length > 0) {
    const { id, depth, close } = stack.pop() as { id: string; depth: number; close: boolean };
    const pad = '  '.repeat(depth);
    const node = drawn.node(id);
    if (close) lines.push(`${pad}end`);
    else if (node.kind === 'scope') {
      lines.push(`${pad}subgraph ${id} ["${entities(node.label)}"]`);
      stack.push({ id, depth, close: true });
      for (const child of drawn.children(id).reverse())
        stack.push({ id: child, depth: depth + 1, close: false });
    } else {
      const label = node.label === node.op ? node.op : `${node.label}<br/>${node.op}`;
      lines.push(`${pad}${id}["${label.split('<br/>').map(entities).join('<br/>')}"]`);
    }
  }
  for (const e of drawn.edges()) {
    const { kind, label } = drawn.edge(e);
    lines.push(
      kind === 'control' ? `  ${e.v} -.-> ${e.w}` : `  ${e.v} -->|"${entities(label)}"| ${e.w}`,
    );
  }
  return `${lines.join('\n')}\n`;
}
