// The ways to run a kernel on a GPU, each with the sizes it is for: blocks of a product, teams for long
// rows, two stages where few points have much to do, and one invocation for each point otherwise.
// Invariant: ways are told apart by the shape of loops and by sizes, never by an operation's name.

import { type Dim, minDim, prodDims, subDim } from '../../core/dim.ts';
import { splitAffine } from '../../core/dim-affine.ts';
import { type Chunks, splitStages } from '../../kernel/gpu-schedule/split.ts';
import {
  canShare,
  gridOf,
  type LoopNest,
  type Stage,
  stagesOf,
} from '../../kernel/gpu-schedule/stages.ts';
import type { Kernel } from '../../kernel/ir.ts';
import { expandMath } from '../../kernel/math.ts';
import { exprsOf, walkExprs, walkStmts } from '../../kernel/rewrite.ts';
import { Names } from '../../kernel/schedule/build.ts';
import { type Contraction, contractionOf } from '../../kernel/schedule/contraction.ts';
import { emitPoints, emitWords } from './points.ts';
import { type BlockShape, emitProduct, tilesOf, wholeProduct } from './products.ts';
import type { WgslLimits, WgslProgram, WgslVariant } from './program.ts';
import { emitSplitProduct } from './split-product.ts';
import { emitTeams, type Team } from './teams.ts';
import { needTypes } from './types.ts';

/** Tiles of 128 by 128: most multiplications for what is read. */
const LARGE: BlockShape = { rows: 2, cols: 2, down: 16, across: 16, depth: 8 };
/** Tiles of 64 by 64. */
const MEDIUM: BlockShape = { rows: 1, cols: 1, down: 16, across: 16, depth: 16 };
/** Blocks of 4 by 4 without workgroup memory, for emulations on the CPU. */
const DIRECT: BlockShape = { rows: 1, cols: 1, down: 8, across: 8, depth: 0 };

/** A whole workgroup for a long row, four to a workgroup for shorter ones. */
const LONG_ROWS: Team = { points: 1, lanes: 256, across: false };
const ROWS: Team = { points: 4, lanes: 64, across: false };
/** Rows whose elements lie apart, while those of neighbouring rows lie together. */
const COLUMNS: Team = { points: 32, lanes: 8, across: true };

const CHUNKS: Chunks = { length: 4096, count: 1024 };
const SOFTWARE_CHUNKS: Chunks = { length: 4096, count: 16 };

/** WGSL promises too little of its exp, log, sin …, so those are the CPU's; NaN is told by its bits. */
const KEPT: ReadonlySet<string> = new Set(['isnan']);

/** A way that is made only where sizes may call for it. */
interface Way {
  /** Positive where this way is best of those not yet tried. */
  readonly applies: Dim;
  readonly make: () => Omit<WgslVariant, 'applies'> | undefined;
}

/** Positive where every dim is at least its number. */
const atLeast = (...pairs: readonly (readonly [Dim, number])[]): Dim =>
  pairs.map(([d, n]) => subDim(d, n - 1)).reduce((a, b) => minDim(a, b));

/** Positive where a dim is at most a number. */
const atMost = (d: Dim, n: number): Dim => subDim(n + 1, d);

/**
 * The ways to run a portable kernel as WGSL, the best for large sizes first. Throws UnsupportedError
 * `wgsl/type` for types of 64 bits.
 */
export function emitWgsl(portable: Kernel, limits: WgslLimits): WgslProgram {
  needTypes(portable);
  const known = limits.float16 ? portable : withoutHalves(portable);
  const kernel = expandMath(known, (e) => KEPT.has(e.fn));
  const grid = gridOf(kernel);
  const names = new Names(kernel);
  const product = contractionOf(grid, names);
  const ways: Way[] = [
    ...(product ? productWays(kernel, product, names, limits) : []),
    ...reductionWays(kernel, grid, limits),
  ];
  const variants: WgslVariant[] = [];
  for (const { applies, make } of ways) {
    if (typeof applies === 'number' && applies <= 0) continue;
    const made = make();
    if (!made || !fits(made, limits)) continue;
    if (typeof applies === 'number') return { variants: [...variants, made] };
    variants.push({ ...made, applies });
  }
  const words = emitWords(kernel);
  const last = words
    ? { name: 'words', scratch: [], dispatches: [words] }
    : { name: 'points', scratch: [], dispatches: [emitPoints(kernel)] };
  return { variants: [...variants, last] };
}

/** A kernel with floats of 16 bits as the integers that their bits are. */
function withoutHalves(kernel: Kernel): Kernel {
  if (!kernel.buffers.some((b) => b.type === 'f16')) return kernel;
  const buffers = kernel.buffers.map((b) =>
    b.type === 'f16' ? { ...b, type: 'u16' as const } : b,
  );
  return { ...kernel, buffers };
}

function fits({ dispatches }: Omit<WgslVariant, 'applies'>, limits: WgslLimits): boolean {
  return dispatches.every(
    (d) =>
      d.bindings.length + (d.fails ? 1 : 0) <= limits.storageBuffers &&
      d.workgroupSize <= Math.min(limits.workgroupInvocations, limits.workgroupSizeX),
  );
}

function productWays(kernel: Kernel, p: Contraction, names: Names, limits: WgslLimits): Way[] {
  const own = kernel.buffers.length;
  const way = (name: string, shape: BlockShape, applies: Dim): Way => ({
    applies,
    make: () => ({
      name,
      scratch: [],
      dispatches: [emitProduct(kernel, wholeProduct(p), shape, own)],
    }),
  });
  const [m, n] = [p.row.end, p.col.end];
  if (limits.software) return [way('blocks', DIRECT, atLeast([m, 3], [n, 3]))];
  const depth = prodDims([...p.outer, p.sum].map((l) => l.end));
  const whole = atLeast([m, 24], [n, 24], [depth, 16]);
  return [
    way('large tiles', LARGE, minDim(atLeast([m, 64], [n, 64]), atLeast([tilesOf(p, LARGE), 64]))),
    {
      applies: minDim(minDim(whole, atLeast([p.sum.end, 1024])), atMost(tilesOf(p, MEDIUM), 128)),
      make: () => emitSplitProduct(kernel, p, MEDIUM, names),
    },
    way('tiles', MEDIUM, whole),
  ];
}

function reductionWays(kernel: Kernel, grid: LoopNest, limits: WgslLimits): Way[] {
  const stages = stagesOf(grid.body);
  const sums = stages.filter((s) => s.kind === 'reduce');
  if (sums.length === 0) return [];
  const points = prodDims(grid.loops.map((l) => l.end));
  // What all stages do is counted by their first reduction: the rest is about as long.
  const turns = prodDims(sums[0].loops.map((l) => l.end));
  const team = (name: string, shape: Team, applies: Dim): Way => ({
    applies,
    make: () => {
      const made = emitTeams(kernel, shape, limits);
      return made && { name, scratch: [], dispatches: [made] };
    },
  });
  const split: Way = {
    applies: minDim(atLeast([turns, 2 * CHUNKS.length]), atMost(points, 64)),
    make: () => emitSplit(kernel, grid, stages, limits),
  };
  if (limits.software || !canShare(stages)) return [split];
  if (runsAlong(sums[0], grid)) {
    return [split, team('columns', COLUMNS, minDim(atLeast([turns, 32]), atMost(points, 16384)))];
  }
  return [
    split,
    team('long rows', LONG_ROWS, minDim(atLeast([turns, 1024]), atMost(points, 65535))),
    team('rows', ROWS, atLeast([turns, 32])),
  ];
}

/** Whether what a reduction reads lies together for neighbouring points rather than turns. */
function runsAlong(sum: Stage & LoopNest, grid: LoopNest): boolean {
  const turn = sum.loops[sum.loops.length - 1].axis.id;
  const point = grid.loops[grid.loops.length - 1]?.axis.id;
  let [alongTurns, alongPoints] = [0, 0];
  walkStmts(sum.body, (s) => {
    walkExprs(exprsOf(s), (e) => {
      if (e.op !== 'load') return;
      if (splitAffine(e.index, turn)?.coef === 1) alongTurns++;
      if (point && splitAffine(e.index, point)?.coef === 1) alongPoints++;
    });
  });
  return alongPoints > alongTurns;
}

function emitSplit(
  kernel: Kernel,
  grid: LoopNest,
  stages: readonly Stage[],
  limits: WgslLimits,
): Omit<WgslVariant, 'applies'> | undefined {
  const chunks = limits.software ? SOFTWARE_CHUNKS : CHUNKS;
  const split = splitStages(kernel, grid, stages, chunks);
  if (!split) return undefined;
  const own = kernel.buffers.length;
  return {
    name: 'two stages',
    scratch: split.scratch,
    dispatches: split.kernels.map(({ kernel: k, part }) => {
      const shares = part === 'chunk' && !limits.software;
      return (shares && emitTeams(k, LONG_ROWS, limits, own)) || emitPoints(k, own);
    }),
  };
}
