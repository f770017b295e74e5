// Points with long loops as several kernels, one for each stage, whose grids cut the stage in chunks:
// for reductions of much into little, which would leave most of a GPU idle. A chunk leaves its
// partial results in scratch, and the stages after it combine them anew.
// Invariant: the chunks depend on sizes alone, and so does the order in which they are combined.

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
import { symsOf } from '../../core/dim-syms.ts';
import { binary, constant, load, type ScalarType, varRef } from '../expr.ts';
import type { BufferParam, ForStmt, Kernel, Stmt } from '../ir.ts';
import { exprsOf, substituteSyms, walkExprs, walkStmts } from '../rewrite.ts';
import { forLoop, isPlain, Names, setStmt, storeStmt } from '../schedule/build.ts';
import { joinedLoop } from '../schedule/contraction.ts';
import { identityOf } from '../schedule/reduce.ts';
import { type LoopNest, type Stage, storedIn } from './stages.ts';

/** Memory between the kernels of a split. */
export interface Scratch {
  readonly type: ScalarType;
  readonly elements: Dim;
}

/** A kernel of a split: its buffers are those of the whole kernel, then all of the scratch. */
export interface SplitKernel {
  readonly kernel: Kernel;
  /** What a point of it is: a chunk of a stage, one turn of a stage, or the end of a point. */
  readonly part: 'chunk' | 'turn' | 'end';
}

export interface Split {
  readonly kernels: readonly SplitKernel[];
  readonly scratch: readonly Scratch[];
}

/** How long chunks are at least, and how many there are of all points together at most. */
export interface Chunks {
  readonly length: number;
  readonly count: number;
}

/** A reduction whose partial results are in scratch. */
interface Partial {
  readonly accs: readonly { readonly buffer: string; readonly first: Dim }[];
  readonly chunks: Dim;
}

/** Splits a kernel along its stages; undefined where stages can't be cut or run twice. */
export function splitStages(
  kernel: Kernel,
  grid: LoopNest,
  stages: readonly Stage[],
  limits: Chunks,
): Split | undefined {
  const params = new Set(kernel.params.map((p) => p.id));
  const known = (d: Dim): boolean => [...symsOf(d).keys()].every((id) => params.has(id));
  const nests = stages.filter((s) => s.kind !== 'straight');
  const loops = [...grid.loops, ...nests.flatMap((s) => s.loops)];
  if (nests.length === 0 || !loops.every((l) => isPlain(l) && known(l.end))) return undefined;
  if (!isRepeatable(stages)) return undefined;
  return new Splitter(kernel, grid, stages, limits).split();
}

/** Whether straight code gives the same whenever it is run: it reads nothing that stages write. */
function isRepeatable(stages: readonly Stage[]): boolean {
  const written = new Set(stages.flatMap((s) => (s.kind === 'map' ? [...storedIn(s.body)] : [])));
  let repeatable = true;
  for (const stage of stages) {
    if (stage.kind !== 'straight') continue;
    walkStmts(stage.stmts, (s) => {
      walkExprs(exprsOf(s), (e) => {
        if (e.op === 'load' && written.has(e.buffer)) repeatable = false;
      });
    });
    for (const b of storedIn(stage.stmts)) if (written.has(b)) repeatable = false;
  }
  return repeatable;
}

class Splitter {
  private readonly kernel: Kernel;
  private readonly grid: LoopNest;
  private readonly stages: readonly Stage[];
  private readonly limits: Chunks;
  private readonly names: Names;
  private readonly points: Dim;
  private readonly point: Dim;
  private readonly sizes = new Map<ScalarType, Dim>();
  private readonly scratchNames = new Map<ScalarType, string>();
  /** By stage. */
  private readonly partials = new Map<Stage, Partial>();

  constructor(kernel: Kernel, grid: LoopNest, stages: readonly Stage[], limits: Chunks) {
    this.kernel = kernel;
    this.grid = grid;
    this.stages = stages;
    this.limits = limits;
    this.names = new Names(kernel);
    this.points = prodDims(grid.loops.map((l) => l.end));
    let point: Dim = 0;
    for (const l of grid.loops) point = addDim(mulDim(point, l.end), symDim(l.axis));
    this.point = point;
  }

  split(): Split {
    const bodies: { part: SplitKernel['part']; body: readonly Stmt[] }[] = [];
    this.stages.forEach((stage, i) => {
      if (stage.kind === 'straight') return;
      const before = this.prelude(i);
      if (stage.kind === 'map' && this.partials.size === 0) {
        bodies.push({ part: 'turn', body: this.turns(stage, before) });
      } else bodies.push({ part: 'chunk', body: this.chunk(stage, before) });
    });
    const ends = this.stages.some((s) => s.kind === 'straight' && s.stmts.some(hasEffect));
    if (ends) {
      bodies.push({ part: 'end', body: wrap(this.grid.loops, this.prelude(this.stages.length)) });
    }
    const scratch = [...this.sizes].map(([type, elements]) => ({ type, elements }));
    return {
      scratch,
      kernels: bodies.map(({ part, body }) => ({
        part,
        kernel: { ...this.kernel, buffers: this.buffersOf(body), body },
      })),
    };
  }

  private buffersOf(body: readonly Stmt[]): BufferParam[] {
    const written = storedIn(body);
    const scratch = [...this.scratchNames].map(([type, name]): BufferParam => {
      return { name, type, access: written.has(name) ? 'readwrite' : 'read' };
    });
    return [...this.kernel.buffers, ...scratch];
  }

  /** What comes before a stage; all effects of straight code are left to the end. */
  private prelude(count: number): Stmt[] {
    const last = count === this.stages.length;
    return this.stages.slice(0, count).flatMap((stage): readonly Stmt[] => {
      if (stage.kind === 'map') return [];
      if (stage.kind === 'straight') {
        return last ? stage.stmts : stage.stmts.filter((s) => !hasEffect(s));
      }
      return [this.combined(stage)];
    });
  }

  /** The loop that puts the partial results of a reduction together. */
  private combined(stage: Stage & { kind: 'reduce' }): Stmt {
    const { accs, chunks } = this.partials.get(stage)!;
    const axis = makeSym(this.names.fresh('part'), 'part', { extent: chunks });
    const body = stage.accs.map((a, k) => {
      const at = addDim(accs[k].first, addDim(mulDim(symDim(axis), this.points), this.point));
      const part = load(accs[k].buffer, a.type, at);
      return setStmt(a.variable, binary(a.op, varRef(a.variable, a.type), part));
    });
    const combine = stage.accs.map(({ variable, op }) => ({ variable, op }));
    return forLoop(axis, 0, chunks, 1, 'reduce', body, combine);
  }

  /** A stage whose turns need nothing computed by several of them: each is a point. */
  private turns(stage: LoopNest, before: readonly Stmt[]): readonly Stmt[] {
    const loops = stage.loops.map((l): ForStmt => ({ ...l, role: 'grid' }));
    return wrap([...this.grid.loops, ...loops], [...before, ...stage.body]);
  }

  /** A stage in chunks, whose number is the outermost axis of the grid. */
  private chunk(stage: Stage & LoopNest, before: readonly Stmt[]): readonly Stmt[] {
    const { loop, index } = joinedLoop(stage.loops, this.names);
    const body = substituteSyms(stage.body, (s) => index.get(s.id));
    const share = maxDim(1, floorDiv(this.limits.count, maxDim(1, this.points)));
    const { length } = this.limits;
    const want = floorDiv(addDim(loop.end, length - 1), length);
    const chunks = maxDim(1, minDim(share, want));
    const axis = makeSym(this.names.fresh('chunk'), 'chunk', { extent: chunks });
    const size = floorDiv(addDim(loop.end, subDim(chunks, 1)), chunks);
    const start = mulDim(symDim(axis), size);
    const end = minDim(loop.end, addDim(start, size));
    // The range of the axis says that it starts at 0, which its uses may rely on.
    const inner: Stmt = { ...loop, start, end, body };
    const own = [...before];
    const stores: Stmt[] = [];
    if (stage.kind === 'reduce') {
      const accs = stage.accs.map((a) => {
        const first = this.sizes.get(a.type) ?? 0;
        this.sizes.set(a.type, addDim(first, mulDim(chunks, this.points)));
        const buffer = this.scratchNames.get(a.type) ?? this.names.fresh('scratch');
        this.scratchNames.set(a.type, buffer);
        own.push(setStmt(a.variable, constant(a.type, identityOf(a.op, a.type))));
        const at = addDim(first, addDim(mulDim(symDim(axis), this.points), this.point));
        stores.push(storeStmt(buffer, at, varRef(a.variable, a.type)));
        return { buffer, first };
      });
      this.partials.set(stage, { accs, chunks });
    }
    const all = [...own, inner, ...stores];
    return [forLoop(axis, 0, chunks, 1, 'grid', wrap(this.grid.loops, all))];
  }
}

const hasEffect = (s: Stmt): boolean => {
  let effect = false;
  walkStmts([s], (x) => {
    if (x.kind === 'store' || x.kind === 'fail') effect = true;
  });
  return effect;
};

function wrap(loops: readonly ForStmt[], body: readonly Stmt[]): readonly Stmt[] {
  return loops.reduceRight<readonly Stmt[]>((inner, l) => [{ ...l, body: inner }], body);
}
