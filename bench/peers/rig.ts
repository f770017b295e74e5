// A graph and a session of Tensorloom whose inputs stay on the device: handles of `session.put` where it
// exists, else variables that nothing trains.

import type { Callable, DType, NDArray, Operation, Session, Tensor } from '../../src/index.ts';
import { tl } from '../own.ts';
import type { HostArray, Outputs, Runner } from '../types.ts';

export interface Input {
  readonly shape: readonly number[];
  readonly data: HostArray;
}

/** What a graph gives by name; an operation gives no value. */
export type Fetched = Readonly<Record<string, Tensor | Operation>>;

interface Putting {
  put(value: NDArray): Promise<unknown>;
}

export interface Rig {
  readonly session: Session;
  readonly callable: Callable<Fetched>;
  readonly tensors: Readonly<Record<string, Tensor>>;
  readonly fetches: Fetched;
  /** Device-resident values to feed the callable with. */
  readonly feeds: Readonly<Record<string, unknown>>;
}

function canPut(session: object): session is Putting {
  return typeof (session as Partial<Putting>).put === 'function';
}

function dtypeOf(data: HostArray): DType {
  return data instanceof Int32Array ? 'int32' : 'float32';
}

/** The tensor of an input in the current graph, and whether it is to be fed. */
function inputTensor(name: string, { shape, data }: Input, fed: boolean): Tensor {
  const dtype = dtypeOf(data);
  if (fed) return tl.placeholder(dtype, shape, { name });
  const value = new tl.NDArray(dtype, shape, data);
  return tl.variable(value, { name, trainable: false }).asTensor();
}

/** Holds a value on the session's device, for a feed. */
export async function resident(session: Session, { shape, data }: Input): Promise<unknown> {
  const value = new tl.NDArray(dtypeOf(data), shape, data);
  return canPut(session) ? session.put(value) : value;
}

/**
 * Builds a graph over `inputs` and fetches what `build` gives. `variables` says that it makes variables
 * of its own.
 */
export async function rig(
  threads: number,
  inputs: Readonly<Record<string, Input>>,
  build: (tensors: Readonly<Record<string, Tensor>>) => Fetched,
): Promise<Rig> {
  const graph = new tl.Graph();
  const fed = canPut(tl.Session.prototype);
  const { tensors, fetches, init } = graph.asDefault(() => {
    const tensors = Object.fromEntries(
      Object.entries(inputs).map(([name, input]) => [name, inputTensor(name, input, fed)]),
    );
    const fetches = build(tensors);
    return { tensors, fetches, init: tl.globalVariablesInitializer() };
  });
  const session = new tl.Session({ graph, backend: 'cpu', threads });
  await session.run(init);
  const feeds: Record<string, unknown> = {};
  if (fed) {
    for (const [name, input] of Object.entries(inputs))
      feeds[name] = await resident(session, input);
  }
  const callable = session.makeCallable({ feeds: fed ? tensors : {}, fetches });
  return { session, callable, tensors, fetches, feeds };
}

/** The data of fetched values, by the fetches' names. */
export function dataOf(values: Readonly<Record<string, NDArray | undefined>>): Outputs {
  const out: Record<string, ArrayLike<number>> = {};
  for (const name in values) {
    const value = values[name];
    if (value !== undefined) out[name] = value.data as ArrayLike<number>;
  }
  return out;
}

/** The rig as a runner of one workload. */
export function runnerOf({ session, callable, feeds }: Rig): Runner {
  return {
    call: async () => dataOf(await callable(feeds)),
    close: () => session.close(),
  };
}
