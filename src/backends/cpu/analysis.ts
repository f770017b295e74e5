// What the CPU backend asks of a plan before it runs: which variables must be kept because the run
// may still fail after writing them, what shapes variables have, and how much work a run is.

import { walkSteps } from '../../codegen/wasm/block.ts';
import { canFail, firstWrite } from '../../codegen/wasm/entry.ts';
import type { Dim } from '../../core/dim.ts';
import { evalDim } from '../../core/dim-value.ts';
import { InternalError, type Site } from '../../core/error.ts';
import type { Func, Node } from '../../graph/func.ts';
import type { HostStep, KernelStep, Plan, Segment, Step } from '../../plan/types.ts';

/** When the last thing that can fail happens, as a position. */
export interface Risks {
  /** Last position of a check or of a call that may fail; -1 if there is none. */
  readonly checks: number;
  /** Last position at which a deadline or abort may end the run; -1 if there is none. */
  readonly polls: number;
  /** Position of the first write of each variable written. */
  readonly writes: ReadonlyMap<string, number>;
}

/** Finds out when a run may fail. */
export function risksOf(plan: Plan): Risks {
  let checks = -1;
  let polls = -1;
  const writes = new Map<string, number>();
  const first = firstWrite(plan);
  walkSteps(plan, (step, outer) => {
    // A failure in a loop may come in a later turn than any write in it.
    const loop = outer.find((s) => s.kind === 'loop');
    const at = loop ? lastPosition(loop) : step.position;
    if (step.kind === 'check' || step.kind === 'reserve') checks = Math.max(checks, at);
    if (step.kind === 'loop') polls = Math.max(polls, lastPosition(step));
    if (step.kind !== 'kernel') return;
    const kernel = plan.kernels[step.kernel];
    if (canFail(kernel)) checks = Math.max(checks, at);
    if (loop || step.position < first) polls = Math.max(polls, at);
    for (const name of variablesWritten(plan, step)) {
      if (!writes.has(name)) writes.set(name, step.position);
    }
  });
  for (const segment of plan.segments) {
    if (segment.kind === 'device') continue;
    const { position, outputs } = segment.step;
    checks = Math.max(checks, position);
    polls = Math.max(polls, position);
    const shared = segment.kind === 'placed' ? segment.step.shared.filter((v) => v.written) : [];
    for (const { view } of [...outputs, ...shared]) {
      const name = plan.buffers[view.buffer].variable;
      if (name !== undefined && !writes.has(name)) writes.set(name, position);
    }
  }
  return { checks, polls, writes };
}

function variablesWritten(plan: Plan, step: KernelStep): string[] {
  const { buffers } = plan.kernels[step.kernel];
  return step.views.flatMap((view, i) => {
    const name = plan.buffers[view.buffer].variable;
    return name !== undefined && buffers[i].access !== 'read' ? [name] : [];
  });
}

function lastPosition(step: Step): number {
  const inner =
    step.kind === 'loop'
      ? [...(step.cond?.steps ?? []), ...step.body]
      : step.kind === 'branch'
        ? step.branches.flat()
        : [];
  return inner.reduce((last, s) => Math.max(last, lastPosition(s)), step.position);
}

/** The shape that a plan's function gives a variable, if it names it. */
export function variableShape(func: Func, name: string): readonly Dim[] | undefined {
  return variableNode(func, name)?.types[0]?.shape ?? undefined;
}

/** A node of the function or of its bodies that tells the shape of a variable. */
function variableNode(func: Func, name: string): Node | undefined {
  for (const node of func.nodes) {
    if (node.attrs.variable === name && node.types[0]?.shape) return node;
    for (const value of Object.values(node.attrs)) {
      for (const body of Array.isArray(value) ? value : [value]) {
        if (!isFunc(body)) continue;
        const inner = variableNode(body, name);
        if (inner) return inner;
      }
    }
  }
  return undefined;
}

/** A {@link Plan} whose host steps have no function. */
export interface BarePlan extends Omit<Plan, 'segments'> {
  readonly segments: readonly (
    | Extract<Segment, { kind: 'device' }>
    | { readonly kind: 'host'; readonly step: Omit<HostStep, 'fn'> & { readonly fn: null } }
  )[];
}

/**
 * A plan without what an executable does not look at and without host functions: plain data
 * throughout, so that it can be posted to a worker.
 */
export function barePlan(plan: Plan): BarePlan {
  const nodes = plan.writes.flatMap((name) => {
    const node = variableNode(plan.func, name);
    return node ? [withSite({ ...node, attrs: { variable: name }, values: [] })] : [];
  });
  const func = { ...plan.func, params: [], nodes, results: [], effects: [] };
  const segments = plan.segments.map((s) => {
    if (s.kind === 'placed') throw new InternalError('a plan for the CPU places nothing elsewhere');
    return s.kind === 'host' ? { ...s, step: { ...s.step, fn: null } } : s;
  });
  const [checks, constraints] = [plan.checks.map(withSite), plan.constraints.map(withSite)];
  return { ...plan, func, segments, checks, constraints };
}

/** The same with the frames of its creation site as plain data. */
function withSite<T extends { readonly site?: Site }>(what: T): T {
  return what.site ? { ...what, site: { frames: what.site.frames } } : what;
}

function isFunc(value: unknown): value is Func {
  return typeof value === 'object' && value !== null && 'nodes' in value && 'params' in value;
}

/**
 * About how many nanoseconds a run takes on one thread, as far as sizes known at the start tell it;
 * loops without a limit count as one turn.
 */
export function estimateTime(plan: Plan, value: (id: string) => number): number {
  let total = 0;
  const turns = new Map<Step, number>();
  walkSteps(plan, (step, outer) => {
    if (step.kind === 'loop') turns.set(step, step.limit === null ? 1 : evalDim(step.limit, value));
    if (step.kind !== 'kernel') return;
    const kernel = plan.kernels[step.kernel];
    const args = new Map(kernel.params.map((p, i) => [p.id, evalDim(step.args[i], value)]));
    const work = (d: Dim): number => evalDim(d, (id) => args.get(id) ?? 0);
    const times = outer.reduce((n, s) => n * (turns.get(s) ?? 1), 1);
    total += times * (work(kernel.flops) / 8 + work(kernel.bytes) / 16);
  });
  return total;
}
