// The order of the passes, after a function has been cut and its sizes settled. Each can be disabled
// and traced; with `verify` the rules of `graph/verify.ts` are checked after each.

import { ValueError } from '../core/error.ts';
import type { Func } from '../graph/func.ts';
import { verifyFunc } from '../graph/verify.ts';
import { csePass } from './cse.ts';
import { expandPass } from './expand.ts';
import { foldPass } from './fold.ts';
import { hoistPass } from './hoist.ts';
import type { Pass } from './pass.ts';
import { pruneLoopsPass } from './prune-loops.ts';
import { simplifyPass } from './simplify.ts';
import { versionsPass } from './versions.ts';

/** A pass in its place; the same pass may stand in several. */
interface Stage {
  readonly name: string;
  readonly pass: Pass;
  /** Plans need it: it can't be disabled. */
  readonly required?: boolean;
}

/** The stages, in order. */
export const STAGES: readonly Stage[] = [
  { name: 'stabilise', pass: simplifyPass },
  { name: 'expand', pass: expandPass, required: true },
  { name: 'fold', pass: foldPass },
  { name: 'simplify', pass: simplifyPass },
  { name: 'cse', pass: csePass },
  { name: 'hoist', pass: hoistPass },
  { name: 'prune', pass: pruneLoopsPass },
  { name: 'versions', pass: versionsPass, required: true },
];

export interface PassOptions {
  /** Names of stages to leave out. */
  readonly disable?: readonly string[];
  /** Check the function after each stage. */
  readonly verify?: boolean;
  /** Called after each stage. */
  readonly trace?: (stage: string, before: Func, after: Func) => void;
}

/** Runs the stages. Throws ValueError `passes/unknown` for a name to disable that is no stage. */
export function runPasses(func: Func, options: PassOptions = {}): Func {
  const { disable = [], verify = false, trace } = options;
  for (const name of disable) {
    const stage = STAGES.find((s) => s.name === name);
    if (!stage || stage.required) {
      const names = STAGES.filter((s) => !s.required).map((s) => s.name);
      throw new ValueError(
        'passes/unknown',
        `the pass "${name}" can't be disabled. Use one of ${names.join(', ')}.`,
      );
    }
  }
  let out = func;
  if (verify) verifyFunc(out, 'cut');
  for (const stage of STAGES) {
    if (disable.includes(stage.name)) continue;
    const next = stage.pass.run(out);
    if (verify) verifyFunc(next, stage.name);
    trace?.(stage.name, out, next);
    out = next;
  }
  return out;
}
