// Where things stand in the memory that JavaScript and WebAssembly share: the parameter block of one
// executable (sizes, addresses of buffers, capacities, arguments of the current job) and the control
// block of one device (scratch and the job board of its threads). Word numbers only, no contents.

import type { Dim, Sym } from '../../core/dim.ts';
import { collectSyms } from '../../core/dim-syms.ts';
import { InternalError } from '../../core/error.ts';
import { type Plan, RUN_SYM, type Step } from '../../plan/types.ts';

/** What an entry returns: 0, or why the run ended. */
export const STATUS = { ok: 0, check: 1, timeout: 2, aborted: 3 } as const;

/** Value of the fail word while no check has failed; codes are compared unsigned. */
export const NO_FAIL = -1;

/**
 * Words of the control block. `claim` takes two: tiles left to claim, then the job's number.
 * `awake` counts workers that look for jobs, `missed` jobs for which there were none.
 */
export const CONTROL = {
  claim: 0,
  generation: 1,
  done: 2,
  module: 3,
  kernel: 4,
  awake: 5,
  wake: 6,
  trap: 7,
  stop: 8,
  scratch: 9,
  stride: 10,
  missed: 11,
  words: 16,
} as const;

/** The parameter block of a plan. */
export interface BlockLayout {
  /** Word of the lowest code of a failed check. */
  readonly fail: number;
  /** First word of the current job: tiles, then the arguments of its kernel. */
  readonly job: number;
  readonly words: number;
  /** Ids of the symbols in the block. */
  readonly syms: ReadonlyMap<string, number>;
  /** Word of a symbol's value. */
  sym(id: string): number;
  /** Word of a buffer's byte address. */
  buffer(id: number): number;
  /** Word of the elements a tape holds now. */
  capacity(id: number): number;
}

/** Lays out the parameter block of a plan. */
export function layoutBlock(plan: Plan): BlockLayout {
  const syms = new Map<string, number>();
  let at = 1;
  for (const id of symbolIds(plan)) syms.set(id, at++);
  const buffers = at;
  const capacities = buffers + plan.buffers.length;
  const job = capacities + plan.buffers.length;
  const widest = Math.max(0, ...plan.kernels.map((k) => k.buffers.length + k.params.length));
  return {
    fail: 0,
    job,
    words: job + 1 + widest,
    syms,
    sym: (id) => {
      const word = syms.get(id);
      if (word === undefined) throw new InternalError(`nothing in the plan binds "${id}"`);
      return word;
    },
    buffer: (id) => buffers + id,
    capacity: (id) => capacities + id,
  };
}

/** All symbols that the run binds, in order. */
function symbolIds(plan: Plan): Set<string> {
  const ids = new Set<string>([RUN_SYM]);
  for (const { sym } of plan.startSyms) ids.add(sym.id);
  walkSteps(plan, (step) => {
    if (step.kind === 'bind' || step.kind === 'let') ids.add(step.sym.id);
    if (step.kind === 'loop') {
      ids.add(step.counter.id);
      if (step.trip) ids.add(step.trip.id);
    }
  });
  return ids;
}

/** Calls `visit` with each device step of the plan, bodies included, in order of position. */
export function walkSteps(plan: Plan, visit: (step: Step, outer: readonly Step[]) => void): void {
  const walk = (steps: readonly Step[], outer: readonly Step[]): void => {
    for (const step of steps) {
      visit(step, outer);
      const inner = [...outer, step];
      if (step.kind === 'loop') {
        if (step.cond) walk(step.cond.steps, inner);
        walk(step.body, inner);
      } else if (step.kind === 'branch') {
        for (const branch of step.branches) walk(branch, inner);
      }
    }
  };
  for (const segment of plan.segments) if (segment.kind === 'device') walk(segment.steps, []);
}

/** The ids of a dim's symbols. */
export function symIds(d: Dim): string[] {
  const out = new Map<string, Sym>();
  collectSyms(d, out);
  return [...out.keys()];
}
