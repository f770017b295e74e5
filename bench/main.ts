// Times the workloads of docs/performance.md in Tensorloom and its peers, in one run.
//   npm run bench -- [--only a,b] [--peers a,b] [--threads 1|2] [--quick] [--dist] [--list]
//                    [--json | --markdown | --write-docs]
// Ends with status 1 where an output is wrong or a measurement fails.

import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { writeDocs } from './docs.ts';
import { extras } from './extras/all.ts';
import { measureExtra } from './extras/measure.ts';
import { type MeasureOptions, measure } from './measure.ts';
import { JAVASCRIPT_PEERS, NUMPY, OURS, OURS_ON_ONE } from './peers/all.ts';
import { alignedTable, cellsOf, markdownTable, notesOf, type Row, rowOf } from './rows.ts';
import { textOf } from './wire.ts';
import { workloads } from './workloads/all.ts';

function split(list: string | undefined): string[] | undefined {
  return list?.split(',').filter((name) => name !== '');
}

function hasNumpy(): boolean {
  try {
    execFileSync('python3', ['-c', 'import numpy'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Installs the peers where that has not been done. */
function setUp(): void {
  const folder = fileURLToPath(new URL('.', import.meta.url));
  if (existsSync(`${folder}node_modules`)) return;
  console.error('bench: installing the peers');
  execFileSync('npm', ['ci', '--ignore-scripts'], { cwd: folder, stdio: ['ignore', 2, 2] });
}

function options() {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      peers: { type: 'string' },
      threads: { type: 'string', default: '1' },
      quick: { type: 'boolean', default: false },
      dist: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      markdown: { type: 'boolean', default: false },
      'write-docs': { type: 'boolean', default: false },
    },
  });
  const threads = Number(values.threads);
  if (threads !== 1 && threads !== 2) {
    throw new RangeError(`--threads must be 1 or 2, got ${values.threads}`);
  }
  const known = [OURS, ...JAVASCRIPT_PEERS, NUMPY];
  const asked = split(values.peers) ?? known.filter((name) => name !== NUMPY || hasNumpy());
  const unknown = asked.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new RangeError(`no peer "${unknown}"; there are ${known.join(', ')}`);
  }
  const peers = asked.flatMap((name) =>
    name === OURS && threads > 1 ? [OURS, OURS_ON_ONE] : [name],
  );
  const only = split(values.only) ?? workloads.map(({ name }) => name);
  const names = [...workloads.map(({ name }) => name), ...Object.keys(extras)];
  const missing = only.find((name) => !names.includes(name));
  if (missing !== undefined) {
    throw new RangeError(`no workload "${missing}"; there are ${names.join(', ')}`);
  }
  const measuring: MeasureOptions = {
    threads,
    dist: values.dist,
    peers,
    ...(values.quick ? { rounds: 3, budgetMs: 200 } : { rounds: 5, budgetMs: 1000 }),
  };
  return { values, only, measuring };
}

function machine(threads: number): string {
  const cores = cpus();
  const on = `${cores.length} × ${cores[0]?.model.trim() ?? 'unknown processor'}`;
  return `${on}; Node ${process.versions.node}; ${threads} thread${threads > 1 ? 's' : ''}`;
}

async function main(): Promise<number> {
  const { values, only, measuring } = options();
  if (values.list) {
    for (const { name, about } of workloads) console.log(`${name.padEnd(16)}${about}`);
    for (const [name, { about }] of Object.entries(extras)) {
      console.log(`${name.padEnd(16)}${about}`);
    }
    return 0;
  }
  setUp();
  const rows: Row[] = [];
  const further = [];
  for (const name of only) {
    const workload = workloads.find((w) => w.name === name);
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${name} …`);
    if (workload) {
      rows.push(rowOf(workload, await measure(workload, measuring), measuring.threads));
    } else {
      further.push(await measureExtra(name, measuring));
    }
  }
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  const cells = cellsOf(rows, measuring.peers);
  const notes = notesOf(rows);
  if (values.json) {
    console.log(JSON.stringify([...rows, ...further], null, 2));
  } else if (values.markdown || values['write-docs']) {
    const text = [
      `${machine(measuring.threads)}; milliseconds.`,
      markdownTable(cells),
      ...(notes.length > 0 ? [notes.map((note) => `- ${note}`).join('\n')] : []),
    ].join('\n\n');
    if (values['write-docs']) writeDocs(text);
    else console.log(text);
  } else {
    if (rows.length > 0) {
      console.log(`${machine(measuring.threads)}; milliseconds`);
      console.log(alignedTable(cells));
    }
    for (const { workload, lines } of further) console.log([`${workload}:`, ...lines].join('\n  '));
    for (const note of notes) console.log(note);
  }
  return [...rows, ...further].every(({ ok }) => ok) ? 0 : 1;
}

main().then(
  (status) => process.exit(status),
  (error: unknown) => {
    console.error(`bench: ${textOf(error)}`);
    process.exit(2);
  },
);
