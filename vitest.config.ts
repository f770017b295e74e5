// How the tests run: every file in a process of its own, two at a time; then the few that measure, one
// after the other with nothing beside them.

import { defineConfig } from 'vitest/config';

const common = {
  pool: 'forks',
  testTimeout: 60_000,
  watch: false,
  setupFiles: ['test/support/webgpu-driver.ts'],
};

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      {
        test: {
          ...common,
          name: 'tests',
          include: ['test/**/*.test.ts'],
          exclude: ['test/alone/**'],
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...common,
          name: 'alone',
          include: ['test/alone/**/*.test.ts'],
          fileParallelism: false,
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
