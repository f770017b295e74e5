// One kernel for arrays of any length: where all loops of a kernel join to one, its length becomes an
// argument, so that kernels of one structure over other shapes are compiled once. Loops that do not join
// keep their sizes, which decide how they are best run. Invariant: the kernel with its arguments computes
// what it did.

import {
  addDim,
  asSym,
  type Dim,
  floorDiv,
  makeSym,
  modDim,
  mulDim,
  substituteDim,
  symDim,
} from '../core/dim.ts';
import { symsOf } from '../core/dim-syms.ts';
import type { Kernel, Stmt } from './ir.ts';
import { freeSyms, substituteSyms } from './rewrite.ts';
import { Names, nestOf } from './schedule/build.ts';
import { collapse } from './schedule/collapse.ts';

/** A kernel, and what its parameters are given. */
export interface Launched {
  readonly kernel: Kernel;
  readonly args: readonly Dim[];
}

/** The kernel with its length as an argument; itself where it has loops that do not join. */
export function withLengthArgument({ kernel, args }: Launched): Launched {
  if (!isMap(kernel.body)) return { kernel, args };
  const names = new Names(kernel);
  const [loop, ...rest] = collapse(kernel.body, names);
  if (rest.length > 0 || loop.kind !== 'for' || !isStraight(loop.body)) return { kernel, args };
  const own = asSym(loop.end);
  if (own && !freeSyms(loop.body).has(own.id)) return { kernel, args };

  const n = makeSym('n');
  const length = symDim(n);
  const axis = makeSym('i', 'i', { extent: length });
  const at = symDim(axis);
  const body: Stmt[] = [
    {
      ...loop,
      axis,
      end: length,
      body: substituteSyms(loop.body, (s) => (s.id === loop.axis.id ? at : undefined)),
    },
  ];
  const flops = inTermsOf(kernel.flops, loop.end, length);
  const bytes = inTermsOf(kernel.bytes, loop.end, length);
  const used = freeSyms(body);
  for (const d of [flops, bytes]) for (const [id, s] of symsOf(d)) used.set(id, s);
  const kept = kernel.params.flatMap((p, i) => (used.has(p.id) ? [i] : []));
  const given = new Map(kernel.params.map((p, i) => [p.id, args[i]]));
  return {
    kernel: { ...kernel, params: [...kept.map((i) => kernel.params[i]), n], body, flops, bytes },
    args: [...kept.map((i) => args[i]), substituteDim(loop.end, (s) => given.get(s.id))],
  };
}

/** Whether a kernel is a nest of parallel loops around statements without any. */
function isMap(body: readonly Stmt[]): boolean {
  const { loops, body: inner } = nestOf(body, 'grid');
  return loops.length > 0 && isStraight(inner);
}

function isStraight(body: readonly Stmt[]): boolean {
  return body.every((s) => s.kind === 'let' || s.kind === 'store');
}

/** A total over the points of a loop, for any number of them. */
function inTermsOf(total: Dim, end: Dim, length: Dim): Dim {
  const each = floorDiv(total, end);
  const rest = modDim(total, end);
  if (typeof each !== 'number' || typeof rest !== 'number') return total;
  return addDim(mulDim(each, length), rest);
}
