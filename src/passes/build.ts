// New nodes within a pass: built through the public functions in a scratch graph whose parameters
// stand for values of the function, then appended to the edit.

import type { FuncEdit } from '../graph/edit.ts';
import type { Node, Ref } from '../graph/func.ts';
import { Graph } from '../graph/graph.ts';
import type { Tensor } from '../graph/tensor.ts';

/**
 * Builds nodes with `make` from values of the function under `scope` (a name that is unique in the
 * function) and appends them to the edit; returns where the results stand.
 */
export function buildInto(
  edit: FuncEdit,
  scope: string,
  inputs: readonly Ref[],
  origin: Node,
  make: (inputs: readonly Tensor[]) => readonly Tensor[],
): Ref[] {
  const graph = new Graph({ scope });
  const params = inputs.map((ref, i) => {
    const node = edit.node(ref.node);
    return graph.param(node.types[ref.port], `in${i}`, node.values[ref.port] ?? null);
  });
  const results = graph.asDefault(() => make(params));
  const place = new Map<number, Ref>(params.map((p, i) => [p.id, inputs[i]]));
  const at = (r: Ref): Ref => {
    const p = place.get(r.node) as Ref;
    return r.node < params.length && params[r.node]?.id === r.node
      ? p
      : { node: p.node, port: r.port };
  };
  for (const node of graph.nodes) {
    if (place.has(node.id)) continue;
    const id = edit.nextId;
    place.set(node.id, { node: id, port: 0 });
    edit.append(
      Object.freeze({
        ...node,
        id,
        inputs: node.inputs.map(at),
        controls: [...origin.controls, ...node.controls.map((c) => (place.get(c) as Ref).node)],
        site: origin.site,
      }),
    );
  }
  return results.map((t) => at(t.ref));
}
