// Plans the steps that hold other steps (loops, branches) and the calls out of a segment. Counters of
// loops are size symbols, so that turns differ only in the sizes and offsets that mention them.

import {
  addDim,
  asSym,
  type Dim,
  makeSym,
  minDim,
  modDim,
  mulDim,
  prodDims,
  type Sym,
  subDim,
  symDim,
} from '../core/dim.ts';
import { mentions } from '../core/dim-syms.ts';
import type { DType } from '../core/dtype.ts';
import { invariant, UnsupportedError } from '../core/error.ts';
import type { TensorType } from '../core/type.ts';
import {
  collectNodeSyms,
  foundSizes,
  mentionsAny,
  outputSizeLabel,
  stackedSizeLabel,
} from '../graph/found-sizes.ts';
import type { Func, Node, Ref } from '../graph/func.ts';
import { opRecord } from '../graph/op.ts';
import { NOTHING_TOLD, type Scope, type Services, type ToldSize } from './services.ts';
import type { BufferView, HostStep, PlanConstraint, Step } from './types.ts';

/** What the planning of a body offers to its loops and branches. */
export interface BodyContext {
  readonly up: Services;
  readonly scope: Scope;
  type(ref: Ref): TensorType & { shape: readonly Dim[] };
  mustHome(ref: Ref): BufferView;
  sizeOf(ref: Ref): Dim | undefined;
  place(ref: Ref): BufferView[];
  setHome(ref: Ref, view: BufferView): void;
  copy(from: BufferView, to: BufferView, ref: Ref): void;
  /** Checks a constraint as soon as its sizes are known. */
  demand(c: PlanConstraint): void;
  flushChecks(): void;
}

/** Plans a host call: a segment of its own. */
export function planHost(at: BodyContext, node: Node): void {
  if (!at.scope.top) {
    throw new UnsupportedError(
      'plan/host-in-body',
      `hostCall "${node.name}": a JavaScript function can't run inside a loop or branch. ` +
        'Move the call out of the body.',
      { op: 'hostCall', node: node.name, site: node.site },
    );
  }
  const position = at.up.next();
  const io = (ref: Ref, view: BufferView) => {
    at.up.touch(view.buffer, position);
    return { view, type: at.type(ref) };
  };
  const inputs = node.inputs.map((r) => io(r, at.mustHome(r)));
  const outputs = node.types.map((_, port) => {
    const ref = { node: node.id, port };
    return io(ref, at.place(ref)[0]);
  });
  at.up.host({
    kind: 'host',
    position,
    node: node.name,
    fn: node.attrs.fn as HostStep['fn'],
    inputs,
    outputs,
  });
}

/** Plans a branch: all branches store to the same outputs. */
export function planBranch(at: BodyContext, node: Node): void {
  const branches = node.attrs.branches as readonly Func[];
  const [selector, ...captured] = node.inputs;
  const shapes = node.types.map((_, port) => at.type({ node: node.id, port }).shape);
  const sizes = toldSizes(node, shapes, outputSizeLabel);
  for (const { sym } of sizes) if (sym.bound === undefined) at.up.announce(sym);
  const outs = node.types.map((_, port) => at.place({ node: node.id, port })[0]);
  const grows = new Set(outs.map((v) => v.buffer).filter((b) => at.up.isTape(b)));
  const position = at.up.next();
  const selectorView = at.mustHome(selector);
  at.up.touch(selectorView.buffer, position);
  const captures = capturedInto(at, captured);
  const plans = branches.map((branch) =>
    at.up.collect(() => {
      at.up.planFunc({
        func: branch,
        ...captures(branch.params),
        targets: outs,
        tells: { sizes, turns: null },
        grows,
        demands: [],
        iteration: at.scope.iteration,
        top: false,
      });
    }),
  );
  const end = at.up.next();
  for (const v of outs) at.up.pin(v.buffer, position, end);
  at.up.push({
    kind: 'branch',
    position,
    selector: selectorView,
    selectorType: at.type(selector).dtype,
    branches: plans,
  });
  for (const { sym } of sizes) at.up.learn(sym, sym.bound === undefined);
  at.flushChecks();
}

/** The sizes of shapes that results of a body tell, by what the node that holds it calls them. */
function toldSizes(
  node: Node,
  shapes: readonly (readonly Dim[])[],
  label: (result: number, axis: number) => string,
): ToldSize[] {
  return shapes.flatMap((shape, result) =>
    shape.flatMap((d, axis): ToldSize[] => {
      const sym = asSym(d);
      return sym?.id === `${node.name}:${label(result, axis)}` ? [{ sym, result, axis }] : [];
    }),
  );
}

/** What a node demands of sizes that one of its bodies finds: checked there, before they are used. */
export function demandsWithin(node: Node, body: Func): PlanConstraint[] {
  const found = foundSizes(body);
  return planConstraints(node).filter((c) => mentionsAny(c.a, found) || mentionsAny(c.b, found));
}

/** The constraints of a node, with what errors say of it. */
export function planConstraints(node: Node): PlanConstraint[] {
  const context = nodeContext(node);
  return node.constraints.map((c) => ({ ...c, ...context }));
}

function nodeContext(node: Node) {
  const { nodeName: op } = opRecord(node.op);
  return { op, node: node.name, ...(node.site ? { site: node.site } : {}) };
}

function pair(views: readonly BufferView[]): (id: number, i: number) => [number, BufferView] {
  return (id, i) => [id, views[i]];
}

/** Captured tensors as a body sees them: sizes stay sizes, all else is a view. */
function capturedInto(
  at: BodyContext,
  refs: readonly Ref[],
): (params: readonly number[]) => { params: Map<number, BufferView>; sizes: Map<number, Dim> } {
  const held = refs.map((ref) => at.sizeOf(ref) ?? at.mustHome(ref));
  return (ids) => {
    const params = new Map<number, BufferView>();
    const sizes = new Map<number, Dim>();
    held.forEach((h, i) => {
      if (typeof h === 'object' && 'buffer' in h) params.set(ids[i], h);
      else sizes.set(ids[i], h);
    });
    return { params, sizes };
  };
}

/** Plans a loop: carries in pairs of buffers, stacked inputs and outputs as views that move. */
export function planLoop(at: BodyContext, node: Node): void {
  const carries = node.attrs.carries as number;
  const xs = node.attrs.xs as number;
  const maxTrip = node.attrs.maxTrip as number | null;
  const reverse = node.attrs.reverse as boolean;
  const body = node.attrs.body as Func;
  const cond = node.attrs.cond as Func | null;
  const carryRefs = node.inputs.slice(0, carries);
  const xRefs = node.inputs.slice(carries, carries + xs);
  const captures = capturedInto(at, node.inputs.slice(carries + xs));

  let limit: Dim | null = maxTrip;
  if (xRefs.length > 0) {
    const n = at.type(xRefs[0]).shape[0];
    limit = limit === null ? n : minDim(limit, n);
  }
  const counter = at.up.counter();
  const k = symDim(counter);
  const trip = cond ? (freshSym(node, 'trip') ?? makeSym(`${counter.id}.trip`)) : null;
  const tripDim = trip ? symDim(trip) : (limit as Dim);
  invariant(cond || limit !== null, `the loop "${node.name}" has no end`);
  at.up.learn(counter, true);
  const unbounded = trip !== null && trip.bound === undefined;
  if (trip && unbounded) at.up.announce(trip);
  const records = node.types.map((_, port) =>
    port < carries ? [] : at.type({ node: node.id, port }).shape.slice(1),
  );
  const told = toldSizes(node, records, (result, axis) =>
    stackedSizeLabel(body.results[result], axis),
  );
  for (const { sym } of told) {
    if (sym.bound === undefined) at.up.announce(sym);
    // Without turns there is nothing, of no size.
    at.up.push({ kind: 'let', position: at.up.next(), sym, value: 0 });
  }
  const position = reverse ? subDim(subDim(limit as Dim, 1), k) : k;

  const start = at.up.next();
  const buffers: number[] = [];
  const grows = (size: Dim): boolean =>
    (trip !== null && mentions(size, trip.id)) || told.some((s) => mentions(size, s.sym.id));
  const hold = (dtype: DType, size: Dim, label: string): number => {
    const b = at.up.allocate('arena', dtype, size, label);
    buffers.push(b);
    // Sizes found earlier in the run are known here; only this loop's own turns are not.
    if (at.up.isTape(b) && !grows(size)) {
      at.up.push({ kind: 'reserve', position: at.up.next(), buffer: b, elements: size });
    }
    return b;
  };
  const carryBuffers = carryRefs.map((ref, i) => {
    const size = prodDims(at.type(ref).shape);
    const buffer = hold(at.type(ref).dtype, mulDim(2, size), `${node.name}/carry${i}`);
    at.copy(at.mustHome(ref), { buffer, offset: 0 }, ref);
    return { buffer, size };
  });
  const carryView = (i: number, turn: Dim): BufferView => ({
    buffer: carryBuffers[i].buffer,
    offset: mulDim(modDim(turn, 2), carryBuffers[i].size),
  });
  const ys = node.types.slice(carries).map((type, i) => {
    invariant(type.shape, 'a stacked output has a rank');
    const record = prodDims(records[carries + i]);
    const size = prodDims(type.shape);
    const buffer = hold(type.dtype, size, `${node.name}/ys${i}`);
    return { buffer, record, grows: at.up.isTape(buffer) && grows(size) };
  });
  const xViews = xRefs.map((ref) => {
    const home = at.mustHome(ref);
    const record = prodDims(at.type(ref).shape.slice(1));
    return { buffer: home.buffer, offset: addDim(home.offset, mulDim(position, record)) };
  });
  const now = carryBuffers.map((_, i) => carryView(i, k));
  const iteration = addDim(mulDim(at.scope.iteration, 65599), k);

  let condPlan: { steps: readonly Step[]; predicate: BufferView } | null = null;
  if (cond) {
    const predicate = { buffer: hold('bool', 1, `${node.name}/predicate`), offset: 0 };
    const [t, ...rest] = cond.params;
    const inner = captures(rest.slice(carries));
    const steps = at.up.collect(() => {
      at.up.planFunc({
        func: cond,
        params: new Map([...rest.slice(0, carries).map(pair(now)), ...inner.params]),
        sizes: new Map([[t, k], ...inner.sizes]),
        targets: [predicate],
        tells: NOTHING_TOLD,
        grows: new Set(),
        demands: demandsWithin(node, cond),
        iteration,
        top: false,
      });
    });
    condPlan = { steps, predicate };
  }
  const [t, ...rest] = body.params;
  const inner = captures(rest.slice(carries + xs));
  const steps = at.up.collect(() => {
    at.up.planFunc({
      func: body,
      params: new Map([
        ...rest.slice(0, carries).map(pair(now)),
        ...rest.slice(carries, carries + xs).map(pair(xViews)),
        ...inner.params,
      ]),
      sizes: new Map([[t, position], ...inner.sizes]),
      targets: [
        ...carryBuffers.map((_, i) => carryView(i, addDim(k, 1))),
        ...ys.map((y) => ({ buffer: y.buffer, offset: mulDim(position, y.record) })),
      ],
      tells: {
        sizes: told,
        turns: {
          again: minDim(k, 1),
          demand: { why: 'all turns must stack equal shapes', ...nodeContext(node) },
        },
      },
      grows: new Set(ys.flatMap((y) => (y.grows ? [y.buffer] : []))),
      demands: demandsWithin(node, body),
      iteration,
      top: false,
    });
  });
  const end = at.up.next();
  for (const b of buffers) at.up.pin(b, start, end);
  for (const v of [...xViews, ...inner.params.values()]) at.up.touch(v.buffer, end);
  at.up.extend(start, end);
  at.up.push({ kind: 'loop', position: start, counter, limit, cond: condPlan, body: steps, trip });
  if (trip) at.up.learn(trip, unbounded);
  for (const { sym } of told) at.up.learn(sym, sym.bound === undefined);
  carryBuffers.forEach((_, i) => {
    at.setHome({ node: node.id, port: i }, carryView(i, tripDim));
  });
  ys.forEach((y, i) => {
    at.setHome({ node: node.id, port: carries + i }, { buffer: y.buffer, offset: 0 });
  });
  at.flushChecks();
}

/** The symbol that inference made for a node under a label. */
export function freshSym(node: Node, label: string): Sym | undefined {
  const syms = new Map<string, Sym>();
  collectNodeSyms(node, syms);
  return syms.get(`${node.name}:${label}`);
}
