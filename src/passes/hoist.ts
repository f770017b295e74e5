// Moves work that is the same in all turns out of loops: what depends on captured values alone is
// computed before the loop and captured in their place.

import { FuncEdit } from '../graph/edit.ts';
import type { Attrs, Func, Node, Ref } from '../graph/func.ts';
import { opRecord } from '../graph/op.ts';
import { liveNodes, refKey } from '../graph/walk.ts';
import { eachBody } from './bodies.ts';
import type { Pass } from './pass.ts';

export const hoistPass: Pass = {
  name: 'hoist',
  doc: 'Moves loop-invariant work out of loops.',
  // Inner loops first: what leaves them may leave the outer one too.
  run: (func) => hoistOnce(eachBody(func, (body) => hoistPass.run(body))),
};

function hoistOnce(func: Func): Func {
  const edit = new FuncEdit(func);
  for (const id of liveNodes(func)) {
    const node = func.nodes[id];
    if (opRecord(node.op).form.kind === 'loop') hoistFrom(edit, node);
  }
  return edit.apply().func;
}

function hoistFrom(edit: FuncEdit, loop: Node): void {
  const body = loop.attrs.body as Func;
  const count = body.captured;
  const first = body.params.length - count;
  const live = liveNodes(body);
  const invariant = new Set<number>(body.params.slice(first));
  for (const id of live) {
    const node = body.nodes[id];
    if (node.op === 'const') invariant.add(id);
    else if (
      movable(node) &&
      node.inputs.length > 0 &&
      node.inputs.every((r) => invariant.has(r.node))
    ) {
      invariant.add(id);
    }
  }
  const wanted = frontier(body, live, invariant);
  if (wanted.length === 0) return;
  const outside = new Map<string, Ref>();
  body.params.slice(first).forEach((p, i) => {
    outside.set(`${p}:0`, loop.inputs[loop.inputs.length - count + i]);
  });
  const copied = new Set<number>(body.params);
  for (const id of live) {
    if (!invariant.has(id) || copied.has(id) || !feeds(body, id, wanted, invariant)) continue;
    copied.add(id);
    const node = body.nodes[id];
    const at = edit.nextId;
    edit.append(
      Object.freeze({
        ...node,
        id: at,
        // Loops may share a body, as a loop and its gradient do.
        name: `${node.name}/hoisted${at}`,
        inputs: node.inputs.map((r) => outside.get(refKey(r)) as Ref),
        controls: [...loop.controls],
      }),
    );
    node.types.forEach((_, port) => {
      outside.set(`${id}:${port}`, { node: at, port });
    });
  }
  const inner = withCaptured(body, wanted);
  const cond = loop.attrs.cond as Func | null;
  const attrs: Attrs = {
    ...loop.attrs,
    captured: count + wanted.length,
    body: inner,
    cond: cond && withUnused(cond, body, wanted),
  };
  const inputs = [...loop.inputs, ...wanted.map((r) => outside.get(refKey(r)) as Ref)];
  edit.replace(Object.freeze({ ...loop, inputs, attrs }));
}

function movable(node: Node): boolean {
  const { effect, form } = opRecord(node.op);
  const pure = (effect ?? 'none') === 'none' && node.controls.length === 0;
  const kind =
    form.kind === 'scalar' ||
    form.kind === 'view' ||
    form.kind === 'index' ||
    form.kind === 'reduce';
  return pure && kind && node.constraints.length === 0;
}

/** The invariant work whose values varying nodes read, through views that may stay where they are. */
function frontier(body: Func, live: readonly number[], invariant: ReadonlySet<number>): Ref[] {
  const out = new Map<string, Ref>();
  const consider = (ref: Ref): void => {
    let r = ref;
    while (invariant.has(r.node) && opRecord(body.nodes[r.node].op).form.kind === 'view') {
      r = body.nodes[r.node].inputs[0];
    }
    const node = body.nodes[r.node];
    const { kind } = opRecord(node.op).form;
    const known =
      node.values.every((v) => v !== null) && node.types.every((t) => t.dtype === 'int32');
    if (invariant.has(r.node) && kind !== 'leaf' && !known) out.set(refKey(r), r);
  };
  for (const id of live) {
    if (!invariant.has(id)) for (const r of body.nodes[id].inputs) consider(r);
  }
  for (const r of body.results) consider(r);
  return [...out.values()];
}

/** Whether a node is one of the wanted or feeds one through invariant nodes. */
function feeds(
  body: Func,
  id: number,
  wanted: readonly Ref[],
  invariant: ReadonlySet<number>,
): boolean {
  const stack = wanted.map((r) => r.node);
  const seen = new Set<number>();
  while (stack.length > 0) {
    const n = stack.pop() as number;
    if (n === id) return true;
    if (seen.has(n) || !invariant.has(n)) continue;
    seen.add(n);
    for (const r of body.nodes[n].inputs) stack.push(r.node);
  }
  return false;
}

function paramFor(body: Func, ref: Ref, id: number, index: number): Node {
  const node = body.nodes[ref.node];
  const type = node.types[ref.port];
  const value = node.values[ref.port] ?? null;
  return Object.freeze({
    id,
    op: 'param',
    name: `${node.name}/hoisted${id}`,
    inputs: [],
    controls: [],
    attrs: { index, type, value } as unknown as Attrs,
    types: [type],
    values: [value],
    constraints: [],
  });
}

/** The body with wanted values as captured parameters. */
function withCaptured(body: Func, wanted: readonly Ref[]): Func {
  const edit = new FuncEdit(body);
  const params = [...body.params];
  for (const ref of wanted) {
    const id = edit.nextId;
    edit.append(paramFor(body, ref, id, params.length));
    params.push(id);
    edit.redirect(ref, { node: id, port: 0 });
  }
  const { func } = edit.apply();
  return Object.freeze({ ...func, params, captured: body.captured + wanted.length });
}

/** The condition with parameters that it does not use, so that both functions capture alike. */
function withUnused(cond: Func, body: Func, wanted: readonly Ref[]): Func {
  const nodes = [...cond.nodes];
  const params = [...cond.params];
  for (const ref of wanted) {
    const id = nodes.length;
    nodes.push(paramFor(body, ref, id, params.length));
    params.push(id);
  }
  return Object.freeze({ ...cond, nodes, params, captured: cond.captured + wanted.length });
}
