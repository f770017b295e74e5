// The cpu backend in Chromium, isolated and not: the same bits as in Node, from the built files and an
// import map alone. Skipped where there is no Chromium, unless REQUIRE_BROWSER=1 demands it.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as tl from '../../src/index.ts';
import { CHROMIUM } from '../support/chromium.ts';
import { conformance } from './conformance.ts';
import { program } from './program.ts';
import { bundleConformance, type Site, serve, startBrowser } from './site.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const hasBrowser = existsSync(CHROMIUM);
const skip = !hasBrowser && process.env.REQUIRE_BROWSER !== '1';
if (skip) console.warn(`browser tests are skipped: there is no ${CHROMIUM}`);

interface PageReport {
  readonly isolated: boolean;
  readonly sync: readonly { readonly type: string; readonly code: string }[];
  readonly ticks: number;
  readonly longest: number;
  readonly aborted: unknown;
  readonly same: boolean;
}

describe.skipIf(skip)('the cpu backend in a page', () => {
  let dist = '';
  let browser: Browser;

  beforeAll(async () => {
    dist = mkdtempSync(join(tmpdir(), 'tensorloom-page-'));
    const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
    execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', dist], {
      cwd: ROOT,
    });
    await bundleConformance(dist);
    browser = await startBrowser();
  }, 240_000);

  afterAll(async () => {
    await browser?.close();
    if (dist) rmSync(dist, { recursive: true });
  });

  for (const isolated of [true, false]) {
    describe(isolated ? 'cross-origin isolated' : 'not isolated', () => {
      let site: Site;
      let page: Page;
      const messages: string[] = [];

      const run = <T>(name: string): Promise<T> =>
        page.evaluate(
          (test) =>
            (globalThis as unknown as { runTest(name: string): Promise<never> }).runTest(test),
          name,
        );

      beforeAll(async () => {
        site = await serve(dist, isolated);
        page = await browser.newPage();
        page.on('console', (m) => messages.push(m.text()));
        page.on('pageerror', (e) => messages.push(String(e)));
        await page.goto(site.url);
        await page.waitForFunction(() => 'runTest' in globalThis, undefined, { timeout: 30_000 });
      }, 60_000);

      afterAll(async () => {
        await page?.close();
        await site?.close();
      });

      it('gives the same bits and the same errors as Node', async () => {
        const want = JSON.parse(JSON.stringify(await program(tl)));
        const got = JSON.parse(JSON.stringify(await run('program')));
        expect(got).toEqual(want);
      });

      it('never blocks, has no sync forms, and gives the same bits on two threads', async () => {
        const { sync, ticks, longest, aborted, same, ...rest } = await run<PageReport>('pageOnly');
        expect(rest.isolated).toBe(isolated);
        expect(sync.map(({ type, code }) => [type, code])).toEqual(
          sync.map(() => ['UnsupportedError', 'session/sync']),
        );
        // Half a second of timers each 10 ms, on a machine that may be busy.
        expect(ticks).toBeGreaterThan(10);
        expect(longest).toBeLessThan(400);
        expect(same).toBe(true);
        if (isolated) {
          expect(aborted).toMatchObject({
            type: 'AbortedError',
            code: 'run/aborted',
            cause: 'enough',
          });
        }
      });

      it('says once where there is one thread only', () => {
        const about = messages.filter((m) => m.includes('cross-origin isolated'));
        expect(about).toHaveLength(isolated ? 0 : 1);
        expect(messages.filter((m) => !about.includes(m))).toEqual([]);
      });

      it('gives the bits of Node in a tenth of the conformance cases', async () => {
        const want = await conformance();
        expect(Object.keys(want).length).toBeGreaterThan(20);
        expect(await run('conformance')).toEqual(want);
      }, 240_000);
    });
  }
});
