// The example page in Chromium, isolated and not, on wide and narrow screens: it learns, a digit is
// drawn, and the answer is read. Skipped where there is no Chromium, unless REQUIRE_BROWSER=1.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright';
import { createServer, type ViteDevServer } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHROMIUM } from '../support/chromium.ts';
import { startBrowser } from './site.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const skip = !existsSync(CHROMIUM) && process.env.REQUIRE_BROWSER !== '1';
if (skip) console.warn(`browser tests are skipped: there is no ${CHROMIUM}`);

describe.skipIf(skip)('the digits page', () => {
  let dist = '';
  let browser: Browser;

  beforeAll(async () => {
    // Within the project, where the built library finds its dependencies.
    mkdirSync(join(ROOT, 'out'), { recursive: true });
    dist = mkdtempSync(join(ROOT, 'out', 'digits-page-'));
    const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
    execFileSync(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', dist], {
      cwd: ROOT,
    });
    process.env.TENSORLOOM_DIST = dist;
    browser = await startBrowser({ webgpu: true });
  }, 240_000);

  afterAll(async () => {
    await browser?.close();
    if (dist) rmSync(dist, { recursive: true });
  });

  for (const { isolated, width } of [
    { isolated: true, width: 1440 },
    { isolated: false, width: 390 },
  ]) {
    describe(`${isolated ? 'isolated' : 'not isolated'}, ${width} pixels wide`, () => {
      let server: ViteDevServer;
      let page: Page;
      const errors: string[] = [];
      const text = async (id: string): Promise<string> =>
        (await page.locator(`#${id}`).textContent()) ?? '';

      /** Draws a straight line down the middle of the drawing area, by mouse. */
      const drawOne = async (): Promise<void> => {
        const pad = page.locator('#pad');
        await pad.scrollIntoViewIfNeeded();
        const box = await pad.boundingBox();
        if (!box) throw new Error('the drawing area has no place');
        const x = box.x + box.width / 2;
        await page.mouse.move(x, box.y + box.height * 0.2);
        await page.mouse.down();
        await page.mouse.move(x, box.y + box.height * 0.8, { steps: 12 });
        await page.mouse.up();
      };

      const answered = (digit: string): Promise<unknown> =>
        page.waitForFunction(
          (want) => document.getElementById('answer')?.textContent === want,
          digit,
        );

      /** Waits until so many steps are done. */
      const steps = (count: number): Promise<unknown> =>
        page.waitForFunction(
          (want) => Number(document.getElementById('step')?.textContent?.replace(/,/g, '')) >= want,
          count,
          { timeout: 120_000 },
        );

      beforeAll(async () => {
        process.env.ISOLATED = isolated ? '1' : '0';
        server = await createServer({
          configFile: join(ROOT, 'examples', 'digits-page', 'vite.config.ts'),
          server: { port: 0, host: '127.0.0.1', hmr: false, watch: null },
          logLevel: 'error',
        });
        await server.listen();
        page = await browser.newPage({ viewport: { width, height: 900 } });
        page.on('pageerror', (e) => errors.push(String(e)));
        page.on('console', (m) => {
          if (m.type() === 'error') errors.push(m.text());
        });
        await page.goto(server.resolvedUrls?.local[0] ?? '');
        await page.waitForFunction(
          () => document.getElementById('note')?.textContent?.startsWith('Ready'),
          undefined,
          { timeout: 90_000 },
        );
      }, 120_000);

      afterAll(async () => {
        await page?.close();
        await server?.close();
      });

      it('learns and answers on the CPU', { timeout: 180_000 }, async () => {
        expect(await page.evaluate(() => crossOriginIsolated)).toBe(isolated);
        await page.getByRole('button', { name: 'Start' }).click();
        await steps(120);
        await page.getByLabel('Batch').selectOption('32');
        await steps(150);
        await page.getByRole('button', { name: 'Pause' }).click();
        await page.waitForFunction(
          () => Number.parseFloat(document.getElementById('accuracy')?.textContent ?? '0') > 70,
        );
        // The plan of the step, and those of evaluation, answer and start: none for a new batch size.
        const plans = Number(await text('plans'));
        expect(plans).toBeLessThanOrEqual(4);
        await drawOne();
        await answered('1');
        const shares = await page.locator('#bars .share').allTextContents();
        const sum = shares.reduce((n, s) => n + Number.parseFloat(s), 0);
        expect(Math.abs(sum - 100)).toBeLessThan(1);
        await page.getByRole('button', { name: 'Clear' }).click();
        await answered('–');
        expect(errors).toEqual([]);
      });

      it('draws by keyboard', { timeout: 60_000 }, async () => {
        await page.locator('#pad').focus();
        await page.keyboard.press('Space');
        for (let i = 0; i < 14; i++) await page.keyboard.press('ArrowDown');
        await answered('1');
        await page.keyboard.press('Delete');
        await answered('–');
      });

      it('goes on and answers on WebGPU', { timeout: 180_000 }, async (context) => {
        const choice = page.getByLabel('WebGPU');
        if (await choice.isDisabled()) {
          expect(process.env.REQUIRE_WEBGPU, 'Chromium has no WebGPU adapter').not.toBe('1');
          context.skip('Chromium has no WebGPU adapter');
        }
        await choice.check();
        await page.waitForFunction(
          () => document.getElementById('note')?.textContent?.startsWith('Now on WebGPU'),
          undefined,
          { timeout: 60_000 },
        );
        const before = Number((await text('step')).replace(/,/g, ''));
        await page.getByLabel('Batch').selectOption('16');
        await page.getByRole('button', { name: 'Start' }).click();
        await steps(before + 5);
        await page.getByRole('button', { name: 'Pause' }).click();
        await drawOne();
        await answered('1');
        expect(errors).toEqual([]);
      });

      it('fits the screen', async () => {
        const [inner, scroll] = await page.evaluate(() => [
          document.documentElement.clientWidth,
          document.documentElement.scrollWidth,
        ]);
        expect(scroll).toBeLessThanOrEqual(inner);
        const shots = process.env.TENSORLOOM_SHOTS;
        if (!shots) return;
        for (const colorScheme of ['light', 'dark'] as const) {
          await page.emulateMedia({ colorScheme });
          await page.waitForTimeout(300);
          await page.screenshot({
            path: join(shots, `${width}-${colorScheme}.png`),
            fullPage: true,
          });
        }
      });
    });
  }
});
