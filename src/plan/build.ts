// Builds the plan of a function: groups become kernels and steps in order, values get buffers, loop
// bodies and branches are planned in place, and sizes known only in mid-run are bound where they
// become known. The function must have gone through the passes: known ranks, no composites.

import { asSym, type Dim, makeSym, prodDims, type Sym, symDim } from '../core/dim.ts';
import { boundOf } from '../core/dim-bound.ts';
import { symsOf } from '../core/dim-syms.ts';
import type { DType, TypedArray } from '../core/dtype.ts';
import { invariant } from '../core/error.ts';
import { tensorType } from '../core/type.ts';
import type { Func, Node } from '../graph/func.ts';
import { resetExprPool } from '../kernel/expr.ts';
import type { Kernel } from '../kernel/ir.ts';
import { printKernel } from '../kernel/print.ts';
import { variableUse } from './analysis.ts';
import { BodyPlanner } from './body.ts';
import { sizeKernel } from './direct.ts';
import { NOTHING_TOLD, type Scope, type Services } from './services.ts';
import {
  type BufferKind,
  type BufferView,
  type Plan,
  type PlanBuffer,
  type PlanCheck,
  type PlanConstraint,
  type PlanFeed,
  type PlanResult,
  RUN_SYM,
  type Segment,
  type StartSym,
  type Step,
} from './types.ts';

export interface PlanOptions {
  /** Off: every node is a kernel of its own and every value has a buffer. */
  readonly fuse?: boolean;
  /** Dtypes that the device lacks: what needs them is placed on the CPU. */
  readonly lacks?: ReadonlySet<DType> | undefined;
  /** Buffers that a kernel may bind; groups that need more are split. Absent: any number. */
  readonly maxBuffers?: number | undefined;
}

/** Builds the plan of a function. */
export function buildPlan(func: Func, options: PlanOptions = {}): Plan {
  resetExprPool();
  const { fuse = true, lacks = NONE, maxBuffers = Number.POSITIVE_INFINITY } = options;
  const use = { ...variableUse(func), feeds: func.params, results: func.results };
  const device = { lacks: isInitializer(use) ? NONE : lacks, maxBuffers };
  return new Planner(func, fuse, device, [], []).run();
}

const NONE: ReadonlySet<DType> = new Set();

/** What a plan must heed of its device. */
interface DeviceLimits {
  readonly lacks: ReadonlySet<DType>;
  readonly maxBuffers: number;
}

const NO_LIMITS: DeviceLimits = { lacks: NONE, maxBuffers: Number.POSITIVE_INFINITY };

/**
 * Whether a plan gives variables their first values: it needs none, and nothing fed. Nothing of it is
 * placed: a device that can't run all of it runs it on the CPU as a whole, as others may do too.
 */
export function isInitializer(
  plan: {
    readonly [part in 'reads' | 'writes' | 'feeds' | 'results']: readonly unknown[];
  },
): boolean {
  const { reads, writes, feeds, results } = plan;
  return writes.length > 0 && reads.length + feeds.length + results.length === 0;
}

interface MutableBuffer extends Omit<PlanBuffer, 'live'> {
  first: number;
  last: number;
}

class Planner {
  private readonly func: Func;
  private readonly fuse: boolean;
  private readonly device: DeviceLimits;
  private readonly given: readonly Sym[];
  private readonly wanted: readonly Sym[];
  private readonly kernels: Kernel[] = [];
  private readonly kernelIds = new Map<string, number>();
  private readonly buffers: MutableBuffer[] = [];
  private readonly variables = new Map<string, number>();
  private readonly constants = new Map<unknown, number>();
  private readonly checks: PlanCheck[] = [];
  private readonly known = new Set<string>([RUN_SYM]);
  private readonly start = new Set<string>([RUN_SYM]);
  private readonly late = new Set<string>();
  private readonly hostConstraints: PlanConstraint[] = [];
  private readonly segments: Segment[] = [];
  private steps: Step[] = [];
  private position = 0;
  private counters = 0;

  constructor(
    func: Func,
    fuse: boolean,
    device: DeviceLimits,
    given: readonly Sym[],
    wanted: readonly Sym[],
  ) {
    this.func = func;
    this.fuse = fuse;
    this.device = device;
    this.given = given;
    this.wanted = wanted;
  }

  run(): Plan {
    const { func } = this;
    const feeds: PlanFeed[] = [];
    const startSyms: StartSym[] = [];
    const params = new Map<number, BufferView>();
    for (const sym of this.given) {
      if (this.known.has(sym.id)) continue;
      this.known.add(sym.id);
      this.start.add(sym.id);
      startSyms.push({ sym, feed: null, axis: null, element: null });
    }
    func.params.forEach((id, feed) => {
      const node = func.nodes[id];
      const type = node.types[0];
      invariant(type.shape, `the parameter "${node.name}" has no rank`);
      const learn = (d: Dim, axis: number | null, element: number | null): void => {
        const sym = asSym(d);
        if (!sym || this.known.has(sym.id)) return;
        this.known.add(sym.id);
        this.start.add(sym.id);
        startSyms.push({ sym, feed, axis, element });
      };
      type.shape.forEach((d, axis) => learn(d, axis, null));
      node.values[0]?.forEach((d, element) => learn(d, null, element));
      const buffer = this.allocate('feed', type.dtype, prodDims(type.shape), node.name);
      feeds.push({ name: node.name, type, buffer });
      params.set(id, { buffer, offset: 0 });
    });
    const results = this.planFunc({
      func,
      params,
      sizes: new Map(),
      targets: func.results.map(() => null),
      tells: NOTHING_TOLD,
      grows: new Set(),
      demands: [],
      iteration: 0,
      top: true,
    });
    const told = this.told().map((sym) => this.sizeResult(sym));
    this.closeSegment();
    const last = this.position;
    const all = [
      ...func.results.map((ref, i): PlanResult => {
        return { view: results[i], type: func.nodes[ref.node].types[ref.port] };
      }),
      ...told,
    ];
    for (const { view } of all) this.touch(view.buffer, last);
    return {
      func,
      feeds,
      results: all,
      kernels: this.kernels,
      buffers: this.buffers.map(({ first, last: end, ...b }) => ({ ...b, live: [first, end] })),
      segments: this.segments,
      startSyms,
      constraints: this.hostConstraints,
      checks: this.checks,
      ...variableUse(func),
      positions: last + 1,
    };
  }

  /** Those of the wanted sizes that are known by now. */
  told(): readonly Sym[] {
    return this.wanted.filter((s) => this.known.has(s.id));
  }

  /** A size as a result of the plan. */
  private sizeResult(sym: Sym): PlanResult {
    const view = { buffer: this.allocate('arena', 'int32', 1, sym.id), offset: 0 };
    const { kernel, args } = sizeKernel(symDim(sym));
    const position = this.next();
    this.touch(view.buffer, position);
    const id = this.kernelId(kernel);
    this.steps.push({ kind: 'kernel', position, kernel: id, views: [view], args, nodes: [sym.id] });
    return { view, type: tensorType('int32', []) };
  }

  private next(): number {
    return this.position++;
  }

  private closeSegment(): void {
    if (this.steps.length > 0) this.segments.push({ kind: 'device', steps: this.steps });
    this.steps = [];
  }

  /** A new buffer. A size with symbols that nothing bounds at the start makes it a tape. */
  private allocate(kind: BufferKind, dtype: DType, size: Dim, label: string): number {
    // Of sizes known at the start the bounds, from where they were found, matter no more.
    let elements = this.allSyms(size, this.start) ? size : boundOf(size);
    let actual = kind;
    if (kind === 'arena' && this.anySym(elements, this.late)) {
      actual = 'tape';
      elements = 0;
    }
    const at = this.position;
    this.buffers.push({
      id: this.buffers.length,
      kind: actual,
      dtype,
      elements,
      label,
      first: at,
      last: at,
    });
    return this.buffers.length - 1;
  }

  private allSyms(d: Dim, of: ReadonlySet<string>): boolean {
    return [...symsOf(d).keys()].every((id) => of.has(id));
  }

  private anySym(d: Dim, of: ReadonlySet<string>): boolean {
    return [...symsOf(d).keys()].some((id) => of.has(id));
  }

  private touch(buffer: number, at: number): void {
    const b = this.buffers[buffer];
    b.first = Math.min(b.first, at);
    b.last = Math.max(b.last, at);
  }

  private variable(node: Node, name: string): BufferView {
    let id = this.variables.get(name);
    if (id === undefined) {
      const type = node.types[0];
      invariant(type?.shape, `the variable "${name}" has no shape`);
      id = this.allocate('variable', type.dtype, prodDims(type.shape), name);
      this.buffers[id] = { ...this.buffers[id], variable: name };
      this.variables.set(name, id);
    }
    return { buffer: id, offset: 0 };
  }

  private constant(node: Node): BufferView {
    const { data } = node.attrs;
    let id = this.constants.get(data);
    if (id === undefined) {
      const type = node.types[0];
      const array = data as TypedArray;
      id = this.allocate('const', type.dtype, array.length, node.name);
      this.buffers[id] = { ...this.buffers[id], data: array };
      this.constants.set(data, id);
    }
    return { buffer: id, offset: 0 };
  }

  private kernelId(kernel: Kernel): number {
    const key = printKernel({ ...kernel, name: 'kernel', flops: 0, bytes: 0 });
    let id = this.kernelIds.get(key);
    if (id === undefined) {
      id = this.kernels.push(kernel) - 1;
      this.kernelIds.set(key, id);
    }
    return id;
  }

  /** Plans a function or body; returns where its results stand. */
  private planFunc(scope: Scope): BufferView[] {
    return new BodyPlanner(this.services(), scope, this.fuse, this.device.maxBuffers).run();
  }

  private services(): Services {
    return {
      planFunc: (scope) => this.planFunc(scope),
      allocate: (kind, dtype, size, label) => this.allocate(kind, dtype, size, label),
      touch: (b, at) => this.touch(b, at),
      isTape: (b) => this.buffers[b].kind === 'tape',
      variable: (node, name) => this.variable(node, name),
      constant: (node) => this.constant(node),
      kernelId: (k) => this.kernelId(k),
      next: () => this.next(),
      push: (step) => this.steps.push(step),
      collect: (make) => this.collect(make),
      host: (step) => {
        this.closeSegment();
        this.segments.push({ kind: 'host', step });
      },
      placed: (step) => {
        this.closeSegment();
        this.segments.push({ kind: 'placed', step });
      },
      subplan: (func, given, wanted) => {
        const planner = new Planner(func, this.fuse, NO_LIMITS, given, wanted);
        const plan = planner.run();
        return { plan, told: planner.told() };
      },
      lacks: this.device.lacks,
      counter: () => makeSym(`$k${this.counters++}`),
      isKnown: (id) => this.known.has(id),
      isStart: (id) => this.start.has(id),
      learn: (sym, isLate) => {
        this.known.add(sym.id);
        if (isLate) this.late.add(sym.id);
      },
      announce: (sym) => this.late.add(sym.id),
      hostConstraint: (c) => this.hostConstraints.push(c),
      check: (check) => {
        const code = this.checks.length;
        this.checks.push({ ...check, code });
        return code;
      },
      extend: (from, to) => {
        for (const b of this.buffers) if (b.first < from && b.last >= from) b.last = to;
      },
      pin: (b, from, to) => {
        this.touch(b, from);
        this.touch(b, to);
      },
    };
  }

  private collect(make: () => void): Step[] {
    const outer = this.steps;
    this.steps = [];
    make();
    const made = this.steps;
    this.steps = outer;
    return made;
  }
}
