// Evaluates a function node by node with the records' references: slow, obvious, the judge of the
// other backends. Variables are read in versions: a read sees the last write it is ordered after.

import { asSym, type Dim } from '../../core/dim.ts';
import { symsOf } from '../../core/dim-syms.ts';
import { evalDim } from '../../core/dim-value.ts';
import { type DType, dtypeInfo, isFloat, toNumbers, toStorage } from '../../core/dtype.ts';
import {
  AbortedError,
  ExecutionError,
  InternalError,
  TimeoutError,
  ValueError,
} from '../../core/error.ts';
import { type HostTensor, sizeOf } from '../../core/ndarray.ts';
import { constraintGot, constraintHolds } from '../../graph/constraint.ts';
import type { Constraint, Func, Node, Ref } from '../../graph/func.ts';
import { opRecord, type ReferenceContext } from '../../graph/op.ts';
import { refKey } from '../../graph/walk.ts';
import { callReference } from '../../ops/reference.ts';
import { liveOrder, variablesOfNode } from '../../plan/analysis.ts';
import type { RunBindings } from '../backend.ts';
import { chosenBranch } from '../chosen-branch.ts';

/** The state of a run: variables, sizes bound so far, and when to stop. */
export interface Run {
  readonly variables: Map<string, HostTensor>;
  /** In a body: variables that it reads and does not write, as the node with the body sees them. */
  readonly seen?: ReadonlyMap<string, HostTensor>;
  readonly sizes: Map<string, number>;
  readonly bindings: RunBindings;
  readonly exact: boolean;
  /** Calls the function of a host node. */
  readonly host: (node: Node, inputs: readonly HostTensor[], run: Run) => HostTensor[];
}

/** Evaluates a function on arguments; `iteration` numbers the loop turns around it. */
export function evaluateFunc(
  func: Func,
  args: readonly HostTensor[],
  run: Run,
  iteration: number,
): HostTensor[] {
  return new Evaluation(func, run, iteration).evaluate(args);
}

class Evaluation {
  private readonly func: Func;
  private readonly run: Run;
  private readonly iteration: number;
  private readonly values = new Map<string, HostTensor>();
  /** The variables as this evaluation found them. */
  private readonly before: Map<string, HostTensor>;
  /** What writers left behind, by node and variable. */
  private readonly written = new Map<number, Map<string, HostTensor>>();
  private readonly context: ReferenceContext;

  constructor(func: Func, run: Run, iteration: number) {
    this.func = func;
    this.run = run;
    this.iteration = iteration;
    this.before = new Map([...run.variables, ...(run.seen ?? [])]);
    this.context = {
      alloc: (dtype, size) => alloc(run, dtype, size),
      exact: run.exact,
      run: run.bindings.run,
      iteration,
    };
  }

  evaluate(args: readonly HostTensor[]): HostTensor[] {
    const { func } = this;
    func.params.forEach((id, i) => {
      this.bind(func.nodes[id], [args[i]]);
    });
    for (const id of liveOrder(func)) {
      const node = func.nodes[id];
      if (func.params.includes(id)) continue;
      this.bind(node, this.node(node));
    }
    return func.results.map((r) => this.value(r));
  }

  private value(r: Ref): HostTensor {
    const v = this.values.get(refKey(r));
    if (!v) throw new InternalError(`"${this.func.nodes[r.node].name}" has no value`);
    return v;
  }

  /** Stores the outputs, learns the sizes they show, and checks what the node demands. */
  private bind(node: Node, outputs: readonly HostTensor[]): void {
    outputs.forEach((v, port) => {
      this.values.set(`${node.id}:${port}`, v);
      node.types[port].shape?.forEach((d, axis) => this.learn(d, v.shape[axis]));
      node.values[port]?.forEach((d, i) => {
        if (node.op !== 'param') this.learn(d, v.data[i]);
      });
    });
    for (const c of node.constraints) this.check(node, c);
  }

  private learn(d: Dim, value: number): void {
    const sym = asSym(d);
    if (sym) this.run.sizes.set(sym.id, value);
  }

  private check(node: Node, c: Constraint): void {
    const known = (d: Dim): boolean => [...symsOf(d).keys()].every((id) => this.run.sizes.has(id));
    if (!known(c.a) || !known(c.b)) return;
    const size = (id: string): number => this.run.sizes.get(id) as number;
    const [a, b] = [evalDim(c.a, size), evalDim(c.b, size)];
    if (constraintHolds(c.kind, a, b)) return;
    throw this.failed(node, `${c.why}, ${constraintGot(c.kind, a, b)}.`);
  }

  private node(node: Node): HostTensor[] {
    const record = opRecord(node.op);
    const inputs = node.inputs.map((r) => this.value(r));
    switch (record.form.kind) {
      case 'readVariable':
        return [this.read(node)];
      case 'assign':
        return [this.assign(node, inputs[0])];
      case 'noOp':
        return [];
      case 'loop':
        return this.tracked(node, () => this.loop(node, inputs));
      case 'branch':
        return this.tracked(node, () => this.branch(node, inputs));
      case 'host':
        return this.run.host(node, inputs, this.run);
      default:
        return this.reference(node, inputs);
    }
  }

  private reference(node: Node, inputs: readonly HostTensor[]): HostTensor[] {
    // The sizes of a node may be at odds before it computes anything; its constraints say so first.
    node.inputs.forEach((r, i) => {
      const source = this.func.nodes[r.node];
      source.types[r.port].shape?.forEach((d, axis) => this.learn(d, inputs[i].shape[axis]));
    });
    for (const c of node.constraints) this.check(node, c);
    const record = opRecord(node.op);
    try {
      const out = callReference(record, this.context, inputs, node.attrs);
      if (!out) throw new InternalError(`the op ${node.op} has no reference`);
      return [...out];
    } catch (e) {
      if (!(e instanceof ValueError)) throw e;
      const op = record.nodeName;
      const context = { op, node: node.name, site: node.site, cause: e };
      throw new ExecutionError(e.code, `${op} "${node.name}" failed: ${e.message}`, context);
    }
  }

  private read(node: Node): HostTensor {
    const name = node.attrs.variable as string;
    const value = this.readBy(node, name);
    if (!value) throw new InternalError(`the variable "${name}" holds no value`);
    return value;
  }

  /** What a node sees of a variable. */
  private readBy(node: Node, name: string): HostTensor | undefined {
    const writer = this.lastWriterBefore(node, name);
    return writer === undefined ? this.before.get(name) : this.written.get(writer)?.get(name);
  }

  /** Of the writes of a variable that a node is ordered after, the last. */
  private lastWriterBefore(node: Node, name: string): number | undefined {
    const seen = new Set<number>();
    const stack = [...node.inputs.map((r) => r.node), ...node.controls];
    let last: number | undefined;
    const order = [...this.written.keys()];
    while (stack.length > 0) {
      const id = stack.pop() as number;
      if (seen.has(id)) continue;
      seen.add(id);
      if (
        this.written.get(id)?.has(name) &&
        (last === undefined || order.indexOf(id) > order.indexOf(last))
      ) {
        last = id;
      }
      const n = this.func.nodes[id];
      for (const r of n.inputs) stack.push(r.node);
      stack.push(...n.controls);
    }
    return last;
  }

  private assign(node: Node, value: HostTensor): HostTensor {
    const name = node.attrs.variable as string;
    const { variables } = this.run;
    let next = value;
    if (node.attrs.update !== 'set') {
      const old = variables.get(name) as HostTensor;
      // Elements may be bigints, which multiply with no number.
      const adds = node.attrs.update === 'add';
      const [a, b] = [old, value].map((v) => toNumbers(v.dtype, v.data));
      const data = this.context.alloc(old.dtype, a.length);
      const sum = a === old.data ? data : new Float64Array(a.length);
      for (let i = 0; i < sum.length; i++) sum[i] = adds ? a[i] + b[i] : a[i] - b[i];
      next = { ...old, data: this.run.exact ? sum : toStorage(old.dtype, sum) };
    }
    variables.set(name, next);
    this.written.set(node.id, new Map([[name, next]]));
    return next;
  }

  /** Runs a node with bodies and notes what it wrote. */
  private tracked(node: Node, make: () => HostTensor[]): HostTensor[] {
    const before = new Map(this.run.variables);
    const out = make();
    const changed = [...this.run.variables].filter(([name, v]) => before.get(name) !== v);
    if (changed.length > 0) this.written.set(node.id, new Map(changed));
    return out;
  }

  /** The run as bodies of a node see it: a write that the node is not ordered after is not seen in them. */
  private inside(node: Node): Run {
    const { reads, writes } = variablesOfNode(node);
    const seen = new Map<string, HostTensor>();
    for (const name of reads) {
      if (writes.has(name)) continue;
      const value = this.readBy(node, name);
      if (value) seen.set(name, value);
    }
    return { ...this.run, seen };
  }

  private branch(node: Node, inputs: readonly HostTensor[]): HostTensor[] {
    const branches = node.attrs.branches as readonly Func[];
    const [selector, ...captured] = inputs;
    const at = chosenBranch(selector.dtype, selector.data[0], branches.length);
    return evaluateFunc(branches[at], captured, this.inside(node), this.iteration);
  }

  private loop(node: Node, inputs: readonly HostTensor[]): HostTensor[] {
    const { attrs } = node;
    const nc = attrs.carries as number;
    const nx = attrs.xs as number;
    const body = attrs.body as Func;
    const cond = attrs.cond as Func | null;
    const xs = inputs.slice(nc, nc + nx);
    const captured = inputs.slice(nc + nx);
    let carries = inputs.slice(0, nc);
    let limit = (attrs.maxTrip as number | null) ?? Number.POSITIVE_INFINITY;
    if (nx > 0) limit = Math.min(limit, xs[0].shape[0]);
    const turns: HostTensor[][] = [];
    const run = this.inside(node);
    for (let k = 0; k < limit; k++) {
      poll(this.run.bindings);
      const position = attrs.reverse ? limit - 1 - k : k;
      const t: HostTensor = { dtype: 'int32', shape: [], data: Int32Array.of(position) };
      const iteration = (Math.imul(this.iteration, 65599) + k) | 0;
      if (cond && evaluateFunc(cond, [t, ...carries, ...captured], run, iteration)[0].data[0] === 0)
        break;
      const slices = xs.map((x) => slice(x, position));
      const out = evaluateFunc(body, [t, ...carries, ...slices, ...captured], run, iteration);
      out.slice(0, nc).forEach((v, i) => {
        this.checkCarry(node, i, carries[i], v);
      });
      carries = out.slice(0, nc);
      turns.push(out.slice(nc));
    }
    if (attrs.reverse) turns.reverse();
    const ys = node.types.slice(nc).map((type, i) => {
      const record = turns[0]?.[i].shape ?? this.recordShape(node, type.shape as readonly Dim[]);
      const size = sizeOf(record);
      const data = this.context.alloc(type.dtype, turns.length * size);
      turns.forEach((t, k) => {
        if (t[i].shape.some((d, axis) => d !== record[axis])) {
          throw this.failed(
            node,
            `all turns must stack equal shapes, got [${record}] and [${t[i].shape}].`,
          );
        }
        data.set(t[i].data, k * size);
      });
      return { dtype: type.dtype, shape: [turns.length, ...record], data };
    });
    return [...carries, ...ys];
  }

  private checkCarry(node: Node, i: number, before: HostTensor, after: HostTensor): void {
    if (after.shape.every((d, axis) => d === before.shape[axis])) return;
    throw this.failed(
      node,
      `loop variable ${i} must keep its shape, got [${before.shape}] and then [${after.shape}].`,
    );
  }

  private failed(node: Node, what: string): ExecutionError {
    const op = opRecord(node.op).nodeName;
    const context = { op, node: node.name, site: node.site };
    return new ExecutionError('run/check', `${op} "${node.name}": ${what}`, context);
  }

  /** The shape of what no turn has stacked: sizes that turns would have found are 0. */
  private recordShape(node: Node, shape: readonly Dim[]): number[] {
    const size = (id: string): number =>
      id.startsWith(`${node.name}:`) ? 0 : (this.run.sizes.get(id) ?? 0);
    return shape.slice(1).map((d) => evalDim(d, size));
  }
}

function alloc(run: Run, dtype: DType, size: number): HostTensor['data'] {
  return run.exact && isFloat(dtype) ? new Float64Array(size) : dtypeInfo(dtype).alloc(size);
}

function slice(x: HostTensor, at: number): HostTensor {
  const shape = x.shape.slice(1);
  const size = sizeOf(shape);
  return { dtype: x.dtype, shape, data: x.data.subarray(at * size, (at + 1) * size) };
}

/** Ends the run where its time or signal says so. */
function poll(bindings: RunBindings): void {
  if (bindings.signal?.aborted)
    throw new AbortedError('run/aborted', 'the run was aborted by its signal.');
  if (bindings.deadline !== undefined && performance.now() > bindings.deadline) {
    throw new TimeoutError(
      'run/timeout',
      'the run took longer than its timeoutMs. Raise timeoutMs, or bound the loop.',
    );
  }
}
