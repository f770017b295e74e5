// What a page and its coordinator worker say to each other. Both ends keep numbers for what the other
// holds: plans, values, calls. Invariant: all of it is plain data that a browser can clone; errors
// cross as records and are made again with their class.

import type { ModuleTarget, PlanModule } from '../../codegen/wasm/entry.ts';
import * as errors from '../../core/error.ts';
import { type HostTensor, NDArray, ndarrayOf } from '../../core/ndarray.ts';
import type { DeviceOptions, ExecutableStats } from '../backend.ts';
import type { BarePlan } from './analysis.ts';

/** The half of a port that both ends use: a Worker, a worker's scope, or a MessagePort. */
export interface Port {
  postMessage(message: unknown, transfer: Transferable[]): void;
  onmessage: ((event: MessageEvent) => void) | null;
}

/** What the page asks; those with an answer get it under the number of the request. */
export type Request =
  | {
      readonly kind: 'open';
      readonly options: DeviceOptions;
      /** Holds the number of the run that was aborted last; undefined where nothing can be shared. */
      readonly abort: Int32Array | undefined;
    }
  | { readonly kind: 'place'; readonly id: number; readonly plan: BarePlan }
  | {
      readonly kind: 'load';
      readonly id: number;
      readonly bytes: PlanModule['bytes'];
      readonly scratchBytes: number;
    }
  | RunRequest
  | { readonly kind: 'dispose'; readonly id: number }
  | { readonly kind: 'put'; readonly id: number; readonly value: HostTensor }
  | { readonly kind: 'read'; readonly id: number }
  | { readonly kind: 'release'; readonly id: number }
  | { readonly kind: 'write'; readonly name: string; readonly value: HostTensor };

export interface RunRequest {
  readonly kind: 'run';
  readonly id: number;
  /** Number of the run among those of the device, from 1 on. */
  readonly token: number;
  /** Numbers that the kept results get, or null where results go to the host. */
  readonly keep: readonly number[] | null;
  readonly feeds: readonly (HostTensor | number)[];
  readonly sizes: readonly number[];
  readonly run: number;
  /** Milliseconds until the run must end; clocks of page and worker have different zeros. */
  readonly left: number | undefined;
  /** Whether the run can be aborted. */
  readonly signal: boolean;
}

/** What the answer to a request holds. */
export interface Answers {
  readonly open: undefined;
  readonly place: ModuleTarget;
  readonly load: undefined;
  readonly run: { readonly results: readonly HostTensor[]; readonly stats: ExecutableStats };
  readonly dispose: undefined;
  readonly put: undefined;
  readonly read: HostTensor;
  readonly release: undefined;
  readonly write: undefined;
}

export type ToWorker =
  | { readonly n: number; readonly request: Request }
  | { readonly aborted: number }
  | { readonly called: number; readonly out: HostOut }
  | { readonly called: number; readonly threw: string };

export type ToPage =
  | { readonly n: number; readonly answer: unknown; readonly memory: MemoryUse }
  | { readonly n: number; readonly error: ErrorRecord }
  | {
      readonly call: number;
      readonly plan: number;
      readonly step: number;
      readonly inputs: readonly HostTensor[];
    };

export interface MemoryUse {
  readonly usedBytes: number;
  readonly memoryBytes: number;
}

const CLASSES = Object.entries({
  TensorloomError: errors.TensorloomError,
  GraphError: errors.GraphError,
  ShapeError: errors.ShapeError,
  DTypeError: errors.DTypeError,
  ValueError: errors.ValueError,
  StateError: errors.StateError,
  ExecutionError: errors.ExecutionError,
  TimeoutError: errors.TimeoutError,
  AbortedError: errors.AbortedError,
  OutOfMemoryError: errors.OutOfMemoryError,
  UnsupportedError: errors.UnsupportedError,
});

/** An error as plain data. */
export interface ErrorRecord {
  /** Its class, or undefined where it is none of the project's, or a bug of it. */
  readonly type: string | undefined;
  readonly code: string;
  readonly message: string;
  readonly op: string | undefined;
  readonly node: string | undefined;
  readonly site: readonly string[] | undefined;
  readonly cause: ErrorRecord | undefined;
}

/** Makes a record of an error. */
export function errorRecord(error: unknown): ErrorRecord {
  const { message, cause } = error instanceof Error ? error : new Error(String(error));
  const rest = cause === undefined ? undefined : errorRecord(cause);
  if (!(error instanceof errors.TensorloomError)) {
    const none = { op: undefined, node: undefined, site: undefined };
    return { type: undefined, code: '', message, ...none, cause: rest };
  }
  const { code, op, node, site } = error;
  const type = CLASSES.find(([, make]) => make === error.constructor)?.[0];
  return { type, code, message, op, node, site, cause: rest };
}

/** Makes an error of a record; `cause` takes the place of the recorded one. */
export function errorOf(record: ErrorRecord, cause?: unknown): Error {
  const { type, code, message, op, node, site } = record;
  const why = cause ?? (record.cause && errorOf(record.cause));
  const make = CLASSES.find(([name]) => name === type)?.[1];
  if (!make) return new Error(message, why === undefined ? undefined : { cause: why });
  return new make(code, message, {
    ...(op === undefined ? {} : { op }),
    ...(node === undefined ? {} : { node }),
    ...(site === undefined ? {} : { site: { frames: site } }),
    ...(why === undefined ? {} : { cause: why }),
  });
}

/** The result of a host function as plain data: arrays of the project would lose their class. */
export type HostOut = { readonly list: readonly HostItem[] } | HostItem;
type HostItem = { readonly array: HostTensor } | { readonly raw: unknown };

/** Makes plain data of what a host function returned. */
export function packHost(out: unknown): HostOut {
  const item = (x: unknown): HostItem => (x instanceof NDArray ? { array: plain(x) } : { raw: x });
  return Array.isArray(out) ? { list: out.map(item) } : item(out);
}

/** What {@link packHost} was given. */
export function unpackHost(out: HostOut): unknown {
  const item = (x: HostItem): unknown => ('array' in x ? toArray(x.array) : x.raw);
  return 'list' in out ? out.list.map(item) : item(out);
}

/** A host value with no class and with storage of its own size. */
export function plain({ dtype, shape, data }: HostTensor): HostTensor {
  const whole = data.byteLength === data.buffer.byteLength && data.buffer instanceof ArrayBuffer;
  return { dtype, shape, data: whole ? data : data.slice() };
}

/** A host value that arrived, as an NDArray. */
export function toArray({ dtype, shape, data }: HostTensor): NDArray {
  return ndarrayOf(dtype, shape, data);
}

/** The buffers of values that nobody else holds, to be moved instead of copied. */
export function buffersOf(values: readonly HostTensor[]): ArrayBuffer[] {
  return [...new Set(values.map((v) => v.data.buffer as ArrayBuffer))];
}
