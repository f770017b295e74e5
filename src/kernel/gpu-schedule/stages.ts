// What a kernel does at a point of its grid, taken apart for several invocations to share: straight
// code, loops of independent turns, reductions. Decides by the shape of loops alone, never by the
// name of an operation. Invariant: the stages in order are the body; what has no other shape is
// straight code, which every invocation runs alike.

import { addDim, type Dim, floorDiv, maxDim, subDim } from '../../core/dim.ts';
import { mentions } from '../../core/dim-syms.ts';
import { invariant } from '../../core/error.ts';
import type { ForStmt, Kernel, Stmt } from '../ir.ts';
import { walkStmts } from '../rewrite.ts';
import { nestOf } from '../schedule/build.ts';
import { type Accumulator, accumulatorsOf } from '../schedule/reduce.ts';

/** A rectangular nest of loops: the extents of none depend on the others. */
export interface LoopNest {
  readonly loops: readonly ForStmt[];
  readonly body: readonly Stmt[];
}

/** A part of what is done at a point. */
export type Stage =
  | { readonly kind: 'straight'; readonly stmts: readonly Stmt[] }
  | ({ readonly kind: 'map' } & LoopNest)
  | ({ readonly kind: 'reduce'; readonly accs: readonly Accumulator[] } & LoopNest);

/** How many turns a loop has. */
export function turnsOf(loop: ForStmt): Dim {
  const span = maxDim(subDim(loop.end, loop.start), 0);
  return floorDiv(addDim(span, loop.step - 1), loop.step);
}

const depends = (l: ForStmt, on: readonly ForStmt[]): boolean =>
  on.some(({ axis }) => mentions(l.start, axis.id) || mentions(l.end, axis.id));

/** The loops of some roles that directly contain each other, as far as they are rectangular. */
function rectangle(stmts: readonly Stmt[], roles: readonly ForStmt['role'][]): LoopNest {
  const loops: ForStmt[] = [];
  let body = stmts;
  while (body.length === 1) {
    const [s] = body;
    if (s.kind !== 'for' || !roles.includes(s.role) || depends(s, loops)) break;
    loops.push(s);
    body = s.body;
  }
  return { loops, body };
}

/** The outer loops of a kernel whose turns are independent points, and what is done at each. */
export function gridOf(kernel: Kernel): LoopNest {
  const grid = rectangle(kernel.body, ['grid']);
  for (const { axis, step } of grid.loops) {
    invariant(step > 0, `kernel "${kernel.name}": step ${step} of ${axis.id}`);
  }
  return grid;
}

function stageOf(s: Stmt): Stage {
  if (s.kind === 'for' && (s.role === 'lane' || s.role === 'grid')) {
    return { kind: 'map', ...rectangle([s], ['lane', 'grid']) };
  }
  if (s.kind === 'for' && s.role === 'reduce' && s.combine) {
    const { loops, body } = nestOf([s], 'reduce');
    const key = JSON.stringify(s.combine);
    const alike = loops.every(
      (l, i) => JSON.stringify(l.combine) === key && !depends(l, loops.slice(0, i)),
    );
    const accs = alike ? accumulatorsOf(body, s.combine) : undefined;
    if (accs) return { kind: 'reduce', loops, body, accs };
  }
  return { kind: 'straight', stmts: [s] };
}

/** Takes what is done at a point apart. */
export function stagesOf(body: readonly Stmt[]): Stage[] {
  const out: Stage[] = [];
  for (const s of body) {
    const next = stageOf(s);
    const last = out[out.length - 1];
    if (next.kind === 'straight' && last?.kind === 'straight') {
      out[out.length - 1] = { kind: 'straight', stmts: [...last.stmts, ...next.stmts] };
    } else out.push(next);
  }
  return out;
}

/** The buffers that statements store to. */
export function storedIn(stmts: readonly Stmt[]): Set<string> {
  const out = new Set<string>();
  walkStmts(stmts, (s) => {
    if (s.kind === 'store') out.add(s.buffer);
  });
  return out;
}

/**
 * Whether several invocations may run a point together: there is something to share, and straight
 * code, which all of them run though only one stores, has no loops that store.
 */
export function canShare(stages: readonly Stage[]): boolean {
  if (!stages.some((s) => s.kind !== 'straight')) return false;
  return stages.every(
    (stage) =>
      stage.kind !== 'straight' ||
      stage.stmts.every((s) => {
        if (s.kind === 'for' || s.kind === 'while' || s.kind === 'array') {
          return storedIn([s]).size === 0;
        }
        return true;
      }),
  );
}
