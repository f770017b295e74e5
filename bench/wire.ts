// What the harness and a peer's process say to each other: JSON, a line each way in turn, over file
// descriptor 3 (so that what a library prints disturbs nothing). Arrays travel as files of raw elements.

import { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import type { InputSpec } from './types.ts';

export type Request =
  /** Prepare a workload; inputs lie in `folder` as `<input>.in`. */
  | {
      readonly do: 'open';
      readonly workload: string;
      readonly folder: string;
      readonly inputs: Readonly<Record<string, InputSpec>>;
    }
  /** One call, its outputs written as `<output>.<tag>` into the folder. */
  | { readonly do: 'check'; readonly tag: string }
  /** Calls until `ms` have passed, at least `least` and at most `most`. */
  | { readonly do: 'warm'; readonly ms: number; readonly least: number; readonly most: number }
  /** `lead` calls off the clock, then `samples` of `inner` calls each. */
  | {
      readonly do: 'time';
      readonly lead: number;
      readonly samples: number;
      readonly inner: number;
    }
  | { readonly do: 'close' };

export type Reply =
  | { readonly state: 'ready' }
  /** The peer cannot do this workload. */
  | { readonly state: 'absent' }
  /** Tensorloom lacks what is named. */
  | { readonly state: 'unbuilt'; readonly what: string }
  | { readonly state: 'checked'; readonly outputs: readonly string[]; readonly ms: number }
  /** Milliseconds a call takes, about. */
  | { readonly state: 'warmed'; readonly ms: number }
  /** Milliseconds a call, by sample. */
  | { readonly state: 'timed'; readonly times: readonly number[] }
  | { readonly state: 'closed' }
  | { readonly state: 'failed'; readonly error: string };

/** Answers requests on file descriptor 3, one at a time, until it closes. */
export async function serve<Q, R>(
  answer: (request: Q) => Promise<R>,
  failed: (error: unknown) => R,
): Promise<void> {
  const socket = new Socket({ fd: 3, readable: true, writable: true });
  for await (const line of createInterface({ input: socket })) {
    const reply = await answer(JSON.parse(line) as Q).catch(failed);
    socket.write(`${JSON.stringify(reply)}\n`);
  }
}

export function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message || error.name;
}
