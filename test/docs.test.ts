// The pages of the documentation run: the `ts` blocks of each page as one program, against the source,
// and what its lines print is what stands behind them.

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, expect, it, vi } from 'vitest';
import * as tl from '../src/index.ts';

const ROOT = join(import.meta.dirname, '..');
mkdirSync(join(ROOT, 'out'), { recursive: true });
const scratch = mkdtempSync(join(ROOT, 'out', 'docs-'));
afterAll(() => rmSync(scratch, { recursive: true }));

/** The source of each entry point. */
const ENTRIES = {
  tensorloom: 'src/index.ts',
  'tensorloom/backend': 'src/backend.ts',
  'tensorloom/conformance': 'src/conformance/index.ts',
} as const;

const pages = [
  'README.md',
  ...readdirSync(join(ROOT, 'docs'))
    .filter((f) => f.endsWith('.md'))
    .map((f) => `docs/${f}`),
];

for (const page of pages) {
  const source = readFileSync(join(ROOT, page), 'utf8');
  const blocks = [...source.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map((m) => m[1]);
  if (blocks.length === 0) continue;
  it(page, async () => {
    tl.resetDefaultGraph();
    const code = blocks
      .join('\n')
      .replaceAll(/(?<= from )'(tensorloom[/a-z]*)'/g, (_, name) =>
        JSON.stringify(join(ROOT, ENTRIES[name as keyof typeof ENTRIES])),
      );
    const expected = code
      .split('\n')
      .filter((line) => line.includes('console.log('))
      .map((line) => / \/\/ (.*)$/.exec(line)?.[1]);
    const printed: string[] = [];
    const log = vi.spyOn(console, 'log').mockImplementation((...args: unknown[]) => {
      printed.push(
        args
          .map((a) =>
            typeof a === 'string' ? a : inspect(a, { breakLength: Number.POSITIVE_INFINITY }),
          )
          .join(' '),
      );
    });
    try {
      const file = join(scratch, `${page.replaceAll('/', '-')}.ts`);
      writeFileSync(file, code);
      await import(file);
    } finally {
      log.mockRestore();
    }
    expect(printed).toEqual(expected);
  });
}
