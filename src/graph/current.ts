// Which graph new nodes go into: the innermost `asDefault` or body being traced, else one default
// graph per process. The state hangs on `globalThis` under `Symbol.for`, so that two copies of the
// package in one process agree on it.

import { GraphError } from '../core/error.ts';

interface Current<G> {
  readonly stack: G[];
  fallback: G | null;
}

const KEY = Symbol.for('tensorloom.graphs');

function state<G>(): Current<G> {
  const holder = globalThis as unknown as Record<symbol, Current<G> | undefined>;
  holder[KEY] ??= { stack: [], fallback: null };
  return holder[KEY];
}

/** The innermost graph of the stack, or the process's default one made by `make`. */
export function innermost<G>(make: () => G): G {
  const s = state<G>();
  if (s.stack.length > 0) return s.stack[s.stack.length - 1];
  s.fallback ??= make();
  return s.fallback;
}

/** Whether a graph was put in force by `asDefault` or tracing. */
export function isScoped(): boolean {
  return state().stack.length > 0;
}

/** Replaces the process's default graph. */
export function replaceFallback<G>(graph: G): void {
  const s = state<G>();
  if (s.stack.length > 0) {
    throw new GraphError(
      'graph/reset',
      'resetDefaultGraph() was called while a graph is in force. Call it outside of asDefault().',
    );
  }
  s.fallback = graph;
}

/** Runs `fn` with a graph in force. */
export function withGraph<G, T>(graph: G, fn: () => T): T {
  const { stack } = state<G>();
  stack.push(graph);
  try {
    return fn();
  } finally {
    stack.pop();
  }
}

/** Refuses a promise: its scope would have ended before its work began. */
export function rejectAsync<T>(what: string, result: T): T {
  const then = (result as { then?: unknown } | null | undefined)?.then;
  if (typeof then === 'function') {
    // The promise is no one else's: silence its own rejection, this error tells the story.
    (result as unknown as Promise<unknown>).then(undefined, () => undefined);
    throw new GraphError(
      'graph/async-scope',
      `${what}: the callback returned a promise, and its scope would end before its work does. ` +
        'Use a synchronous callback and await outside of it.',
    );
  }
  return result;
}
