// Fusion: puts the solid nodes of a function into groups, each of which becomes one kernel (or one
// step of its own: loops, branches, hand-written kernels). A group is a loop nest with out axes and
// reduced axes; its members stand at the full index (out and reduced axes) or at the row index (out
// axes alone). Invariant: within a group every member is read at its canonical index only.

import { asSym, type Dim, dimEquals, type Sym, substituteDim, symDim } from '../core/dim.ts';
import { mentions } from '../core/dim-syms.ts';
import { type Dims, shapeEquals } from '../core/type.ts';
import type { Func, Node } from '../graph/func.ts';
import { opRecord } from '../graph/op.ts';
import {
  type Access,
  axesFor,
  type Frame,
  indexEquals,
  knownType,
  plainFrame,
  readsOf,
  reduceReads,
  traceViews,
} from './access.ts';
import { type Analysis, readsWritten } from './analysis.ts';
import type { Places } from './place.ts';

/** Where a member stands in the nest, and the index of its elements there. */
export interface Place {
  readonly level: 'full' | 'row';
  readonly index: readonly Dim[];
  /** Of a reduction: the position of its reduced axes. */
  readonly red?: readonly Dim[];
}

export interface Group {
  readonly id: number;
  /**
   * `opaque`: a step of its own. `contraction`: a reduction that reads its inputs many times. `placed`: a
   * region on the CPU.
   */
  readonly kind: 'nest' | 'contraction' | 'opaque' | 'placed';
  /** The level of its members (see {@link Places}); 0 where nothing is placed. */
  readonly level: number;
  readonly members: number[];
  readonly places: Map<number, Place>;
  outAxes: readonly Sym[];
  redAxes: readonly Sym[];
  /** Shape and index of the members at the full level; null where only row members fit. */
  full: { readonly shape: Dims; readonly index: readonly Dim[] } | null;
  readonly deps: Set<Group>;
}

/** Whether a group is no kernel of fused nodes: its inputs and outputs all need buffers. */
export function isOwnStep(g: Group): boolean {
  return g.kind === 'opaque' || g.kind === 'placed';
}

/** Whether a group holds a reduction, be it over axes of size 1, which need no loop. */
function reduces(g: Group): boolean {
  for (const place of g.places.values()) if (place.red) return true;
  return false;
}

/** A kernel with more members than this gains nothing more from fusion. */
const MAX_MEMBERS = 160;

/** Groups the solid nodes of a function; with `fuse` off each on the device stands alone. */
export function groupNodes(
  analysis: Analysis,
  fuse: boolean,
  places: Places | undefined = undefined,
): Group[] {
  const builder = new GroupBuilder(analysis, fuse, places);
  for (const id of analysis.order) if (analysis.solid.has(id)) builder.place(id);
  return [...builder.groups];
}

/** The index of a row member of this shape, if its axes other than 1 are the out axes. */
function rowIndex(shape: Dims, outAxes: readonly Sym[]): Dim[] | null {
  let at = 0;
  const index: Dim[] = [];
  for (const d of shape) {
    if (d === 1) index.push(0);
    else {
      const axis = outAxes[at++];
      if (!axis || !dimEquals(axis.extent as Dim, d)) return null;
      index.push(symDim(axis));
    }
  }
  return at === outAxes.length ? index : null;
}

class GroupBuilder {
  readonly groups = new Set<Group>();
  private readonly dependents = new Map<Group, Set<Group>>();
  private made = 0;
  private readonly groupOf = new Map<number, Group>();
  private readonly func: Func;
  private readonly frame: Frame;
  private readonly analysis: Analysis;
  private readonly fuse: boolean;
  private readonly places: Places | undefined;
  /** The groups of regions, by level. */
  private readonly regions = new Map<number, Group>();

  constructor(analysis: Analysis, fuse: boolean, places: Places | undefined) {
    this.analysis = analysis;
    this.func = analysis.func;
    this.frame = plainFrame(analysis.func);
    this.fuse = fuse;
    this.places = places;
  }

  place(id: number): void {
    const node = this.func.nodes[id];
    const kind = opRecord(node.op).form.kind;
    const inputs = this.inputGroups(id);
    const level = this.places?.level(id) ?? 0;
    if (level % 2 === 1) {
      this.placeElsewhere(id, level, inputs);
      return;
    }
    const joinable =
      kind === 'scalar' ||
      kind === 'index' ||
      kind === 'assign' ||
      kind === 'view' ||
      kind === 'readVariable' ||
      (kind === 'reduce' && !isContraction(node));
    if (joinable && this.fuse) {
      for (const g of this.candidates(id)) {
        // Across levels a group could come to wait for a region that waits for it.
        if (g.level !== level || g.members.length >= MAX_MEMBERS) continue;
        if (this.wouldCycle(g, inputs)) continue;
        const place = kind === 'reduce' ? this.joinReduce(node, g) : this.joinMap(node, g);
        if (place) {
          if (place.level === 'full') this.takeIn(g, node, place.index, inputs);
          this.add(g, id, place, this.inputGroups(id));
          return;
        }
      }
    }
    this.open(node, level, inputs);
  }

  /** Adds a node to its region, whatever that already holds. */
  private placeElsewhere(id: number, level: number, inputs: ReadonlySet<Group>): void {
    let g = this.regions.get(level);
    if (!g) {
      g = this.newGroup('placed', level);
      this.regions.set(level, g);
    }
    this.add(g, id, { level: 'row', index: [] }, inputs);
  }

  private newGroup(kind: Group['kind'], level: number): Group {
    const g: Group = {
      id: this.made++,
      kind,
      level,
      members: [],
      places: new Map(),
      outAxes: [],
      redAxes: [],
      full: null,
      deps: new Set(),
    };
    this.groups.add(g);
    return g;
  }

  private add(g: Group, id: number, place: Place, inputs: ReadonlySet<Group>): void {
    g.members.push(id);
    g.places.set(id, place);
    this.groupOf.set(id, g);
    for (const h of inputs) if (h !== g) this.depend(g, h);
  }

  private depend(g: Group, on: Group): void {
    g.deps.add(on);
    const known = this.dependents.get(on);
    if (known) known.add(g);
    else this.dependents.set(on, new Set([g]));
  }

  private inputGroups(id: number): Set<Group> {
    const out = new Set<Group>();
    for (const d of this.analysis.deps(id)) {
      const g = this.groupOf.get(d);
      if (g) out.add(g);
    }
    return out;
  }

  /**
   * Groups of the direct producers: those that reduce first (cheap maps are recomputed there, the
   * reverse would store), then the latest; then groups that share an input and a shape.
   */
  private candidates(id: number): Group[] {
    const node = this.func.nodes[id];
    const found = new Set<Group>();
    const shared: Group[] = [];
    const read = this.elementsRead(node);
    for (const r of node.inputs) {
      let at = r.node;
      for (;;) {
        const g = this.groupOf.get(at);
        if (g) {
          if (!isOwnStep(g)) found.add(g);
          break;
        }
        const n = this.func.nodes[at];
        if (opRecord(n.op).form.kind !== 'view') break;
        at = n.inputs[0].node;
      }
      if (!read.has(r.node)) continue;
      for (const u of this.analysis.users.get(at) ?? []) {
        const g = this.groupOf.get(u);
        if (g && g.kind === 'nest') shared.push(g);
      }
    }
    const first = [...found].sort((a, b) => Number(reduces(b)) - Number(reduces(a)) || b.id - a.id);
    const rest = shared.filter((g) => !found.has(g)).slice(0, 8);
    return [...first, ...new Set(rest)];
  }

  /** The inputs whose elements a node reads; of others, such as a shape, there is nothing to share. */
  private elementsRead(node: Node): ReadonlySet<number> {
    const { shape } = knownType(this.func, { node: node.id, port: 0 });
    const refs =
      opRecord(node.op).form.kind === 'index'
        ? readsOf(this.frame, node, axesFor(shape, 's').index).map((read) => read.ref)
        : node.inputs;
    return new Set(refs.map((r) => r.node));
  }

  /** Whether one of the other inputs depends on the group. */
  private wouldCycle(g: Group, inputs: ReadonlySet<Group>): boolean {
    const seen = new Set<Group>();
    const stack = [...inputs].filter((h) => h !== g);
    while (stack.length > 0) {
      const h = stack.pop() as Group;
      if (h === g) return true;
      if (seen.has(h)) continue;
      seen.add(h);
      stack.push(...h.deps);
    }
    return false;
  }

  /**
   * Joins other groups that a new member reads point by point to its own: what they compute then needs no
   * buffer. Groups that come to depend on each other stay apart, and so do those that see variables change.
   */
  private takeIn(g: Group, node: Node, index: readonly Dim[], inputs: ReadonlySet<Group>): void {
    const others = [...inputs].filter((h) => h !== g && h.level === g.level && h.kind === 'nest');
    if (others.length === 0 || !this.isPlainMap(g)) return;
    const reads = readsOf(this.frame, node, index);
    for (const h of others) {
      if (!h.full || !shapeEquals(h.full.shape, g.full?.shape as Dims)) continue;
      if (g.members.length + h.members.length >= MAX_MEMBERS || !this.isPlainMap(h)) continue;
      const isRead = (r: Access): boolean => h.places.has(this.traced(h, r).ref.node);
      if (!reads.some(isRead) || !this.readsFit(h, reads, node, index)) continue;
      if (this.wouldCycle(h, new Set([...this.inputGroups(node.id), g]))) continue;
      this.unite(g, h);
    }
  }

  /** Whether a group is parallel loops over elementwise members, none of which a write may change. */
  private isPlainMap(g: Group): boolean {
    if (g.kind !== 'nest' || reduces(g) || !g.full) return false;
    return g.members.every((m) => {
      const node = this.func.nodes[m];
      if (opRecord(node.op).form.kind === 'assign') return false;
      return node.inputs.every((r) => !this.isWritten(r.node));
    });
  }

  /** Whether a node is, through views, a variable that this function writes. */
  private isWritten(id: number): boolean {
    let node = this.func.nodes[id];
    while (opRecord(node.op).form.kind === 'view') node = this.func.nodes[node.inputs[0].node];
    return readsWritten(this.analysis, node.id);
  }

  /** Puts the members of `h` into `g`, which does not depend on it nor it on `g`. */
  private unite(g: Group, h: Group): void {
    for (const m of h.members) {
      g.members.push(m);
      g.places.set(m, h.places.get(m) as Place);
      this.groupOf.set(m, g);
    }
    for (const d of h.deps) this.depend(g, d);
    for (const u of this.dependents.get(h) ?? []) {
      u.deps.delete(h);
      this.depend(u, g);
    }
    this.groups.delete(h);
  }

  /** Where a read leads, through views, or at which member of a group it ends. */
  private traced(g: Group, read: Access): Access {
    return traceViews(this.frame, read, (id) => g.places.has(id));
  }

  /** Every read that reaches a member, through views, must be at the member's own index. */
  private readsFit(g: Group, reads: readonly Access[], own: Node, index: readonly Dim[]): boolean {
    for (const read of reads) {
      const at = this.traced(g, read);
      const place = g.places.get(at.ref.node);
      if (place && !indexEquals(place.index, at.index)) return false;
      if (place && at.ref.port !== 0) return false;
      if (!this.variableFits(g, at, own, index)) return false;
    }
    return true;
  }

  /** A variable written in the group may be read there only at the index that is written. */
  private variableFits(g: Group, at: Access, own: Node, index: readonly Dim[]): boolean {
    const source = this.func.nodes[at.ref.node];
    if (opRecord(source.op).form.kind !== 'readVariable' || this.analysis.solid.has(source.id)) {
      return true;
    }
    const name = source.attrs.variable as string;
    if (!this.analysis.written.has(name)) return true;
    if (isAssignTo(own, name) && !indexEquals(at.index, index)) return false;
    for (const m of g.members) {
      if (!isAssignTo(this.func.nodes[m], name)) continue;
      const place = g.places.get(m) as Place;
      if (!indexEquals(place.index, at.index) || this.isAfter(source, g)) return false;
    }
    return true;
  }

  /** Whether a read is ordered after a member: in the group it would see what was there before. */
  private isAfter(read: Node, g: Group): boolean {
    return read.controls.some((c) => [...this.analysis.sources(c)].some((id) => g.places.has(id)));
  }

  /** A new write of a variable: the members' reads of it must stand at the written index. */
  private oldReadsFit(g: Group, node: Node, index: readonly Dim[]): boolean {
    if (opRecord(node.op).form.kind !== 'assign') return true;
    const name = node.attrs.variable as string;
    for (const m of g.members) {
      const member = this.func.nodes[m];
      if (isAssignTo(member, name)) return false;
      const place = g.places.get(m) as Place;
      const reads = place.red
        ? reduceReads(this.frame, member, () => ({ out: place.index, red: place.red as Dim[] }))
            .reads
        : readsOf(this.frame, member, place.index);
      for (const read of reads) {
        const at = this.traced(g, read);
        const source = this.func.nodes[at.ref.node];
        const touches =
          opRecord(source.op).form.kind === 'readVariable' && source.attrs.variable === name;
        if (touches && (place.red || !indexEquals(at.index, index))) return false;
      }
    }
    return true;
  }

  private joinMap(node: Node, g: Group): Place | null {
    const { shape } = knownType(this.func, { node: node.id, port: 0 });
    const options: Place[] = [];
    if (g.full && shapeEquals(shape, g.full.shape)) {
      options.push({ level: 'full', index: g.full.index });
    }
    if (g.redAxes.length > 0) {
      const row = rowIndex(shape, g.outAxes);
      if (row) options.push({ level: 'row', index: row });
    }
    for (const place of options) {
      const reads = readsOf(this.frame, node, place.index);
      if (!this.readsFit(g, reads, node, place.index)) continue;
      if (!this.oldReadsFit(g, node, place.index)) continue;
      return place;
    }
    return null;
  }

  /** Joins a reduction over the axes that the group reduces, or that a map group may reduce. */
  private joinReduce(node: Node, g: Group): Place | null {
    if (g.kind !== 'nest' || !g.full) return null;
    const fit = this.matchReduce(node, g);
    if (!fit) return null;
    const { red, outSyms, redSyms } = fit;
    if (reduces(g)) {
      const same =
        redSyms.length === g.redAxes.length && redSyms.every((s, i) => s.id === g.redAxes[i].id);
      if (!same) return null;
    } else {
      const axes = g.outAxes;
      const trailing = redSyms.every((s, i) => s.id === axes[axes.length - redSyms.length + i].id);
      const only = g.members.every(
        (m) =>
          (this.analysis.users.get(m) ?? []).every((u) => u === node.id || g.places.has(u)) &&
          !this.func.results.some((r) => r.node === m),
      );
      if ((!trailing || outSyms.length === 0) && !only) return null;
      if (g.members.some((m) => opRecord(this.func.nodes[m].op).form.kind === 'assign'))
        return null;
      g.redAxes = redSyms;
      g.outAxes = outSyms;
    }
    const { shape } = knownType(this.func, { node: node.id, port: 0 });
    const index = rowIndex(shape, g.outAxes);
    if (!index) return null;
    return { level: 'row', index, red };
  }

  /** Expresses a reduction's axes by those of a group, if it reads members at their own index. */
  private matchReduce(node: Node, g: Group): { red: Dim[]; outSyms: Sym[]; redSyms: Sym[] } | null {
    const { shape } = knownType(this.func, { node: node.id, port: 0 });
    const out = axesFor(shape, 'o');
    let red: { syms: Sym[]; index: Dim[] } = { syms: [], index: [] };
    const { reads } = reduceReads(this.frame, node, (spec) => {
      red = axesFor(spec.extents, 'q');
      return { out: out.index, red: red.index };
    });
    const to = new Map<string, Sym>();
    let hit = false;
    for (const read of reads) {
      const at = this.traced(g, read);
      const place = g.places.get(at.ref.node);
      if (!place) continue;
      if (place.level !== 'full' || place.index.length !== at.index.length) return null;
      hit = true;
      for (let i = 0; i < at.index.length; i++) {
        const mine = asSym(at.index[i]);
        const theirs = asSym(place.index[i]);
        if (!mine || !theirs) {
          if (!dimEquals(at.index[i], place.index[i])) return null;
          continue;
        }
        const old = to.get(mine.id);
        if (old && old.id !== theirs.id) return null;
        if (!dimEquals(mine.extent as Dim, theirs.extent as Dim)) return null;
        to.set(mine.id, theirs);
      }
    }
    if (!hit) {
      // A sibling: it reads the same source over a domain of the same shape.
      const first = reads[0];
      if (!first || !g.full) return null;
      const { shape: inShape } = knownType(this.func, first.ref);
      if (!shapeEquals(inShape, g.full.shape)) return null;
      for (let i = 0; i < first.index.length; i++) {
        const mine = asSym(first.index[i]);
        const theirs = asSym(g.full.index[i]);
        if (!mine || !theirs) {
          if (!dimEquals(first.index[i], g.full.index[i])) return null;
          continue;
        }
        to.set(mine.id, theirs);
      }
    }
    if (out.syms.some((s) => !to.has(s.id)) || red.syms.some((s) => !to.has(s.id))) return null;
    const used = new Set([...to.values()].map((s) => s.id));
    const all = [...g.outAxes, ...g.redAxes];
    if (used.size !== to.size || all.some((a) => !used.has(a.id))) return null;
    const rename = (d: Dim): Dim =>
      substituteDim(d, (s) => {
        const t = to.get(s.id);
        return t && symDim(t);
      });
    const wanted = new Set(red.syms.map((s) => (to.get(s.id) as Sym).id));
    const inOrder = g.full ? g.full.index.map(asSym).filter((s): s is Sym => s !== undefined) : [];
    const redSyms = inOrder.filter((s) => wanted.has(s.id));
    const outSyms = inOrder.filter((s) => !wanted.has(s.id));
    return { red: red.index.map(rename), outSyms, redSyms };
  }

  private open(node: Node, level: number, inputs: ReadonlySet<Group>): void {
    const { form } = opRecord(node.op);
    const opaque =
      form.kind === 'kernel' ||
      form.kind === 'loop' ||
      form.kind === 'branch' ||
      form.kind === 'host';
    const kind = opaque ? 'opaque' : isContraction(node) ? 'contraction' : 'nest';
    const g = this.newGroup(kind, level);
    if (opaque) {
      this.add(g, node.id, { level: 'row', index: [] }, inputs);
      return;
    }
    const { shape } = knownType(this.func, { node: node.id, port: 0 });
    const out = axesFor(shape, 'i');
    g.outAxes = out.syms;
    if (form.kind !== 'reduce') {
      g.full = { shape, index: out.index };
      this.add(g, node.id, { level: 'full', index: out.index }, inputs);
      return;
    }
    let red: { syms: Sym[]; index: Dim[] } = { syms: [], index: [] };
    const { reads } = reduceReads(this.frame, node, (spec) => {
      red = axesFor(spec.extents, 'r');
      return { out: out.index, red: red.index };
    });
    g.redAxes = red.syms;
    const first = reads[0];
    if (g.kind === 'nest' && first) {
      const { shape: inShape } = knownType(this.func, first.ref);
      const axes = [...out.syms, ...red.syms];
      const simple =
        first.index.every((d) => d === 0 || asSym(d) !== undefined) &&
        axes.every((a) => first.index.filter((d) => mentions(d, a.id)).length === 1);
      if (simple) g.full = { shape: inShape, index: first.index };
    }
    this.add(g, node.id, { level: 'row', index: out.index, red: red.index }, inputs);
  }
}

/** Whether a node reads its inputs many times. */
export function isContraction(node: Node): boolean {
  const { form } = opRecord(node.op);
  return form.kind === 'reduce' && form.contraction === true;
}

function isAssignTo(node: Node, name: string): boolean {
  return opRecord(node.op).form.kind === 'assign' && node.attrs.variable === name;
}
