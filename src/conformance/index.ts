// `tensorloom/conformance`: the tests that any backend can run.

export type { Behaviour } from './behaviours.ts';
export type { Draw, OpCase, Shapes } from './case.ts';
export { ConformanceError } from './compare.ts';
export {
  type DescribeOptions,
  describeConformance,
  type TestContext,
  type TestRunner,
} from './describe.ts';
export {
  type ConformanceOptions,
  type ConformanceReport,
  type OpReport,
  runConformance,
  type Target,
  type TestResult,
} from './run.ts';
export {
  type ConformanceTest,
  conformanceTests,
  type Subject,
  type SuiteOptions,
} from './suite.ts';
