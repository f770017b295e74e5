// The command `tensorloom conformance`: the kit on a backend, as a table or JSON.

import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import type { Backend } from '../backends/backend.ts';
import {
  type ConformanceReport,
  type OpReport,
  runConformance,
  type Target,
} from '../conformance/run.ts';
import { TensorloomError } from '../core/error.ts';
import { UsageError } from './usage.ts';

export const USAGE = `tensorloom conformance --backend cpu|webgpu|reference|./my-backend.js [options]

  --op <name>        only this op; may be given several times
  --sample <share>   a share of the tests above 0 up to 1, chosen by a hash
  --seed <n>         seed of random graphs and of the sample
  --threads <n>      threads of the cpu backend
  --json             the report as JSON: {backend, ops: {<op>: {passed, failed, unsupported, worstUlp, reasons}}}

A module of a backend exports \`backend\`: a function that makes it. Exit code 1 if a test failed.`;

/** Runs the command; the exit code. Throws UsageError. */
export async function conformanceCommand(args: readonly string[]): Promise<number> {
  const flags = parse(args);
  if (flags.help) {
    console.log(USAGE);
    return 0;
  }
  if (flags.backend === undefined) throw new UsageError(`--backend is missing.\n\n${USAGE}`);
  const target = await targetOf(flags.backend, flags.threads);
  const live = !flags.json && process.stderr.isTTY;
  let done = 0;
  let report: ConformanceReport;
  try {
    report = await runConformance(target, {
      ...(flags.op === undefined ? {} : { include: flags.op }),
      ...(flags.sample === undefined ? {} : { sample: numberOf('sample', flags.sample) }),
      ...(flags.seed === undefined ? {} : { seed: numberOf('seed', flags.seed) }),
      onResult: ({ name }) => {
        done++;
        if (live) process.stderr.write(`\r\x1b[K${done} ${name}`);
      },
    });
  } catch (e) {
    if (e instanceof TensorloomError) throw new UsageError(e.message);
    throw e;
  }
  if (live) process.stderr.write('\r\x1b[K');
  console.log(flags.json ? JSON.stringify(report, null, 2) : tableOf(report));
  return Object.values(report.ops).some((op) => op.failed > 0) ? 1 : 0;
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        backend: { type: 'string' },
        op: { type: 'string', multiple: true },
        sample: { type: 'string' },
        seed: { type: 'string' },
        threads: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (e) {
    throw new UsageError(`${(e as Error).message}\n\n${USAGE}`);
  }
}

function numberOf(name: string, text: string): number {
  const n = Number(text);
  if (text.trim() === '' || !Number.isFinite(n)) {
    throw new UsageError(`--${name} takes a number, got "${text}".`);
  }
  return n;
}

async function targetOf(name: string, threads: string | undefined): Promise<Target> {
  const own = threads === undefined ? {} : { threads: numberOf('threads', threads) };
  if (!/[./\\]/.test(name)) return { backend: name, ...own };
  let module: { backend?: unknown };
  try {
    module = await import(pathToFileURL(resolve(name)).href);
  } catch (e) {
    throw new UsageError(`${name} does not load: ${(e as Error).message}`);
  }
  const { backend } = module;
  if (typeof backend !== 'function') {
    throw new UsageError(`${name} exports no function \`backend\` that makes a backend.`);
  }
  return backend as () => Backend;
}

/** The report as a table, what went wrong below it. */
export function tableOf({ backend, ops }: ConformanceReport): string {
  const rows = Object.entries(ops).sort(([a], [b]) => (a < b ? -1 : 1));
  const cells = (name: string, r: OpReport): string[] => [
    name,
    ...[r.passed, r.failed, r.unsupported].map((n) => (n === 0 ? '·' : String(n))),
    r.worstUlp === 0 ? '·' : r.worstUlp.toPrecision(2),
  ];
  const total: OpReport = { passed: 0, failed: 0, unsupported: 0, worstUlp: 0, reasons: [] };
  for (const [, r] of rows) {
    total.passed += r.passed;
    total.failed += r.failed;
    total.unsupported += r.unsupported;
    total.worstUlp = Math.max(total.worstUlp, r.worstUlp);
  }
  const lines = [
    [backend, 'passed', 'failed', 'unsupported', 'worst ulp'],
    ...rows.map(([name, r]) => cells(name, r)),
    cells('all', total),
  ];
  const widths = lines[0].map((_, i) => Math.max(...lines.map((l) => l[i].length)));
  const text = lines.map((l) =>
    l.map((c, i) => (i === 0 ? c.padEnd(widths[i]) : c.padStart(widths[i]))).join('  '),
  );
  const reasons = rows.flatMap(([name, r]) => r.reasons.map((why) => `${name}: ${why}`));
  return [...text, ...(reasons.length > 0 ? ['', ...reasons] : [])].join('\n');
}
