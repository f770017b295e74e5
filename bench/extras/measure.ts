// Runs one of the further measurements in fresh processes and says what came of it.

import type { ExtraReply, ExtraRequest } from '../extra-process.ts';
import { Link } from '../link.ts';
import { digits } from '../rows.ts';
import { median, spreadOf } from '../stats.ts';
import { textOf } from '../wire.ts';
import { extras } from './all.ts';
import type { Limit } from './types.ts';

/** A row of `--json`, in the form of the workloads' rows. */
export interface ExtraRow {
  readonly workload: string;
  readonly unit: string;
  readonly values: Readonly<Record<string, number>>;
  readonly spreads: Readonly<Record<string, readonly [number, number]>>;
  readonly limits: Readonly<Record<string, Limit>>;
  readonly met: boolean;
  readonly ok: boolean;
  readonly lines: readonly string[];
}

const TIME_LIMIT = 240_000;

function within(value: number, { most = Infinity, least = -Infinity }: Limit): boolean {
  return value <= most && value >= least;
}

function lineOf(name: string, value: number, unit: string, limit: Limit | undefined): string {
  const aim = [
    limit?.most === undefined ? '' : `at most ${limit.most}`,
    limit?.least === undefined ? '' : `at least ${limit.least}`,
  ].filter((part) => part !== '');
  const shown = value < 0 ? `-${digits(-value)}` : digits(value);
  const verdict = limit === undefined ? '' : within(value, limit) ? ', met' : ', not met';
  const told = aim.length === 0 ? '' : ` (${aim.join(', ')}${verdict})`;
  return `${name} ${shown}${unit === '' ? '' : ` ${unit}`}${told}`;
}

export async function measureExtra(
  name: string,
  { threads, dist }: { readonly threads: number; readonly dist: boolean },
): Promise<ExtraRow> {
  const { unit, repeats, variants = [''], flags = [], limits } = extras[name];
  const samples = new Map<string, number[]>();
  const errors: string[] = [];
  for (let repeat = 0; repeat < repeats; repeat++) {
    for (const variant of variants) {
      const link = Link.node('./extra-process.ts', [name, String(threads)], { dist, flags });
      try {
        const request: ExtraRequest = { variant };
        const reply = await link.request<ExtraReply>(request, TIME_LIMIT);
        if (reply.state === 'failed') throw new Error(reply.error);
        for (const [key, value] of Object.entries(reply.values)) {
          samples.set(key, [...(samples.get(key) ?? []), value]);
        }
      } catch (error) {
        errors.push(`${variant && `${variant} `}failed: ${textOf(error)}`);
      } finally {
        link.kill();
      }
    }
  }
  const values = Object.fromEntries([...samples].map(([key, list]) => [key, median(list)]));
  const spreads = Object.fromEntries([...samples].map(([key, list]) => [key, spreadOf(list)]));
  const lines = Object.entries(values).map(([key, v]) => lineOf(key, v, unit, limits[key]));
  const met = Object.entries(limits).every(
    ([key, limit]) => key in values && within(values[key], limit),
  );
  return {
    workload: name,
    unit,
    values,
    spreads,
    limits,
    met,
    ok: errors.length === 0,
    lines: [...lines, ...new Set(errors)],
  };
}
