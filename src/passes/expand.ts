// Replaces composites by what they are composed of, until none is left.

import { FuncEdit } from '../graph/edit.ts';
import type { Func } from '../graph/func.ts';
import { opRecord } from '../graph/op.ts';
import { liveNodes } from '../graph/walk.ts';
import { eachBody } from './bodies.ts';
import { buildInto } from './build.ts';
import type { Pass } from './pass.ts';

export const expandPass: Pass = {
  name: 'expand',
  doc: 'Replaces composite ops by what they are composed of.',
  run: (func) => {
    let out = func;
    for (let next = expandOnce(out); next !== out; next = expandOnce(out)) out = next;
    return eachBody(out, (body) => expandPass.run(body));
  },
};

function expandOnce(func: Func): Func {
  const edit = new FuncEdit(func);
  const ends = new Map<number, number[]>();
  for (const id of liveNodes(func)) {
    const node = func.nodes[id];
    const { form } = opRecord(node.op);
    if (form.kind !== 'expand') continue;
    const results = buildInto(edit, node.name, node.inputs, node, (inputs) =>
      form.expand(inputs, node.attrs),
    );
    results.forEach((to, port) => {
      edit.redirect({ node: id, port }, to);
    });
    ends.set(
      id,
      results.map((r) => r.node),
    );
  }
  if (ends.size === 0) return func;
  const after = (controls: readonly number[]): number[] =>
    controls.flatMap((c) => ends.get(c) ?? [c]);
  for (let id = 0; id < edit.nextId; id++) {
    const node = edit.node(id);
    if (node.controls.some((c) => ends.has(c))) {
      edit.replace(Object.freeze({ ...node, controls: after(node.controls) }));
    }
  }
  return edit.apply().func;
}
