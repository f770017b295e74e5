// Contractions with long sums and few tiles, which would leave most of a GPU idle, as two dispatches:
// tiles of parts of the sum into scratch, then the parts added and the rest of the kernel done.
// Invariant: how many parts there are depends on sizes alone.

import {
  addDim,
  type Dim,
  floorDiv,
  makeSym,
  maxDim,
  minDim,
  mulDim,
  prodDims,
  subDim,
  symDim,
} from '../../core/dim.ts';
import { binary, constant, load, varRef } from '../../kernel/expr.ts';
import type { Kernel, Stmt } from '../../kernel/ir.ts';
import { forLoop, type Names, setStmt, storeStmt } from '../../kernel/schedule/build.ts';
import type { Contraction } from '../../kernel/schedule/contraction.ts';
import { rewrap } from '../../kernel/schedule/reduce.ts';
import { emitPoints } from './points.ts';
import { type BlockShape, emitProduct, tileSize, tilesOf } from './products.ts';
import type { WgslVariant } from './program.ts';

/** Turns of the sum that a part has at least. */
const PART = 256;
/** Tiles that keep a GPU busy. */
const MANY_TILES = 256;

/** A contraction whose sum is cut in parts. */
export function emitSplitProduct(
  kernel: Kernel,
  p: Contraction,
  shape: BlockShape,
  names: Names,
): Omit<WgslVariant, 'applies'> {
  const { row, col, sum, others, init } = p;
  const share = floorDiv(MANY_TILES, maxDim(1, tilesOf(p, shape)));
  const parts = maxDim(1, minDim(share, floorDiv(sum.end, PART)));
  const axis = makeSym(names.fresh('part'), 'part', { extent: parts });
  const loops = [...others, row, col];
  const points = prodDims(loops.map((l) => l.end));
  let point: Dim = 0;
  for (const l of loops) point = addDim(mulDim(point, l.end), symDim(l.axis));
  const at = addDim(mulDim(symDim(axis), points), point);

  const scratch = names.fresh('scratch');
  const size = floorDiv(addDim(sum.end, subDim(parts, 1)), parts);
  const from = mulDim(symDim(axis), size);
  const acc = varRef(init.name, init.type);
  const partial = {
    ...p,
    others: [forLoop(axis, 0, parts, 1, 'grid', []), ...others],
    init: { ...init, init: constant(init.type, 0) },
    epilogue: [storeStmt(scratch, at, acc)],
    from,
    to: minDim(sum.end, addDim(from, size)),
  };
  const added = setStmt(init.name, binary('add', acc, load(scratch, init.type, at)));
  const body: Stmt[] = [init, forLoop(axis, 0, parts, 1, 'reduce', [added]), ...p.epilogue];
  const own = kernel.buffers.length;
  const withScratch = (access: 'read' | 'write', stmts: readonly Stmt[]): Kernel => ({
    ...kernel,
    buffers: [...kernel.buffers, { name: scratch, type: init.type, access }],
    body: stmts,
  });
  return {
    name: 'split product',
    // As much as any sizes take for which this is the way, so that other sizes need no more.
    scratch: [{ type: init.type, elements: MANY_TILES * tileSize(shape) }],
    dispatches: [
      emitProduct(withScratch('write', []), partial, shape, own),
      emitPoints(withScratch('read', rewrap(loops, body)), own),
    ],
  };
}
