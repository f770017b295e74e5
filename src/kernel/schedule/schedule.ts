// The CPU scheduler: turns a portable kernel into tiles of vectorised loops. Decides by the shape of
// the loops and of the indices alone, never by the name of an operation or by a size.
// Invariant: the result computes what the kernel does; only reductions with `combine` may round
// differently, and in the same way for any number of threads.

import { type Dim, floorDiv, makeSym, maxDim } from '../../core/dim.ts';
import { mentions } from '../../core/dim-syms.ts';
import type { ForStmt, Kernel, Stmt, TiledKernel } from '../ir.ts';
import { isPlain, Names, type Nest, nestOf } from './build.ts';
import { collapse } from './collapse.ts';
import { scheduleColumns } from './columns.ts';
import { scheduleContraction } from './contraction.ts';
import { chunkingOf, emitGrid, planGrid } from './grid.ts';
import { vectoriseInner } from './inner.ts';
import { stashShared } from './stash.ts';
import { TILE_WORK, tileGrid, turnsOf } from './tile.ts';

/** Schedules a kernel for the CPU. */
export function scheduleCpu(portable: Kernel): TiledKernel {
  const names = new Names(portable);
  const tile = makeSym(names.fresh('tile'), 'tile');
  const grid = gridOf(collapse(portable.body, names));
  const { body, buffers } = stashShared(grid.body, portable.buffers, names);
  const kernel = { ...portable, buffers };
  const nest: Nest = { loops: grid.loops, body };
  if (nest.loops.length === 0) {
    return { ...kernel, body: vectoriseInner(body, names).stmts, tile, tiles: 1 };
  }
  const params = new Set(kernel.params.map((p) => p.id));
  const budgetOf = (work: number): Dim => maxDim(1, floorDiv(work, turnsOf(nest.body, params)));
  const product = scheduleContraction(nest, tile, names);
  if (product) return { ...kernel, ...product, tile };
  const plan = planGrid(nest.loops, nest.body, names);
  const columns = scheduleColumns(nest, plan, budgetOf(2 * TILE_WORK), tile, names);
  if (columns) return { ...kernel, ...columns, tile };
  // Blocks of rows use what they read several times, which larger tiles let them do.
  const work = plan.shape?.row === undefined ? TILE_WORK : 8 * TILE_WORK;
  const last = nest.loops[nest.loops.length - 1];
  const tiling = tileGrid(
    nest.loops,
    (l) => chunkingOf(plan, l, l === last),
    budgetOf(work),
    tile,
    names,
  );
  const loops = emitGrid(nest.loops, tiling.ranges, plan, names);
  return { ...kernel, body: [...tiling.prelude, ...loops], tile, tiles: tiling.tiles };
}

/** The loops of the grid that a tiling can cut: plain ones whose extents depend on none of them. */
function gridOf(body: readonly Stmt[]): Nest {
  const nest = nestOf(body, 'grid');
  const free = (l: ForStmt, k: number): boolean =>
    isPlain(l) && !nest.loops.slice(0, k).some((o) => mentions(l.end, o.axis.id));
  const stop = nest.loops.findIndex((l, k) => !free(l, k));
  if (stop < 0) return nest;
  return { loops: nest.loops.slice(0, stop), body: [nest.loops[stop]] };
}
