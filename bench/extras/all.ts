// The further measurements by name, for `--only`. The harness reads this list; what measures is loaded in
// the measuring processes only.

import type { Extra } from './types.ts';

const COLD = 'from graph construction to the first result, modules loaded, a fresh process';

export const extras: Readonly<Record<string, Extra>> = {
  cold_small50: {
    about: `small50 ${COLD}`,
    unit: 'ms',
    repeats: 7,
    limits: { ms: { most: 20 } },
    load: async () => (await import('./cold.ts')).small50,
  },
  cold_mlp_train: {
    about: `mlp_train ${COLD}`,
    unit: 'ms',
    repeats: 7,
    limits: { ms: { most: 60 } },
    load: async () => (await import('./cold.ts')).mlpTrain,
  },
  coldrun: {
    about: 'the first run, planning and compiling included, over a warm one',
    unit: 'times',
    repeats: 3,
    variants: ['mm512', 'mm1024', 'eltwise4M', 'conv2d'],
    limits: {
      mm512: { most: 2 },
      mm1024: { most: 2 },
      eltwise4M: { most: 2 },
      conv2d: { most: 2 },
    },
    load: async () => (await import('./cold.ts')).firstRun,
  },
  small50_run: {
    about: 'small50 through session.run, inputs resident',
    unit: 'µs',
    repeats: 3,
    limits: { us: { most: 8 } },
    load: async () => (await import('./overhead.ts')).small50Run,
  },
  small50_sync: {
    about: 'small50 through the sync form of a callable',
    unit: 'µs',
    repeats: 3,
    limits: { us: { most: 5 } },
    load: async () => (await import('./overhead.ts')).small50Sync,
  },
  oneop_sync: {
    about: 'a graph of one op on 16 elements through the sync form of a callable',
    unit: 'µs',
    repeats: 3,
    limits: { us: { most: 2 } },
    load: async () => (await import('./overhead.ts')).oneOpSync,
  },
  batches200: {
    about:
      'mlp_train with 200 batch sizes in random order: compiled after the warm-up, growth of memory ' +
      'after the largest, time over that of a graph with the size fixed',
    unit: '',
    repeats: 1,
    flags: ['--expose-gc'],
    limits: {
      plansAfterWarmUp: { most: 0 },
      kernelsAfterWarmUp: { most: 0 },
      deviceGrowthMB: { most: 0 },
      overFixed: { most: 1.1 },
    },
    load: async () => (await import('./memory.ts')).batches,
  },
  flatmem: {
    about:
      '100,000 runs of small50, 5,000 of mlp_train, 100 sessions opened and closed: growth of the ' +
      "process; mlp_train's arena over its lower bound",
    unit: '',
    repeats: 1,
    variants: ['small50', 'mlp_train', 'sessions'],
    flags: ['--expose-gc'],
    limits: {
      small50MB: { most: 8 },
      mlp_trainMB: { most: 8 },
      sessionsMB: { most: 16 },
      sessionThreads: { most: 0 },
      arenaOverBound: { most: 1.3 },
    },
    load: async () => (await import('./memory.ts')).flat,
  },
  idle: {
    about: 'the first run on two threads after 50 ms of idleness, over the same on one thread',
    unit: 'times',
    repeats: 1,
    variants: ['small50', 'mm256', 'softmax', 'mlp_fwd', 'mm512'],
    limits: {
      small50: { most: 1.05 },
      mm256: { most: 1.05 },
      softmax: { most: 1.05 },
      mlp_fwd: { most: 1.05 },
      mm512: { most: 1.05 },
    },
    load: async () => (await import('./idle.ts')).idle,
  },
};
