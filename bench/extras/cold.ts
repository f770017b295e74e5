// What a fresh process waits for: the first result of a graph, and the first run against a warm one. The
// package is loaded before the clock starts.

import { makeInputs } from '../data.ts';
import { rig } from '../peers/rig.ts';
import { inputsOf, makeTrain, small50 as small50Graph, staticRig } from '../peers/tensorloom.ts';
import { median } from '../stats.ts';
import { workloadNamed } from '../workloads/all.ts';
import type { Measurement } from './types.ts';

const WARM_MS = 500;
const LEAST_CALLS = 8;

export const small50: Measurement = {
  async run(threads) {
    const workload = workloadNamed('small50');
    const inputs = inputsOf(workload, makeInputs(workload));
    const began = performance.now();
    const { callable, feeds } = await rig(threads, inputs, (t) => ({ y: small50Graph(t) }));
    await callable(feeds);
    return { ms: performance.now() - began };
  },
};

export const mlpTrain: Measurement = {
  async run(threads) {
    const inputs = makeInputs(workloadNamed('mlp_train'));
    const began = performance.now();
    const runner = await makeTrain(threads)(inputs);
    await runner.call(0);
    return { ms: performance.now() - began };
  },
};

export const firstRun: Measurement = {
  async run(threads, name) {
    const { callable, feeds } = await staticRig(name, threads, makeInputs(workloadNamed(name)));
    const times: number[] = [];
    const began = performance.now();
    let last = began;
    while (times.length < LEAST_CALLS || last - began < WARM_MS) {
      await callable(feeds);
      const now = performance.now();
      times.push(now - last);
      last = now;
    }
    const warm = median(times.slice(Math.floor(times.length / 2)));
    return { [name]: times[0] / warm };
  },
};
