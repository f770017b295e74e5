// Microseconds of runs that compute next to nothing.

import { makeInputs } from '../data.ts';
import { tl } from '../own.ts';
import { rig } from '../peers/rig.ts';
import { staticRig } from '../peers/tensorloom.ts';
import { median } from '../stats.ts';
import { workloadNamed } from '../workloads/all.ts';
import type { Measurement } from './types.ts';

const WARM_UP = 30_000;
const SAMPLES = 200;
const CALLS = 100;

function microseconds(call: () => unknown): number {
  for (let i = 0; i < WARM_UP; i++) call();
  const times = Array.from({ length: SAMPLES }, () => {
    const began = performance.now();
    for (let i = 0; i < CALLS; i++) call();
    return ((performance.now() - began) / CALLS) * 1e3;
  });
  return median(times);
}

export const small50Run: Measurement = {
  async run(threads) {
    const inputs = makeInputs(workloadNamed('small50'));
    const { session, tensors, fetches, feeds } = await staticRig('small50', threads, inputs);
    const pairs = Object.entries(feeds).map(([name, value]) => [tensors[name], value] as const);
    const { y } = fetches;
    for (let i = 0; i < WARM_UP; i++) await session.run(y, pairs);
    const times: number[] = [];
    for (let sample = 0; sample < SAMPLES; sample++) {
      const began = performance.now();
      for (let i = 0; i < CALLS; i++) await session.run(y, pairs);
      times.push(((performance.now() - began) / CALLS) * 1e3);
    }
    return { us: median(times) };
  },
};

export const small50Sync: Measurement = {
  async run(threads) {
    const inputs = makeInputs(workloadNamed('small50'));
    const { callable, feeds } = await staticRig('small50', threads, inputs);
    return { us: microseconds(() => callable.sync(feeds)) };
  },
};

export const oneOpSync: Measurement = {
  async run(threads) {
    const x = { shape: [16], data: Float32Array.from({ length: 16 }, (_, i) => i / 16) };
    const { callable, feeds } = await rig(threads, { x }, (t) => ({ y: tl.neg(t.x) }));
    return { us: microseconds(() => callable.sync(feeds)) };
  },
};
