// Bounds of sizes that are known only in mid-run. Invariant: a bound is a size known at the start.

import { type Dim, substituteDim } from './dim.ts';

/** An upper bound free of symbols that have a bound of their own (assumes monotone growth). */
export function boundOf(d: Dim): Dim {
  return substituteDim(d, (s) => (s.bound === undefined ? undefined : boundOf(s.bound)));
}
