// From measurements to what is shown: a row for each workload, as JSON, as an aligned table, as Markdown.

import type { Measured, PeerResult } from './measure.ts';
import { JAVASCRIPT_PEERS, OURS, OURS_ON_ONE } from './peers/all.ts';
import { median, spreadOf } from './stats.ts';
import type { Target, Workload } from './types.ts';

export interface Row {
  readonly workload: string;
  /** Tensorloom's median in milliseconds; null where it has no time. */
  readonly ms: number | null;
  /** Tensorloom's tenth and ninetieth percentile. */
  readonly spread: readonly [number, number] | null;
  /** Medians of those that have one. */
  readonly peers: Readonly<Record<string, number>>;
  readonly spreads: Readonly<Record<string, readonly [number, number]>>;
  /** The fastest of the JavaScript peers, and our time over its. */
  readonly bestPeer?: string;
  readonly ratio?: number;
  readonly gflops?: number;
  readonly gbps?: number;
  /** The least time that the raw limits allow over ours. */
  readonly ofRawLimit?: number;
  readonly raw: { readonly gflops: number; readonly gbps: number };
  /** Our one-thread time over ours, where both were measured. */
  readonly speedup?: number;
  readonly target: Target;
  /** Whether our time meets the targets that a run of so many threads can show. */
  readonly met?: boolean;
  /** No result was wrong, nothing failed. */
  readonly ok: boolean;
  /** What failed or is missing, by peer. */
  readonly notes: Readonly<Record<string, string>>;
}

function noteOf({ state, detail }: PeerResult): string | undefined {
  if (state === 'failed') return `failed: ${detail}`;
  return state === 'unbuilt' ? `not built: ${detail}` : undefined;
}

function meets(row: Partial<Row>, target: Target, threads: number): boolean {
  const limits: [number | undefined, number | undefined][] =
    threads === 1
      ? [
          [row.ratio, target.ratio],
          [row.ms ?? undefined, target.ms],
          [row.ofRawLimit && -row.ofRawLimit, target.raw && -target.raw],
        ]
      : [
          [row.ratio, 1],
          [row.speedup && -row.speedup, -(target.speedup ?? 1 / 1.05)],
        ];
  return limits.every(([got, limit]) => got === undefined || limit === undefined || got <= limit);
}

export function rowOf(workload: Workload, { peers, raw }: Measured, threads: number): Row {
  const timed = Object.entries(peers).filter(([, { state }]) => state === 'ok');
  const medians = Object.fromEntries(timed.map(([name, { times }]) => [name, median(times)]));
  const spreads = Object.fromEntries(timed.map(([name, { times }]) => [name, spreadOf(times)]));
  const { [OURS]: ms, ...others } = medians;
  const best = JAVASCRIPT_PEERS.filter((name) => name in others).sort(
    (a, b) => others[a] - others[b],
  )[0];
  const notes: Record<string, string> = {};
  for (const [name, result] of Object.entries(peers)) {
    const note = noteOf(result);
    if (note !== undefined) notes[name] = note;
  }
  const { flops, bytes, target } = workload;
  const least = Math.max(flops / raw.gflops, bytes / raw.gbps) / 1e6;
  const row = {
    workload: workload.name,
    ms: ms ?? null,
    spread: spreads[OURS] ?? null,
    peers: others,
    spreads,
    ...(best === undefined ? {} : { bestPeer: best }),
    ...(best === undefined || ms === undefined ? {} : { ratio: ms / others[best] }),
    ...(ms === undefined
      ? {}
      : {
          ...(flops > 0 ? { gflops: flops / ms / 1e6 } : {}),
          gbps: bytes / ms / 1e6,
          ofRawLimit: least / ms,
        }),
    raw,
    ...(ms !== undefined && OURS_ON_ONE in others ? { speedup: others[OURS_ON_ONE] / ms } : {}),
    target,
    ok: !Object.values(peers).some(({ state }) => state === 'failed'),
    notes,
  };
  return ms === undefined ? row : { ...row, met: meets(row, target, threads) };
}

/** Three significant digits. */
export function digits(value: number | null | undefined): string {
  if (value === undefined || value === null) return '–';
  if (value >= 100) return value.toFixed(0);
  return value.toPrecision(3);
}

/** The cells of a table, its head first. */
export function cellsOf(rows: readonly Row[], peers: readonly string[]): string[][] {
  const others = peers.filter((name) => name !== OURS);
  const scaled = others.includes(OURS_ON_ONE);
  const head = [
    'workload',
    'tensorloom',
    'p10–p90',
    ...others,
    'best',
    'ratio',
    ...(scaled ? ['speedup'] : ['aim']),
    'GFLOP/s',
    'GB/s',
    'of raw',
    'met',
  ];
  const body = rows.map((row) => [
    row.workload,
    row.ms === null ? (row.notes[OURS] ?? '–').split(':')[0] : digits(row.ms),
    row.spread ? row.spread.map(digits).join('–') : '–',
    ...others.map((name) => (row.notes[name] ? 'failed' : digits(row.peers[name]))),
    row.bestPeer ?? '–',
    row.ratio === undefined ? '–' : row.ratio.toFixed(2),
    scaled ? digits(row.speedup) : aimOf(row.target),
    digits(row.gflops),
    digits(row.gbps),
    row.ofRawLimit === undefined ? '–' : `${(100 * row.ofRawLimit).toFixed(0)}%`,
    row.met === undefined ? '–' : row.met ? 'yes' : 'no',
  ]);
  return [head, ...body];
}

function aimOf({ ratio, ms, raw }: Target): string {
  const parts = [
    ratio === undefined ? '' : ratio.toFixed(2),
    ms === undefined ? '' : `${ms} ms`,
    raw === undefined ? '' : `${100 * raw}%`,
  ];
  return parts.filter((part) => part !== '').join(', ') || '–';
}

export function alignedTable(cells: readonly (readonly string[])[]): string {
  const widths = cells[0].map((_, column) => Math.max(...cells.map((row) => row[column].length)));
  return cells
    .map((row) =>
      row
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
        .join('  '),
    )
    .join('\n');
}

export function markdownTable(cells: readonly (readonly string[])[]): string {
  const line = (row: readonly string[]): string => `| ${row.join(' | ')} |`;
  const rule = cells[0].map((_, i) => (i === 0 ? '---' : '--:'));
  return [line(cells[0]), line(rule), ...cells.slice(1).map(line)].join('\n');
}

/** What failed or is missing, a line each. */
export function notesOf(rows: readonly Row[]): string[] {
  return rows.flatMap((row) =>
    Object.entries(row.notes).map(([peer, note]) => `${row.workload}, ${peer}: ${note}`),
  );
}
