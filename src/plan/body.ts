// Plans one function or body: analyses and groups its nodes, gives values their buffers, emits kernels
// and steps in order, and checks sizes as soon as they are known. Loops, branches and host calls are
// planned in `control.ts`.

import { addDim, type Dim, dimKey, mulDim, prodDims, symDim } from '../core/dim.ts';
import { boundOf } from '../core/dim-bound.ts';
import { mentions, symNames } from '../core/dim-syms.ts';
import { type DType, type TypedArray, toNumbers } from '../core/dtype.ts';
import { InternalError, invariant } from '../core/error.ts';
import type { TensorType } from '../core/type.ts';
import { foundSizes, mentionsAny } from '../graph/found-sizes.ts';
import type { Constraint, Func, Node, Ref } from '../graph/func.ts';
import { opRecord } from '../graph/op.ts';
import type { Kernel } from '../kernel/ir.ts';
import { withLengthArgument } from '../kernel/length.ts';
import { type Analysis, analyse, bodiesOf, isKnownSizes } from './analysis.ts';
import {
  type BodyContext,
  freshSym,
  planBranch,
  planConstraints,
  planHost,
  planLoop,
} from './control.ts';
import { copyKernel, handWritten, sizeKernel } from './direct.ts';
import { type Group, groupNodes } from './groups.ts';
import { type Homes, lowerGroup, type Store } from './lower.ts';
import { orderGroups } from './order.ts';
import { type Places, placeNodes } from './place.ts';
import { planPlaced } from './placed.ts';
import type { Scope, Services } from './services.ts';
import { splitGroups } from './split.ts';
import { viewsToStore } from './stored.ts';
import type { BufferView, PlanConstraint } from './types.ts';

const NONE: ReadonlySet<DType> = new Set();

/** Plans one function: its kernels and steps go to the planner in order. */
export class BodyPlanner implements BodyContext {
  readonly up: Services;
  readonly scope: Scope;
  private readonly func: Func;
  private readonly fuse: boolean;
  private readonly maxBuffers: number;
  private readonly homes = new Map<string, BufferView>();
  private readonly splats = new Map<number, number | undefined>();
  private pending: PlanConstraint[] = [];
  private readonly demanded = new Set<string>();

  constructor(up: Services, scope: Scope, fuse: boolean, maxBuffers: number) {
    this.up = up;
    this.scope = scope;
    this.func = scope.func;
    this.fuse = fuse;
    this.maxBuffers = maxBuffers;
  }

  run(): BufferView[] {
    const { func, scope } = this;
    // A body is placed as a whole, by the node that holds it.
    const lacks = scope.top ? this.up.lacks : NONE;
    const analysis = analyse(func, viewsToStore(func, lacks));
    const places = lacks.size > 0 ? placeNodes(analysis, lacks) : undefined;
    const whole = groupNodes(analysis, this.fuse, places);
    const { groups, stored } = splitGroups(analysis, whole, this.fuse, this.maxBuffers);
    this.collectConstraints(analysis);
    for (const [id, view] of scope.params) this.homes.set(`${id}:0`, view);
    for (const id of analysis.order) {
      const node = func.nodes[id];
      if (opRecord(node.op).form.kind !== 'assign' || places?.why(id)) continue;
      this.homes.set(`${id}:0`, this.up.variable(node, node.attrs.variable as string));
    }
    for (const g of orderGroups(groups, func)) {
      if (g.kind === 'placed') planPlaced(this, analysis, places as Places, g.level, lacks);
      else this.emitGroup(g, stored);
    }
    return func.results.map((ref, i) => {
      this.tell(ref, i);
      return this.finishResult(ref, scope.targets[i]);
    });
  }

  setHome(ref: Ref, view: BufferView): void {
    this.homes.set(this.key(ref), view);
  }

  private key(ref: Ref): string {
    return `${ref.node}:${ref.port}`;
  }

  /** Where a value stands, if it has a buffer by now. */
  private home(ref: Ref): BufferView | undefined {
    const old = this.homes.get(this.key(ref));
    if (old) return old;
    const node = this.func.nodes[ref.node];
    const { form } = opRecord(node.op);
    if (form.kind === 'readVariable') {
      return this.up.variable(node, node.attrs.variable as string);
    }
    if (node.op === 'const' || (form.kind === 'leaf' && node.attrs.data !== undefined)) {
      return this.up.constant(node);
    }
    return undefined;
  }

  /** The size that an int32 scalar stands for, where that is known without computing it. */
  sizeOf(ref: Ref): Dim | undefined {
    const param = this.scope.sizes.get(ref.node);
    if (param !== undefined) return param;
    const node = this.func.nodes[ref.node];
    if (!isKnownSizes(node) || this.type(ref).shape.length > 0) return undefined;
    return node.values[ref.port]?.[0];
  }

  /** Where a value stands; a size gets a buffer first. */
  mustHome(ref: Ref): BufferView {
    const size = this.home(ref) ? undefined : this.sizeOf(ref);
    if (size !== undefined) {
      const { kernel, args } = sizeKernel(size);
      const [view] = this.place(ref);
      this.pushKernel(kernel, [view], args, [this.func.nodes[ref.node].name]);
      return view;
    }
    const view = this.home(ref);
    invariant(view, `"${this.func.nodes[ref.node].name}" has no buffer`);
    return view;
  }

  private lowering(): Homes {
    return {
      func: this.func,
      home: (ref) => this.home(ref),
      variable: (name) => {
        const node = this.func.nodes.find((n) => n.attrs.variable === name && n.types.length > 0);
        invariant(node, `no node names the variable "${name}"`);
        return this.up.variable(node, name);
      },
      splat: (node) => this.splat(node),
      sizeParam: (id) => this.scope.sizes.get(id),
      iteration: this.scope.iteration,
    };
  }

  private splat(node: Node): number | undefined {
    if (node.attrs.data === undefined || opRecord(node.op).form.kind !== 'leaf') return undefined;
    if (this.splats.has(node.id)) return this.splats.get(node.id);
    const stored = node.attrs.data as TypedArray;
    const data = toNumbers(node.types[0].dtype, stored);
    let value: number | undefined = data[0];
    for (let i = 1; i < data.length && value !== undefined; i++) {
      if (!Object.is(data[i], value)) value = undefined;
    }
    this.splats.set(node.id, value);
    return value;
  }

  type(ref: Ref): TensorType & { shape: readonly Dim[] } {
    const t = this.func.nodes[ref.node].types[ref.port];
    invariant(t.shape, 'a planned value has a rank');
    return t as TensorType & { shape: readonly Dim[] };
  }

  /** Targets of bodies that this value may be written to straight away. */
  private targetsOf(ref: Ref): BufferView[] {
    const out: BufferView[] = [];
    this.func.results.forEach((r, i) => {
      const target = this.scope.targets[i];
      // Until a turn has told its size, the place of what it stacks is not known.
      const { sizes, turns } = this.scope.tells;
      const waits = turns !== null && sizes.some((s) => s.result === i);
      if (target && !waits && r.node === ref.node && r.port === ref.port) out.push(target);
    });
    return out;
  }

  /** A buffer for a value, its body's target where there is one. */
  place(ref: Ref): BufferView[] {
    const type = this.type(ref);
    const size = prodDims(type.shape);
    const known = this.isKnown(size);
    // What a node finds the size of itself is stored only once that has been checked.
    const targets = known ? this.targetsOf(ref) : [];
    if (targets.length > 0) {
      this.homes.set(this.key(ref), targets[0]);
      for (const t of targets) this.grow(t, size);
      return targets;
    }
    const label = this.func.nodes[ref.node].name;
    const buffer = this.up.allocate('arena', type.dtype, size, label);
    const view = { buffer, offset: 0 };
    if (this.up.isTape(buffer)) {
      const most = known ? size : boundOf(size);
      if (this.isKnown(most)) this.reserve(buffer, most);
    }
    this.homes.set(this.key(ref), view);
    return [view];
  }

  private isKnown(d: Dim): boolean {
    return [...symNames(d)].every((id) => this.up.isKnown(id));
  }

  private reserve(buffer: number, elements: Dim): void {
    const position = this.up.next();
    this.up.touch(buffer, position);
    this.up.push({ kind: 'reserve', position, buffer, elements });
  }

  /** Makes room in a target that grows. */
  private grow({ buffer, offset }: BufferView, size: Dim): void {
    if (this.scope.grows.has(buffer)) this.reserve(buffer, addDim(offset, size));
  }

  /** Gives the sizes of a result to the symbols that stand for them around the body. */
  private tell(ref: Ref, i: number): void {
    const { sizes, turns } = this.scope.tells;
    const { shape } = this.type(ref);
    for (const { sym, result, axis } of sizes) {
      if (result !== i) continue;
      const value = shape[axis];
      if (turns) {
        const [a, b] = [mulDim(turns.again, symDim(sym)), mulDim(turns.again, value)];
        this.pushCheck({ kind: 'eq', a, b, ...turns.demand });
      }
      this.up.push({ kind: 'let', position: this.up.next(), sym, value });
    }
  }

  private finishResult(ref: Ref, target: BufferView | null): BufferView {
    const home = this.mustHome(ref);
    if (
      !target ||
      (home.buffer === target.buffer && dimKey(home.offset) === dimKey(target.offset))
    ) {
      return home;
    }
    const direct =
      this.targetsOf(ref).some((t) => t === target) && this.writtenHere.has(this.key(ref));
    if (!direct) {
      this.grow(target, prodDims(this.type(ref).shape));
      this.copy(home, target, ref);
    }
    return target;
  }

  /** Values whose kernel stored them to all their targets. */
  private readonly writtenHere = new Set<string>();

  copy(from: BufferView, to: BufferView, ref: Ref): void {
    const type = this.type(ref);
    const { kernel, args } = copyKernel(type.dtype, prodDims(type.shape));
    this.pushKernel(kernel, [from, to], args, [this.func.nodes[ref.node].name]);
  }

  private pushKernel(
    exact: Kernel,
    views: readonly BufferView[],
    given: readonly Dim[],
    nodes: readonly string[],
  ): void {
    const { kernel, args } = withLengthArgument({ kernel: exact, args: given });
    const position = this.up.next();
    for (const v of views) this.up.touch(v.buffer, position);
    const id = this.up.kernelId(kernel);
    this.up.push({ kind: 'kernel', position, kernel: id, views, args, nodes });
  }

  private emitGroup(group: Group, stored: ReadonlySet<number>): void {
    if (group.kind === 'opaque') {
      this.emitOpaque(this.func.nodes[group.members[0]]);
      return;
    }
    const stores: Store[] = [];
    for (const id of group.members) {
      if (!stored.has(id)) continue;
      const ref = { node: id, port: 0 };
      const node = this.func.nodes[id];
      const isAssign = opRecord(node.op).form.kind === 'assign';
      const views = isAssign ? [this.mustHome(ref)] : this.place(ref);
      if (!isAssign) this.writtenHere.add(this.key(ref));
      stores.push({ node: id, views });
    }
    if (stores.length === 0) return;
    // A stored member must not be taken from its buffer while its own kernel computes it.
    const { kernel, views, args } = lowerGroup(group, stores, this.lowering());
    const names = group.members.map((m) => this.func.nodes[m].name);
    this.pushKernel(kernel, views, args, names);
  }

  private emitOpaque(node: Node): void {
    const { form } = opRecord(node.op);
    if (form.kind === 'kernel') this.emitKernelNode(node, form.sizeOutputs ?? {});
    else if (form.kind === 'loop') planLoop(this, node);
    else if (form.kind === 'branch') planBranch(this, node);
    else if (form.kind === 'host') planHost(this, node);
    else throw new InternalError(`${node.op} is no step of its own`);
  }

  private emitKernelNode(node: Node, sizeOutputs: Readonly<Record<number, string>>): void {
    const inputs = node.inputs.map((r) => this.mustHome(r));
    const sizes = Object.entries(sizeOutputs).flatMap(([port, label]) => {
      const sym = freshSym(node, label);
      return sym ? [{ port: Number(port), sym }] : [];
    });
    // Outputs sized by what this very kernel finds must be bounded: they are placed before it runs.
    for (const { sym } of sizes) {
      const own = node.types.some((t) => t.shape?.some((d) => mentions(d, sym.id)));
      invariant(!own || sym.bound !== undefined, `${node.op}: the size "${sym.id}" needs a bound`);
    }
    const outputs = node.types.map((_, port) => {
      const views = this.place({ node: node.id, port });
      return views[0];
    });
    const record = opRecord(node.op);
    let code = -1;
    if (record.effect === 'check') {
      code = this.up.check({
        node: node.name,
        op: record.nodeName,
        message: `${record.nodeName} "${node.name}": ${record.failure ?? 'the check failed.'}`,
        site: node.site,
      });
    }
    const { kernel, args } = handWritten(this.func, node, code);
    this.pushKernel(kernel, [...inputs, ...outputs], args, [node.name]);
    for (const { port, sym } of sizes) {
      const position = this.up.next();
      const view = outputs[port];
      this.up.touch(view.buffer, position);
      this.up.push({ kind: 'bind', position, sym, view });
      this.up.learn(sym, sym.bound === undefined);
    }
    this.flushChecks();
  }

  /** Constraints of live nodes: those of sizes known at the start go to the host. */
  private collectConstraints(analysis: Analysis): void {
    for (const id of analysis.order) {
      const node = this.func.nodes[id];
      if (node.constraints.length === 0) continue;
      const within = bodiesOf(node).map(foundSizes);
      for (const c of planConstraints(node)) {
        // Those of sizes that a body finds are checked there.
        if (!within.some((f) => mentionsAny(c.a, f) || mentionsAny(c.b, f))) this.demand(c);
      }
    }
    for (const c of this.scope.demands) this.demand(c);
    this.flushChecks();
  }

  demand(c: PlanConstraint): void {
    const key = `${c.kind}:${dimKey(c.a)}:${dimKey(c.b)}`;
    if (this.demanded.has(key)) return;
    this.demanded.add(key);
    if (known(c, (id) => this.up.isStart(id))) this.up.hostConstraint(c);
    else this.pending.push(c);
  }

  /** Checks constraints whose last size has just become known. */
  flushChecks(): void {
    const left: PlanConstraint[] = [];
    for (const c of this.pending) {
      if (!known(c, (id) => this.up.isKnown(id))) {
        left.push(c);
        continue;
      }
      this.pushCheck(c);
    }
    this.pending = left;
  }

  private pushCheck({ kind, a, b, op, node, site, why }: PlanConstraint): void {
    const message = `${op} "${node}": ${why}`;
    const code = this.up.check({ node, op, message, ...(site ? { site } : {}) });
    const position = this.up.next();
    this.up.push({ kind: 'check', position, constraint: { kind, a, b, why }, code });
  }
}

/** Whether all sizes of a constraint are known. */
function known(c: Constraint, isKnown: (id: string) => boolean): boolean {
  return [...symNames(c.a), ...symNames(c.b)].every(isKnown);
}
