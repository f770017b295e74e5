// A kernel as one invocation for each point of the outer grid loops, which runs the rest of the
// kernel on its own: right for every portable kernel, and the best there is where points are many
// and what each does is short.

import { addDim, floorDiv, prodDims } from '../../core/dim.ts';
import { gridOf, turnsOf } from '../../kernel/gpu-schedule/stages.ts';
import type { Kernel } from '../../kernel/ir.ts';
import { Emitter } from './emitter.ts';
import type { WgslDispatch } from './program.ts';
import { assemble } from './shader.ts';

const WORKGROUP_SIZE = 64;

/**
 * A kernel as one dispatch, elementary functions already expanded. Buffers from number `own` on are
 * scratch. Throws an `InternalError` on vectors, which only kernels scheduled for the CPU have.
 */
export function emitPoints(kernel: Kernel, own = kernel.buffers.length): WgslDispatch {
  const { loops, body } = gridOf(kernel);
  const emitter = new Emitter(kernel);
  const names = emitter.params();
  const turns = loops.map(turnsOf);
  const workgroupSize = loops.length > 0 ? WORKGROUP_SIZE : 1;
  // An axis without turns would be a division by a literal zero.
  if (!turns.includes(0)) {
    emitter.atoms(kernel.body, names);
    if (loops.length > 0) {
      const counts = turns.map((t) => emitter.count(t, names, 'n'));
      const rows = 'group.x + group.y * groups.x';
      emitter.line(`let point = (${rows}) * ${workgroupSize}u + local_index;`);
      emitter.nested(`if (point >= ${counts.join(' * ')}) {`, () => emitter.line('return;'));
      emitter.axes(loops, counts, 'point', names);
      emitter.atoms(body, names);
    }
    emitter.block(body, names);
  }
  const groups = floorDiv(addDim(prodDims(turns), workgroupSize - 1), workgroupSize);
  const workgroups = loops.length > 0 ? groups : 1;
  return assemble(emitter, { workgroups, workgroupSize, buffers: own });
}
