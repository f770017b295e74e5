// A backend that runs plans with the kernel interpreter: steps, buffers and memory as a device would,
// kernels by the oracle of the code generators. It tells faults of the planner from faults of codegen.

import type {
  Backend,
  Device,
  DeviceValue,
  Executable,
  RunBindings,
} from '../../src/backends/backend.ts';
import { checkedResults, hostArguments } from '../../src/backends/host-call.ts';
import { copyOf, HostValue, hostFeeds } from '../../src/backends/host-value.ts';
import type { Dim } from '../../src/core/dim.ts';
import { evalDim } from '../../src/core/dim-value.ts';
import { dtypeInfo, isBig, type TypedArray } from '../../src/core/dtype.ts';
import { ExecutionError, TimeoutError } from '../../src/core/error.ts';
import { type HostTensor, sizeOf } from '../../src/core/ndarray.ts';
import { constraintHolds } from '../../src/graph/constraint.ts';
import { interpretKernel } from '../../src/kernel/interpret.ts';
import type { Kernel, TiledKernel } from '../../src/kernel/ir.ts';
import { type BufferView, type Plan, RUN_SYM, type Step } from '../../src/plan/types.ts';

export type KernelRunner = (
  kernel: Kernel,
  buffers: TypedArray[],
  params: number[],
  onFail: (code: number) => void,
) => void;

class InterpreterDevice implements Device {
  readonly ready = Promise.resolve();
  variables = new Map<string, HostTensor>();
  private readonly runner: KernelRunner;
  private readonly transform: (k: Kernel) => Kernel | TiledKernel;

  constructor(runner: KernelRunner, transform: (k: Kernel) => Kernel | TiledKernel) {
    this.runner = runner;
    this.transform = transform;
  }

  compile(plan: Plan): Executable {
    const kernels = plan.kernels.map(this.transform);
    const go = (b: RunBindings): HostTensor[] =>
      new PlanRun(plan, kernels, this, this.runner, b).run();
    return {
      run: go,
      runSync: go,
      keep: (b) => go(b).map((v) => new HostValue(v)),
      keepSync: (b) => go(b).map((v) => new HostValue(v)),
      stats: () => ({
        kernels: plan.kernels.length,
        segments: plan.segments.length,
        arenaBytes: 0,
        arenaLowerBound: 0,
        slotBytes: 0,
      }),
      dispose: () => undefined,
    };
  }

  put(value: HostTensor): DeviceValue {
    return new HostValue(copyOf(value));
  }

  hasVariable(name: string): boolean {
    return this.variables.has(name);
  }

  readVariable(name: string): HostTensor | undefined {
    return this.variables.get(name);
  }

  writeVariable(name: string, value: HostTensor): void {
    this.variables.set(name, { ...value, data: value.data.slice() });
  }

  close(): void {
    this.variables.clear();
  }
}

class PlanRun {
  private readonly buffers: TypedArray[];
  private readonly sizes = new Map<string, number>();

  private readonly plan: Plan;
  private readonly kernels: readonly Kernel[];
  private readonly device: InterpreterDevice;
  private readonly runner: KernelRunner;
  private readonly bindings: RunBindings;

  constructor(
    plan: Plan,
    kernels: readonly Kernel[],
    device: InterpreterDevice,
    runner: KernelRunner,
    bindings: RunBindings,
  ) {
    this.plan = plan;
    this.kernels = kernels;
    this.device = device;
    this.runner = runner;
    this.bindings = bindings;
    plan.startSyms.forEach((s, i) => {
      this.sizes.set(s.sym.id, bindings.sizes[i]);
    });
    this.sizes.set(RUN_SYM, bindings.run);
    this.buffers = plan.buffers.map((b) => {
      const info = dtypeInfo(b.dtype);
      if (b.kind === 'const') return b.data as TypedArray;
      if (b.kind === 'tape') return info.alloc(0);
      const n = this.size(b.elements);
      const old = b.kind === 'variable' ? device.variables.get(b.variable as string) : undefined;
      if (old) return old.data.slice();
      const made = info.alloc(n);
      if (made instanceof Float32Array) made.fill(Number.NaN);
      else if (isBig(b.dtype)) (made as unknown as BigInt64Array).fill(77n);
      else made.fill(77);
      return made;
    });
    const fed = hostFeeds(bindings);
    plan.feeds.forEach((f, i) => {
      this.buffers[f.buffer] = fed[i].data.slice();
    });
  }

  private size(d: Dim): number {
    return evalDim(d, (id) => {
      const v = this.sizes.get(id);
      if (v === undefined) throw new Error(`size ${id} is not bound`);
      return v;
    });
  }

  private view(v: BufferView): TypedArray {
    return this.buffers[v.buffer].subarray(this.size(v.offset)) as TypedArray;
  }

  run(): HostTensor[] {
    for (const s of this.plan.segments) {
      if (s.kind === 'device') this.steps(s.steps);
      else {
        if (s.kind === 'placed') throw new Error('the interpreter places nothing elsewhere');
        const { step } = s;
        const inputs = step.inputs.map((x) => {
          const shape = (x.type.shape as Dim[]).map((d) => this.size(d));
          return { dtype: x.type.dtype, shape, data: this.view(x.view).slice(0, sizeOf(shape)) };
        });
        const out = hostArguments(step.node, step.fn, inputs);
        const types = step.outputs.map((o) => o.type);
        checkedResults(step.node, out, types, (id) => this.sizes.get(id)).forEach((v, i) => {
          this.view(step.outputs[i].view).set(v.data);
        });
      }
    }
    for (const b of this.plan.buffers) {
      if (b.kind !== 'variable' || !this.plan.writes.includes(b.variable as string)) continue;
      const old = this.device.variables.get(b.variable as string);
      const node = this.plan.func.nodes.find((n) => n.attrs.variable === b.variable && n.types[0]);
      const shape = old?.shape ?? (node?.types[0].shape as number[]);
      this.device.variables.set(b.variable as string, {
        dtype: b.dtype,
        shape,
        data: this.buffers[b.id],
      });
    }
    return this.plan.results.map((r) => {
      const shape = (r.type.shape as Dim[]).map((d) => this.size(d));
      return { dtype: r.type.dtype, shape, data: this.view(r.view).slice(0, sizeOf(shape)) };
    });
  }

  private fail(code: number): never {
    const c = this.plan.checks[code];
    throw new ExecutionError('run/check', c.message, { op: c.op, node: c.node });
  }

  private steps(steps: readonly Step[]): void {
    for (const s of steps) this.step(s);
  }

  private step(s: Step): void {
    switch (s.kind) {
      case 'kernel': {
        let failed: number | undefined;
        const views = s.views.map((v) => this.view(v));
        const args = s.args.map((d) => this.size(d));
        this.runner(this.kernels[s.kernel], views, args, (code) => {
          failed ??= code;
        });
        if (failed !== undefined) this.fail(failed);
        return;
      }
      case 'bind':
        this.sizes.set(s.sym.id, this.view(s.view)[0]);
        return;
      case 'let':
        this.sizes.set(s.sym.id, this.size(s.value));
        return;
      case 'check': {
        const [a, b] = [this.size(s.constraint.a), this.size(s.constraint.b)];
        if (!constraintHolds(s.constraint.kind, a, b)) this.fail(s.code);
        return;
      }
      case 'reserve': {
        const n = this.size(s.elements);
        const old = this.buffers[s.buffer];
        if (old.length >= n) return;
        const made = dtypeInfo(this.plan.buffers[s.buffer].dtype).alloc(2 * n);
        made.set(old as Float32Array);
        this.buffers[s.buffer] = made;
        return;
      }
      case 'branch': {
        const v = this.view(s.selector)[0];
        const at = s.selectorType === 'bool' ? (v ? 0 : 1) : v;
        this.steps(s.branches[Math.max(0, Math.min(s.branches.length - 1, at))]);
        return;
      }
      case 'loop': {
        const limit = s.limit === null ? Number.POSITIVE_INFINITY : this.size(s.limit);
        let k = 0;
        for (; k < limit; k++) {
          if (this.bindings.deadline !== undefined && performance.now() > this.bindings.deadline) {
            throw new TimeoutError('run/timeout', 'timeout');
          }
          this.sizes.set(s.counter.id, k);
          if (s.cond) {
            this.steps(s.cond.steps);
            if (!this.view(s.cond.predicate)[0]) break;
          }
          this.steps(s.body);
        }
        if (s.trip) this.sizes.set(s.trip.id, k);
        return;
      }
      default:
        s satisfies never;
    }
  }
}

/** A backend of the interpreter; `transform` may schedule the kernels first. */
export function interpreterBackend(
  transform: (k: Kernel) => Kernel | TiledKernel = (k) => k,
): Backend {
  const runner: KernelRunner = (kernel, buffers, params, onFail) => {
    interpretKernel(kernel, buffers as Float32Array[], params, { onFail });
  };
  return {
    name: 'interpreter',
    capabilities: { sync: true, kernels: true },
    open: () => new InterpreterDevice(runner, transform),
  };
}

/** A backend of the interpreter that shows each launch to `see`, which must call `run`. */
export function launchRecorder(
  see: (kernel: Kernel, buffers: TypedArray[], params: number[], run: () => void) => void,
): Backend {
  const runner: KernelRunner = (kernel, buffers, params, onFail) => {
    see(kernel, buffers, params, () => {
      interpretKernel(kernel, buffers as Float32Array[], params, { onFail });
    });
  };
  return {
    name: 'recorder',
    capabilities: { sync: true, kernels: true },
    open: () => new InterpreterDevice(runner, (k) => k),
  };
}
