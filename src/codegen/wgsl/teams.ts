// A kernel with a team of invocations for each point of its grid: they share the turns of loops, and
// put partial results together in workgroup memory. For sums along rows or columns, softmax,
// normalisation and whatever else has this shape.
// Invariant: barriers stand in uniform control flow, and the order of combining is fixed.

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
import type { WgslDispatch } from './program.ts';
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

/** A kernel as teams; undefined if its points have nothing to share. */
export function emitTeams(
  kernel: Kernel,
  team: Team,
  own = kernel.buffers.length,
): WgslDispatch | undefined {
  const grid = gridOf(kernel);
  const stages = stagesOf(grid.body);
  if (!canShare(stages)) return undefined;
  return new TeamEmitter(kernel, grid, stages, team).dispatch(own);
}

class TeamEmitter {
  private readonly emitter: Emitter;
  private readonly grid: LoopNest;
  private readonly stages: readonly Stage[];
  private readonly team: Team;
  /** Arrays in workgroup memory by type, and how many of them the stages so far have used. */
  private readonly arrays = new Map<string, string[]>();
  private busy = false;

  constructor(kernel: Kernel, grid: LoopNest, stages: readonly Stage[], team: Team) {
    this.emitter = new Emitter(kernel);
    this.grid = grid;
    this.stages = stages;
    this.team = team;
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

  private arrayFor(type: string, index: number): string {
    const { emitter: e, team } = this;
    const own = this.arrays.get(type) ?? [];
    this.arrays.set(type, own);
    if (own[index] === undefined) {
      own[index] = e.fresh('w');
      const size = team.points * team.lanes;
      e.declarations.push(`var<workgroup> ${own[index]}: array<${type}, ${size}>;`);
    }
    return own[index];
  }

  private reduce(stage: Stage & { kind: 'reduce' }, names: Names): void {
    const { emitter: e } = this;
    const partial = innerNames(names);
    const parts = stage.accs.map((a) => {
      const name = e.fresh('a');
      const identity = e.value(constant(a.type, identityOf(a.op, a.type)), names);
      e.line(`var ${name}: ${a.type} = ${identity};`);
      partial.locals.set(a.variable, name);
      return name;
    });
    this.turns(stage, partial);
    if (this.busy) this.barrier();
    this.busy = true;
    const used = new Map<string, number>();
    const arrays = stage.accs.map((a, k) => {
      const index = used.get(a.type) ?? 0;
      used.set(a.type, index + 1);
      const array = this.arrayFor(a.type, index);
      e.line(`${array}[local_index] = ${parts[k]};`);
      return array;
    });
    this.barrier();
    // Two levels: few barriers, and no lane has to add up much.
    const { lanes } = this.team;
    const heads = lanes <= 8 ? lanes : 2 ** Math.floor(Math.log2(lanes) / 2);
    if (heads < lanes) {
      e.nested(`if (lane < ${heads}u) {`, () => {
        stage.accs.forEach((_, k) => {
          this.gather(stage, k, arrays[k], parts[k], 'lane', heads, lanes / heads);
          e.line(`${arrays[k]}[local_index] = ${parts[k]};`);
        });
      });
      this.barrier();
    }
    stage.accs.forEach((a, k) => {
      this.gather(stage, k, arrays[k], parts[k], '', 1, heads);
      const all = this.combined(stage, k, names.locals.get(a.variable)!, parts[k]);
      e.line(`${names.locals.get(a.variable)} = ${all};`);
    });
  }

  /** Combines `count` elements of an array, `step` lanes apart, into a variable. */
  private gather(
    stage: Stage & { kind: 'reduce' },
    k: number,
    array: string,
    into: string,
    from: string,
    step: number,
    count: number,
  ): void {
    const { emitter: e, team } = this;
    const at = (lane: string): string =>
      team.across ? `(${lane}) * ${team.points}u + member` : `member * ${team.lanes}u + ${lane}`;
    const plus = (text: string): string => (from === '' ? text : `${from} + ${text}`);
    e.line(`${into} = ${array}[${at(from === '' ? '0u' : from)}];`);
    const i = e.fresh('k');
    e.nested(`for (var ${i} = 1u; ${i} < ${count}u; ${i}++) {`, () => {
      const next = e.fresh('x');
      e.line(`let ${next} = ${array}[${at(plus(step === 1 ? i : `${i} * ${step}u`))}];`);
      e.line(`${into} = ${this.combined(stage, k, into, next)};`);
    });
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
