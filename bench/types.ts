// The words that the harness, the workloads and the peers share. A workload says what is computed and
// what is right; a peer says how one library computes it; neither knows of the other or of the clock.

export type HostArray = Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>;
export type Values = Readonly<Record<string, HostArray>>;
/** What a call gives: arrays the peer has read back, by name. */
export type Outputs = Readonly<Record<string, ArrayLike<number>>>;

/** How an input is drawn: float32 uniform in [-scale, scale), int32 uniform in [0, below). */
export type InputSpec =
  | { readonly dtype: 'float32'; readonly shape: readonly number[]; readonly scale?: number }
  | { readonly dtype: 'int32'; readonly shape: readonly number[]; readonly below: number };

/** What the project aims at: each is an upper limit but `raw`, a lower one. */
export interface Target {
  /** Time over the best JavaScript peer's, one thread. */
  readonly ratio?: number;
  /** Milliseconds, one thread. */
  readonly ms?: number;
  /** Share of the raw limit, one thread. */
  readonly raw?: number;
  /** One thread's time over two threads', at least. */
  readonly speedup?: number;
}

export interface Workload {
  readonly name: string;
  /** The definition in a line, for the documentation. */
  readonly about: string;
  readonly inputs: Readonly<Record<string, InputSpec>>;
  /** Arithmetic operations of a call, elementary functions counted as one. */
  readonly flops: number;
  /** Bytes a call must at least read and write: inputs and outputs once each. */
  readonly bytes: number;
  /** A value is right if it is within `abs + rel * |expected|`. */
  readonly tolerance: { readonly abs: number; readonly rel: number };
  readonly target: Target;
  /** Calls from the first on whose outputs are compared; 1 where absent. */
  readonly checks?: number;
  /** Calls change state: only the first ones can be compared. */
  readonly stateful?: boolean;
  /** Every peer makes just these numbers of calls, since a call's work depends on its index. */
  readonly calls?: { readonly warm: number; readonly perRound: number };
  /** The outputs of the first `checks` calls in turn, computed in float64. */
  reference(inputs: Values): readonly Outputs[];
}

/** A workload on a peer, inputs on its device. */
export interface Runner {
  /** Computes and reads the outputs into typed arrays; `index` counts the calls from 0. */
  call(index: number): Outputs | Promise<Outputs>;
  /** Puts outputs in a layout of the peer's into the workload's, outside of the clock. */
  tidy?(outputs: Outputs): Outputs;
  close?(): void | Promise<void>;
}

export type Maker = (inputs: Values) => Promise<Runner>;

/** A library's implementations by workload; what it cannot do is absent. */
export interface Peer {
  open(threads: number): Promise<Readonly<Record<string, Maker>>>;
}

/** Thrown by Tensorloom's side where an op of the table does not exist yet. */
export class NotBuiltError extends Error {
  override readonly name = 'NotBuiltError';
}
