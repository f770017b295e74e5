// A kernel with a team of invocations for each point of its grid: they share the turns of loops, and
// put partial results together in workgroup memory, those of neighbours by shuffles where there are
// subgroups. For sums along rows or columns, softmax, normalisation and whatever else has this shape.
// Invariant: barriers and shuffles stand in uniform control flow, and partial results are combined in one
// order on all devices: as a tree with two branches, the results of lower lanes on the left.

import { addDim, floorDiv, prodDims } from '../../core/dim.ts';
import { binary, constant, varRef } from '../../kernel/expr.ts';
import {
  canShare,
  gridOf,
  type LoopNest,
  type Stage,
  stagesOf,
  storedIn,
  turnsOf,
} from '../../kernel/gpu-schedule/stages.ts';
import type { Kernel, Stmt } from '../../kernel/ir.ts';
import { identityOf } from '../../kernel/schedule/reduce.ts';
import { Emitter, innerNames, type Names } from './emitter.ts';
import type { WgslDispatch, WgslLimits } from './program.ts';
import { assemble } from './shader.ts';

/** How a workgroup is divided. */
export interface Team {
  /** Points of a workgroup. */
  readonly points: number;
  /** Invocations of a point, a power of two. */
  readonly lanes: number;
  /** Whether neighbouring invocations have neighbouring points, or else belong to one point. */
  readonly across: boolean;
}

/** Invocations of the workgroups of teams that combine by shuffles. */
export const SHUFFLED_GROUP = 256;

/** A kernel as teams; undefined if its points have nothing to share. */
export function emitTeams(
  kernel: Kernel,
  team: Team,
  limits: WgslLimits,
  own = kernel.buffers.length,
): WgslDispatch | undefined {
  const grid = gridOf(kernel);
  const stages = stagesOf(grid.body);
  if (!canShare(stages)) return undefined;
  return new TeamEmitter(kernel, grid, stages, team, limits).dispatch(own);
}

/** The line that lets a shader use subgroups. */
export const ENABLE_SUBGROUPS = 'enable subgroups;';

/** The text of a value of the invocation that is `by` further in the same subgroup. */
export const shuffledText = (value: string, by: number): string =>
  `subgroupShuffleDown(${value}, ${by}u)`;

class TeamEmitter {
  private readonly emitter: Emitter;
  private readonly grid: LoopNest;
  private readonly stages: readonly Stage[];
  private readonly team: Team;
  /** Neighbouring lanes whose results are combined by shuffles. */
  private readonly block: number;
  /** Arrays in workgroup memory by type, and how many of them the stages so far have used. */
  private readonly arrays = new Map<string, string[]>();
  private busy = false;

  constructor(
    kernel: Kernel,
    grid: LoopNest,
    stages: readonly Stage[],
    team: Team,
    { subgroup = 1 }: WgslLimits,
  ) {
    this.emitter = new Emitter(kernel);
    this.grid = grid;
    this.stages = stages;
    this.team = team;
    const { points, lanes, across } = team;
    // Lanes of one point must be neighbours, in workgroups of which it is known where neighbours are.
    const shuffles = subgroup > 1 && !across && points * lanes === SHUFFLED_GROUP;
    this.block = shuffles ? Math.min(subgroup, lanes) : 1;
  }

  dispatch(own: number): WgslDispatch {
    const { emitter, grid, team } = this;
    const turns = grid.loops.map(turnsOf);
    const names = emitter.params();
    if (!turns.includes(0)) {
      emitter.atoms(emitter.kernel.body, names);
      this.members(names);
      emitter.atoms(grid.body, names);
      this.stages.forEach((stage, i) => this.stage(stage, i, names));
    }
    const groups = floorDiv(addDim(prodDims(turns), team.points - 1), team.points);
    const workgroupSize = team.points * team.lanes;
    return assemble(emitter, { workgroups: groups, workgroupSize, buffers: own });
  }

  /** Which point, and which of its invocations this is. Surplus ones repeat the last point. */
  private members(names: Names): void {
    const { emitter: e, grid, team } = this;
    const counts = grid.loops.map((l) => e.count(turnsOf(l), names, 'n'));
    e.line(`let points = ${counts.length > 0 ? counts.join(' * ') : '1u'};`);
    e.line(`let first = (group.x + group.y * groups.x) * ${team.points}u;`);
    e.nested('if (first >= points) {', () => e.line('return;'));
    const [member, lane] = team.across
      ? [`local_index % ${team.points}u`, `local_index / ${team.points}u`]
      : [`local_index / ${team.lanes}u`, `local_index % ${team.lanes}u`];
    e.line(`let lane = ${lane};`);
    e.line(`let member = ${member};`);
    e.line('let live = first + member < points;');
    e.line('let point = min(first + member, points - 1u);');
    e.axes(grid.loops, counts, 'point', names);
  }

  private barrier(): void {
    this.emitter.line('workgroupBarrier();');
  }

  private stage(stage: Stage, at: number, names: Names): void {
    if (stage.kind === 'straight') {
      this.straight(stage.stmts, names);
      return;
    }
    if (stage.kind === 'map') {
      if (at > 0) this.barrier();
      this.turns(stage, innerNames(names));
      return;
    }
    this.reduce(stage, names);
  }

  private straight(stmts: readonly Stmt[], names: Names): void {
    const { emitter: e } = this;
    const first = stmts.findIndex((s) => storedIn([s]).size > 0);
    stmts.forEach((s, i) => {
      // Nobody may still be going to read what is stored now.
      if (i === first && e.kernel.buffers.some((b) => b.access === 'readwrite')) this.barrier();
      e.storeGuard = 'live && lane == 0u';
      e.stmt(s, names);
      e.storeGuard = '';
    });
  }

  /** The loops of a nest as one, whose turns the lanes share. */
  private turns(nest: LoopNest, names: Names): void {
    const { emitter: e, team } = this;
    const counts = nest.loops.map((l) => e.count(turnsOf(l), names, 'n'));
    const end = e.fresh('e');
    e.line(`let ${end} = select(0u, ${counts.join(' * ')}, live);`);
    const turn = e.fresh('j');
    const open = `for (var ${turn} = lane; ${turn} < ${end}; ${turn} += ${team.lanes}u) {`;
    e.nested(open, () => {
      const inner = innerNames(names);
      e.axes(nest.loops, counts, turn, inner);
      e.atoms(nest.body, inner);
      e.block(nest.body, inner);
    });
  }

  private arrayFor(type: string, index: number, size: number): string {
    const { emitter: e } = this;
    const own = this.arrays.get(type) ?? [];
    this.arrays.set(type, own);
    if (own[index] === undefined) {
      own[index] = e.fresh('w');
      e.declarations.push(`var<workgroup> ${own[index]}: array<${type}, ${size}>;`);
    }
    return own[index];
  }

  private reduce(stage: Stage & { kind: 'reduce' }, names: Names): void {
    const { emitter: e, team, block } = this;
    const partial = innerNames(names);
    const parts = stage.accs.map((a) => {
      const name = e.fresh('a');
      const identity = e.value(constant(a.type, identityOf(a.op, a.type)), names);
      e.line(`var ${name}: ${a.type} = ${identity};`);
      partial.locals.set(a.variable, name);
      return name;
    });
    this.turns(stage, partial);
    this.shuffle(stage, parts);
    if (this.busy) this.barrier();
    this.busy = true;
    // Two levels: few barriers, and no lane has to combine much.
    const left = team.lanes / block;
    const heads = left <= 8 ? left : 2 ** Math.floor(Math.log2(left) / 2);
    const each = left / heads;
    const at = this.places(left, each);
    const used = new Map<string, number>();
    const arrays = stage.accs.map((a) => {
      const index = used.get(a.type) ?? 0;
      used.set(a.type, index + 1);
      return this.arrayFor(a.type, index, at.size);
    });
    const put = (lane: string): void =>
      arrays.forEach((array, k) => {
        e.line(`${array}[${at.text(lane)}] = ${parts[k]};`);
      });
    if (block === 1) put('lane');
    else e.nested(`if (lane % ${block}u == 0u) {`, () => put(`lane / ${block}u`));
    this.barrier();
    if (each > 1) {
      e.nested(`if (lane < ${heads}u) {`, () => {
        const head = e.fresh('h');
        e.line(`let ${head} = lane * ${each}u;`);
        arrays.forEach((array, k) => {
          const read = (i: number): string =>
            `${array}[${at.text(i === 0 ? head : `(${head} + ${i}u)`)}]`;
          e.line(`${parts[k]} = ${this.tree(stage, k, read, 0, each)};`);
        });
        put(head);
      });
      this.barrier();
    }
    stage.accs.forEach((a, k) => {
      const read = (i: number): string => `${arrays[k]}[${at.text(`${i * each}u`)}]`;
      const combined = this.tree(stage, k, read, 0, heads);
      const all = this.combined(stage, k, names.locals.get(a.variable)!, combined);
      e.line(`${names.locals.get(a.variable)} = ${all};`);
    });
  }

  /** Has the first lane of each block combine what those of its block have. */
  private shuffle(stage: Stage & { kind: 'reduce' }, parts: readonly string[]): void {
    const { emitter: e, block } = this;
    if (block > 1) e.enables.add(ENABLE_SUBGROUPS);
    for (let by = 1; by < block; by *= 2) {
      parts.forEach((part, k) => {
        const other = e.fresh('x');
        const bool = stage.accs[k].type === 'bool';
        const moved = shuffledText(bool ? `u32(${part})` : part, by);
        e.line(`let ${other} = ${bool ? `${moved} != 0u` : moved};`);
        e.line(`${part} = ${this.combined(stage, k, part, other)};`);
      });
    }
  }

  /** Where in workgroup memory the results of a point's lanes stand, of which `left` have any. */
  private places(left: number, each: number): { size: number; text: (lane: string) => string } {
    const { points, across } = this.team;
    const size = points * left;
    if (across) return { size, text: (lane) => `${lane} * ${points}u + member` };
    const plain = (lane: string): string => (points > 1 ? `member * ${left}u + ${lane}` : lane);
    if (each === 1) return { size, text: plain };
    // Lanes that each read a stretch at once then read from different banks.
    const text = (lane: string): string => {
      const place = plain(lane);
      return `${place} + (${place}) / ${each}u`;
    };
    return { size: size + size / each, text };
  }

  /** Combines `count` values, a power of two, as a tree; gives the name of the result. */
  private tree(
    stage: Stage & { kind: 'reduce' },
    k: number,
    read: (i: number) => string,
    from: number,
    count: number,
  ): string {
    const { emitter: e } = this;
    const name = e.fresh('x');
    if (count === 1) {
      e.line(`let ${name} = ${read(from)};`);
      return name;
    }
    const low = this.tree(stage, k, read, from, count / 2);
    const high = this.tree(stage, k, read, from + count / 2, count / 2);
    e.line(`let ${name} = ${this.combined(stage, k, low, high)};`);
    return name;
  }

  /** The text of two values of an accumulator combined. */
  private combined(stage: Stage & { kind: 'reduce' }, k: number, x: string, y: string): string {
    const { op, type } = stage.accs[k];
    const names: Names = {
      atoms: new Map(),
      syms: new Map(),
      locals: new Map([
        ['x', x],
        ['y', y],
      ]),
    };
    return this.emitter.value(binary(op, varRef('x', type), varRef('y', type)), names);
  }
}
