// How the tests run: every file in a process of its own, two at a time; those in a page, in Chromium; then
// the few that measure, one after the other with nothing beside them.

import { existsSync } from 'node:fs';
import { playwright } from '@vitest/browser-playwright';
import { defineConfig, type TestProjectConfiguration } from 'vitest/config';
import { CHROMIUM, FLAGS, WEBGPU_FLAGS } from './test/support/chromium.ts';

const common = {
  pool: 'forks' as const,
  testTimeout: 60_000,
  watch: false,
  setupFiles: ['test/support/webgpu-driver.ts'],
};

const { REQUIRE_BROWSER, REQUIRE_WEBGPU, TENSORLOOM_MATRIX } = process.env;
const hasPage = existsSync(CHROMIUM) || REQUIRE_BROWSER === '1';
if (!hasPage) console.warn(`test/page is skipped: there is no ${CHROMIUM}`);

/** In a page that is cross-origin isolated, so that the cpu backend has its threads. */
const page: TestProjectConfiguration = {
  // Found late, they would have the page loaded again in mid-run.
  optimizeDeps: { include: ['immer', '@dagrejs/graphlib'], exclude: ['webgpu'] },
  server: {
    headers: {
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'require-corp',
    },
  },
  test: {
    name: 'page',
    include: ['test/page/**/*.test.ts'],
    testTimeout: 120_000,
    provide: {
      kit: {
        sample: TENSORLOOM_MATRIX === 'all' ? 1 : 0.1,
        needsGpu: REQUIRE_WEBGPU === '1',
      },
    },
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      provider: playwright({
        launchOptions: { executablePath: CHROMIUM, args: [...FLAGS, ...WEBGPU_FLAGS] },
      }),
      instances: [{ browser: 'chromium' }],
    },
    sequence: { groupOrder: 1 },
  },
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
          exclude: ['test/alone/**', 'test/page/**'],
          sequence: { groupOrder: 0 },
        },
      },
      ...(hasPage ? [page] : []),
      {
        test: {
          ...common,
          name: 'alone',
          include: ['test/alone/**/*.test.ts'],
          fileParallelism: false,
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
