// The package as users get it: packed, installed into an empty folder, used from plain JavaScript and
// from a strict TypeScript program, under this Node and Node 22.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..');
let folder = '';

function run(command: string, args: readonly string[], cwd = folder): string {
  return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

const PROGRAM = `
const x = tl.placeholder('float32', [null, 2], { name: 'x' });
const w = tl.variable([[1], [2]], { name: 'w' });
const y = x.matmul(w).add(0.5);
const train = new tl.AdamOptimizer(0.1).minimize(tl.reduceMean(y.square()));
const session = new tl.Session();
await session.run(tl.globalVariablesInitializer());
const out = await session.run({ y, train }, [[x, [[1, 1], [2, 0]]]]);
console.log(JSON.stringify(out.y.toArray()), String(y));
await session.close();
`;
const PRINTED = `[[3.5],[2.5]] Tensor 'Add:0' shape=(?, 1) dtype=float32\n`;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tensorloom-package-'));
  run('npm', ['run', 'build', '--silent'], ROOT);
  run('npm', ['pack', '--silent', '--pack-destination', folder], ROOT);
  const tarball = readdirSync(folder).find((f) => f.endsWith('.tgz')) as string;
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify({ name: 'user', private: true, type: 'module' }),
  );
  run('npm', ['install', '--silent', '--no-audit', '--no-fund', `./${tarball}`, 'node@22']);
  writeFileSync(join(folder, 'plain.js'), `import * as tl from 'tensorloom';\n${PROGRAM}`);
  writeFileSync(
    join(folder, 'strict.ts'),
    `import * as tl from 'tensorloom';
const n: tl.Tensor<'float32'> = tl.placeholder('float32', ['batch'], { name: 'n' });
const session0: tl.Session = new tl.Session();
const got: { m: tl.NDArray } = await session0.run({ m: n.mean() }, { n: [1, 2, 3] });
const data: number = got.m.item();
if (data !== 2) throw new Error(String(data));
await session0.close();
tl.resetDefaultGraph();
${PROGRAM}`,
  );
  const compilerOptions = {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    target: 'es2022',
    module: 'nodenext',
    types: [],
    lib: ['es2023', 'dom'],
  };
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions, files: ['strict.ts'] }),
  );
}, 240_000);

afterAll(() => {
  if (folder) rmSync(folder, { recursive: true });
});

describe('the packed package', () => {
  it('works from plain JavaScript under this Node', () => {
    expect(run(process.execPath, ['plain.js'])).toBe(PRINTED);
  });

  it('works from plain JavaScript under Node 22', () => {
    const node22 = join(folder, 'node_modules', '.bin', 'node');
    expect(existsSync(node22)).toBe(true);
    expect(run(node22, ['--version'])).toMatch(/^v22\./);
    expect(run(node22, ['plain.js'])).toBe(PRINTED);
  });

  it('works when bundled: what registers ops and backends is not shaken off', async () => {
    const outfile = join(folder, 'bundled.js');
    await build({
      entryPoints: [join(folder, 'plain.js')],
      outfile,
      bundle: true,
      format: 'esm',
      logLevel: 'error',
    });
    expect(run(process.execPath, [outfile])).toBe(PRINTED);
  });

  it('works from a strict TypeScript program', () => {
    run(process.execPath, [join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', '.']);
    expect(run(process.execPath, ['strict.js'])).toBe(PRINTED);
    expect(run(join(folder, 'node_modules', '.bin', 'node'), ['strict.js'])).toBe(PRINTED);
  });

  it('has what publishers check for', () => {
    run(
      process.execPath,
      [join(ROOT, 'node_modules', 'publint', 'src', 'cli.js'), '--strict'],
      ROOT,
    );
  });
});
