// Two threads after a pause: the second thread sleeps, and waking it must not cost what it brings.

import { setTimeout as sleep } from 'node:timers/promises';
import { makeInputs } from '../data.ts';
import { staticRig } from '../peers/tensorloom.ts';
import { median } from '../stats.ts';
import { workloadNamed } from '../workloads/all.ts';
import type { Measurement } from './types.ts';

const PAUSE_MS = 50;
const ROUNDS = 30;
const WARM_UP = 20;

export const idle: Measurement = {
  async run(_threads, name) {
    const inputs = makeInputs(workloadNamed(name));
    const rigs = [await staticRig(name, 2, inputs), await staticRig(name, 1, inputs)];
    for (const { callable, feeds } of rigs) {
      for (let i = 0; i < WARM_UP; i++) await callable(feeds);
    }
    const times: number[][] = [[], []];
    for (let round = 0; round < ROUNDS; round++) {
      for (const [which, { callable, feeds }] of rigs.entries()) {
        await sleep(PAUSE_MS);
        const began = performance.now();
        await callable(feeds);
        times[which].push(performance.now() - began);
      }
    }
    for (const { session } of rigs) await session.close();
    return { [name]: median(times[0]) / median(times[1]) };
  },
};
