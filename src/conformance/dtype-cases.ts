// Cases of the dtypes beyond float32, int32 and bool: the ops' own cases again in float64, and conversions
// between all dtypes.

import { DTYPES, type DType, dtypeInfo, isBig, isNarrow } from '../core/dtype.ts';
import type { Tensor } from '../graph/tensor.ts';
import * as tl from '../index.ts';
import { BINARY_SHAPES, type OpCase, type Shapes, UNARY_SHAPES } from './case.ts';

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
  shapes: UNARY_SHAPES.filter((s) => s.name === 'odd'),
  draws: [{ low: -300, high: 300 }],
  gradient: false,
  tolerance: tolerance(to),
  build: ([x]) => tl.cast(x, to),
}));

/** Relative tolerance of a dtype whose truth is computed in float64: of few bits, half a place. */
function tolerance(dtype: DType): number {
  const { half, bytes } = dtypeInfo(dtype);
  if (half) return 2 ** -(half.mantissa + 1);
  return bytes === 8 ? TOLERANCE : 2e-6;
}

/** What every dtype of numbers does, with values whose results fit and such as wrap around. */
const NARROW: readonly OpCase[] = DTYPES.filter(isNarrowOrUnsigned).flatMap((dtype) => {
  const { half, kind, max } = dtypeInfo(dtype);
  // Several roundings follow each other.
  const own = { dtypes: [dtype], gradient: false, tolerance: 4 * tolerance(dtype) };
  // Of 64 bits numbers draw no more than 53.
  const high = kind === 'float' ? 3 : Math.min(2 ** 52, Number(max));
  const few = { draws: [{ high }, { high }], shapes: BINARY_SHAPES.filter(shows) };
  const rows = { draws: [{ high }], shapes: UNARY_SHAPES.filter(shows) };
  const two = (op: string, build: (x: Tensor, y: Tensor) => Tensor): OpCase => ({
    name: `${op} of ${dtype}`,
    op,
    ...own,
    ...few,
    build: ([x, y]) => build(x, y),
  });
  const one = (op: string, build: (x: Tensor) => Tensor): OpCase => ({
    name: `${op} of ${dtype}`,
    op,
    ...own,
    ...rows,
    build: ([x]) => build(x),
  });
  return [
    two('add', tl.add),
    two('mul', (x, y) => tl.mul(tl.add(x, y), y)),
    two('sub', tl.sub),
    two('div', (x, y) => tl.div(x, tl.maximum(y, 1))),
    two('maximum', tl.maximum),
    // Exact numbers, since a rounded sum may fall on either side.
    two('less', (x, y) => (half ? tl.less(x, y) : tl.less(tl.add(x, y), y))),
    one('sum', (x) => tl.reduceSum(x, { axis: -1 })),
    one('max', (x) => tl.reduceMax(x, { axis: 0 })),
    one('min', (x) => tl.reduceMin(x)),
    one('neg', tl.neg),
    one('abs', (x) => tl.abs(tl.neg(x))),
    one('select', (x) => tl.select(tl.greater(x, 1), x, 0)),
    ...(half ? [one('softmax', tl.softmax)] : []),
    {
      name: `matmul of ${dtype}`,
      op: 'dotGeneral',
      ...own,
      draws: [{ high }, { high }],
      shapes: [
        {
          name: 'odd',
          inputs: [
            [7, 5],
            [5, 3],
          ],
        },
        {
          name: 'wide',
          inputs: [
            [9, 33],
            [33, 21],
          ],
          open: true,
        },
      ],
      build: ([x, y]) => tl.matmul(x, y),
    },
  ];
});

function shows(s: Shapes): boolean {
  return s.name === 'odd' || s.name === 'dynamic' || s.name === 'long';
}

function isNarrowOrUnsigned(dtype: DType): boolean {
  return isNarrow(dtype) || isBig(dtype) || dtypeInfo(dtype).scalar.startsWith('u');
}

/** The cases that a list of cases and its dtypes give. */
export function dtypeCases(cases: readonly OpCase[]): OpCase[] {
  return [...inFloat64(cases), ...CASTS, ...NARROW];
}
