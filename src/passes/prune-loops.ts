// Drops what a loop does for nobody: stacked outputs that are not read, carries that only feed
// themselves, stacked and captured inputs that no turn uses.

import { FuncEdit } from '../graph/edit.ts';
import type { Attrs, Func, Node } from '../graph/func.ts';
import { knownOf, reinferNode } from '../graph/infer.ts';
import { opRecord } from '../graph/op.ts';
import { liveNodes, refKey } from '../graph/walk.ts';
import { eachBody } from './bodies.ts';
import type { Pass } from './pass.ts';

export const pruneLoopsPass: Pass = {
  name: 'prune',
  doc: 'Drops outputs, carries and inputs of loops that nothing needs.',
  run: (func) => {
    let out = func;
    // A loop that drops an input may leave another loop's output unread.
    for (let next = pruneOnce(out); next !== out; next = pruneOnce(out)) out = next;
    return eachBody(out, (body) => pruneLoopsPass.run(body));
  },
};

function pruneOnce(func: Func): Func {
  const used = new Set(func.results.map(refKey));
  const live = liveNodes(func);
  for (const id of live) for (const r of func.nodes[id].inputs) used.add(refKey(r));
  const edit = new FuncEdit(func);
  for (const id of live) {
    const node = func.nodes[id];
    if (opRecord(node.op).form.kind !== 'loop') continue;
    const kept = keptParts(node, (port) => used.has(`${id}:${port}`));
    if (kept) rebuild(func, edit, node, kept);
  }
  return edit.apply().func;
}

interface Kept {
  readonly carries: readonly number[];
  readonly ys: readonly number[];
  readonly xs: readonly number[];
  readonly captured: readonly number[];
}

/** What of a loop is needed, or undefined where all is. */
function keptParts(node: Node, isUsed: (port: number) => boolean): Kept | undefined {
  const { attrs } = node;
  const nc = attrs.carries as number;
  const nx = attrs.xs as number;
  const body = attrs.body as Func;
  const cond = attrs.cond as Func | null;
  const ny = body.results.length - nc;
  const ys = range(ny).filter((i) => isUsed(nc + i));
  const inCond = new Set(cond ? liveNodes(cond) : []);
  let carries = range(nc);
  let live = new Set<number>();
  for (;;) {
    const results = [...carries, ...ys.map((i) => nc + i)].map((i) => body.results[i]);
    live = new Set(liveNodes({ ...body, results }));
    const next = carries.filter((i) => {
      if (isUsed(i) || (cond && inCond.has(cond.params[1 + i]))) return true;
      const others = results.filter((_, k) => carries[k] !== i || k >= carries.length);
      return new Set(liveNodes({ ...body, results: others })).has(body.params[1 + i]);
    });
    if (next.length === carries.length) break;
    carries = next;
  }
  // One stacked input must stay where it alone tells the number of turns.
  const needed = range(nx).filter((i) => live.has(body.params[1 + nc + i]));
  const keepOne = needed.length === 0 && nx > 0 ? [0] : needed;
  const count = body.captured;
  const inner = count === 0 ? [] : body.params.slice(-count);
  const outer = cond && count > 0 ? cond.params.slice(-count) : [];
  const captured = range(count).filter((i) => live.has(inner[i]) || (cond && inCond.has(outer[i])));
  const same =
    carries.length === nc && ys.length === ny && keepOne.length === nx && captured.length === count;
  return same ? undefined : { carries, ys, xs: keepOne, captured };
}

function range(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i);
}

function rebuild(func: Func, edit: FuncEdit, node: Node, kept: Kept): void {
  const { attrs } = node;
  const nc = attrs.carries as number;
  const nx = attrs.xs as number;
  const body = attrs.body as Func;
  const cond = attrs.cond as Func | null;
  const at = { x: 1 + nc, captured: 1 + nc + nx };
  const bodyParams = [
    0,
    ...kept.carries.map((i) => 1 + i),
    ...kept.xs.map((i) => at.x + i),
    ...kept.captured.map((i) => at.captured + i),
  ];
  const condParams = [
    0,
    ...kept.carries.map((i) => 1 + i),
    ...kept.captured.map((i) => 1 + nc + i),
  ];
  const results = [...kept.carries, ...kept.ys.map((i) => nc + i)];
  const inputs = bodyParams.slice(1).map((p) => node.inputs[p - 1]);
  const next: Attrs = {
    ...attrs,
    carries: kept.carries.length,
    xs: kept.xs.length,
    captured: kept.captured.length,
    body: selectParams(
      body,
      bodyParams,
      results.map((i) => body.results[i]),
      kept.captured.length,
    ),
    cond: cond && selectParams(cond, condParams, cond.results, kept.captured.length),
  };
  const id = edit.nextId;
  const known = inputs.map((r) => knownOf(func, r));
  // The name stays, so that symbols named after the node stay the same; the old node is dead.
  edit.append(reinferNode({ ...node, id, inputs, attrs: next }, known));
  edit.replace(Object.freeze({ ...node, name: `${node.name}/pruned${id}` }));
  edit.succeed(node.id, id);
  results.forEach((old, port) => {
    edit.redirect({ node: node.id, port: old }, { node: id, port });
  });
}

/** The function with some of its params, renumbered. */
function selectParams(
  func: Func,
  keep: readonly number[],
  results: Func['results'],
  captured: number,
): Func {
  const nodes = [...func.nodes];
  const params = keep.map((p, index) => {
    const id = func.params[p];
    nodes[id] = Object.freeze({ ...nodes[id], attrs: { ...nodes[id].attrs, index } });
    return id;
  });
  return Object.freeze({ ...func, nodes, params, results, captured });
}
