// How the tests run: every file in a process of its own, two at a time, once and without watching.

import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    watch: false,
  },
});
