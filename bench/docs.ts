// Puts the table into docs/performance.md, between two marker comments.

import { readFileSync, writeFileSync } from 'node:fs';

const PAGE = new URL('../docs/performance.md', import.meta.url);
const BEGIN = '<!-- table: npm run bench -- --write-docs -->';
const END = '<!-- end of table -->';

/** Replaces what stands between the markers. Throws where they are missing. */
export function writeDocs(text: string): void {
  const page = readFileSync(PAGE, 'utf8');
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error('docs/performance.md has no markers for the table');
  writeFileSync(PAGE, `${page.slice(0, begin + BEGIN.length)}\n\n${text}\n\n${page.slice(end)}`);
}
