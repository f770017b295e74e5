// The conformance kit in Chromium, on both backends of a page: a tenth of it, or all with the full
// matrix. Skipped where there is no Chromium or it has no WebGPU, unless REQUIRE_BROWSER=1 and
// REQUIRE_WEBGPU=1 demand them.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ConformanceReport } from '../../src/conformance/index.ts';
import { ALL } from '../support/matrix.ts';
import { CHROMIUM, type Site, serve, startBrowser } from './site.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const skip = !existsSync(CHROMIUM) && process.env.REQUIRE_BROWSER !== '1';
if (skip) console.warn(`browser tests are skipped: there is no ${CHROMIUM}`);

describe.skipIf(skip)('the kit in a page', () => {
  let dist = '';
  let browser: Browser;
  let site: Site;
  let page: Page;

  const run = <T>(name: string): Promise<T> =>
    page.evaluate(
      (test) => (globalThis as unknown as { runTest(name: string): Promise<never> }).runTest(test),
      name,
    );

  beforeAll(async () => {
    dist = mkdtempSync(join(tmpdir(), 'tensorloom-kit-'));
    const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
    execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', dist], {
      cwd: ROOT,
    });
    browser = await startBrowser({ webgpu: true });
    site = await serve(dist, true);
    page = await browser.newPage();
    await page.goto(site.url);
    await page.waitForFunction(() => 'runTest' in globalThis, undefined, { timeout: 30_000 });
  }, 240_000);

  afterAll(async () => {
    await browser?.close();
    await site?.close();
    if (dist) rmSync(dist, { recursive: true });
  });

  for (const backend of ['webgpu', 'cpu']) {
    it(`passes on ${backend}`, { timeout: 1_800_000 }, async (context) => {
      if (backend === 'webgpu' && !(await run<boolean>('webgpu'))) {
        expect(process.env.REQUIRE_WEBGPU, 'Chromium has no WebGPU adapter').not.toBe('1');
        context.skip('Chromium has no WebGPU adapter');
      }
      const { ops } = await run<ConformanceReport>(`kit ${backend} ${ALL ? 1 : 0.1}`);
      // What needs 64 bits is all that a GPU may refuse.
      const bad = Object.entries(ops).flatMap(([op, r]) =>
        r.reasons
          .filter((why) => !why.includes('WGSL has no 64 bits'))
          .map((why) => `${op}: ${why}`),
      );
      expect(bad).toEqual([]);
      expect(Object.values(ops).reduce((n, r) => n + r.passed, 0)).toBeGreaterThan(150);
    });
  }
});
