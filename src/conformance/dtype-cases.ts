// Cases of the dtypes beyond float32, int32 and bool: the ops' own cases again in float64, and conversions
// between all dtypes.

import { DTYPES } from '../core/dtype.ts';
import * as tl from '../index.ts';
import { type OpCase, UNARY_SHAPES } from './case.ts';

/** Relative tolerance of float64, where the truth is computed in the same precision. */
const TOLERANCE = 1e-13;

/** Cases that make float32 values of their own, or whose gradients pass through some. */
const ONLY_FLOAT32: readonly string[] = [
  'cast to float32',
  'randomUniform',
  'randomNormal',
  'nested loops',
  'draws in a loop',
];

/** The cases of a list again in float64, in the shapes that show most. */
function inFloat64(cases: readonly OpCase[]): OpCase[] {
  return cases
    .filter((c) => c.dtypes.includes('float32') && !ONLY_FLOAT32.includes(c.name))
    .map((c) => {
      const open = c.shapes.find((s) => s.open && s.name.startsWith('dynamic'));
      const odd = c.shapes.find((s) => s.name === 'odd');
      const few = [open, odd].flatMap((s) => s ?? []);
      const op = c.op ?? c.name.split(/[ ,]/)[0];
      // The name tells them apart: a case of all dtypes has one of float64 as well.
      return {
        ...c,
        op,
        dtypes: ['float64'],
        shapes: few.length > 0 ? few : c.shapes.slice(0, 2),
        tolerance: TOLERANCE * ((c.tolerance ?? 2e-6) / 2e-6),
      };
    });
}

/** Conversions of each dtype to all others. */
const CASTS: readonly OpCase[] = DTYPES.map((to) => ({
  name: `cast to ${to} from all`,
  op: 'cast',
  dtypes: DTYPES,
  shapes: UNARY_SHAPES.filter((s) => s.name === 'odd' || s.name === 'dynamic'),
  draws: [{ low: -300, high: 300 }],
  gradient: false,
  build: ([x]) => tl.cast(x, to),
}));

/** The cases that a list of cases and its dtypes give. */
export function dtypeCases(cases: readonly OpCase[]): OpCase[] {
  return [...inFloat64(cases), ...CASTS];
}
