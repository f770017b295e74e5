// How training reports itself: a bar that redraws in place on a terminal, plain lines elsewhere.

import { styleText } from 'node:util';

export interface Progress {
  step(done: number, total: number, text: string): void;
  /** Ends the line in progress. */
  line(text: string): void;
}

/** Reports to a stream; `every` is the least time between two plain lines, in milliseconds. */
export function makeProgress(out: NodeJS.WriteStream, every = 2000): Progress {
  const live = out.isTTY === true;
  let last = 0;
  let width = 0;
  return {
    step(done, total, text) {
      const now = performance.now();
      if (live) {
        if (now - last < 50 && done < total) return;
        last = now;
        const filled = Math.round((done / total) * 24);
        const bar = styleText('cyan', '█'.repeat(filled)) + '░'.repeat(24 - filled);
        const plain = ` ${text}`;
        out.write(`\r${bar}${plain.padEnd(width)}`);
        width = plain.length;
      } else if (now - last >= every || done === total) {
        last = now;
        out.write(`${Math.round((done / total) * 100)}% ${text}\n`);
      }
    },
    line(text) {
      if (live) out.write('\n');
      out.write(`${text}\n`);
    },
  };
}

/** A confusion matrix as text: rows are the true digits, columns the answers. */
export function confusionText(counts: readonly (readonly number[])[]): string {
  const head = ['true', ...counts.map((_, i) => String(i))];
  const rows = counts.map((row, i) => [String(i), ...row.map((n) => (n === 0 ? '·' : String(n)))]);
  return [head, ...rows].map((r) => r.map((c) => c.padStart(5)).join('')).join('\n');
}
