// Which nodes get a buffer. Everything else is recomputed inside the kernels that read it, or folded
// into their index expressions.

import { type Dim, dimOf } from '../core/dim.ts';
import { splitAffine } from '../core/dim-affine.ts';
import { mentions } from '../core/dim-syms.ts';
import type { DType } from '../core/dtype.ts';
import { linearIndex } from '../core/type.ts';
import type { Func } from '../graph/func.ts';
import { opRecord } from '../graph/op.ts';
import { exprCost } from '../kernel/cost.ts';
import { type Expr, letRef } from '../kernel/expr.ts';
import {
  indexContext,
  knownType,
  plainFrame,
  readsOf,
  reduceReads,
  scalarTypeOf,
  traceViews,
} from './access.ts';
import { type Analysis, isKnownSizes, liveOrder, readsWritten } from './analysis.ts';
import { type Group, isOwnStep } from './groups.ts';

/** A value cheaper than this (in additions) is recomputed by other kernels rather than stored. */
const RECOMPUTE_COST = 4;

/**
 * Views and known sizes that need a buffer: results, inputs of opaque steps, operands of contractions. Of
 * dtypes that the device lacks, constants and variables that are results do too.
 */
export function viewsToStore(func: Func, lacks: ReadonlySet<DType>): Set<number> {
  const out = new Set<number>();
  const need = (id: number): void => {
    const node = func.nodes[id];
    const { form } = opRecord(node.op);
    if (form.kind === 'view' || (isKnownSizes(node) && form.kind !== 'leaf')) out.add(id);
  };
  for (const r of func.results) {
    const { types } = func.nodes[r.node];
    if (lacks.has(types[r.port].dtype) && !func.params.includes(r.node)) out.add(r.node);
    else need(r.node);
  }
  const frame = plainFrame(func);
  for (const id of liveOrder(func)) {
    const node = func.nodes[id];
    const { form } = opRecord(node.op);
    if (
      form.kind === 'kernel' ||
      form.kind === 'loop' ||
      form.kind === 'branch' ||
      form.kind === 'host'
    ) {
      // Scalar sizes go into bodies as sizes.
      const held = form.kind === 'loop' || form.kind === 'branch';
      for (const r of node.inputs) {
        if (!held || func.nodes[r.node].types[r.port].shape?.length !== 0) need(r.node);
        else if (opRecord(func.nodes[r.node].op).form.kind === 'view') need(r.node);
      }
    }
    if (form.kind !== 'reduce' || !form.contraction) continue;
    const { shape } = knownType(func, { node: id, port: 0 });
    const syms: string[] = [];
    const axis = (extent: Dim, name: string): Dim => {
      syms.push(name);
      return dimOf(name, name, { extent });
    };
    const { reads } = reduceReads(frame, node, (spec) => ({
      out: shape.map((d, i) => axis(d, `o${i}`)),
      red: spec.extents.map((d, i) => axis(d, `q${i}`)),
    }));
    for (const read of reads) {
      const at = traceViews(frame, read, () => false);
      const linear = linearIndex(at.index, knownType(func, at.ref).shape);
      const affine = syms.every((s) => !mentions(linear, s) || splitAffine(linear, s));
      if (!affine) need(read.ref.node);
      if (isKnownSizes(func.nodes[at.ref.node])) need(at.ref.node);
    }
  }
  return out;
}

/** The members of all groups that must be stored. */
export function chooseStored(
  analysis: Analysis,
  groups: readonly Group[],
  fuse: boolean,
): Set<number> {
  const { func } = analysis;
  const groupOf = new Map<number, Group>();
  for (const g of groups) for (const m of g.members) groupOf.set(m, g);
  const results = new Set(func.results.map((r) => r.node));
  const operands = contractionOperands(analysis);
  const stored = new Set<number>();
  const costs = new Map<number, number>();

  const cost = (id: number): number => {
    const old = costs.get(id);
    if (old !== undefined) return old;
    let total = ownCost(func, id);
    const node = func.nodes[id];
    const g = groupOf.get(id) as Group;
    const place = g.places.get(id);
    if (!place || place.red || isOwnStep(g)) total = Number.POSITIVE_INFINITY;
    else {
      const frame = plainFrame(func);
      for (const read of readsOf(frame, node, place.index)) {
        const at = traceViews(frame, read, (n) => groupOf.has(n)).ref.node;
        if (groupOf.has(at)) {
          if (!stored.has(at)) total += cost(at);
        } else if (readsWritten(analysis, at)) total = Number.POSITIVE_INFINITY;
      }
    }
    // One value for all elements of a reader is computed once per kernel, before its loops.
    if (total < Number.POSITIVE_INFINITY && isOneValue(func, id)) total = 0;
    costs.set(id, total);
    return total;
  };

  for (const g of groups) {
    for (const id of g.members) {
      const kind = opRecord(func.nodes[id].op).form.kind;
      const users = analysis.users.get(id) ?? [];
      const outside = users.filter((u) => groupOf.get(u) !== g);
      const must =
        !fuse ||
        isOwnStep(g) ||
        kind === 'assign' ||
        kind === 'readVariable' ||
        results.has(id) ||
        operands.has(id) ||
        outside.some((u) => isOwnStep(groupOf.get(u) as Group));
      if (must || (outside.length > 0 && cost(id) > RECOMPUTE_COST)) stored.add(id);
    }
  }
  return stored;
}

function isOneValue(func: Func, id: number): boolean {
  return knownType(func, { node: id, port: 0 }).shape.every((d) => d === 1);
}

/** Solid nodes that a contraction reads: recomputing them there would repeat them many times. */
function contractionOperands(analysis: Analysis): Set<number> {
  const { func } = analysis;
  const out = new Set<number>();
  for (const id of analysis.order) {
    const { form } = opRecord(func.nodes[id].op);
    if (form.kind !== 'reduce' || !form.contraction || !analysis.solid.has(id)) continue;
    for (const r of func.nodes[id].inputs) {
      let at = r.node;
      while (!analysis.solid.has(at) && opRecord(func.nodes[at].op).form.kind === 'view') {
        at = func.nodes[at].inputs[0].node;
      }
      if (analysis.solid.has(at)) out.add(at);
    }
  }
  return out;
}

let dummies = 0;

/** What one element of a node costs, without its inputs. */
function ownCost(func: Func, id: number): number {
  const node = func.nodes[id];
  const { form } = opRecord(node.op);
  const value = (ref: { node: number; port: number }): Expr =>
    letRef(`cost${dummies++}`, scalarTypeOf(func, ref));
  if (form.kind === 'scalar') return exprCost([form.scalar(node.inputs.map(value), node.attrs)]);
  if (form.kind === 'index') {
    const { shape } = knownType(func, { node: id, port: 0 });
    const ctx = indexContext(plainFrame(func), node, 0, value, () => dimOf(`cost${dummies++}`));
    const at = shape.map((d, i) => dimOf(`c${i}`, `c${i}`, { extent: d }));
    return 2 + exprCost([form.at(ctx, at)]);
  }
  return 0;
}
