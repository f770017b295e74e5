// The tests of the kit as a list, each of which runs on its own: cases of ops, special values, random
// graphs, behaviours of plans.

import type { DType } from '../core/dtype.ts';
import { TensorloomError } from '../core/error.ts';
import { NDArray } from '../core/ndarray.ts';
import { checkOptions } from '../core/options.ts';
import * as tl from '../index.ts';
import type { Session } from '../session/session.ts';
import { BEHAVIOURS } from './behaviours.ts';
import { buildCase, feedsOf } from './build.ts';
import type { OpCase, Shapes } from './case.ts';
import { CASES } from './cases.ts';
import { ConformanceError, compare, ulps } from './compare.ts';
import { CONTROL_CASES } from './control-cases.ts';
import { CONV_CASES } from './conv-cases.ts';
import { dtypeCases } from './dtype-cases.ts';
import { EINSUM_CASES } from './einsum-cases.ts';
import { MATH_CASES } from './math-cases.ts';
import { buildProgram, randomProgram } from './random-graph.ts';
import { SPECIAL_CASES, SPECIAL_FLOATS, SPECIAL_INTS, type SpecialCase } from './special-cases.ts';

/** What is tested. */
export interface Subject {
  /** Opens a session of a graph on the backend. */
  open(graph: tl.Graph): Session;
  /** The tolerance of an op whose own is given. */
  tolerance(op: string, own: number): number;
}

/** One test. */
export interface ConformanceTest {
  /** Unique. */
  readonly name: string;
  /** What it is counted under: an op, `random graphs` or `behaviours`. */
  readonly op: string;
  /**
   * Runs it; resolves to the worst error in units in the last place, 0 where that says nothing. Rejects
   * with ConformanceError where a result is wrong, with UnsupportedError where the backend says that it
   * can't.
   */
  run(subject: Subject): Promise<number>;
}

const OF_FLOAT32: readonly OpCase[] = [
  ...CASES,
  ...CONTROL_CASES,
  ...CONV_CASES,
  ...EINSUM_CASES,
  ...MATH_CASES,
];

/** The cases of ops. */
export const OP_CASES: readonly OpCase[] = [...OF_FLOAT32, ...dtypeCases(OF_FLOAT32)];

/** The tolerance of a case that states none, relative to the largest element. */
export const TOLERANCE = 2e-6;

/** The op that a case is of. */
export function opOf(c: OpCase): string {
  return c.op ?? c.name.split(/[ ,]/)[0];
}

function caseTest(c: OpCase, dtype: DType, shapes: Shapes): ConformanceTest {
  const name = `${c.name} ${dtype} ${shapes.name}`;
  const op = opOf(c);
  return {
    name,
    op,
    run: async (subject) => {
      const b = buildCase(c, dtype, shapes);
      const fetches = [...b.outputs, ...b.gradients.map((g) => g.tensor)];
      const exact = new tl.Session({ graph: b.graph, backend: 'reference', exact: true });
      const truth = await exact.run(fetches, feedsOf(b));
      await exact.close();
      const session = subject.open(b.graph);
      try {
        const got = await session.run(fetches, feedsOf(b));
        let worst = 0;
        got.forEach((g, i) => {
          const forward = i < b.outputs.length;
          const which = forward ? `output ${i}` : `gradient ${i - b.outputs.length}`;
          const tolerance = subject.tolerance(op, c.tolerance ?? TOLERANCE);
          const off = compare(g, truth[i], tolerance, `${name}: ${which}`);
          if (forward) worst = Math.max(worst, off);
        });
        return worst;
      } finally {
        await session.close();
      }
    },
  };
}

/** Smaller numbers are subnormal as float32; devices may take them for zero. */
const LEAST_NORMAL = 2 ** -126;

function specialTest({ op, dtype, tolerance, build }: SpecialCase): ConformanceTest {
  const name = `${op} ${dtype} special values`;
  return {
    name,
    op,
    run: async (subject) => {
      const list = dtype === 'float32' ? SPECIAL_FLOATS : SPECIAL_INTS;
      const left = list.flatMap((x) => list.map(() => x));
      const right = list.flatMap(() => list);
      const graph = new tl.Graph();
      const { x, y, z } = graph.asDefault(() => {
        const x = tl.placeholder(dtype, [null], { name: 'x' });
        const y = tl.placeholder(dtype, [null], { name: 'y' });
        return { x, y, z: build(x, y) };
      });
      const feeds = [
        [x, valuesOf(dtype, left)],
        [y, valuesOf(dtype, right)],
      ] as const;
      const reference = new tl.Session({ graph, backend: 'reference' });
      const want = await reference.run(z, feeds);
      await reference.close();
      const session = subject.open(graph);
      try {
        const got = await session.run(z, feeds);
        const allowed = subject.tolerance(op, tolerance);
        let worst = 0;
        want.data.forEach((w, i) => {
          const g = got.data[i];
          if (Object.is(g, w) || g === w) return;
          if (Math.abs(w) < LEAST_NORMAL && Math.abs(g) <= LEAST_NORMAL) return;
          // Each element for itself: one of 1e30 must not excuse what is wrong with one of 1.
          const off = Math.abs(g - w);
          if (!(off <= allowed * Math.abs(w))) {
            throw new ConformanceError(
              `${name}: of ${left[i]} and ${right[i]} it is ${g}, should be ${w}`,
            );
          }
          worst = Math.max(worst, ulps(off, w, 0));
        });
        return worst;
      } finally {
        await session.close();
      }
    },
  };
}

function valuesOf(dtype: 'float32' | 'int32', list: readonly number[]): NDArray {
  return dtype === 'float32'
    ? new NDArray('float32', [list.length], Float32Array.from(list))
    : new NDArray('int32', [list.length], Int32Array.from(list));
}

/** The relative tolerance of random graphs: errors of a dozen ops may add up. */
const GRAPH_TOLERANCE = 2e-4;

function graphTest(seed: number): ConformanceTest {
  const op = 'random graphs';
  const name = `random graph ${seed}`;
  return {
    name,
    op,
    run: async (subject) => {
      const p = buildProgram(randomProgram(seed));
      const attempt = async (session: Session): Promise<readonly NDArray[] | string> => {
        try {
          return await session.run(p.fetches, p.feeds);
        } catch (e) {
          const refused = e instanceof TensorloomError && !(e instanceof tl.InternalError);
          if (!refused || e instanceof tl.UnsupportedError) throw e;
          return e.code;
        } finally {
          await session.close();
        }
      };
      const truth = await attempt(
        new tl.Session({ graph: p.graph, backend: 'reference', exact: true }),
      );
      const got = await attempt(subject.open(p.graph));
      if (typeof truth === 'string' || typeof got === 'string') {
        if (truth === got) return 0;
        const said = (x: typeof got): string =>
          typeof x === 'string' ? `fails with ${x}` : 'runs';
        throw new ConformanceError(`${name}: it ${said(got)}, on the reference it ${said(truth)}`);
      }
      got.forEach((g, i) => {
        compare(g, truth[i], subject.tolerance(op, GRAPH_TOLERANCE), `${name}: ${p.fetches[i]}`);
      });
      return 0;
    },
  };
}

/** Options of {@link conformanceTests}. */
export interface SuiteOptions {
  /** The seed of the first random graph; 1 where absent. */
  readonly seed?: number;
  /** How many random graphs; 200 where absent. */
  readonly randomGraphs?: number;
}

const SUITE_OPTIONS: readonly (keyof SuiteOptions)[] = ['seed', 'randomGraphs'];

/** All tests; random graphs are of the seeds from `seed` on. */
export function conformanceTests(options: SuiteOptions = {}): ConformanceTest[] {
  checkOptions('conformanceTests', options, SUITE_OPTIONS);
  const { seed = 1, randomGraphs = 200 } = options;
  return [
    ...OP_CASES.flatMap((c) =>
      c.dtypes.flatMap((dtype) => c.shapes.map((shapes) => caseTest(c, dtype, shapes))),
    ),
    ...SPECIAL_CASES.map(specialTest),
    ...BEHAVIOURS.map(
      ({ name, check }): ConformanceTest => ({
        name,
        op: 'behaviours',
        run: async (subject) => {
          await check((graph) => subject.open(graph));
          return 0;
        },
      }),
    ),
    ...Array.from({ length: randomGraphs }, (_, i) => graphTest(seed + i)),
  ];
}
