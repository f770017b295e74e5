// Serves the page with the built library and the digits as bytes.
//   npm run digits-page             threads of the cpu backend, as the page is cross-origin isolated
//   ISOLATED=0 npm run digits-page  one thread

import { join } from 'node:path';
import { defineConfig, type Plugin } from 'vite';
import { readDigits } from '../digits/load.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const DIST = process.env.TENSORLOOM_DIST ?? join(ROOT, 'dist');

/** The digits, a byte for each label and each pixel: 785 for each digit. */
function digitBytes(): Uint8Array {
  const { images, labels } = readDigits();
  const out = new Uint8Array(785 * images.length);
  images.forEach((image, i) => {
    out[785 * i] = labels[i];
    out.set(
      Array.from(image, (v) => Math.round(255 * v)),
      785 * i + 1,
    );
  });
  return out;
}

const digits: Plugin = {
  name: 'digits',
  configureServer: ({ middlewares }) => {
    let bytes: Uint8Array | undefined;
    middlewares.use('/digits.bin', (_request, response) => {
      bytes ??= digitBytes();
      response.setHeader('Content-Type', 'application/octet-stream');
      response.end(bytes);
    });
  },
  generateBundle() {
    this.emitFile({ type: 'asset', fileName: 'digits.bin', source: digitBytes() });
  },
};

const isolation = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};
const headers = process.env.ISOLATED === '0' ? {} : isolation;

export default defineConfig({
  root: import.meta.dirname,
  base: './',
  plugins: [digits],
  // The model of the other example imports the sources; there must be one library only.
  resolve: {
    alias: [
      { find: /^(tensorloom|\.\.\/\.\.\/src\/index\.ts)$/, replacement: join(DIST, 'index.js') },
    ],
  },
  optimizeDeps: { exclude: ['webgpu'] },
  worker: { format: 'es' },
  build: { target: 'es2022', outDir: join(ROOT, 'out', 'digits-page'), emptyOutDir: true },
  server: { headers, fs: { allow: [ROOT, DIST] } },
  preview: { headers },
});
