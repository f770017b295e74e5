// The kit itself: what it finds, how it counts, and how it is asked.

import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { backendFromKernels } from '../../src/backends/from-kernels.ts';
import {
  type ConformanceReport,
  describeConformance,
  type TestContext,
} from '../../src/conformance/index.ts';
import { runConformance } from '../../src/conformance/run.ts';
import { dtypeInfo, type TypedArray } from '../../src/core/dtype.ts';
import { UnsupportedError } from '../../src/index.ts';
import { interpretKernel } from '../../src/kernel/interpret.ts';
import type { Kernel } from '../../src/kernel/ir.ts';
import { printKernel } from '../../src/kernel/print.ts';
import { CONTENDERS } from '../support/matrix.ts';

/** The interpreter, but for kernels that hold some text. */
const flawed = (flaw: string, what: 'wrong' | 'refused') => () =>
  backendFromKernels<Float32Array, Kernel>({
    name: 'flawed',
    alloc: (dtype, n) => dtypeInfo(dtype).alloc(n) as Float32Array,
    free: () => undefined,
    write: (memory, at, data) => memory.set(data, at),
    read: (memory, _dtype, at, n): TypedArray => memory.slice(at, at + n),
    compile: (kernel) => {
      if (what === 'refused' && printKernel(kernel).includes(flaw)) {
        throw new UnsupportedError('flawed/refused', `no ${flaw} here`);
      }
      return kernel;
    },
    launch: (kernel, buffers, params) => {
      const views = buffers.map((b) => b.memory.subarray(b.offset));
      let failed: number | undefined;
      interpretKernel(kernel, views, params, {
        onFail: (code) => {
          failed ??= code;
        },
      });
      if (what === 'wrong' && printKernel(kernel).includes(flaw)) views[views.length - 1][0] += 1;
      return failed;
    },
  });

describe('the kit', () => {
  it('finds what is wrong', async () => {
    const { backend, ops } = await runConformance(flawed('tanh', 'wrong'), {
      include: ['tanh', 'neg'],
    });
    expect(backend).toBe('flawed');
    expect(ops.tanh.failed).toBeGreaterThan(4);
    expect(ops.tanh.reasons.join()).toMatch(
      /tanh float32 static: gradient 0: element 0 is .* should be/,
    );
    expect(ops.neg).toEqual({
      passed: ops.neg.passed,
      failed: 0,
      unsupported: 0,
      worstUlp: 0,
      reasons: [],
    });
    expect(ops.neg.passed).toBeGreaterThan(15);
  });

  it('never counts what is unsupported as passed', async () => {
    const { ops } = await runConformance(flawed('tanh', 'refused'), { include: ['tanh'] });
    expect(ops.tanh.failed).toBe(0);
    expect(ops.tanh.unsupported).toBeGreaterThan(4);
    expect(ops.tanh.reasons).toEqual(['no tanh here']);
  });

  it('measures errors, takes tolerances and samples', async () => {
    const { ops } = await runConformance('reference', { include: ['exp'] });
    expect(ops.exp.worstUlp).toBeGreaterThan(0);
    expect(ops.exp.worstUlp).toBeLessThanOrEqual(0.51);
    const loose = await runConformance(flawed('tanh', 'wrong'), {
      include: ['tanh'],
      exclude: [/special/],
      tolerance: { tanh: 10 },
    });
    expect(loose.ops.tanh.failed).toBe(0);
    const part = await runConformance('reference', { sample: 0.02 });
    const counts = Object.values(part.ops).reduce((n, o) => n + o.passed, 0);
    expect(counts).toBeGreaterThan(10);
    expect(counts).toBeLessThan(200);
  });

  it('says what it does not understand', async () => {
    await expect(runConformance('cpu', { include: ['tanhh'] })).rejects.toThrow(
      /no test of tanhh. There are: add,/,
    );
    await expect(runConformance('cpu', { sample: 2 })).rejects.toThrow(/above 0 up to 1, got 2/);
    await expect(runConformance('cuda', {})).rejects.toThrow(/no backend "cuda"|Known:/);
  });

  it('becomes tests of a runner, skipped where something is unsupported', async () => {
    const tests: [string, (context: TestContext) => Promise<void>][] = [];
    const groups: string[] = [];
    describeConformance(flawed('tanh', 'refused'), {
      include: ['tanh', 'neg'],
      runner: {
        describe: (name, body) => {
          groups.push(name);
          body();
        },
        it: (name, test) => tests.push([name, test]),
      },
    });
    expect(groups.sort()).toEqual(['neg', 'tanh']);
    const skipped: unknown[] = [];
    for (const [, test] of tests) await test({ skip: (reason) => skipped.push(reason) });
    expect(skipped.length).toBeGreaterThan(4);
    expect(new Set(skipped)).toEqual(new Set(['no tanh here']));
  });
});

describe('the command', () => {
  const root = join(import.meta.dirname, '..', '..');
  const main = join(root, 'src', 'cli', 'main.ts');
  const tsx = join(root, 'node_modules', 'tsx', 'dist', 'cli.mjs');
  const command = (...args: string[]) =>
    spawnSync(process.execPath, [tsx, main, ...args], { cwd: root, encoding: 'utf8' });

  it('reports as JSON and as a table', () => {
    const json = command('conformance', '--backend', 'cpu', '--op', 'neg', '--json');
    expect(json.status).toBe(0);
    const report = JSON.parse(json.stdout) as ConformanceReport;
    expect(report.backend).toBe('cpu');
    expect(report.ops.neg).toMatchObject({ failed: 0, unsupported: 0, reasons: [] });
    const table = command(
      'conformance',
      '--backend',
      './examples/backend-minimal/backend.ts',
      '--op',
      'neg',
    );
    expect(table.status).toBe(0);
    expect(table.stdout).toMatch(
      /^minimal +passed +failed +unsupported +worst ulp\nneg +\d+ +· +· +·\nall /,
    );
  });

  it('exits with 1 where a test fails', () => {
    const module = join(import.meta.dirname, 'wrong-backend.ts');
    const { status, stdout } = command('conformance', '--backend', module, '--op', 'neg');
    expect(stdout).toContain('neg: neg float32 static: output 0: element 0');
    expect(status).toBe(1);
  });

  it.each([
    [['conformance'], /--backend is missing/],
    [['conformance', '--backend', 'cuda'], /no backend "cuda". Known: /],
    [['conformance', '--backend', './nowhere.js'], /nowhere.js does not load/],
    [['conformance', '--backend', './package.json'], /does not load|exports no function/],
    [['conformance', '--backend', 'cpu', '--op', 'tanhh'], /no test of tanhh/],
    [['conformance', '--backend', 'cpu', '--sample', 'x'], /--sample takes a number/],
    [['conformance', '--frob'], /frob/],
    [['frob'], /no command "frob"/],
  ])('says how to mend %j', (args, message) => {
    const { status, stderr } = command(...args);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n +at /);
    expect(status).toBe(2);
  });

  it('is in the package', () => {
    const text = execFileSync(process.execPath, [tsx, main, '--help'], { encoding: 'utf8' });
    expect(text).toContain('tensorloom conformance --backend');
  });
});

/** What the matrix of cases does not hold: arguments at the edges, behaviours of plans. */
for (const { name, options } of CONTENDERS) {
  if (!['reference', 'cpu', 'webgpu'].includes(name)) continue;
  describe(`${name}: special values and behaviours`, () => {
    describeConformance(options, {
      include: ['behaviours', /special values$/],
      randomGraphs: 0,
      runner: { describe, it },
    });
  });
}
