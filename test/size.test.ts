// What a page has to load: the whole public face with its dependencies, bundled and compressed.

import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { expect, it } from 'vitest';

/** Bytes, gzipped. */
const LIMIT = 120 * 1024;

it(`the bundled core is at most ${LIMIT / 1024} KB, compressed`, async () => {
  const { outputFiles } = await build({
    entryPoints: ['src/index.ts'],
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    write: false,
    logLevel: 'silent',
  });
  const size = gzipSync(outputFiles[0].contents, { level: 9 }).length;
  expect(size).toBeGreaterThan(10 * 1024);
  expect(size).toBeLessThanOrEqual(LIMIT);
});
