// Lowers a fusion group to a kernel: evaluates its members at symbolic indices, on demand from what
// must be stored, into one loop nest. Names in the kernel are local, so that equal groups give equal
// kernels. Buffers and their addresses are the caller's.

import {
  addDim,
  type Dim,
  dimKey,
  dimOf,
  makeSym,
  mulDim,
  prodDims,
  type Sym,
  subDim,
  substituteDim,
  symDim,
} from '../core/dim.ts';
import { symsOf } from '../core/dim-syms.ts';
import { type DType, dtypeInfo } from '../core/dtype.ts';
import { InternalError, invariant } from '../core/error.ts';
import { type Dims, linearIndex } from '../core/type.ts';
import type { Func, Node, Ref } from '../graph/func.ts';
import { type IndexContext, opRecord } from '../graph/op.ts';
import { exprCost } from '../kernel/cost.ts';
import {
  binary,
  compare,
  constant,
  dimValue,
  type Expr,
  letRef,
  load,
  select,
  varRef,
} from '../kernel/expr.ts';
import type { BufferParam, Combine, Kernel, Stmt } from '../kernel/ir.ts';
import { rounded, stored, widened } from '../kernel/narrow.ts';
import { loadedType } from '../kernel/scalar.ts';
import {
  broadcastIndex,
  type Frame,
  indexContext,
  knownType,
  plainFrame,
  readsOf,
  reduceReads,
  scalarTypeOf,
  traceViews,
  viewIndex,
} from './access.ts';
import type { Group, Place } from './groups.ts';
import { type BufferView, RUN_SYM } from './types.ts';

/** What the lowering asks of the planner. */
export interface Homes {
  readonly func: Func;
  /** The buffer that holds a value computed before this group (or fed, constant, a variable). */
  home(ref: Ref): BufferView | undefined;
  /** The storage of a variable. */
  variable(name: string): BufferView;
  /** A constant's element if all are equal, or undefined. */
  splat(node: Node): number | undefined;
  /** The size that an int32 parameter stands for (a loop's position). */
  sizeParam(id: number): Dim | undefined;
  readonly iteration: Dim;
}

/** A value that the group must store. */
export interface Store {
  readonly node: number;
  /** Where to; several views take the same value. */
  readonly views: readonly BufferView[];
}

export interface Lowered {
  readonly kernel: Kernel;
  readonly views: readonly BufferView[];
  readonly args: readonly Dim[];
}

/** Lowers a group that must store the given members. */
export function lowerGroup(group: Group, stores: readonly Store[], homes: Homes): Lowered {
  return new Lowering(group, stores, homes).run();
}

class Lowering {
  private readonly group: Group;
  private readonly stores: readonly Store[];
  private readonly homes: Homes;
  private readonly func: Func;
  private readonly frame: Frame;

  private readonly buffers: BufferParam[] = [];
  private readonly views: BufferView[] = [];
  private readonly bufferNames = new Map<string, number>();
  private readonly params: Sym[] = [];
  private readonly args: Dim[] = [];
  private readonly localSyms = new Map<string, Dim>();
  private readonly numbers = new Map<number, Dim>();
  private readonly axes = new Map<string, Sym>();
  private readonly results = new Map<number, Expr>();

  private scopes: { body: Stmt[]; memo: Map<string, Expr> }[] = [];
  private names = 0;
  private flops: Dim = 0;
  private bytes: Dim = 0;
  private turns: Dim = 1;

  constructor(group: Group, stores: readonly Store[], homes: Homes) {
    this.group = group;
    this.stores = stores;
    this.homes = homes;
    this.func = homes.func;
    for (const axis of [...group.outAxes, ...group.redAxes]) {
      const extent = this.rename(axis.extent as Dim);
      const local = makeSym(axis.id, axis.name, { extent });
      this.axes.set(axis.id, local);
      this.localSyms.set(axis.id, symDim(local));
    }
    this.frame = {
      func: this.func,
      rename: (d) => this.rename(d),
      argument: (value) => this.argument(value),
      iteration: this.rename(homes.iteration),
      run: this.rename(dimOf(RUN_SYM)),
    };
  }

  run(): Lowered {
    const body = this.scoped(() => this.nest(this.group.outAxes, 'grid', () => this.stages()));
    const kernel: Kernel = {
      name: this.title(),
      buffers: this.buffers,
      params: this.params.filter((p) => this.usesParam(p, body)),
      body,
      flops: this.flops,
      bytes: this.bytes,
    };
    const kept = new Set(kernel.params.map((p) => p.id));
    return {
      kernel,
      views: this.views,
      args: this.args.filter((_, i) => kept.has(this.params[i].id)),
    };
  }

  /** `$run` is renamed up front for every kernel; it is a parameter only where it is used. */
  private usesParam(p: Sym, body: readonly Stmt[]): boolean {
    return this.usedSyms(body).has(p.id);
  }

  private used: Set<string> | undefined;

  private usedSyms(body: readonly Stmt[]): Set<string> {
    if (this.used) return this.used;
    const used = new Set<string>();
    const seen = new Set<Expr>();
    const inDim = (d: Dim): void => {
      for (const [id, s] of symsOf(d)) {
        used.add(id);
        if (s.extent !== undefined) inDim(s.extent);
      }
    };
    const inExpr = (e: Expr): void => {
      if (seen.has(e)) return;
      seen.add(e);
      if (e.op === 'dim') inDim(e.dim);
      if (e.op === 'load') inDim(e.index);
      if ('args' in e) e.args.forEach(inExpr);
    };
    const inStmts = (stmts: readonly Stmt[]): void => {
      for (const s of stmts) {
        if (s.kind === 'for') {
          inDim(s.start);
          inDim(s.end);
          inStmts(s.body);
        } else if (s.kind === 'store') {
          inDim(s.index);
          inExpr(s.value);
        } else if (s.kind === 'let' || s.kind === 'set') inExpr(s.value);
        else if (s.kind === 'var') inExpr(s.init);
        else throw new InternalError(`a lowered group has no ${s.kind}`);
      }
    };
    inStmts(body);
    inDim(this.flops);
    inDim(this.bytes);
    this.used = used;
    return used;
  }

  private title(): string {
    const names = this.group.members.map((m) => this.func.nodes[m].op);
    const distinct = names.filter((n, i) => names.indexOf(n) === i);
    return distinct.slice(0, 4).join('_') + (distinct.length > 4 ? `_${names.length}` : '');
  }

  /** Renames symbols of the function to parameters of the kernel. */
  private rename(d: Dim): Dim {
    return substituteDim(d, (s) => {
      const old = this.localSyms.get(s.id);
      if (old !== undefined) return old;
      const out = this.parameter(symDim(s));
      this.localSyms.set(s.id, out);
      return out;
    });
  }

  /** The parameter that is given a number. */
  private argument(value: number): Dim {
    const old = this.numbers.get(value);
    if (old !== undefined) return old;
    const made = this.parameter(value);
    this.numbers.set(value, made);
    return made;
  }

  /** A new parameter of the kernel, and what it is given. */
  private parameter(arg: Dim): Dim {
    const local = makeSym(`d${this.params.length}`);
    this.params.push(local);
    this.args.push(arg);
    return symDim(local);
  }

  private dtype(ref: Ref): DType {
    return knownType(this.func, ref).dtype;
  }

  private shape(ref: Ref): Dims {
    return knownType(this.func, ref).shape.map((d) => this.rename(d));
  }

  private scoped(make: () => void): Stmt[] {
    const scope = { body: [] as Stmt[], memo: new Map<string, Expr>() };
    this.scopes.push(scope);
    make();
    this.scopes.pop();
    return scope.body;
  }

  private emit(stmt: Stmt): void {
    this.scopes[this.scopes.length - 1].body.push(stmt);
  }

  /** Nested loops over axes, outermost first. */
  private nest(
    axes: readonly Sym[],
    role: 'grid' | 'lane' | 'reduce',
    make: () => void,
    combine?: readonly Combine[],
  ): void {
    if (axes.length === 0) {
      make();
      return;
    }
    const axis = this.axes.get(axes[0].id) as Sym;
    const end = axis.extent as Dim;
    const outer = this.turns;
    this.turns = mulDim(outer, end);
    const body = this.scoped(() => this.nest(axes.slice(1), role, make, combine));
    this.turns = outer;
    this.emit({
      kind: 'for',
      axis,
      start: 0,
      end,
      step: 1,
      role,
      ...(combine ? { combine } : {}),
      body,
    });
  }

  /**
   * Reductions by depth, each loop followed by what becomes computable with it. Variables are written last:
   * until then their old values are read, in other loops too.
   */
  private stages(): void {
    const { group } = this;
    const depth = new Map<number, number>();
    let last = 0;
    for (const id of group.members) {
      const place = group.places.get(id) as Place;
      let d = 0;
      for (const m of this.memberInputs(id, place)) d = Math.max(d, depth.get(m) ?? 0);
      if (place.red) d++;
      depth.set(id, d);
      last = Math.max(last, d);
    }
    for (let d = 0; d <= last; d++) {
      const reductions = group.members.filter(
        (m) => depth.get(m) === d && (group.places.get(m) as Place).red,
      );
      if (reductions.length > 0) this.reduceLoop(reductions);
      const due = this.stores.filter(
        (s) => (this.isAssign(s.node) ? last : depth.get(s.node)) === d,
      );
      const rows = due.filter((s) => group.places.get(s.node)?.level === 'row');
      const full = due.filter((s) => group.places.get(s.node)?.level === 'full');
      this.storeAll(rows.filter((s) => !this.isAssign(s.node)));
      if (full.length > 0) this.nest(group.redAxes, 'lane', () => this.storeAll(full));
      this.storeAll(rows.filter((s) => this.isAssign(s.node)));
    }
  }

  private isAssign(id: number): boolean {
    return opRecord(this.func.nodes[id].op).form.kind === 'assign';
  }

  private memberInputs(id: number, place: Place): number[] {
    const node = this.func.nodes[id];
    const plain = plainFrame(this.func);
    const reads = place.red
      ? reduceReads(plain, node, () => ({ out: place.index, red: place.red as Dim[] })).reads
      : readsOf(plain, node, place.index);
    const out: number[] = [];
    for (const read of reads) {
      const at = traceViews(plain, read, (n) => this.group.places.has(n));
      if (this.group.places.has(at.ref.node)) out.push(at.ref.node);
    }
    return out;
  }

  private reduceLoop(ids: readonly number[]): void {
    interface Pending {
      id: number;
      finish: () => Expr;
      update: () => void;
    }
    const combine: Combine[] = [];
    let combinable = true;
    const pending: Pending[] = [];
    for (const id of ids) {
      const node = this.func.nodes[id];
      const { form } = opRecord(node.op);
      invariant(form.kind === 'reduce', `${node.op} is no reduction`);
      const place = this.group.places.get(id) as Place;
      const spec = form.reduce(this.context(node, 0));
      const names = spec.accumulators.map((a) => {
        const name = `acc${this.names++}`;
        this.emit({ kind: 'var', name, type: a.type, lanes: 1, init: a.init });
        if (a.op && !spec.step) combine.push({ variable: name, op: a.op });
        else combinable = false;
        return name;
      });
      const refs = names.map((n, i) => varRef(n, spec.accumulators[i].type));
      const out = place.index.map((d) => this.rename(d));
      const red = (place.red as readonly Dim[]).map((d) => this.rename(d));
      pending.push({
        id,
        update: () => {
          const values = spec.values(out, red);
          const next = spec.step
            ? spec.step(refs, values)
            : values.map((v, i) => binary(spec.accumulators[i].op ?? 'add', refs[i], v));
          this.count(next);
          const held = next.length > 1 ? next.map((v) => this.bind(v)) : next;
          names.forEach((name, i) => this.emit({ kind: 'set', name, value: held[i] }));
        },
        finish: () =>
          rounded(this.dtype({ node: id, port: 0 }), spec.finish ? spec.finish(refs) : refs[0]),
      });
    }
    this.nest(
      this.group.redAxes,
      'reduce',
      () => {
        for (const p of pending) p.update();
      },
      combinable ? combine : undefined,
    );
    for (const p of pending) this.results.set(p.id, this.bind(p.finish()));
  }

  private bind(value: Expr): Expr {
    if (value.op === 'let' || value.op === 'const') return value;
    const name = `t${this.names++}`;
    this.emit({ kind: 'let', name, value });
    return letRef(name, value.type, value.lanes);
  }

  private storeAll(stores: readonly Store[]): void {
    const ready = stores.map((s) => {
      const node = this.func.nodes[s.node];
      const place = this.group.places.get(s.node) as Place;
      const index = place.index.map((d) => this.rename(d));
      const value = this.valueAt({ node: s.node, port: 0 }, index);
      return { s, node, index, value };
    });
    this.count(ready.map((r) => r.value));
    // All values come before all stores: a store may overwrite what another value reads.
    const many = ready.length > 1;
    const held = ready.map((r) => ({ ...r, value: many ? this.bind(r.value) : r.value }));
    for (const { s, index, value } of held) {
      const ref = { node: s.node, port: 0 };
      for (const view of s.views) {
        const buffer = this.buffer(view, ref, true);
        const at = linearIndex(index, this.shape(ref));
        this.emit({ kind: 'store', buffer, index: at, value: stored(this.dtype(ref), value) });
      }
    }
  }

  private count(values: readonly Expr[]): void {
    this.flops = addDim(this.flops, mulDim(this.turns, exprCost(values)));
  }

  private context(node: Node, port: number): IndexContext {
    return indexContext(
      this.frame,
      node,
      port,
      (ref, index) => this.valueAt(ref, index),
      (value) => this.local(value),
    );
  }

  /** Binds an i32 value so that indices can use it. */
  private local(value: Expr): Dim {
    if (value.op === 'const') return value.value;
    if (value.op === 'dim') return value.dim;
    const name = `t${this.names++}`;
    this.emit({ kind: 'let', name, value });
    const d = dimOf(name);
    this.localSyms.set(name, d);
    return d;
  }

  private buffer(view: BufferView, ref: Ref, write: boolean): string {
    const key = `${view.buffer}@${dimKey(view.offset)}`;
    const old = this.bufferNames.get(key);
    if (old !== undefined) {
      const b = this.buffers[old];
      const access = write ? 'write' : 'read';
      if (b.access !== access) this.buffers[old] = { ...b, access: 'readwrite' };
      return b.name;
    }
    const name = `b${this.buffers.length}`;
    this.bufferNames.set(key, this.buffers.length);
    const type = dtypeInfo(knownType(this.func, ref).dtype).storage;
    this.buffers.push({ name, type, access: write ? 'write' : 'read' });
    this.views.push(view);
    const size = dtypeInfo(knownType(this.func, ref).dtype).bytes;
    this.bytes = addDim(this.bytes, mulDim(prodDims(this.shape(ref)), size));
    return name;
  }

  private valueAt(ref: Ref, index: readonly Dim[]): Expr {
    const key = `${ref.node}:${ref.port}:${index.map(dimKey).join(',')}`;
    for (const s of this.scopes) {
      const old = s.memo.get(key);
      if (old) return old;
    }
    const value = this.evaluate(ref, index);
    this.scopes[this.scopes.length - 1].memo.set(key, value);
    return value;
  }

  private evaluate(ref: Ref, index: readonly Dim[]): Expr {
    const node = this.func.nodes[ref.node];
    const place = this.group.places.get(ref.node);
    const sizes = this.sizesAt(node, ref, index);
    if (sizes && !place) return sizes;
    if (place?.red) {
      const result = this.results.get(ref.node);
      invariant(result, `${node.op} "${node.name}" is read before it is reduced`);
      return result;
    }
    const { form } = opRecord(node.op);
    if (!place) {
      const splat = this.homes.splat(node);
      if (splat !== undefined) return constant(scalarTypeOf(this.func, ref), splat);
      const home = this.homes.home(ref);
      if (home) return this.loadFrom(home, ref, index);
    }
    switch (form.kind) {
      case 'scalar': {
        const out = this.shape(ref);
        const args = node.inputs.map((r) =>
          this.valueAt(r, broadcastIndex(this.shape(r), out, index)),
        );
        const dtype = this.dtype(ref);
        const same = args.filter((_, i) => this.dtype(node.inputs[i]) === dtype);
        return rounded(dtype, form.scalar(args, node.attrs), same);
      }
      case 'view':
        return this.valueAt(node.inputs[0], viewIndex(this.frame, node, index));
      case 'index':
        return rounded(this.dtype(ref), form.at(this.context(node, ref.port), index));
      case 'readVariable':
        return this.loadFrom(this.variableOf(node), ref, index);
      case 'assign': {
        const value = this.valueAt(node.inputs[0], index);
        if (node.attrs.update === 'set') return value;
        const before = this.loadFrom(this.variableOf(node), ref, index);
        const sum = binary(node.attrs.update === 'add' ? 'add' : 'sub', before, value);
        return rounded(this.dtype(ref), sum);
      }
      default:
        throw new InternalError(`${node.op} "${node.name}" has no value in this kernel`);
    }
  }

  private variableOf(node: Node): BufferView {
    return this.homes.variable(node.attrs.variable as string);
  }

  private loadFrom(view: BufferView, ref: Ref, index: readonly Dim[]): Expr {
    const buffer = this.buffer(view, ref, false);
    const { storage } = dtypeInfo(this.dtype(ref));
    const element = load(buffer, loadedType(storage), linearIndex(index, this.shape(ref)));
    return widened(this.dtype(ref), element);
  }

  private sizesAt(node: Node, ref: Ref, index: readonly Dim[]): Expr | undefined {
    const param = this.homes.sizeParam(ref.node);
    if (param !== undefined) return dimValue(this.rename(param));
    const values = node.values[ref.port];
    const type = node.types[ref.port];
    if (!values || type.dtype !== 'int32' || opRecord(node.op).form.kind === 'leaf') {
      return undefined;
    }
    const at = linearIndex(index, this.shape(ref));
    if (typeof at === 'number') return dimValue(this.rename(values[at] ?? 0));
    const step = stepOf(values);
    if (step !== undefined) return dimValue(addDim(this.rename(values[0]), mulDim(at, step)));
    let out: Expr = dimValue(this.rename(values[values.length - 1] ?? 0));
    for (let i = values.length - 2; i >= 0; i--) {
      const here = compare('eq', dimValue(at), dimValue(i));
      out = select(here, dimValue(this.rename(values[i])), out);
    }
    return out;
  }
}

/** The number by which each size exceeds the one before it, as in a range. */
function stepOf(values: readonly Dim[]): number | undefined {
  if (values.length < 2) return undefined;
  const step = subDim(values[1], values[0]);
  if (typeof step !== 'number') return undefined;
  const even = values.every((d, i) => i === 0 || subDim(d, values[i - 1]) === step);
  return even ? step : undefined;
}
