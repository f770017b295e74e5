// The shader around the statements: bindings, the uniform block, helpers, the entry point.

import type { Dim } from '../../core/dim.ts';
import type { BufferParam } from '../../kernel/ir.ts';
import { type Emitter, zeroText } from './emitter.ts';
import { libraryText, ZERO_WORD } from './library.ts';
import { wordType } from './parts.ts';
import type { WgslBinding, WgslDispatch } from './program.ts';

/** What tells one dispatch from another besides its statements. */
export interface Shape {
  readonly workgroups: Dim;
  readonly workgroupSize: number;
  /** How many of the kernel's buffers, which come first, are buffers of the portable kernel. */
  readonly buffers: number;
}

/** Puts a shader together around what the emitter has written. */
export function assemble(emitter: Emitter, shape: Shape): WgslDispatch {
  const { kernel, helpers, fails, declarations, enables } = emitter;
  const count = kernel.buffers.length;
  // One word more than the params: the zero.
  const uniformWords = 4 * Math.ceil((kernel.params.length + 1) / 4);
  const library = libraryText(helpers);
  const text = [...library, ...emitter.lines].join('\n');
  const mode = (b: BufferParam) => (b.access === 'read' ? 'read' : 'read_write');
  const header = kernel.buffers.map((b, i) => {
    const type = `array<${wordType(emitter.storage(b.name))}>`;
    return `@group(0) @binding(${i}) var<storage, ${mode(b)}> b${i}: ${type};`;
  });
  const words = `array<vec4<i32>, ${uniformWords / 4}>`;
  header.push(`@group(0) @binding(${count}) var<uniform> params: ${words};`);
  if (fails) {
    const failed = 'var<storage, read_write> failed: atomic<u32>';
    header.push(`@group(0) @binding(${count + 1}) ${failed};`);
  }
  const code = [
    ...(enables.size > 0 ? [...enables, ''] : []),
    ...header,
    ...declarations,
    '',
    ...(text.includes(ZERO_WORD) ? [zeroText(kernel.params.length), ''] : []),
    ...library.flatMap((f) => [f, '']),
    `@compute @workgroup_size(${shape.workgroupSize})`,
    'fn main(',
    '  @builtin(workgroup_id) group: vec3<u32>,',
    '  @builtin(num_workgroups) groups: vec3<u32>,',
    '  @builtin(local_invocation_index) local_index: u32,',
    ') {',
    ...emitter.lines,
    '}',
    '',
  ].join('\n');
  const bindings = kernel.buffers.map((b, i): WgslBinding => {
    const own = i < shape.buffers;
    const access = b.access === 'read' ? 'read' : 'readwrite';
    return { source: own ? 'buffer' : 'scratch', index: own ? i : i - shape.buffers, access };
  });
  const { workgroups, workgroupSize } = shape;
  return { code, bindings, workgroups, workgroupSize, params: kernel.params, uniformWords, fails };
}
