// Plans, memory and threads over many runs, many sizes, many sessions.

import { readFileSync } from 'node:fs';
import type { Session } from '../../src/index.ts';
import { makeInputs, mulberry32 } from '../data.ts';
import { tl } from '../own.ts';
import { floats, staticRig, training, trainRig } from '../peers/tensorloom.ts';
import { median } from '../stats.ts';
import type { Values } from '../types.ts';
import { workloadNamed } from '../workloads/all.ts';
import { CLASSES, SIZES } from '../workloads/mlp.ts';
import type { Measurement } from './types.ts';

const MB = 2 ** 20;
const SIZES_TRIED = 200;
const LARGEST = 256;
const WARM_UP_SIZES = [17, 128, 64];
const COMPARED_SIZES = [48, 96, 128, 200, 255];
const COMPARED_RUNS = 60;

/** Resident bytes of the process after what is unreachable has gone. */
async function residentMB(): Promise<number> {
  for (let i = 0; i < 4; i++) {
    globalThis.gc?.();
    // Finalizers and the ends of workers need turns of the event loop.
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return process.memoryUsage.rss() / MB;
}

/** Threads of the process, where the system tells. */
function threadCount(): number {
  try {
    return Number(/^Threads:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** A training graph whose batch size is open (null) or fixed. */
async function trainer(threads: number, inputs: Values, batch: number | null) {
  const graph = new tl.Graph();
  const { images, labels, built, init } = graph.asDefault(() => {
    const images = tl.placeholder('float32', [batch ?? 'batch', SIZES[0]], { name: 'images' });
    const labels = tl.placeholder('int32', [batch ?? 'batch'], { name: 'labels' });
    const built = training(images, labels, inputs);
    return { images, labels, built, init: tl.globalVariablesInitializer() };
  });
  const session = new tl.Session({ graph, backend: 'cpu', threads });
  await session.run(init);
  const callable = session.makeCallable({ feeds: { images, labels }, fetches: built });
  return { session, step: (size: number) => callable(batchFeeds(inputs, size)) };
}

function batchFeeds({ x, labels }: Values, size: number) {
  return {
    images: floats([size, SIZES[0]], x.subarray(0, size * SIZES[0])),
    labels: new tl.NDArray('int32', [size], labels.subarray(0, size) as Int32Array<ArrayBuffer>),
  };
}

/** The weights of mlp_train, and images and labels for the largest batch. */
function batchInputs(): Values {
  const next = mulberry32(7);
  return {
    ...makeInputs(workloadNamed('mlp_train')),
    x: Float32Array.from({ length: LARGEST * SIZES[0] }, () => 2 * next() - 1),
    labels: Int32Array.from({ length: LARGEST }, () => Math.floor(next() * CLASSES)),
  };
}

/** Distinct sizes up to the largest, in an order that is always the same. */
function shuffledSizes(): number[] {
  const next = mulberry32(11);
  const sizes = Array.from({ length: LARGEST }, (_, i) => i + 1);
  for (let i = sizes.length - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [sizes[i], sizes[j]] = [sizes[j], sizes[i]];
  }
  const chosen = sizes.filter((size) => size !== 1 && size !== LARGEST).slice(0, SIZES_TRIED - 1);
  chosen.splice(Math.floor(SIZES_TRIED / 4), 0, LARGEST);
  return chosen;
}

function kernelsOf({ stats }: Session): number {
  return stats.device === undefined ? 0 : stats.device.kernelsCompiled;
}

function deviceMB({ stats }: Session): number {
  const { device, programs } = stats;
  if (device) return device.memoryBytes / MB;
  const arenas = programs.flatMap(({ perPlan }) => perPlan.map(({ arenaBytes }) => arenaBytes));
  return arenas.reduce((sum, bytes) => sum + bytes, 0) / MB;
}

export const batches: Measurement = {
  async run(threads) {
    const inputs = batchInputs();
    const open = await trainer(threads, inputs, null);
    for (const size of WARM_UP_SIZES) await open.step(size);
    const before = { plans: open.session.stats.plans, kernels: kernelsOf(open.session) };
    let atLargest = { device: 0, process: 0 };
    for (const size of shuffledSizes()) {
      await open.step(size);
      if (size !== LARGEST) continue;
      atLargest = { device: deviceMB(open.session), process: await residentMB() };
    }
    const after = {
      plansAfterWarmUp: open.session.stats.plans - before.plans,
      kernelsAfterWarmUp: kernelsOf(open.session) - before.kernels,
      deviceGrowthMB: deviceMB(open.session) - atLargest.device,
      processGrowthMB: (await residentMB()) - atLargest.process,
    };
    const ratios: number[] = [];
    for (const size of COMPARED_SIZES) ratios.push(await overFixed(threads, inputs, size, open));
    await open.session.close();
    return { ...after, overFixed: median(ratios), overFixedWorst: Math.max(...ratios) };
  },
};

/** Time of a step with the size open over that with it fixed, in turns. */
async function overFixed(
  threads: number,
  inputs: Values,
  size: number,
  open: Awaited<ReturnType<typeof trainer>>,
): Promise<number> {
  const fixed = await trainer(threads, inputs, size);
  const times: [number[], number[]] = [[], []];
  for (let i = 0; i < 2 * COMPARED_RUNS; i++) {
    for (const [which, { step }] of [open, fixed].entries()) {
      const began = performance.now();
      await step(size);
      if (i >= COMPARED_RUNS) times[which].push(performance.now() - began);
    }
  }
  await fixed.session.close();
  return median(times[0]) / median(times[1]);
}

const RUNS = { small50: 100_000, mlp_train: 5_000, sessions: 100 };
/** The first part of the runs fills caches and compiles; growth counts from there. */
const FILLING = 0.3;

async function growth(count: number, run: () => Promise<unknown>): Promise<number> {
  for (let i = 0; i < count * FILLING; i++) await run();
  const before = await residentMB();
  for (let i = 0; i < count; i++) await run();
  return (await residentMB()) - before;
}

async function openAndClose(threads: number, inputs: Values): Promise<void> {
  const { session, callable, feeds } = await staticRig('mm256', threads, inputs);
  await callable(feeds);
  await session.close();
}

export const flat: Measurement = {
  async run(threads, variant): Promise<Record<string, number>> {
    if (variant === 'sessions') {
      const inputs = makeInputs(workloadNamed('mm256'));
      await openAndClose(threads, inputs);
      await residentMB();
      const threadsBefore = threadCount();
      const sessionsMB = await growth(RUNS.sessions, () => openAndClose(threads, inputs));
      return { sessionsMB, sessionThreads: threadCount() - threadsBefore };
    }
    const inputs = makeInputs(workloadNamed(variant));
    if (variant === 'small50') {
      const { callable, feeds } = await staticRig(variant, threads, inputs);
      return { small50MB: await growth(RUNS.small50, () => callable(feeds)) };
    }
    const { session, callable, feeds } = await trainRig(threads, inputs);
    const grown = await growth(RUNS.mlp_train, () => callable(feeds));
    return { mlp_trainMB: grown, arenaOverBound: arenaOverBound(session) };
  },
};

/** The largest arena over its lower bound, among the programs that need an arena at all. */
function arenaOverBound({ stats }: Session): number {
  const plans = stats.programs.flatMap(({ perPlan }) => perPlan);
  const ratios = plans
    .filter(({ arenaLowerBound }) => arenaLowerBound > 0)
    .map(({ arenaBytes, arenaLowerBound }) => arenaBytes / arenaLowerBound);
  return Math.max(1, ...ratios);
}
