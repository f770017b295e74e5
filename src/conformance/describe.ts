// The kit as tests of a test runner: vitest's, or Node's own.

import { checkOptions } from '../core/options.ts';
import { ConformanceError } from './compare.ts';
import {
  CONFORMANCE_OPTIONS,
  type ConformanceOptions,
  chosenTests,
  runTest,
  subjectOf,
  type Target,
} from './run.ts';

/** What a test runner gives a test: a way to skip it that says why. */
export interface TestContext {
  skip(reason?: string): unknown;
}

/** The two functions of a test runner that the kit calls; those of vitest and of `node:test` fit. */
export interface TestRunner {
  readonly describe: (name: string, body: () => void) => unknown;
  readonly it: (name: string, test: (context: TestContext) => Promise<void>) => unknown;
}

/** Options of {@link describeConformance}. */
export interface DescribeOptions extends Omit<ConformanceOptions, 'onResult'> {
  /** The test runner, where its functions are not globals. */
  readonly runner?: TestRunner;
}

const DESCRIBE_OPTIONS: readonly (keyof DescribeOptions | keyof ConformanceOptions)[] = [
  ...CONFORMANCE_OPTIONS.filter((key) => key !== 'onResult'),
  'runner',
];

/**
 * Defines a test for each test of the kit, in a group for each op. What the backend says it can't is
 * skipped with its reason. Throws ValueError for options that make no sense.
 */
export function describeConformance(target: Target, options: DescribeOptions = {}): void {
  checkOptions('describeConformance', options, DESCRIBE_OPTIONS);
  const { describe, it } = options.runner ?? (globalThis as unknown as TestRunner);
  const subject = subjectOf(target, options);
  const byOp = new Map<string, ReturnType<typeof chosenTests>>();
  for (const test of chosenTests(options)) {
    byOp.set(test.op, [...(byOp.get(test.op) ?? []), test]);
  }
  for (const [op, tests] of byOp) {
    describe(op, () => {
      for (const test of tests) {
        it(test.name, async (context) => {
          const { outcome, reason } = await runTest(test, subject);
          if (outcome === 'unsupported') context.skip(reason);
          else if (outcome === 'failed') throw new ConformanceError(reason);
        });
      }
    });
  }
}
