// The examples run as a user would run them: exit status, what they print, what they write.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..');

function example(file: string, ...args: string[]): string {
  const tsx = join(ROOT, 'node_modules', 'tsx', 'dist', 'cli.mjs');
  return execFileSync(process.execPath, [tsx, join('examples', file), ...args], {
    cwd: ROOT,
    encoding: 'utf8',
  });
}

it('first fits a line', () => {
  expect(example('first/main.ts')).toBe('y = 2.000 x + 1.000\n');
});

it('digits learns, shows what it learnt and writes its graph', { timeout: 120_000 }, () => {
  const out = mkdtempSync(join(tmpdir(), 'tensorloom-digits-'));
  try {
    const text = example('digits/main.ts', '--out', out);
    const accuracy = Number(/held-out accuracy ([\d.]+)% of 2000/.exec(text)?.[1]);
    expect(accuracy).toBeGreaterThanOrEqual(95);
    // One plan each for the initial values, all training steps (the odd last batch too), evaluation.
    expect(Number(/(\d+) plans,/.exec(text)?.[1])).toBeLessThanOrEqual(3);
    expect(readFileSync(join(out, 'digits.dot'), 'utf8')).toMatch(
      /^digraph [\s\S]*subgraph cluster_s\d+ \{[\s\S]*hidden1/m,
    );
    expect(readFileSync(join(out, 'digits.mmd'), 'utf8')).toMatch(/^flowchart BT\n/);
  } finally {
    rmSync(out, { recursive: true });
  }
});

it('digits learns by convolutions', { timeout: 240_000 }, () => {
  const out = mkdtempSync(join(tmpdir(), 'tensorloom-conv-'));
  try {
    const text = example('digits/main.ts', '--model', 'conv', '--out', out);
    const accuracy = Number(/held-out accuracy ([\d.]+)% of 2000/.exec(text)?.[1]);
    expect(accuracy).toBeGreaterThanOrEqual(98);
  } finally {
    rmSync(out, { recursive: true });
  }
});
