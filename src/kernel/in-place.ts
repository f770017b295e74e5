// Which results of a kernel may stand where one of its inputs stands. Invariant: of a pair, each point of the
// grid reads the input only at the index where it writes the result, and before it does (see `Kernel`).

import { type Dim, dimEquals } from '../core/dim.ts';
import type { Kernel, Stmt } from './ir.ts';
import { exprsOf, walkExprs } from './rewrite.ts';

/** Positions in the kernel's list of buffers. */
export interface InPlacePair {
  readonly input: number;
  readonly result: number;
}

/** The pairs of an input and a result of a kernel without loops but those of its grid. */
export function inPlacePairs(kernel: Kernel): InPlacePair[] {
  const body = pointOf(kernel.body);
  if (!body) return [];
  const writes = new Map<string, Dim[]>();
  const reads = new Map<string, { index: Dim; at: number }[]>();
  const lastWrite = new Map<string, number>();
  body.forEach((s, at) => {
    walkExprs(exprsOf(s), (e) => {
      if (e.op !== 'load') return;
      reads.set(e.buffer, [...(reads.get(e.buffer) ?? []), { index: e.index, at }]);
    });
    if (s.kind !== 'store') return;
    writes.set(s.buffer, [...(writes.get(s.buffer) ?? []), s.index]);
    lastWrite.set(s.buffer, at);
  });
  const pairs: InPlacePair[] = [];
  kernel.buffers.forEach((result, w) => {
    const indices = writes.get(result.name);
    if (result.access !== 'write' || indices?.length !== 1) return;
    const [index] = indices;
    const until = lastWrite.get(result.name) as number;
    kernel.buffers.forEach((input, r) => {
      if (input.access !== 'read' || input.type !== result.type) return;
      const found = reads.get(input.name) ?? [];
      if (found.every((read) => read.at <= until && dimEquals(read.index, index))) {
        pairs.push({ input: r, result: w });
      }
    });
  });
  return pairs;
}

/** What is done at a point of the grid, if that is a straight line. */
function pointOf(stmts: readonly Stmt[]): readonly Stmt[] | undefined {
  let body = stmts;
  while (body.length === 1 && body[0].kind === 'for' && body[0].role === 'grid') {
    body = body[0].body;
  }
  return body.every((s) => s.kind === 'let' || s.kind === 'store' || s.kind === 'fail')
    ? body
    : undefined;
}
