// Every op, dtype and shape class, forward and gradient, on every backend; and that no op is without
// a case or documentation.

import { describe, expect, it } from 'vitest';
import { buildCase } from '../../src/conformance/build.ts';
import { OP_CASES } from '../../src/conformance/suite.ts';
import type { Node } from '../../src/graph/func.ts';
import { allOps } from '../../src/graph/op.ts';
import { bodies } from '../../src/graph/walk.ts';
import { Session } from '../../src/session/session.ts';
import { checkCase } from './run.ts';

for (const c of OP_CASES) {
  describe(c.name, () => {
    for (const dtype of c.dtypes) {
      for (const shapes of c.shapes) {
        it(`${dtype} ${shapes.name}`, () => checkCase(c, dtype, shapes));
      }
    }
  });
}

describe('records', () => {
  it('all have documentation', () => {
    for (const op of allOps()) {
      expect(op.doc.length, op.name).toBeGreaterThan(5);
      for (const [name, doc] of Object.entries(op.attrs))
        expect(doc.length, `${op.name}.${name}`).toBeGreaterThan(2);
    }
  });

  it('all occur in a case', () => {
    const seen = new Set<string>();
    const visit = (nodes: readonly Node[]): void => {
      for (const n of nodes) {
        seen.add(n.op);
        for (const f of bodies(n)) visit(f.nodes);
      }
    };
    for (const c of OP_CASES) {
      for (const shapes of c.shapes) {
        const { graph, outputs } = buildCase(c, c.dtypes[0], shapes);
        visit(graph.nodes);
        // What composites are expanded to counts too.
        const text = new Session({ graph, backend: 'reference' }).explain(outputs);
        for (const [, op] of text.matchAll(/ = (\w+)\(/g)) seen.add(op);
      }
    }
    const missing = allOps()
      .map((op) => op.name)
      .filter((name) => !seen.has(name));
    expect(missing).toEqual([]);
  });
});
