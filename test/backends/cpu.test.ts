// The CPU backend on plans built by hand: steps of every kind over changing sizes, and threads,
// which must not change a bit.

import { describe, expect, it } from 'vitest';
import { addDim, type Dim, makeSym, mulDim, type Sym, symDim } from '../../src/core/dim.ts';
import type { DType } from '../../src/core/dtype.ts';
import {
  AbortedError,
  InternalError,
  OutOfMemoryError,
  StateError,
  TimeoutError,
} from '../../src/core/error.ts';
import { type HostTensor, NDArray } from '../../src/core/ndarray.ts';
import { add, binary, f32, mul } from '../../src/kernel/expr.ts';
import type { Plan, Step } from '../../src/plan/types.ts';
import {
  ADD,
  at,
  B,
  BELOW,
  b,
  bindings,
  COPY,
  chain,
  device,
  FILL,
  f,
  floats,
  grid,
  INC_INT,
  K0,
  k0,
  kernel,
  open,
  plan,
  run,
  store,
  tensor,
  thrown,
  values,
  view,
} from './hand-plans.ts';

describe('plain steps', () => {
  it('runs kernels in order, over changing sizes, without allocating twice', () => {
    const exe = open().compile(chain);
    for (const size of [3, 1000, 3, 0, 999, 100_000, 5]) {
      const [out] = exe.runSync!(bindings([floats(size), floats(size, () => 1)], [size]));
      expect(out.shape).toEqual([size]);
      expect(out.data).toEqual(Float32Array.from({ length: size }, (_, k) => 2 * (k + 1)));
    }
    const stats = exe.stats();
    expect(stats).toMatchObject({ kernels: 2, segments: 1, slotBytes: 0 });
    // The second kernel's result takes the place of the first's.
    expect(stats.arenaLowerBound).toBe(400_000);
    expect(stats.arenaBytes).toBe(stats.arenaLowerBound);
    exe.dispose();
    exe.dispose();
    expect(() => exe.runSync!(bindings())).toThrow(StateError);
  });

  it('returns results that later runs leave alone, feeds and constants among them', () => {
    const p = plan({
      buffers: [
        { kind: 'feed', dtype: 'int32', elements: 2 },
        { kind: 'const', dtype: 'float32', elements: 3, data: Float32Array.of(1, 2, 3) },
      ],
      feeds: [{ buffer: 0, shape: [2] }],
      results: [
        { buffer: 0, shape: [2] },
        { buffer: 1, shape: [2], offset: 1 },
      ],
      kernels: [],
      segments: [],
    });
    const exe = open().compile(p);
    const first = exe.runSync!(bindings([tensor('int32', [2], [4, 5])]));
    exe.runSync!(bindings([tensor('int32', [2], [6, 7])]));
    expect(values(first)).toEqual([
      [4, 5],
      [2, 3],
    ]);
    expect(first[0]).toBeInstanceOf(NDArray);
  });

  it('splits long step lists into functions', () => {
    const steps = Array.from({ length: 500 }, (_, k) => run(0, k, [0, 1, 1], [4]));
    const p = plan({
      buffers: [
        { kind: 'feed', dtype: 'float32', elements: 4 },
        { kind: 'arena', dtype: 'float32', elements: 4 },
      ],
      feeds: [{ buffer: 0, shape: [4] }],
      results: [{ buffer: 1, shape: [4] }],
      kernels: [ADD, COPY],
      segments: [device(run(1, 0, [0, 1], [4]), ...steps)],
    });
    const [out] = open().compile(p).runSync!(bindings([floats(4)]));
    expect([...out.data]).toEqual([0, 501, 1002, 1503]);
  });

  it('shows the text of a kernel', () => {
    expect(open().compile(chain).source!(1)).toMatch(/^\(func \$k1_twice[\s\S]*f32\.mul/);
  });
});

/** Counts buffer 0 up while it is less than `limit`. */
const counting = (limit: number, trip: Sym | null = null, results: Dim[] = []): Plan =>
  plan({
    buffers: [
      { kind: 'feed', dtype: 'int32', elements: 1 },
      { kind: 'arena', dtype: 'bool', elements: 1 },
    ],
    feeds: [{ buffer: 0, shape: [] }],
    results: [
      { buffer: 0, shape: [] },
      ...results.map((d) => ({ buffer: 0, shape: [], offset: mulDim(0, d) })),
    ],
    kernels: [BELOW, INC_INT],
    segments: [
      device({
        kind: 'loop',
        position: 0,
        counter: k0,
        limit: null,
        cond: { steps: [run(0, 1, [0, 1], [1, limit])], predicate: view(1) },
        body: [run(1, 2, [0, 0], [1])],
        trip,
      }),
    ],
  });

const stepsOf = (p: Plan): readonly Step[] =>
  p.segments.flatMap((s) => (s.kind === 'device' ? s.steps : []));

describe('control flow', () => {
  it('turns loops with counters in offsets and nested loops', () => {
    const k1 = makeSym('$k1');
    const inner = symDim(k1);
    const p = plan({
      buffers: [
        { kind: 'feed', dtype: 'float32', elements: 2 },
        { kind: 'arena', dtype: 'float32', elements: 24 },
      ],
      feeds: [{ buffer: 0, shape: [2] }],
      results: [{ buffer: 1, shape: [3, 4, 2] }],
      kernels: [COPY],
      segments: [
        device({
          kind: 'loop',
          position: 0,
          counter: k0,
          limit: 3,
          cond: null,
          trip: null,
          body: [
            {
              kind: 'loop',
              position: 1,
              counter: k1,
              limit: 4,
              cond: null,
              trip: null,
              body: [run(0, 2, [0, [1, addDim(mulDim(K0, 8), mulDim(inner, 2))]], [2])],
            },
          ],
        }),
      ],
    });
    const [out] = open().compile(p).runSync!(bindings([tensor('float32', [2], [8, 9])]));
    expect([...out.data]).toEqual(Array.from({ length: 12 }, () => [8, 9]).flat());
  });

  it('ends a loop where its predicate is false, and binds the number of turns', () => {
    const trip = makeSym('trip');
    const counted = counting(5000, trip);
    const exe = open().compile({
      ...counted,
      buffers: [
        ...counted.buffers,
        { ...counted.buffers[1], id: 2, kind: 'tape', dtype: 'float32', elements: 0 },
      ],
      kernels: [...counted.kernels, FILL],
      results: [
        ...counted.results,
        { view: view(2), type: { dtype: 'float32', shape: [symDim(trip)] } },
      ],
      segments: [
        device(
          ...stepsOf(counted),
          { kind: 'reserve', position: 3, buffer: 2, elements: symDim(trip) },
          run(2, 4, [2], [symDim(trip)]),
        ),
      ],
    });
    const [count, tape] = exe.runSync!(bindings([tensor('int32', [], [10])]));
    expect(count.data[0]).toBe(5000);
    expect(tape.shape).toEqual([4990]);
    expect(tape.data.every((x) => x === 7)).toBe(true);
    expect(exe.stats().slotBytes).toBe(4 * 4990);
    const [again, none] = exe.runSync!(bindings([tensor('int32', [], [6000])]));
    expect([again.data[0], none.shape]).toEqual([6000, [0]]);
  });

  it('grows tapes and keeps what they hold', () => {
    const p = plan({
      buffers: [
        { kind: 'feed', dtype: 'float32', elements: 100 },
        { kind: 'tape', dtype: 'float32', elements: 0 },
      ],
      feeds: [{ buffer: 0, shape: [100] }],
      results: [{ buffer: 1, shape: [700, 100] }],
      kernels: [COPY],
      segments: [
        device({
          kind: 'loop',
          position: 0,
          counter: k0,
          limit: 700,
          cond: null,
          trip: null,
          body: [
            { kind: 'reserve', position: 1, buffer: 1, elements: addDim(mulDim(K0, 100), 100) },
            run(0, 2, [0, [1, mulDim(K0, 100)]], [100]),
          ],
        }),
      ],
    });
    const exe = open().compile(p);
    for (let round = 0; round < 2; round++) {
      const [out] = exe.runSync!(bindings([floats(100)]));
      expect(out.data.every((x, k) => x === k % 100)).toBe(true);
    }
    expect(exe.stats().slotBytes).toBe(4 * 102_400);
    const small = open({ memoryLimit: 2 ** 19 }).compile(p);
    const error = thrown(() => small.runSync!(bindings([floats(100)])));
    expect(error).toBeInstanceOf(OutOfMemoryError);
    expect(error.code).toBe('memory/limit');
  });

  it('runs the branch that the selector names', () => {
    const fill = (position: number, offset: number): Step => run(0, position, [[1, offset]], [1]);
    const branching = (selectorType: DType, count: number): Plan =>
      plan({
        buffers: [
          { kind: 'feed', dtype: selectorType, elements: 1 },
          { kind: 'arena', dtype: 'float32', elements: 3 },
          { kind: 'const', dtype: 'float32', elements: 3, data: new Float32Array(3) },
        ],
        feeds: [{ buffer: 0, shape: [] }],
        results: [{ buffer: 1, shape: [3] }],
        kernels: [FILL, COPY],
        segments: [
          device(run(1, 0, [2, 1], [3]), {
            kind: 'branch',
            position: 1,
            selector: view(0),
            selectorType,
            branches: Array.from({ length: count }, (_, k) => [fill(2 + k, k)]),
          }),
        ],
      });
    const taken = (type: DType, count: number, selector: number): number => {
      const exe = open().compile(branching(type, count));
      const [out] = exe.runSync!(bindings([tensor(type, [], [selector])]));
      expect(out.data.filter((x) => x === 7).length).toBe(1);
      return out.data.indexOf(7);
    };
    expect([1, 0].map((s) => taken('bool', 2, s))).toEqual([0, 1]);
    expect([-5, 0, 1, 2, 3, 99].map((s) => taken('int32', 3, s))).toEqual([2, 0, 1, 2, 2, 2]);
    expect(taken('int32', 1, 4)).toBe(0);
  });

  it('binds sizes computed in mid-run', () => {
    const late = makeSym('late', 'late', { bound: 10 });
    const p = plan({
      buffers: [
        { kind: 'feed', dtype: 'int32', elements: 1 },
        { kind: 'arena', dtype: 'int32', elements: 1 },
        { kind: 'arena', dtype: 'float32', elements: 10 },
      ],
      feeds: [{ buffer: 0, shape: [] }],
      results: [{ buffer: 2, shape: [symDim(late), 1] }],
      kernels: [INC_INT, FILL],
      segments: [
        device(
          run(0, 0, [0, 1], [1]),
          { kind: 'bind', position: 1, sym: late, view: view(1) },
          run(1, 2, [2], [symDim(late)]),
        ),
      ],
    });
    const exe = open().compile(p);
    const shape = (x: number) => exe.runSync!(bindings([tensor('int32', [], [x])]))[0].shape;
    expect([shape(3), shape(9), shape(-1)]).toEqual([
      [4, 1],
      [10, 1],
      [0, 1],
    ]);
  });

  it('ends a loop without end by deadline or signal', () => {
    const exe = open().compile(counting(2 ** 31 - 1));
    const feed = tensor('int32', [], [-(2 ** 31)]);
    const started = performance.now();
    const error = thrown(() => exe.runSync!(bindings([feed], [], { deadline: started + 50 })));
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error.message).toMatch(/timeoutMs/);
    expect(performance.now() - started).toBeLessThan(1000);
    const signal = AbortSignal.abort('enough');
    const aborted = thrown(() => exe.runSync!(bindings([feed], [], { signal })));
    expect(aborted).toBeInstanceOf(AbortedError);
    expect(aborted).toMatchObject({ code: 'run/aborted', cause: 'enough' });
  });
});

/** Bytewise: far quicker than `toEqual` on large arrays, and it tells -0 from 0. */
const sameBits = (x: HostTensor, y: HostTensor): boolean =>
  Buffer.from(x.data.buffer).equals(Buffer.from(y.data.buffer));

describe('threads', () => {
  const wave = kernel(
    'wave',
    ['f32', 'f32'],
    [grid([store(1, binary('div', f(0), add(mul(f(0), f(0)), f32(1.5))))])],
  );
  const waves = plan({
    buffers: [
      { kind: 'feed', dtype: 'float32', elements: B },
      { kind: 'arena', dtype: 'float32', elements: B },
    ],
    feeds: [{ buffer: 0, shape: [B] }],
    results: [{ buffer: 1, shape: [B] }],
    kernels: [wave, COPY],
    segments: [
      device(run(1, 0, [0, 1], [B]), {
        kind: 'loop',
        position: 1,
        counter: k0,
        limit: 40,
        cond: null,
        body: [run(0, 2, [1, 1], [B])],
        trip: null,
      }),
    ],
    syms: [b],
  });

  it('gives equal bits for any number of threads', async () => {
    const feeds = [floats(20_000, Math.sin)];
    const [want] = open().compile(waves).runSync!(bindings(feeds, [20_000]));
    for (const threads of [2, 3]) {
      const dev = open({ threads });
      const exe = dev.compile(waves);
      const other = dev.compile(chain);
      for (let round = 0; round < 20; round++) {
        const [got] = exe.runSync!(bindings(feeds, [20_000]));
        expect(sameBits(got, want)).toBe(true);
        const pair = [floats(5000), floats(5000)];
        const [sum] = other.runSync!(bindings(pair, [5000]));
        expect(sum.data.every((x, k) => x === 4 * k)).toBe(true);
        // Sleeps of several lengths, so that workers are met spinning, asleep and waking.
        if (round % 4 === 3) await new Promise((resolve) => setTimeout(resolve, round));
      }
      dev.close();
    }
  });

  it('reports a trap, and runs on without the other threads', () => {
    // Element `i` of what would be gigabytes: later tiles leave the memory.
    const wild = kernel('wild', ['f32'], [grid([store(0, f32(1), mulDim(at, 2 ** 16))])]);
    const p = plan({
      buffers: [{ kind: 'arena', dtype: 'float32', elements: B }],
      kernels: [wild],
      segments: [device(run(0, 0, [0], [B]))],
      syms: [b],
    });
    for (const threads of [1, 2]) {
      const dev = open({ threads });
      const exe = dev.compile(waves);
      const feeds = [floats(20_000, Math.sin)];
      const [want] = exe.runSync!(bindings(feeds, [20_000]));
      const error = thrown(() => dev.compile(p).runSync!(bindings([], [16_000])));
      expect(error).toBeInstanceOf(InternalError);
      expect(error.cause).toBeInstanceOf(WebAssembly.RuntimeError);
      if (threads === 1) continue;
      expect(exe.runSync!(bindings(feeds, [20_000]))[0].shape).toEqual(want.shape);
      dev.close();
      dev.close();
      expect(() => dev.compile(p)).toThrow(StateError);
    }
  });

  it('refuses a number of threads that is none', () => {
    expect(() => open({ threads: 0 })).toThrow(/positive integer/);
    expect(() => open({ memoryLimit: 10 })).toThrow(OutOfMemoryError);
  });
});
