// What the kinds of constraints on sizes say of two numbers.

import type { Constraint } from './func.ts';

/** Whether sizes are as a constraint demands. */
export function constraintHolds(kind: Constraint['kind'], a: number, b: number): boolean {
  if (kind === 'le') return a <= b;
  return a === b || (kind === 'bcast' && (a === 1 || b === 1));
}

/** How sizes fail a constraint, for an error. */
export function constraintGot(kind: Constraint['kind'], a: number, b: number): string {
  if (kind === 'le' && a === 0) return `got ${b}`;
  return kind === 'le' ? `got ${a} where at most ${b} fits` : `got ${a} and ${b}`;
}
