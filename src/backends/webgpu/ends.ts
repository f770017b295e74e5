// How a run on the GPU ends before it is done: by a check that failed, its time, or its signal.

import { AbortedError, ExecutionError, InternalError, TimeoutError } from '../../core/error.ts';
import type { Plan } from '../../plan/types.ts';
import type { RunBindings } from '../backend.ts';

/** The error of a check by its code. */
export function checkError(plan: Plan, code: number): ExecutionError {
  const check = plan.checks[code];
  if (!check) throw new InternalError(`a check failed with the unknown code ${code}`);
  const { op, node, site } = check;
  return new ExecutionError('run/check', check.message, { op, node, site });
}

/** Throws AbortedError or TimeoutError where a run must end. */
export function checkTime({ deadline, signal }: RunBindings, started: number): void {
  if (signal?.aborted) {
    throw new AbortedError('run/aborted', 'the run was ended by its signal.', {
      cause: signal.reason,
    });
  }
  const now = performance.now();
  if (deadline === undefined || now <= deadline) return;
  throw new TimeoutError(
    'run/timeout',
    `the run was not done after ${Math.round(now - started)} ms. Raise timeoutMs, or look for a ` +
      'loop that never ends.',
  );
}
