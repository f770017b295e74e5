// The CPU backend on plans built by hand: variables, what is left of them after failures, calls of
// host functions in mid-run, and the memory beneath.

import { describe, expect, it } from 'vitest';
import { layoutOf } from '../../src/backends/cpu/arena.ts';
import { DeviceMemory } from '../../src/backends/cpu/memory.ts';
import { makeSym, symDim } from '../../src/core/dim.ts';
import { ExecutionError, TimeoutError, UnsupportedError } from '../../src/core/error.ts';
import { NDArray } from '../../src/core/ndarray.ts';
import type { Plan } from '../../src/plan/types.ts';
import {
  ADD,
  B,
  b,
  bindings,
  CHECKED,
  COPY,
  chain,
  device,
  floats,
  k0,
  open,
  plan,
  run,
  TRUE,
  TWICE,
  tensor,
  thrown,
  values,
  view,
} from './hand-plans.ts';

/** Adds a feed to a variable, then fails where the feed holds a negative number. */
const updating = (keepsOrder: boolean): Plan => {
  const update = run(0, keepsOrder ? 1 : 0, [0, 1, 1], [4]);
  const check = run(1, keepsOrder ? 0 : 1, [0, 2], [4, 1]);
  return plan({
    buffers: [
      { kind: 'feed', dtype: 'float32', elements: 4 },
      { kind: 'variable', dtype: 'float32', elements: 4, variable: 'w' },
      { kind: 'arena', dtype: 'float32', elements: 4 },
    ],
    feeds: [{ buffer: 0, shape: [4] }],
    results: [{ buffer: 1, shape: [4] }],
    kernels: [ADD, CHECKED],
    segments: [device(...(keepsOrder ? [check, update] : [update, check]))],
    checks: ['unused', 'gather: an index is out of range.'],
    reads: ['w'],
    writes: ['w'],
  });
};

describe('variables', () => {
  it('holds values between runs and plans', () => {
    const dev = open();
    expect(dev.hasVariable('w')).toBe(false);
    expect(dev.readVariable('w')).toBeUndefined();
    const exe = dev.compile(updating(true));
    expect(thrown(() => exe.runSync!(bindings([floats(4)])))).toMatchObject({
      code: 'variable/uninitialized',
    });
    dev.writeVariable('w', tensor('float32', [2, 2], [1, 1, 1, 1]));
    exe.runSync!(bindings([floats(4)]));
    dev.compile(updating(false)).runSync!(bindings([floats(4)]));
    expect(dev.readVariable('w')).toMatchObject({ dtype: 'float32', shape: [2, 2] });
    expect([...dev.readVariable('w')!.data]).toEqual([1, 3, 5, 7]);
    dev.writeVariable('w', floats(3));
    expect([...dev.readVariable('w')!.data]).toEqual([0, 1, 2]);
  });

  it('keeps variables where a check fails before or after the write', () => {
    for (const order of [true, false]) {
      const dev = open();
      dev.writeVariable('w', floats(4));
      const exe = dev.compile(updating(order));
      const bad = floats(4, (k) => (k === 2 ? -1 : 1));
      const error = thrown(() => exe.runSync!(bindings([bad])));
      expect(error).toBeInstanceOf(ExecutionError);
      expect(error).toMatchObject({ code: 'run/check', op: 'gather', node: 'x' });
      expect(error.message).toBe('gather: an index is out of range.');
      expect([...dev.readVariable('w')!.data]).toEqual([0, 1, 2, 3]);
      exe.runSync!(bindings([floats(4, () => 1)]));
      expect([...dev.readVariable('w')!.data]).toEqual([1, 2, 3, 4]);
    }
  });

  it('initialises on the first write, and only if the run succeeds', () => {
    const dev = open();
    const p = plan({
      buffers: [
        { kind: 'feed', dtype: 'float32', elements: 2 },
        { kind: 'variable', dtype: 'float32', elements: 2, variable: 'v' },
        { kind: 'arena', dtype: 'float32', elements: 2 },
      ],
      feeds: [{ buffer: 0, shape: [2] }],
      kernels: [COPY, CHECKED],
      segments: [device(run(0, 0, [0, 1], [2]), run(1, 1, [0, 2], [2, 0]))],
      checks: ['bad'],
      writes: ['v'],
    });
    const exe = dev.compile(p);
    expect(() => exe.runSync!(bindings([floats(2, () => -1)]))).toThrow(ExecutionError);
    expect(dev.hasVariable('v')).toBe(false);
    exe.runSync!(bindings([floats(2)]));
    expect([...dev.readVariable('v')!.data]).toEqual([0, 1]);
  });

  it('undoes what a loop wrote before its time was up', () => {
    const dev = open();
    dev.writeVariable('w', floats(1));
    const p = plan({
      buffers: [
        { kind: 'const', dtype: 'float32', elements: 1, data: Float32Array.of(1) },
        { kind: 'variable', dtype: 'float32', elements: 1, variable: 'w' },
        { kind: 'arena', dtype: 'bool', elements: 1 },
      ],
      kernels: [ADD, TRUE],
      segments: [
        device({
          kind: 'loop',
          position: 0,
          counter: k0,
          limit: null,
          cond: { steps: [run(1, 1, [2], [1])], predicate: view(2) },
          body: [run(0, 2, [0, 1, 1], [1])],
          trip: null,
        }),
      ],
      reads: ['w'],
      writes: ['w'],
    });
    const exe = dev.compile(p);
    const deadline = performance.now() + 20;
    expect(() => exe.runSync!(bindings([], [], { deadline }))).toThrow(TimeoutError);
    expect([...dev.readVariable('w')!.data]).toEqual([0]);
  });

  it('checks constraints on sizes known in mid-run', () => {
    const [p, q] = [makeSym('p'), makeSym('q')];
    const check = (kind: 'eq' | 'bcast', x: number, y: number): boolean => {
      const made = plan({
        buffers: [{ kind: 'feed', dtype: 'int32', elements: 2 }],
        feeds: [{ buffer: 0, shape: [2] }],
        kernels: [],
        segments: [
          device(
            { kind: 'bind', position: 0, sym: p, view: view(0) },
            { kind: 'bind', position: 1, sym: q, view: view(0, 1) },
            {
              kind: 'check',
              position: 2,
              code: 0,
              constraint: { kind, a: symDim(p), b: symDim(q), why: '' },
            },
          ),
        ],
        checks: ['sizes differ'],
      });
      try {
        open().compile(made).runSync!(bindings([tensor('int32', [2], [x, y])]));
        return true;
      } catch (error) {
        expect(error).toMatchObject({ code: 'run/check', message: 'sizes differ' });
        return false;
      }
    };
    expect([check('eq', 3, 3), check('eq', 3, 1)]).toEqual([true, false]);
    expect([check('bcast', 3, 3), check('bcast', 3, 1), check('bcast', 1, 3)]).toEqual([
      true,
      true,
      true,
    ]);
    expect(check('bcast', 3, 2)).toBe(false);
  });
});

describe('host calls', () => {
  // biome-ignore lint/suspicious/noExplicitAny: any function may be called
  const hosted = (fn: (...args: any[]) => unknown): Plan =>
    plan({
      buffers: [
        { kind: 'feed', dtype: 'float32', elements: B },
        { kind: 'arena', dtype: 'float32', elements: B },
        { kind: 'arena', dtype: 'float32', elements: B },
        { kind: 'arena', dtype: 'float32', elements: B },
      ],
      feeds: [{ buffer: 0, shape: [B] }],
      results: [{ buffer: 3, shape: [B] }],
      kernels: [TWICE],
      segments: [
        device(run(0, 0, [0, 1], [B])),
        {
          kind: 'host',
          step: {
            kind: 'host',
            position: 1,
            node: 'h',
            fn,
            inputs: [{ view: view(1), type: { dtype: 'float32', shape: [B] } }],
            outputs: [{ view: view(2), type: { dtype: 'float32', shape: [B] } }],
          },
        },
        device(run(0, 2, [2, 3], [B])),
      ],
      syms: [b],
    });
  const plusOne = (x: NDArray<'float32'>) => x.data.map((v) => v + 1);

  it('passes values both ways', async () => {
    const exe = open().compile(hosted(plusOne));
    expect(values(exe.runSync!(bindings([floats(3)], [3])))).toEqual([[2, 6, 10]]);
    const out = exe.run(bindings([floats(2)], [2]));
    expect(out).not.toBeInstanceOf(Promise);
    expect(values(await out)).toEqual([[2, 6]]);
  });

  it('awaits promises in run and refuses them in runSync', async () => {
    const exe = open().compile(hosted(async (x) => plusOne(x)));
    const pending = exe.run(bindings([floats(3)], [3]));
    expect(thrown(() => exe.runSync!(bindings([floats(3)], [3])))).toMatchObject({
      code: 'run/busy',
    });
    expect(values(await pending)).toEqual([[2, 6, 10]]);
    const error = thrown(() => exe.runSync!(bindings([floats(3)], [3])));
    expect(error).toBeInstanceOf(UnsupportedError);
    expect(error.code).toBe('host/async');
    expect(values(await exe.run(bindings([floats(1)], [1])))).toEqual([[2]]);
  });

  it('keeps plans apart that run while one waits', async () => {
    const dev = open();
    let release = (_: Float32Array): void => {};
    const exe = dev.compile(
      hosted(() => new Promise<Float32Array>((resolve) => (release = resolve))),
    );
    const other = dev.compile(chain);
    const pending = exe.run(bindings([floats(3)], [3]));
    other.runSync!(bindings([floats(50), floats(50)], [50]));
    release(Float32Array.of(1, 2, 3));
    expect(values(await pending)).toEqual([[2, 4, 6]]);
  });

  it('reports what functions throw and wrong results', async () => {
    const code = (fn: () => unknown): Error & { code?: string } =>
      thrown(() => open().compile(hosted(fn)).runSync!(bindings([floats(3)], [3])));
    const boom = new Error('boom');
    expect(
      code(() => {
        throw boom;
      }),
    ).toMatchObject({ code: 'host/threw', cause: boom, node: 'h' });
    expect(code(() => Float32Array.of(1, 2)).code).toBe('host/result');
    expect(code(() => Int32Array.of(1, 2, 3)).code).toBe('host/result');
    expect(code(() => undefined).code).toBe('host/result');
    expect(code(() => [new NDArray('float32', [1, 3], new Float32Array(3))]).code).toBe(
      'host/result',
    );
    const rejected = open().compile(hosted(() => Promise.reject(boom)));
    await expect(rejected.run(bindings([floats(3)], [3]))).rejects.toMatchObject({
      code: 'host/threw',
      cause: boom,
    });
  });
});

describe('memory', () => {
  it('reuses and joins what was freed', () => {
    const memory = new DeviceMemory(2 ** 24, false);
    const [x, y, z] = [1000, 2000, 3000].map((bytes) => memory.alloc(bytes, 'x'));
    for (const address of [x, y, z]) expect(address % 64).toBe(0);
    memory.free(x);
    memory.free(y);
    expect(memory.alloc(2900, 'joined')).toBe(x);
    memory.free(x);
    memory.free(z);
    expect(memory.usedBytes).toBe(0);
    expect(memory.alloc(2 ** 20, 'big')).toBe(x);
    expect(thrown(() => memory.alloc(2 ** 24, 'the elephant'))).toMatchObject({
      code: 'memory/limit',
      message: expect.stringContaining('the elephant'),
    });
  });

  it('never overlaps buffers alive together, and stays near the bound', () => {
    let seed = 1;
    const random = (limit: number): number => {
      seed = (seed * 48271) % 2147483647;
      return seed % limit;
    };
    for (let round = 0; round < 50; round++) {
      const p = plan({
        buffers: Array.from({ length: 60 }, () => {
          const first = random(90);
          return {
            kind: 'arena' as const,
            dtype: 'float32' as const,
            elements: random(5000),
            live: [first, first + random(10)] as const,
          };
        }),
        kernels: [],
        segments: [],
      });
      const layout = layoutOf(p, []);
      expect(layout.arenaBytes).toBeLessThanOrEqual(1.5 * layout.arenaLowerBound);
      for (const x of p.buffers) {
        for (const y of p.buffers) {
          if (x.id >= y.id || x.live[0] > y.live[1] || y.live[0] > x.live[1]) continue;
          const [ox, oy] = [layout.offsets[x.id], layout.offsets[y.id]];
          const apart = ox + 4 * Number(x.elements) <= oy || oy + 4 * Number(y.elements) <= ox;
          expect(apart).toBe(true);
        }
      }
    }
  });
});
