// Runs the tests of the kit on a backend and reports by op.

import type { Backend } from '../backends/backend.ts';
import { registerBackend } from '../backends/backend.ts';
import { UnsupportedError, ValueError } from '../core/error.ts';
import { checkOptions } from '../core/options.ts';
import { Graph } from '../graph/graph.ts';
import type { SessionOptions } from '../session/options.ts';
import { Session } from '../session/session.ts';
import { type ConformanceTest, conformanceTests, type Subject } from './suite.ts';

/** What to test: the name of a registered backend, options of its sessions, or what makes a backend. */
export type Target = string | Omit<SessionOptions, 'graph'> | (() => Backend);

/** Which tests to run and how strictly. */
export interface ConformanceOptions {
  /** Ops to test, or patterns for names of tests; all where absent. */
  readonly include?: readonly (string | RegExp)[];
  /** Ops to leave out, or patterns for names of tests. They are not counted. */
  readonly exclude?: readonly (string | RegExp)[];
  /**
   * Relative tolerances instead of the cases' own: one for all, or by op. For devices that are less
   * precise by design; results that must be exact stay so where an op is not named.
   */
  readonly tolerance?: number | { readonly [op: string]: number };
  /** The share of tests to run, above 0 up to 1, chosen by a hash of their names. */
  readonly sample?: number;
  /** Seed of the random graphs, and of the choice of a sample. */
  readonly seed?: number;
  /** How many random graphs; 200 where absent. */
  readonly randomGraphs?: number;
  /** Hears of each test when it is done. */
  readonly onResult?: (result: TestResult) => void;
}

export const CONFORMANCE_OPTIONS: readonly (keyof ConformanceOptions)[] = [
  'include',
  'exclude',
  'tolerance',
  'sample',
  'seed',
  'randomGraphs',
  'onResult',
];

/** What became of a test. */
export interface TestResult {
  readonly name: string;
  readonly op: string;
  readonly outcome: 'passed' | 'failed' | 'unsupported';
  /** Why it failed or is unsupported. */
  readonly reason?: string;
  /** The worst error of forward results in units in the last place. */
  readonly worstUlp: number;
}

/** Counts of one op. */
export interface OpReport {
  passed: number;
  failed: number;
  /** Tests of which the backend said, with an UnsupportedError, that it can't; never among the passed. */
  unsupported: number;
  /**
   * The worst error of forward results in units in the last place of float32. What has cancelled out is
   * measured by the last place of 1/1024 of the largest element.
   */
  worstUlp: number;
  /** The distinct reasons of failures and of what is unsupported. */
  reasons: string[];
}

/** What {@link runConformance} found. */
export interface ConformanceReport {
  readonly backend: string;
  readonly ops: { readonly [op: string]: OpReport };
}

let targets = 0;

/** Options of sessions on the target; a factory is registered under a name of its own. */
export function targetOptions(target: Target): Omit<SessionOptions, 'graph'> {
  if (typeof target === 'string') return { backend: target };
  if (typeof target !== 'function') return target;
  const name = `${target().name} (${++targets})`;
  registerBackend(name, target);
  return { backend: name };
}

/** The name of the target in reports. */
export function targetName(target: Target): string {
  if (typeof target === 'string') return target;
  return typeof target === 'function' ? target().name : (target.backend ?? 'cpu');
}

/** The subject of tests on a target. Throws UnsupportedError for an unknown name. */
export function subjectOf(target: Target, options: ConformanceOptions = {}): Subject {
  const session = targetOptions(target);
  const { tolerance } = options;
  return {
    open: (graph) => new Session({ ...session, graph }),
    tolerance: (op, own) => {
      if (typeof tolerance === 'number') return Math.max(own, tolerance);
      return tolerance?.[op] ?? own;
    },
  };
}

/** The tests that the options choose. Throws ValueError where `include` names nothing. */
export function chosenTests(options: ConformanceOptions = {}): ConformanceTest[] {
  const { include, exclude = [], sample = 1, seed = 1, randomGraphs } = options;
  if (!(sample > 0 && sample <= 1)) {
    throw new ValueError(
      'conformance/sample',
      `sample is a share above 0 up to 1, got ${sample}. Leave it out to run all tests.`,
    );
  }
  const all = conformanceTests({ seed, ...(randomGraphs === undefined ? {} : { randomGraphs }) });
  const matches = (t: ConformanceTest, p: string | RegExp): boolean =>
    typeof p === 'string' ? t.op === p : p.test(t.name);
  for (const p of include ?? []) {
    if (all.some((t) => matches(t, p))) continue;
    const ops = [...new Set(all.map((t) => t.op))].join(', ');
    throw new ValueError('conformance/include', `there is no test of ${p}. There are: ${ops}.`);
  }
  return all.filter(
    (t) =>
      (!include || include.some((p) => matches(t, p))) &&
      !exclude.some((p) => matches(t, p)) &&
      hash(`${seed}/${t.name}`) % 1000 < sample * 1000,
  );
}

/** FNV-1a, 32 bits. */
export function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return (h ^ (h >>> 15)) >>> 0;
}

/** Runs one test. */
export async function runTest(test: ConformanceTest, subject: Subject): Promise<TestResult> {
  const { name, op } = test;
  try {
    return { name, op, outcome: 'passed', worstUlp: await test.run(subject) };
  } catch (e) {
    const outcome = e instanceof UnsupportedError ? 'unsupported' : 'failed';
    return { name, op, outcome, reason: e instanceof Error ? e.message : String(e), worstUlp: 0 };
  }
}

/**
 * Runs the tests one after the other, each on sessions of its own. Rejects with ValueError for options
 * that make no sense and UnsupportedError where the backend does not open at all.
 */
export async function runConformance(
  target: Target,
  options: ConformanceOptions = {},
): Promise<ConformanceReport> {
  checkOptions('runConformance', options, CONFORMANCE_OPTIONS);
  const tests = chosenTests(options);
  const subject = subjectOf(target, options);
  // A backend that does not open is no reason to call every test unsupported.
  const probe = subject.open(new Graph());
  try {
    await probe.ready;
  } finally {
    await probe.close();
  }
  const ops: { [op: string]: OpReport } = {};
  for (const test of tests) {
    const result = await runTest(test, subject);
    ops[result.op] ??= { passed: 0, failed: 0, unsupported: 0, worstUlp: 0, reasons: [] };
    const report = ops[result.op];
    report[result.outcome]++;
    report.worstUlp = Math.max(report.worstUlp, result.worstUlp);
    const { reason } = result;
    if (reason !== undefined && !report.reasons.includes(reason)) report.reasons.push(reason);
    options.onResult?.(result);
  }
  return { backend: targetName(target), ops };
}
