// Drawings: scopes as clusters, labels that users chose, ids that they did not.

import { expect, it } from 'vitest';
import * as tl from '../../src/index.ts';

function drawn(): tl.Graph {
  const graph = new tl.Graph();
  graph.asDefault(() => {
    const x = tl.placeholder('float32', ['batch', 2], { name: 'x' });
    tl.nameScope('layer', () => {
      const done = tl.noOp({ name: 'done' });
      tl.controlDependencies([done], () => tl.matmul(x, tl.constant([[1], [2]], { name: 'w' })));
    });
    tl.constant(1, { name: 'toString' });
  });
  return graph;
}

it('DOT', () => {
  expect(tl.toDot(drawn())).toMatchInlineSnapshot(`
    "digraph tensorloom {
      rankdir=BT;
      node [shape=box, style="rounded,filled", fillcolor="#f6f8fa", fontname="Helvetica", fontsize=11];
      edge [fontname="Helvetica", fontsize=9, color="#57606a"];
      n0 [label="x\\nPlaceholder"];
      subgraph cluster_s0 {
        label="layer"; style=rounded;
        n1 [label="done\\nNoOp"];
        n2 [label="w\\nConst"];
        n3 [label="MatMul"];
      }
      n4 [label="toString\\nConst"];
      n1 -> n2 [style=dashed];
      n0 -> n3 [label="float32[batch, 2]"];
      n2 -> n3 [label="float32[2, 1]"];
      n1 -> n3 [style=dashed];
    }
    "
  `);
});

it('Mermaid', () => {
  expect(tl.toMermaid(drawn())).toMatchInlineSnapshot(`
    "flowchart BT
      n0["x<br/>Placeholder"]
      subgraph s0 ["layer"]
        n1["done<br/>NoOp"]
        n2["w<br/>Const"]
        n3["MatMul"]
      end
      n4["toString<br/>Const"]
      n1 -.-> n2
      n0 -->|"float32#91;batch, 2#93;"| n3
      n2 -->|"float32#91;2, 1#93;"| n3
      n1 -.-> n3
    "
  `);
});
