// What a function demands of sizes, and functions for some sizes. Equalities between sizes known at
// the start of a run are put into the types; sizes that may broadcast are what shape classes decide.

import { asSym, type Dim, dimEquals, dimKey, dimOf, type Sym, substituteDim } from '../core/dim.ts';
import { mentions, symsOf } from '../core/dim-syms.ts';
import { type TensorType, tensorType } from '../core/type.ts';
import type { Attrs, Constraint, Func, Node } from '../graph/func.ts';
import { knownOf, reinferNode } from '../graph/infer.ts';
import { bodies, liveNodes, mapBodies } from '../graph/walk.ts';

/** A replacement of size symbols. */
export type Substitution = (sym: Sym) => Dim | undefined;

/**
 * The function with symbols replaced everywhere, bodies included. Where bodies come to give sizes known
 * around them so, those are the sizes of their outputs.
 */
export function substituteFunc(func: Func, replace: Substitution): Func {
  let out = substituted(func, replace);
  if (out === func) return func;
  for (let told = agreedSizes(out); told.size > 0; told = agreedSizes(out)) {
    const now = told;
    out = substituted(out, (s) => now.get(s.id));
  }
  return out;
}

/** Sizes of what branches give and turns stack that inference can tell by now. */
function agreedSizes(func: Func): Map<string, Dim> {
  const out = new Map<string, Dim>();
  const work: Func[] = [func];
  while (work.length > 0) {
    const f = work.pop() as Func;
    for (const node of f.nodes) {
      const inner = bodies(node);
      if (inner.length === 0) continue;
      work.push(...inner);
      // Few nodes have sizes that their bodies tell, and inference is not free.
      let now: Node | undefined;
      const inferred = (): Node => {
        now ??= reinferNode(
          node,
          node.inputs.map((r) => knownOf(f, r)),
        );
        return now;
      };
      noteMergedSizes(node, (port) => ({ of: inferred(), port }), out);
    }
  }
  return out;
}

function substituted(func: Func, replace: Substitution): Func {
  // The bound of a symbol mentions sizes too; the symbol stays the same unknown.
  const to: Substitution = (s) => {
    const made = replace(s);
    if (made !== undefined || s.bound === undefined) return made;
    const bound = substituteDim(s.bound, to);
    return bound === s.bound ? undefined : dimOf(s.id, s.name, { bound });
  };
  const dim = (d: Dim): Dim => substituteDim(d, to);
  const type = (t: TensorType): TensorType =>
    t.shape === null || t.shape.every((d) => dim(d) === d)
      ? t
      : tensorType(t.dtype, t.shape.map(dim));
  const nodes = func.nodes.map((node): Node => {
    const inner = mapBodies(node, (body) => substituted(body, replace));
    const types = inner.types.map(type);
    const values = inner.values.map((v) =>
      v === null || v.every((d) => dim(d) === d) ? v : v.map(dim),
    );
    const constraints = inner.constraints.flatMap((c): Constraint[] => {
      const [a, b] = [dim(c.a), dim(c.b)];
      if (holdsAlways(c.kind, a, b)) return [];
      return a === c.a && b === c.b ? [c] : [{ ...c, a, b }];
    });
    const same =
      inner === node &&
      types.every((t, i) => t === node.types[i]) &&
      values.every((v, i) => v === node.values[i]) &&
      constraints.length === node.constraints.length &&
      constraints.every((c, i) => c === node.constraints[i]);
    if (same) return node;
    const attrs = node.op === 'param' ? paramAttrs(inner.attrs, types[0], values[0]) : inner.attrs;
    return Object.freeze({ ...inner, attrs, types, values, constraints });
  });
  return nodes.every((n, i) => n === func.nodes[i]) ? func : Object.freeze({ ...func, nodes });
}

function holdsAlways(kind: Constraint['kind'], a: Dim, b: Dim): boolean {
  if (kind === 'le') return typeof a === 'number' && typeof b === 'number' && a <= b;
  return dimEquals(a, b) || (kind === 'bcast' && (a === 1 || b === 1));
}

function paramAttrs(attrs: Attrs, type: TensorType, value: readonly Dim[] | null): Attrs {
  return { ...attrs, type, value } as unknown as Attrs;
}

/**
 * Notes, for a node that is merged with another, which sizes those that it finds are: `to` tells the output
 * that stands for one of the node's.
 */
export function noteMergedSizes(
  node: Node,
  to: (port: number) => { readonly of: Node; readonly port: number },
  into: Map<string, Dim>,
): void {
  const note = (from: Dim, other: () => Dim | undefined): void => {
    const sym = asSym(from);
    if (!sym?.id.startsWith(`${node.name}:`)) return;
    const size = other();
    if (size !== undefined && !dimEquals(from, size)) into.set(sym.id, size);
  };
  node.types.forEach((type, at) => {
    type.shape?.forEach((d, axis) => {
      note(d, () => {
        const { of, port } = to(at);
        return of.types[port].shape?.[axis];
      });
    });
    node.values[at]?.forEach((d, i) => {
      note(d, () => {
        const { of, port } = to(at);
        return of.values[port]?.[i];
      });
    });
  });
}

/** The symbols that the feeds of a function tell: dims of parameters, contents of fed shapes. */
export function startSymbols(func: Func): Map<string, Sym> {
  const out = new Map<string, Sym>();
  for (const p of func.params) {
    const node = func.nodes[p];
    for (const d of [...(node.types[0].shape ?? []), ...(node.values[0] ?? [])]) {
      for (const [id, s] of symsOf(d)) out.set(id, s);
    }
  }
  return out;
}

/** The distinct constraints of live nodes, bodies included. */
export function constraintsOf(func: Func): Constraint[] {
  const out = new Map<string, Constraint>();
  const work: Func[] = [func];
  while (work.length > 0) {
    const f = work.pop() as Func;
    for (const id of liveNodes(f)) {
      for (const c of f.nodes[id].constraints) {
        out.set(`${c.kind}:${dimKey(c.a)}:${dimKey(c.b)}`, c);
      }
      work.push(...bodies(f.nodes[id]));
    }
  }
  return [...out.values()];
}

/**
 * Puts equalities of sizes into the types: where a node demands that a fed dim equal another size,
 * the one stands for the other from here on. The feeds' shapes are checked against these types.
 */
export function unifySizes(func: Func): Func {
  let out = func;
  for (let budget = 1000; budget > 0; budget--) {
    const known = startSymbols(out);
    const found = constraintsOf(out).flatMap((c): [Sym, Dim][] => {
      if (c.kind !== 'eq') return [];
      return [...candidate(c.a, c.b, known), ...candidate(c.b, c.a, known)];
    })[0];
    if (!found) return out;
    const [sym, to] = found;
    out = substituteFunc(out, (s) => (s.id === sym.id ? to : undefined));
  }
  return out;
}

function candidate(from: Dim, to: Dim, known: ReadonlyMap<string, Sym>): [Sym, Dim][] {
  const sym = asSym(from);
  if (!sym || !known.has(sym.id) || mentions(to, sym.id)) return [];
  if ([...symsOf(to).keys()].some((id) => !known.has(id))) return [];
  // Only sizes that a feed shows as they are may be replaced by an expression's value.
  return asSym(to) || typeof to === 'number' ? [[sym, to]] : [];
}

/** Sizes that may broadcast, between dims known at the start. */
export function ambiguousSizes(func: Func): Constraint[] {
  const known = startSymbols(func);
  return constraintsOf(func).filter(
    (c) =>
      c.kind === 'bcast' &&
      [...symsOf(c.a).keys(), ...symsOf(c.b).keys()].every((id) => known.has(id)),
  );
}

/** How an ambiguous pair stands in one run. */
export type SizeClass = 'eq' | 'a1' | 'b1';

/** The function for one class of each ambiguous pair. */
export function specialise(
  func: Func,
  pairs: readonly Constraint[],
  classes: readonly SizeClass[],
): Func {
  let out = func;
  const replacements = new Map<string, Dim>();
  const now = (d: Dim): Dim => substituteDim(d, (s) => replacements.get(s.id));
  pairs.forEach((pair, i) => {
    const [a, b] = [now(pair.a), now(pair.b)];
    const put = (from: Dim, to: Dim): boolean => {
      const sym = asSym(from);
      if (!sym || mentions(to, sym.id)) return false;
      for (const [id, d] of replacements) {
        replacements.set(
          id,
          substituteDim(d, (s) => (s.id === sym.id ? to : undefined)),
        );
      }
      replacements.set(sym.id, to);
      return true;
    };
    if (classes[i] === 'eq') {
      if (!put(a, b)) put(b, a);
    } else if (classes[i] === 'a1') put(a, 1);
    else put(b, 1);
  });
  if (replacements.size > 0) out = substituteFunc(out, (s) => replacements.get(s.id));
  return out;
}
