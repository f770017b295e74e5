// Cuts the grid of a kernel into tiles: each axis into chunks, the tile's number counting through
// their combinations. Chunks are dims of the sizes, so one kernel serves all of them.
// Invariant: the tiles cover each point once, and depend on sizes only, never on threads.

import {
  addDim,
  type Dim,
  floorDiv,
  maxDim,
  minDim,
  modDim,
  mulDim,
  type Sym,
  subDim,
  symDim,
} from '../../core/dim.ts';
import { symsOf } from '../../core/dim-syms.ts';
import type { ForStmt, Stmt } from '../ir.ts';
import { bindDim, type Names } from './build.ts';

/** The part of an axis that a tile works on. */
export interface Range {
  readonly start: Dim;
  readonly end: Dim;
}

export interface Tiling {
  readonly tiles: Dim;
  /** Computes the ranges; comes before everything else in a tile. */
  readonly prelude: readonly Stmt[];
  /** One for each loop of the grid. */
  readonly ranges: readonly Range[];
}

/** How long the chunks of an axis are: a multiple of `grain` that follows the budget, or `fixed`. */
export type Chunking = { readonly grain: number } | { readonly fixed: Dim };

/** The points a tile should have when a point costs next to nothing. */
export const TILE_WORK = 16384;

/** Tiles of about `budget` points, cut so that inner axes stay whole as long as possible. */
export function tileGrid(
  loops: readonly ForStmt[],
  chunking: (loop: ForStmt) => Chunking,
  budget: Dim,
  tile: Sym,
  names: Names,
): Tiling {
  const chunks: Dim[] = new Array(loops.length);
  let left = budget;
  for (let k = loops.length - 1; k >= 0; k--) {
    const how = chunking(loops[k]);
    chunks[k] =
      'fixed' in how ? how.fixed : mulDim(how.grain, maxDim(1, floorDiv(left, how.grain)));
    // The maximum keeps nested quotients apart: their divisors must not be multiplied in 32 bits.
    left = maxDim(1, floorDiv(left, loops[k].end));
  }
  const prelude: Stmt[] = [];
  const ranges: Range[] = new Array(loops.length);
  let tiles: Dim = 1;
  let rest: Dim = symDim(tile);
  for (let k = loops.length - 1; k >= 0; k--) {
    const extent = loops[k].end;
    const chunk = chunks[k];
    const count = chunkCount(extent, chunk);
    tiles = mulDim(tiles, count);
    if (count === 1) {
      ranges[k] = { start: 0, end: extent };
      continue;
    }
    const held = bindDim(prelude, names, 'c', chunk);
    const n = bindDim(prelude, names, 'n', count);
    const at = k === 0 ? rest : bindDim(prelude, names, 'p', modDim(rest, n));
    const start = bindDim(prelude, names, 'b', mulDim(at, held));
    const end = bindDim(prelude, names, 'e', minDim(extent, addDim(start, held)));
    ranges[k] = { start, end };
    if (k > 0) rest = bindDim(prelude, names, 'p', floorDiv(rest, n));
  }
  return { tiles, prelude, ranges };
}

function chunkCount(extent: Dim, chunk: Dim): Dim {
  if (typeof extent === 'number' && extent > 0 && typeof chunk === 'number' && extent <= chunk) {
    return 1;
  }
  const count = floorDiv(addDim(extent, subDim(chunk, 1)), chunk);
  // Never more than the extent; the minimum keeps products of several counts from being expanded.
  return typeof count === 'number' ? count : minDim(extent, count);
}

/** How many turns of innermost loops a body takes, at least 1; `params` may occur in the result. */
export function turnsOf(stmts: readonly Stmt[], params: ReadonlySet<string>): Dim {
  let sum: Dim = 0;
  for (const s of stmts) {
    if (s.kind === 'for') {
      const span = subDim(s.end, s.start);
      const known = [...symsOf(span).keys()].every((id) => params.has(id));
      sum = addDim(sum, mulDim(known ? span : UNKNOWN_TURNS, turnsOf(s.body, params)));
    } else if (s.kind === 'array' || s.kind === 'outline' || s.kind === 'while') {
      sum = addDim(sum, turnsOf(s.body, params));
    } else if (s.kind === 'if') {
      sum = addDim(sum, addDim(turnsOf(s.then, params), turnsOf(s.else, params)));
    }
  }
  return sum === 0 ? 1 : sum;
}

/** Turns of a loop whose length is known only while it runs. */
const UNKNOWN_TURNS = 16;
