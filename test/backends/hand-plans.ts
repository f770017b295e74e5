// Plans and kernels built by hand for the tests of the CPU backend, and what makes them short to
// write.

import type { Device, RunBindings } from '../../src/backends/backend.ts';
import { CpuDevice } from '../../src/backends/cpu/device.ts';
import { type Dim, makeSym, mulDim, type Sym, symDim } from '../../src/core/dim.ts';
import type { DType, TypedArray } from '../../src/core/dtype.ts';
import type { HostTensor } from '../../src/core/ndarray.ts';
import {
  add,
  compare,
  constant,
  dimValue,
  type Expr,
  f32,
  i32,
  load,
  mul,
  type ScalarType,
} from '../../src/kernel/expr.ts';
import type { Kernel, Stmt } from '../../src/kernel/ir.ts';
import type { BufferKind, Plan, PlanBuffer, Segment, Step } from '../../src/plan/types.ts';
import { miniCompiler } from './mini-emit.ts';

export const open = (options: { threads?: number; memoryLimit?: number } = {}): Device =>
  new CpuDevice(options, miniCompiler(64));

// Kernels. Each loops over `d0` elements.

export const n = makeSym('d0');
export const i = makeSym('i0', 'i0', { extent: symDim(n) });
export const at = symDim(i);

export const grid = (body: Stmt[], end: Dim = symDim(n)): Stmt => ({
  kind: 'for',
  axis: i,
  start: 0,
  end,
  step: 1,
  role: 'grid',
  body,
});

export function kernel(
  name: string,
  types: ScalarType[],
  body: Stmt[],
  params: Sym[] = [n],
): Kernel {
  const last = types.length - 1;
  return {
    name,
    buffers: types.map((type, b) => ({
      name: `b${b}`,
      type,
      access: b === last ? 'write' : 'read',
    })),
    params,
    body,
    flops: mulDim(symDim(n), 1000),
    bytes: 0,
  };
}

export const store = (buffer: number, value: Expr, index: Dim = at): Stmt => ({
  kind: 'store',
  buffer: `b${buffer}`,
  index,
  value,
});
export const f = (b: number, index: Dim = at): Expr => load(`b${b}`, 'f32', index);
export const int = (b: number, index: Dim = at): Expr => load(`b${b}`, 'i32', index);

export const ADD = kernel('add', ['f32', 'f32', 'f32'], [grid([store(2, add(f(0), f(1)))])]);
export const TWICE = kernel('twice', ['f32', 'f32'], [grid([store(1, mul(f(0), f32(2)))])]);
export const INC_INT = kernel('inc', ['i32', 'i32'], [grid([store(1, add(int(0), i32(1)))])]);
export const BELOW = kernel(
  'below',
  ['i32', 'bool'],
  [grid([store(1, compare('lt', int(0), dimValue(symDim(makeSym('d1')))))])],
  [n, makeSym('d1')],
);
export const TRUE = kernel('true', ['bool'], [grid([store(0, constant('bool', 1))])]);
export const FILL = kernel('fill', ['f32'], [grid([store(0, f32(7))])]);
export const COPY = kernel('copy', ['f32', 'f32'], [grid([store(1, f(0))])]);
export const CHECKED = kernel(
  'checked',
  ['f32', 'f32'],
  [
    grid([
      { kind: 'fail', when: compare('lt', f(0), f32(0)), code: symDim(makeSym('d1')) },
      store(1, f(0)),
    ]),
  ],
  [n, makeSym('d1')],
);

// Plans.

export interface PlanParts {
  buffers: (Partial<PlanBuffer> & { kind: BufferKind; dtype: DType; elements: Dim })[];
  feeds?: { buffer: number; shape: Dim[] }[];
  results?: { buffer: number; shape: Dim[]; offset?: Dim }[];
  kernels: Kernel[];
  segments: Segment[];
  syms?: Sym[];
  checks?: string[];
  reads?: string[];
  writes?: string[];
}

export function plan(parts: PlanParts): Plan {
  const buffers = parts.buffers.map((b, id) => ({
    live: [0, 100] as const,
    label: `buffer ${id}`,
    ...b,
    id,
  }));
  return {
    func: { name: 'main', params: [], captured: 0, nodes: [], results: [], effects: [] },
    feeds: (parts.feeds ?? []).map(({ buffer, shape }, k) => ({
      name: `feed${k}`,
      type: { dtype: buffers[buffer].dtype, shape },
      buffer,
    })),
    results: (parts.results ?? []).map(({ buffer, shape, offset = 0 }) => ({
      view: { buffer, offset },
      type: { dtype: buffers[buffer].dtype, shape },
    })),
    kernels: parts.kernels,
    buffers,
    segments: parts.segments,
    startSyms: (parts.syms ?? []).map((sym) => ({ sym, feed: 0, axis: 0, element: null })),
    constraints: [],
    checks: (parts.checks ?? []).map((message, code) => ({
      code,
      node: 'x',
      op: 'gather',
      message,
    })),
    reads: parts.reads ?? [],
    writes: parts.writes ?? [],
    positions: 101,
  };
}

export const view = (buffer: number, offset: Dim = 0) => ({ buffer, offset });

export function run(
  k: number,
  position: number,
  views: (number | [number, Dim])[],
  args: Dim[],
): Step {
  return {
    kind: 'kernel',
    position,
    kernel: k,
    views: views.map((v) => (typeof v === 'number' ? view(v) : view(...v))),
    args,
    nodes: [],
  };
}

export const device = (...steps: Step[]): Segment => ({ kind: 'device', steps });

export const tensor = (dtype: DType, shape: number[], data: TypedArray | number[]): HostTensor => ({
  dtype,
  shape,
  data: Array.isArray(data)
    ? dtype === 'float32'
      ? Float32Array.from(data)
      : dtype === 'int32'
        ? Int32Array.from(data)
        : Uint8Array.from(data)
    : data,
});

export const bindings = (
  feeds: HostTensor[] = [],
  sizes: number[] = [],
  more: Partial<RunBindings> = {},
): RunBindings => ({ feeds, sizes, run: 1, ...more });

export const floats = (count: number, at = (k: number) => k): HostTensor =>
  tensor(
    'float32',
    [count],
    Float32Array.from({ length: count }, (_, k) => at(k)),
  );

export const values = (out: readonly HostTensor[]): number[][] => out.map((t) => [...t.data]);

export function thrown(action: () => unknown): Error & { code?: string } {
  try {
    action();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was thrown');
}

export const b = makeSym('batch');
export const B = symDim(b);

/** `2 * (x + y)` over `batch` elements. */
export const chain = plan({
  buffers: [
    { kind: 'feed', dtype: 'float32', elements: B },
    { kind: 'feed', dtype: 'float32', elements: B },
    { kind: 'arena', dtype: 'float32', elements: B, live: [0, 1] },
    { kind: 'arena', dtype: 'float32', elements: B, live: [1, 2] },
  ],
  feeds: [
    { buffer: 0, shape: [B] },
    { buffer: 1, shape: [B] },
  ],
  results: [{ buffer: 3, shape: [B] }],
  kernels: [ADD, TWICE],
  segments: [device(run(0, 0, [0, 1, 2], [B]), run(1, 1, [2, 3], [B]))],
  syms: [b],
});

export const k0 = makeSym('$k0');
export const K0 = symDim(k0);
