// The reference backend: keeps variables as host values and evaluates a plan's function. It ignores
// kernels and memory plan, so it judges passes, planner and code generators alike.

import { InternalError, UnsupportedError } from '../../core/error.ts';
import type { HostTensor } from '../../core/ndarray.ts';
import type { Node } from '../../graph/func.ts';
import type { Plan } from '../../plan/types.ts';
import type {
  Backend,
  Device,
  DeviceOptions,
  DeviceValue,
  Executable,
  RunBindings,
} from '../backend.ts';
import { checkedResults, hostArguments } from '../host-call.ts';
import { copyOf, HostValue, hostFeeds } from '../host-value.ts';
import { evaluateFunc, type Run } from './evaluate.ts';

class ReferenceDevice implements Device {
  readonly ready = Promise.resolve();
  private readonly exact: boolean;
  private variables = new Map<string, HostTensor>();

  constructor(options: DeviceOptions) {
    this.exact = options.exact ?? false;
  }

  compile(plan: Plan): Executable {
    const segments = plan.segments.length;
    const stats = {
      kernels: 0,
      segments,
      arenaBytes: 0,
      arenaLowerBound: 0,
      slotBytes: 0,
    };
    return {
      run: (bindings) => this.run(plan, bindings),
      runSync: (bindings) => this.run(plan, bindings),
      keep: (bindings) => this.run(plan, bindings).map((v) => new HostValue(v)),
      keepSync: (bindings) => this.run(plan, bindings).map((v) => new HostValue(v)),
      stats: () => stats,
      dispose: () => undefined,
    };
  }

  /** Variables change only when the whole run has succeeded. */
  private run(plan: Plan, bindings: RunBindings): HostTensor[] {
    const variables = new Map(this.variables);
    const sizes = new Map(plan.startSyms.map((s, i) => [s.sym.id, bindings.sizes[i]]));
    const run: Run = { variables, sizes, bindings, exact: this.exact, host: callHostNode };
    const results = evaluateFunc(plan.func, hostFeeds(bindings), run, 0);
    this.variables = variables;
    return results.map(copyOf);
  }

  put(value: HostTensor): DeviceValue {
    return new HostValue(copyOf(value));
  }

  hasVariable(name: string): boolean {
    return this.variables.has(name);
  }

  readVariable(name: string): HostTensor | undefined {
    const v = this.variables.get(name);
    return v && copyOf(v);
  }

  writeVariable(name: string, value: HostTensor): void {
    this.variables.set(name, copyOf(value));
  }

  close(): void {
    this.variables.clear();
  }
}

function callHostNode(node: Node, inputs: readonly HostTensor[], run: Run): HostTensor[] {
  const fn = node.attrs.fn;
  if (typeof fn !== 'function') throw new InternalError(`"${node.name}" has no function`);
  const result = hostArguments(node.name, fn, inputs);
  if (result instanceof Promise) {
    throw new UnsupportedError(
      'host/async',
      `hostCall "${node.name}": the function returned a promise, which the reference backend can't wait for. ` +
        'Use the cpu backend, or a synchronous function.',
    );
  }
  return checkedResults(node.name, result, node.types, (id) => run.sizes.get(id));
}

/** Makes the reference backend. */
export function referenceBackend(): Backend {
  return {
    name: 'reference',
    capabilities: { sync: true, kernels: false },
    open: (options) => new ReferenceDevice(options),
  };
}
