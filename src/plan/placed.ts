// Plans the step of a region: a plan of its own for the CPU, whose feeds are what the region needs and
// whose results what others need of it. Sizes known here are given to that plan, and sizes that it finds
// are told back.

import { prodDims, type Sym } from '../core/dim.ts';
import { collectSyms } from '../core/dim-syms.ts';
import type { DType } from '../core/dtype.ts';
import { collectNodeSyms } from '../graph/found-sizes.ts';
import type { Func, Node } from '../graph/func.ts';
import { opRecord } from '../graph/op.ts';
import { type Analysis, bodiesOf, isKnownSizes, liveOrder } from './analysis.ts';
import type { BodyContext } from './control.ts';
import type { Places } from './place.ts';
import { regionFunc } from './region.ts';
import type { PlacedInput } from './types.ts';

/** Plans the region of a level. */
export function planPlaced(
  at: BodyContext,
  analysis: Analysis,
  places: Places,
  level: number,
  lacks: ReadonlySet<DType>,
): void {
  const { up } = at;
  const region = places.region(level);
  const { func, inputs } = regionFunc(analysis, region, lacks);
  const from = inputs.map((ref): PlacedInput => {
    const node = analysis.func.nodes[ref.node];
    const type = at.type(ref);
    // Nothing has to compute sizes, or be brought here for them.
    const values = isKnownSizes(node) ? node.values[ref.port] : null;
    return values ? { type, values } : { type, view: at.mustHome(ref) };
  });
  const mentioned = symsOfFunc(func);
  const given = [...mentioned.values()].filter((s) => up.isKnown(s.id));
  const wanted = [...symsOfNodes(analysis).values()].filter((s) => !up.isKnown(s.id));
  const { plan, told } = up.subplan(func, given, wanted);
  for (const c of plan.constraints) at.demand(c);
  at.flushChecks();
  for (const s of told) if (s.bound === undefined) up.announce(s);

  const position = up.next();
  for (const { view } of from) if (view) up.touch(view.buffer, position);
  const outputs = region.outputs.map((ref) => {
    const type = at.type(ref);
    const label = analysis.func.nodes[ref.node].name;
    const view = {
      buffer: up.allocate('arena', type.dtype, prodDims(type.shape), label),
      offset: 0,
    };
    up.touch(view.buffer, position);
    at.setHome(ref, view);
    return { view, type };
  });
  const shared = sharedVariables(func, plan.writes, lacks).map(({ node, written }) => {
    const name = node.attrs.variable as string;
    const view = up.variable(node, name);
    up.touch(view.buffer, position);
    return { name, view, type: node.types[0], written };
  });
  const nodes = region.members.map((id) => ({
    name: analysis.func.nodes[id].name,
    why: places.why(id) as string,
  }));
  up.placed({
    kind: 'placed',
    position,
    device: 'cpu',
    plan,
    inputs: from,
    outputs,
    sizes: told,
    shared,
    nodes,
  });
  for (const s of told) up.learn(s, s.bound === undefined);
  at.flushChecks();
}

/** The variables of the device that bodies in the function read or write. */
function sharedVariables(
  func: Func,
  writes: readonly string[],
  lacks: ReadonlySet<DType>,
): { node: Node; written: boolean }[] {
  const out = new Map<string, { node: Node; written: boolean }>();
  for (const node of nodesWithin(func)) {
    const { form } = opRecord(node.op);
    if (form.kind !== 'readVariable' && form.kind !== 'assign') continue;
    if (lacks.has(node.types[0].dtype)) continue;
    const name = node.attrs.variable as string;
    out.set(name, { node, written: writes.includes(name) });
  }
  return [...out.values()];
}

/** The live nodes of a function and of the bodies in it. */
function nodesWithin(func: Func): Node[] {
  const out: Node[] = [];
  const work = [func];
  while (work.length > 0) {
    const f = work.pop() as Func;
    for (const id of liveOrder(f)) {
      const node = f.nodes[id];
      out.push(node);
      work.push(...bodiesOf(node));
    }
  }
  return out;
}

function symsOfFunc(func: Func): Map<string, Sym> {
  const out = new Map<string, Sym>();
  for (const node of nodesWithin(func)) collectNode(node, out);
  return out;
}

function symsOfNodes({ func, order }: Analysis): Map<string, Sym> {
  const out = new Map<string, Sym>();
  for (const id of order) collectNode(func.nodes[id], out);
  return out;
}

function collectNode(node: Node, into: Map<string, Sym>): void {
  collectNodeSyms(node, into);
  for (const { a, b } of node.constraints) {
    collectSyms(a, into);
    collectSyms(b, into);
  }
  // Buffers for what is not known yet are as large as its bounds.
  for (const { bound } of [...into.values()]) if (bound !== undefined) collectSyms(bound, into);
}
