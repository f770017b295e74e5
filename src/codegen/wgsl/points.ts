// A kernel as one invocation for each point of the outer grid loops, which runs the rest of the
// kernel on its own: right for every portable kernel, and the best there is where points are many
// and what each does is short.

import { addDim, type Dim, dimEquals, floorDiv, mulDim, prodDims, symDim } from '../../core/dim.ts';
import { gridOf, type LoopNest, turnsOf } from '../../kernel/gpu-schedule/stages.ts';
import type { BufferParam, Kernel } from '../../kernel/ir.ts';
import { walkStmts } from '../../kernel/rewrite.ts';
import { Emitter } from './emitter.ts';
import { elementBits, isPart } from './parts.ts';
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

/** Points of an invocation that stores whole words: as many as a word has bytes. */
const POINTS = 4;

/**
 * A kernel with results of parts of words as one invocation for four points, which make whole words; undefined
 * where they do not lie in the order of the points.
 */
export function emitWords(kernel: Kernel): WgslDispatch | undefined {
  const grid = gridOf(kernel);
  const parts = kernel.buffers.filter((b) => b.access !== 'read' && isPart(b.type));
  if (parts.length === 0 || grid.loops.length === 0) return undefined;
  if (!parts.every((b) => isInOrder(b, grid))) return undefined;
  const { loops, body } = grid;
  const emitter = new Emitter(kernel, true);
  const names = emitter.params();
  const turns = loops.map(turnsOf);
  const each = POINTS * WORKGROUP_SIZE;
  if (!turns.includes(0)) {
    emitter.atoms(kernel.body, names);
    const counts = turns.map((t) => emitter.count(t, names, 'n'));
    emitter.line(`let points = ${counts.join(' * ')};`);
    const rows = 'group.x + group.y * groups.x';
    emitter.line(`let first = ((${rows}) * ${WORKGROUP_SIZE}u + local_index) * ${POINTS}u;`);
    emitter.nested('if (first >= points) {', () => emitter.line('return;'));
    const words = parts.map((b) => {
      const word = emitter.fresh('word');
      const count = (POINTS * elementBits(b.type)) / 32;
      emitter.line(`var ${word}: array<u32, ${count}>;`);
      const buffer = emitter.bufferName(b.name);
      emitter.words.set(buffer, { word, lane: 'lane' });
      return { word, count, buffer };
    });
    emitter.nested(`for (var lane = 0u; lane < ${POINTS}u; lane++) {`, () => {
      emitter.line('let point = first + lane;');
      emitter.nested('if (point >= points) {', () => emitter.line('break;'));
      emitter.axes(loops, counts, 'point', names);
      emitter.atoms(body, names);
      emitter.block(body, names);
    });
    for (const { word, count, buffer } of words) {
      for (let i = 0; i < count; i++) {
        const at = count === 1 ? 'first / 4u' : `first / 2u + ${i}u`;
        const store = (): void => emitter.line(`${buffer}[${at}] = ${word}[${i}];`);
        // What is stored behind the end of a buffer may land anywhere in it.
        if (i === 0) store();
        else emitter.nested(`if (first + ${(i * POINTS) / count}u < points) {`, store);
      }
    }
  }
  return assemble(emitter, {
    workgroups: floorDiv(addDim(prodDims(turns), each - 1), each),
    workgroupSize: WORKGROUP_SIZE,
    buffers: kernel.buffers.length,
  });
}

/** Whether a result is stored once at each point, in the order of the points. */
function isInOrder({ name }: BufferParam, { loops, body }: LoopNest): boolean {
  let at: Dim = 0;
  let stride: Dim = 1;
  for (const l of [...loops].reverse()) {
    if (l.start !== 0 || l.step !== 1) return false;
    at = addDim(at, mulDim(stride, symDim(l.axis)));
    stride = mulDim(stride, l.end);
  }
  let stores = 0;
  walkStmts(body, (s) => {
    if (s.kind === 'store' && s.buffer === name) stores++;
  });
  return (
    stores === 1 &&
    body.some((s) => s.kind === 'store' && s.buffer === name && dimEquals(s.index, at))
  );
}
