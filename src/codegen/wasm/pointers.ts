// Pointers that advance with a loop, in place of index arithmetic: set before its turns, moved at the end
// of each. Accesses that differ by a small constant share one.

import { addDim, type Dim, mulDim } from '../../core/dim.ts';
import type { ForStmt } from '../../kernel/ir.ts';
import { storageBytes } from '../../kernel/scalar.ts';
import type { FunctionBuilder } from './assembler.ts';
import type { BufferInfo } from './known.ts';
import type { PointerRow } from './loops.ts';

/** How a pointer advances: by a number of bytes, or by what a local holds. */
export interface Step {
  readonly local: number;
  readonly bytes: number | { readonly local: number };
}

/** What the emitter of a kernel lends. */
export interface Parts {
  readonly f: FunctionBuilder;
  buffer(name: string): BufferInfo;
  /** Pushes a dim. */
  dim(d: Dim): void;
  /** Takes the locals of pointers, and the least constants of their rows. */
  readonly pointers: Map<string, number>;
}

/** Sets up a pointer for each row of accesses in a loop's body that advances by a fixed stride. */
export function setPointers(
  { axis, start, step }: ForStmt,
  rows: readonly PointerRow[],
  { f, buffer, dim, pointers }: Parts,
): Step[] {
  const steps: Step[] = [];
  for (const { key, buffer: name, base, coef, least } of rows) {
    const info = buffer(name);
    const size = storageBytes(info.type);
    const pointer = f.local('i32', `p_${name}`);
    const first = addDim(addDim(base, least), mulDim(coef, start));
    f.op('local.get', info.local);
    if (info.offset > 0) f.op('i32.const', info.offset).op('i32.add');
    dim(mulDim(first, size));
    f.op('i32.add').op('local.set', pointer);
    pointers.set(`${key}:${axis.id}`, pointer);
    pointers.set(`${key}:${axis.id}:least`, least);
    const bytes = mulDim(coef, size * step);
    if (bytes === 0) continue;
    if (typeof bytes === 'number') steps.push({ local: pointer, bytes });
    else {
      const stride = f.local('i32', 'stride');
      dim(bytes);
      f.op('local.set', stride);
      steps.push({ local: pointer, bytes: { local: stride } });
    }
  }
  return steps;
}

/** Moves the pointers on by a turn. */
export function advance(f: FunctionBuilder, steps: readonly Step[]): void {
  for (const { local, bytes } of steps) {
    f.op('local.get', local);
    if (typeof bytes === 'number') f.op('i32.const', bytes);
    else f.op('local.get', bytes.local);
    f.op('i32.add').op('local.set', local);
  }
}
