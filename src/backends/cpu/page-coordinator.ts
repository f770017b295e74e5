// The worker's end of a device in a page: thread 0, which owns the memory, the variables and the
// compiled modules, and does what the page asks. Only host functions run on the page. Invariant: it
// generates no code; the page builds modules for places it is told, and sends their bytes.

import type { KernelCompiler } from '../../codegen/wasm/entry.ts';
import { InternalError, invariant } from '../../core/error.ts';
import type { HostTensor } from '../../core/ndarray.ts';
import type { Plan } from '../../plan/types.ts';
import type { BarePlan } from './analysis.ts';
import { CpuDevice } from './device.ts';
import type { CpuExecutable, Place } from './executable.ts';
import {
  type Answers,
  buffersOf,
  errorRecord,
  type Port,
  type Request,
  type RunRequest,
  type ToPage,
  type ToWorker,
  unpackHost,
} from './page-protocol.ts';
import type { CpuValue } from './value.ts';

const NO_COMPILER: KernelCompiler = {
  name: 'none',
  schedule: () => unreachable(),
  emit: () => unreachable(),
};

function unreachable(): never {
  throw new InternalError('the coordinator was to compile a kernel');
}

/** Serves a page through a port. */
export function coordinate(port: Port): void {
  const coordinator = new Coordinator(port);
  port.onmessage = ({ data }) => coordinator.take(data as ToWorker);
}

interface Call {
  resolve(out: unknown): void;
  reject(error: Error): void;
}

interface Compiled {
  readonly plan: Plan;
  readonly place: Place;
  executable: CpuExecutable | undefined;
}

class Coordinator {
  readonly #port: Port;
  readonly #plans = new Map<number, Compiled>();
  readonly #values = new Map<number, CpuValue>();
  readonly #calls = new Map<number, Call>();
  #device: CpuDevice | undefined;
  #abort: Int32Array | undefined;
  #aborted = 0;
  #lastCall = 0;

  constructor(port: Port) {
    this.#port = port;
  }

  take(message: ToWorker): void {
    if ('request' in message) {
      void this.#answer(message.n, message.request);
    } else if ('aborted' in message) {
      this.#aborted = message.aborted;
    } else {
      const call = this.#calls.get(message.called);
      this.#calls.delete(message.called);
      if ('threw' in message) call?.reject(new Error(message.threw));
      else call?.resolve(unpackHost(message.out));
    }
  }

  async #answer(n: number, request: Request): Promise<void> {
    try {
      const made = this.#do(request);
      // What is done at once is answered at once, so that answers keep the order of requests.
      const answer = made instanceof Promise ? await made : made;
      const { usedBytes, memoryBytes } = this.#open().stats();
      const reply: ToPage = { n, answer, memory: { usedBytes, memoryBytes } };
      this.#port.postMessage(reply, buffersOf(tensorsOf(request, answer)));
    } catch (error) {
      const reply: ToPage = { n, error: errorRecord(error) };
      this.#port.postMessage(reply, []);
    }
  }

  #open(): CpuDevice {
    invariant(this.#device, 'the device is not open');
    return this.#device;
  }

  #do(request: Request): Answers[Request['kind']] | Promise<Answers[Request['kind']]> {
    switch (request.kind) {
      case 'open':
        this.#abort = request.abort;
        this.#device = new CpuDevice(request.options, NO_COMPILER);
        return this.#device.ready.then(() => undefined);
      case 'place': {
        const { id } = request;
        const plan = this.#withHostCalls(request.plan, id);
        const place = this.#open().place(plan);
        this.#plans.set(id, { plan, place, executable: undefined });
        return place.target;
      }
      case 'load': {
        const { bytes, scratchBytes } = request;
        const compiled = this.#plan(request.id);
        const built = { bytes, scratchBytes, source: unreachable };
        compiled.executable = this.#open().load(compiled.plan, compiled.place, built);
        return undefined;
      }
      case 'run':
        return this.#run(request);
      case 'dispose': {
        const { executable, place } = this.#plan(request.id);
        if (executable) executable.dispose();
        else place.storage.dispose();
        this.#plans.delete(request.id);
        return undefined;
      }
      case 'put':
        this.#values.set(request.id, this.#open().put(request.value));
        return undefined;
      case 'read':
        return this.#value(request.id).read();
      case 'release':
        this.#values.get(request.id)?.dispose();
        this.#values.delete(request.id);
        return undefined;
      case 'write':
        this.#open().writeVariable(request.name, request.value);
        return undefined;
      default:
        return request satisfies never;
    }
  }

  #run(request: RunRequest): Answers['run'] | Promise<Answers['run']> {
    const { executable } = this.#plan(request.id);
    invariant(executable, 'a plan runs before it was loaded');
    const { token, left, keep, sizes, run } = request;
    const isAborted = (): boolean =>
      this.#aborted === token ||
      (this.#abort !== undefined && Atomics.load(this.#abort, 0) === token);
    // The executable only looks at the two.
    const signal = {
      get aborted() {
        return isAborted();
      },
      reason: undefined,
    } as AbortSignal;
    const bindings = {
      feeds: request.feeds.map((f) => (typeof f === 'number' ? this.#value(f) : f)),
      sizes,
      run,
      deadline: left === undefined ? undefined : performance.now() + left,
      signal: request.signal ? signal : undefined,
    };
    if (!keep) {
      const out = executable.run(bindings);
      const answer = (results: HostTensor[]) => ({ results, stats: executable.stats() });
      return out instanceof Promise ? out.then(answer) : answer(out);
    }
    const out = executable.keep(bindings);
    const answer = (values: readonly CpuValue[]) => {
      values.forEach((value, i) => {
        this.#values.set(keep[i], value);
      });
      const none = new Float32Array(0);
      const results = values.map(({ dtype, shape }) => ({ dtype, shape, data: none }));
      return { results, stats: executable.stats() };
    };
    return out instanceof Promise
      ? out.then((values) => answer(values as CpuValue[]))
      : answer(out as CpuValue[]);
  }

  /** The plan with functions that call the page's. */
  #withHostCalls(plan: BarePlan, id: number): Plan {
    const segments = plan.segments.map((segment, at) => {
      if (segment.kind !== 'host') return segment;
      const fn = (...inputs: HostTensor[]) => this.#call(id, at, inputs);
      return { ...segment, step: { ...segment.step, fn } };
    });
    return { ...plan, segments };
  }

  #call(plan: number, step: number, inputs: readonly HostTensor[]): Promise<unknown> {
    const call = ++this.#lastCall;
    const values = inputs.map(({ dtype, shape, data }) => ({ dtype, shape, data }));
    const message: ToPage = { call, plan, step, inputs: values };
    this.#port.postMessage(message, buffersOf(values));
    return new Promise((resolve, reject) => {
      this.#calls.set(call, { resolve, reject });
    });
  }

  #plan(id: number): Compiled {
    const compiled = this.#plans.get(id);
    invariant(compiled, `the plan ${id} is unknown`);
    return compiled;
  }

  #value(id: number): CpuValue {
    const value = this.#values.get(id);
    invariant(value, `the value ${id} is unknown`);
    return value;
  }
}

/** The host values of an answer, which nobody else holds. */
function tensorsOf({ kind }: Request, answer: Answers[Request['kind']]): readonly HostTensor[] {
  if (kind === 'read') return [answer as HostTensor];
  return kind === 'run' ? (answer as Answers['run']).results : [];
}
