// Measures one workload on all peers: each in a process of its own, fresh for the workload; outputs
// compared with the float64 reference; then rounds in which each peer has a turn, and the raw limits too,
// so that a slow moment of the machine meets them all.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeInputs } from './data.ts';
import { Link } from './link.ts';
import { NUMPY } from './peers/all.ts';
import type { RawReply, RawRequest } from './raw-process.ts';
import { quantile } from './stats.ts';
import type { Outputs, Values, Workload } from './types.ts';
import { type Reply, type Request, textOf } from './wire.ts';

export interface MeasureOptions {
  readonly threads: number;
  readonly dist: boolean;
  readonly peers: readonly string[];
  /** Rounds, and milliseconds of calls for each peer and workload. */
  readonly rounds: number;
  readonly budgetMs: number;
}

/** What became of a peer on a workload. */
export interface PeerResult {
  readonly state: 'ok' | 'absent' | 'unbuilt' | 'failed';
  /** What is missing, or went wrong. */
  readonly detail?: string;
  /** Milliseconds a call, by sample. */
  readonly times: readonly number[];
}

export interface Measured {
  readonly peers: Readonly<Record<string, PeerResult>>;
  readonly raw: Rates;
}

/** Billions of operations, and of bytes read or written, a second. */
export interface Rates {
  readonly gflops: number;
  readonly gbps: number;
}

const OPEN_LIMIT = 120_000;
const CALL_LIMIT = 60_000;
/** Of each raw loop, after each turn. */
const RAW_MS = 5;
/** A limit is what the machine reaches when nothing disturbs it; the very best may be a clock's whim. */
const RAW_QUANTILE = 0.9;
/** Threads of peers spin for a while after their work, those of OpenBLAS for 2^26 ticks; the next turn waits. */
const SETTLE_MS = 50;
/** A sample is at least this long, so that reading the clock costs nothing. */
const SAMPLE_MS = 0.1;
const MOST_SAMPLES = 1000;
/** A turn begins with this much off the clock, or one call: the last turn was another process's. */
const LEAD_MS = 3;
/** All turns of a slow peer together: it gets fewer rounds. */
const SLOW_TOTAL_MS = 6000;

interface Turn {
  readonly lead: number;
  readonly samples: number;
  readonly inner: number;
  readonly rounds: number;
}

function turnOf(workload: Workload, ms: number, options: MeasureOptions): Turn {
  const { rounds, budgetMs } = options;
  if (workload.calls) return { lead: 1, samples: workload.calls.perRound, inner: 1, rounds };
  const inner = Math.max(1, Math.ceil(SAMPLE_MS / ms));
  const samples = Math.round(budgetMs / rounds / (ms * inner));
  return {
    lead: ms > 200 ? 0 : Math.max(1, Math.ceil(LEAD_MS / ms)),
    samples: Math.min(MOST_SAMPLES, Math.max(1, samples)),
    inner,
    rounds: Math.max(1, Math.min(rounds, Math.floor(SLOW_TOTAL_MS / ms))),
  };
}

/** The first difference beyond the tolerance, in words; undefined where there is none. */
export function difference(
  got: Outputs,
  want: Outputs,
  { abs, rel }: Workload['tolerance'],
): string | undefined {
  for (const [name, expected] of Object.entries(want)) {
    const values = got[name];
    if (values === undefined) return `no output "${name}"`;
    if (values.length !== expected.length) {
      return `"${name}" has ${values.length} elements, not ${expected.length}`;
    }
    for (let i = 0; i < expected.length; i++) {
      // Written so that NaN fails.
      if (Math.abs(values[i] - expected[i]) <= abs + rel * Math.abs(expected[i])) continue;
      return `"${name}"[${i}] is ${values[i]}, not ${expected[i]} (within ${abs} + ${rel}·|it|)`;
    }
  }
  return undefined;
}

/** One peer on one workload: its process, its times, and how it ended. */
class Contestant {
  readonly name: string;
  private readonly workload: Workload;
  private readonly folder: string;
  private readonly options: MeasureOptions;
  private readonly link: Link;
  readonly times: number[] = [];
  state: PeerResult['state'] = 'ok';
  detail: string | undefined;
  turn: Turn = { lead: 0, samples: 1, inner: 1, rounds: 0 };

  constructor(name: string, workload: Workload, folder: string, options: MeasureOptions) {
    this.name = name;
    this.workload = workload;
    this.folder = folder;
    this.options = options;
    const args = [name, String(options.threads)];
    this.link =
      name === NUMPY
        ? Link.python('./peers/numpy_peer.py', args.slice(1))
        : Link.node('./peer-process.ts', args, options);
  }

  /** Prepares the workload, compares its outputs, warms up. */
  async prepare(want: readonly Outputs[]): Promise<void> {
    await this.guarded(async () => {
      const { name, calls, inputs } = this.workload;
      const request = { workload: name, folder: this.folder, inputs };
      const opened = await this.ask({ do: 'open', ...request }, OPEN_LIMIT);
      if (opened.state === 'absent' || opened.state === 'unbuilt') {
        this.state = opened.state;
        if (opened.state === 'unbuilt') this.detail = opened.what;
        return;
      }
      for (const outputs of want) await this.check(outputs);
      const warm = calls
        ? { ms: 0, least: calls.warm - want.length, most: calls.warm - want.length }
        : { ms: Math.min(300, this.options.budgetMs), least: 1, most: 2000 };
      const reply = await this.ask({ do: 'warm', ...warm }, CALL_LIMIT);
      if (reply.state === 'warmed') this.turn = turnOf(this.workload, reply.ms, this.options);
    });
  }

  async time(round: number): Promise<void> {
    if (this.state !== 'ok' || round >= this.turn.rounds) return;
    await this.guarded(async () => {
      const { lead, samples, inner } = this.turn;
      const reply = await this.ask({ do: 'time', lead, samples, inner }, CALL_LIMIT);
      if (reply.state === 'timed') this.times.push(...reply.times);
    });
  }

  /** Compares once more what calls give after all of the timing, and ends the process. */
  async finish(want: Outputs): Promise<PeerResult> {
    if (this.state === 'ok' && !this.workload.stateful) {
      await this.guarded(() => this.check(want));
    }
    if (this.state === 'ok') await this.guarded(() => this.ask({ do: 'close' }, CALL_LIMIT));
    this.kill();
    const { state, detail, times } = this;
    return { state, times, ...(detail === undefined ? {} : { detail }) };
  }

  kill(): void {
    this.link.kill();
  }

  private async check(want: Outputs): Promise<void> {
    const reply = await this.ask({ do: 'check', tag: this.name }, CALL_LIMIT);
    if (reply.state !== 'checked') return;
    const got = reply.outputs.map((name): [string, Float32Array] => {
      const { buffer } = new Uint8Array(readFileSync(join(this.folder, `${name}.${this.name}`)));
      return [name, new Float32Array(buffer)];
    });
    const wrong = difference(Object.fromEntries(got), want, this.workload.tolerance);
    if (wrong !== undefined) throw new Error(wrong);
  }

  private async ask(request: Request, limitMs: number): Promise<Reply> {
    const reply = await this.link.request<Reply>(request, limitMs);
    if (reply.state === 'failed') throw new Error(reply.error);
    return reply;
  }

  private async guarded(go: () => Promise<unknown>): Promise<void> {
    try {
      await go();
    } catch (error) {
      this.state = 'failed';
      this.detail = textOf(error);
    }
  }
}

function writeInputs(inputs: Values, folder: string): void {
  for (const [name, data] of Object.entries(inputs)) {
    writeFileSync(join(folder, `${name}.in`), new Uint8Array(data.buffer));
  }
}

/** The rates of all threads together, at work at the same time. */
async function rawRates(links: readonly Link[], bytes: number): Promise<Rates> {
  const request: RawRequest = { footprint: bytes / links.length, ms: RAW_MS };
  const replies = await Promise.all(
    links.map((link) => link.request<RawReply>(request, CALL_LIMIT)),
  );
  const total = { gflops: 0, gbps: 0 };
  for (const reply of replies) {
    if (reply.state === 'failed') throw new Error(`raw limits: ${reply.error}`);
    total.gflops += reply.gflops;
    total.gbps += reply.gbps;
  }
  return total;
}

/** Runs the workload on the peers of the options. */
export async function measure(workload: Workload, options: MeasureOptions): Promise<Measured> {
  const folder = mkdtempSync(join(tmpdir(), 'tensorloom-bench-'));
  const inputs = makeInputs(workload);
  writeInputs(inputs, folder);
  const raw = Array.from({ length: options.threads }, () =>
    Link.node('./raw-process.ts', [], options),
  );
  const peers = options.peers.map((name) => new Contestant(name, workload, folder, options));
  try {
    const want = workload.reference(inputs);
    for (const peer of peers) {
      await peer.prepare(want);
      if (options.threads > 1) await sleep(SETTLE_MS);
    }
    const gflops: number[] = [];
    const gbps: number[] = [];
    for (let round = 0; round < options.rounds; round++) {
      for (let i = 0; i < peers.length; i++) {
        // Each round begins with another peer: none always follows the same one.
        await peers[(i + round) % peers.length].time(round);
        if (options.threads > 1) await sleep(SETTLE_MS);
        const rates = await rawRates(raw, workload.bytes);
        gflops.push(rates.gflops);
        gbps.push(rates.gbps);
      }
    }
    const results: [string, PeerResult][] = [];
    for (const peer of peers) results.push([peer.name, await peer.finish(want[0])]);
    return {
      peers: Object.fromEntries(results),
      raw: { gflops: quantile(gflops, RAW_QUANTILE), gbps: quantile(gbps, RAW_QUANTILE) },
    };
  } finally {
    for (const link of raw) link.kill();
    for (const peer of peers) peer.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}
