// A program: one set of fetches with one set of feeds, cut from the graph once, and its plans: one for
// each shape class met, up to a limit, then the generic plan for all others.

import type { Device, Executable } from '../backends/backend.ts';
import { evalDim } from '../core/dim-value.ts';
import type { DType } from '../core/dtype.ts';
import { ShapeError } from '../core/error.ts';
import { constraintGot, constraintHolds } from '../graph/constraint.ts';
import type { Constraint, Func } from '../graph/func.ts';
import { type PassOptions, runPasses } from '../passes/pipeline.ts';
import { ambiguousSizes, type SizeClass, specialise } from '../passes/sizes.ts';
import { buildPlan } from '../plan/build.ts';
import type { Plan } from '../plan/types.ts';

/** Plans for shape classes before the generic plan serves all. */
const MAX_CLASSES = 8;

/** A plan that is compiled. */
export interface Compiled {
  readonly plan: Plan;
  readonly executable: Executable;
  /** The shape class, as text: one of `eq`, `a1`, `b1` per ambiguous pair of sizes; or `generic`. */
  readonly shapeClass: string;
}

export interface ProgramOptions {
  readonly fuse: boolean;
  readonly passes: PassOptions;
  /** Dtypes that the device lacks. */
  readonly lacks: ReadonlySet<DType> | undefined;
  /** Buffers that its kernels may bind. */
  readonly maxBuffers: number | undefined;
}

/** What a run with feeds of certain shapes needs. */
export interface Bound {
  readonly compiled: Compiled;
  readonly shapes: readonly (readonly number[])[];
  /** The values of the plan's start symbols. */
  readonly sizes: readonly number[];
}

export class Program {
  /** The function before the passes, sizes unified. */
  readonly func: Func;
  readonly pairs: readonly Constraint[];
  readonly plans = new Map<string, Compiled>();
  hits = 0;
  /** What the last run used, unless the contents of feeds are sizes too. */
  bound: Bound | undefined;
  /** Whether sizes stand in the contents of feeds. */
  readonly readsFeeds: boolean;
  private readonly device: Device;
  private readonly options: ProgramOptions;

  constructor(func: Func, device: Device, options: ProgramOptions) {
    this.func = func;
    this.pairs = ambiguousSizes(func);
    this.readsFeeds = func.params.some((id) => func.nodes[id].values[0] != null);
    this.device = device;
    this.options = options;
  }

  /** The compiled plan for the sizes of a run. */
  compiledFor(sizes: ReadonlyMap<string, number>): Compiled {
    const classes = this.pairs.map((p) => classify(p, sizes));
    const key = classes.join(' ');
    const found = this.plans.get(key);
    if (found) {
      this.hits++;
      return found;
    }
    if (this.plans.size < MAX_CLASSES) return this.compile(key, classes);
    const generic = this.plans.get('generic');
    if (generic) {
      this.hits++;
      return generic;
    }
    return this.compile('generic', null);
  }

  /** Compiles the plan ahead of the first run, if there is but one. */
  prepare(): void {
    if (this.pairs.length === 0 && this.plans.size === 0) this.compile('', []);
  }

  private compile(key: string, classes: readonly SizeClass[] | null): Compiled {
    const plan = this.plan(classes);
    const made = { plan, executable: this.device.compile(plan), shapeClass: key };
    this.plans.set(key, made);
    return made;
  }

  /** The plan of a shape class, or the generic one; `trace` sees each pass. */
  plan(classes: readonly SizeClass[] | null, trace?: PassOptions['trace']): Plan {
    const special = classes === null ? this.func : specialise(this.func, this.pairs, classes);
    const passes = trace ? { ...this.options.passes, trace } : this.options.passes;
    const { fuse, lacks, maxBuffers } = this.options;
    return buildPlan(runPasses(special, passes), { fuse, lacks, maxBuffers });
  }

  dispose(): void {
    for (const c of this.plans.values()) c.executable.dispose();
    this.plans.clear();
    this.bound = undefined;
  }
}

function classify(pair: Constraint, sizes: ReadonlyMap<string, number>): SizeClass {
  const at = (id: string): number => sizes.get(id) ?? 0;
  const [a, b] = [evalDim(pair.a, at), evalDim(pair.b, at)];
  if (a === b) return 'eq';
  if (a === 1) return 'a1';
  if (b === 1) return 'b1';
  throw new ShapeError(
    'run/shape',
    `${pair.why}: ${a} and ${b}. Feed values whose sizes are equal, or one of them 1.`,
  );
}

/** Checks the constraints of a plan on sizes known before the run. */
export function checkConstraints(plan: Plan, sizes: ReadonlyMap<string, number>): void {
  const at = (id: string): number => sizes.get(id) ?? 0;
  for (const c of plan.constraints) {
    const [a, b] = [evalDim(c.a, at), evalDim(c.b, at)];
    if (constraintHolds(c.kind, a, b)) continue;
    const { op, node, site } = c;
    throw new ShapeError(
      'run/shape',
      `${op} "${node}": ${c.why}, ${constraintGot(c.kind, a, b)}. Feed values whose sizes agree.`,
      { op, node, ...(site ? { site } : {}) },
    );
  }
}
