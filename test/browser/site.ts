// A web site for the browser tests: the built library, its dependencies and the test program, served
// with or without the headers that isolate a page; and the browser that looks at it.

import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import { build } from 'esbuild';
import ts from 'typescript';
import { CHROMIUM, FLAGS, WEBGPU_FLAGS } from '../support/chromium.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const IMPORTS = {
  tensorloom: '/dist/index.js',
  immer: '/node_modules/immer/dist/immer.production.mjs',
  '@dagrejs/graphlib': '/node_modules/@dagrejs/graphlib/dist/graphlib.esm.js',
};

const PAGE = `<!doctype html><title>tests</title><link rel="icon" href="data:,">
<script type="importmap">${JSON.stringify({ imports: IMPORTS })}</script>
<script type="module">
import * as tl from 'tensorloom';
import * as tests from '/test/browser/program.js';
globalThis.runTest = async (name) => {
  if (name !== 'conformance') return tests[name](tl);
  const { conformance } = await import('/dist/bundle/conformance.js');
  return conformance();
};
</script>`;

const TYPES: Record<string, string> = {
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.html': 'text/html',
};

/** What the site has under a path; undefined where it has nothing. */
function contents(path: string, dist: string): string | undefined {
  if (path === '/index.html') return PAGE;
  const clean = normalize(path);
  if (clean.startsWith('/test/') && clean.endsWith('.js')) {
    const source = readFileSync(join(ROOT, clean.replace(/js$/, 'ts')), 'utf8');
    const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext };
    return ts.transpileModule(source, { compilerOptions }).outputText;
  }
  const file = clean.startsWith('/dist/') ? join(dist, clean.slice(6)) : join(ROOT, clean);
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}

/** Bundles the conformance cases with the sources, and beside them the scripts of the workers. */
export async function bundleConformance(dist: string): Promise<void> {
  await build({
    entryPoints: [
      join(ROOT, 'test', 'browser', 'conformance.ts'),
      join(ROOT, 'src', 'backends', 'cpu', 'page-worker.ts'),
      join(ROOT, 'src', 'backends', 'cpu', 'page-thread.ts'),
    ],
    outdir: join(dist, 'bundle'),
    entryNames: '[name]',
    bundle: true,
    format: 'esm',
    target: 'es2022',
    // What package.json says of side effects is about the built files.
    ignoreAnnotations: true,
    define: { 'process.env.TENSORLOOM_MATRIX': '""', 'process.env.NODE_ENV': '"production"' },
    plugins: [
      {
        // Cases are only built here, and compared by the test.
        name: 'no vitest',
        setup({ onResolve, onLoad }) {
          onResolve({ filter: /^vitest$/ }, () => ({ path: 'vitest', namespace: 'none' }));
          onLoad({ filter: /.*/, namespace: 'none' }, () => ({
            contents: 'export const expect = undefined;',
          }));
        },
      },
    ],
  });
}

/** A site that is being served. */
export interface Site {
  readonly url: string;
  close(): Promise<void>;
}

/** Serves the library built in the folder `dist`. */
export async function serve(dist: string, isolated: boolean): Promise<Site> {
  const server = createServer(({ url = '/' }, response) => {
    const body = contents(url, dist);
    response.writeHead(body === undefined ? 404 : 200, {
      'Content-Type': TYPES[extname(url)] ?? 'text/plain',
      ...(isolated
        ? {
            'Cross-Origin-Opener-Policy': 'same-origin',
            'Cross-Origin-Embedder-Policy': 'require-corp',
          }
        : {}),
    });
    response.end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/index.html`,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

/** Starts the browser, with a profile of its own: without WebGPU, or with the emulated one. */
export async function startBrowser({ webgpu = false } = {}) {
  const { chromium } = await import('playwright');
  return chromium.launch({
    executablePath: CHROMIUM,
    args: [...FLAGS, ...(webgpu ? WEBGPU_FLAGS : ['--disable-gpu'])],
    chromiumSandbox: false,
  });
}
