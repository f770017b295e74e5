// Every way that WGSL has to run the kernels of plans, whether or not it is the best for these sizes,
// against the interpreter. Skipped where there is no WebGPU.

import { afterAll, describe, expect, it } from 'vitest';
import type { WgslLimits } from '../../src/codegen/wgsl/program.ts';
import { emitWgsl } from '../../src/codegen/wgsl/wgsl.ts';
import * as tl from '../../src/index.ts';
import { interpretKernel } from '../../src/kernel/interpret.ts';
import type { Kernel } from '../../src/kernel/ir.ts';
import { launchRecorder } from '../support/interpreter.ts';
import { expectClose, numbers } from '../support/wgsl-check.ts';
import {
  disposeWebgpu,
  LIMITS,
  runWgsl,
  type TypedArray,
  webgpuAvailable,
  webgpuHas,
  webgpuSubgroup,
} from '../support/wgsl-run.ts';

const available = await webgpuAvailable();
if (!available) console.warn('wgsl-ways.test.ts: no WebGPU adapter, so no kernel is run');

interface Launch {
  readonly kernel: Kernel;
  readonly buffers: TypedArray[];
  readonly params: readonly number[];
}

/** The launches of a graph with the shapes of its inputs open, on inputs of the shapes given. */
async function launches(
  shapes: readonly (readonly number[])[],
  build: (...x: tl.Tensor[]) => tl.Tensor,
): Promise<Launch[]> {
  const seen: Launch[] = [];
  tl.registerBackend('recorder', () =>
    launchRecorder((kernel, buffers, params, run) => {
      const before = buffers.map((b) => b.slice() as TypedArray);
      seen.push({ kernel, buffers: before, params: [...params] });
      run();
    }),
  );
  const graph = new tl.Graph();
  const { xs, y } = graph.asDefault(() => {
    const xs = shapes.map((s) =>
      tl.placeholder(
        'float32',
        s.map(() => null),
      ),
    );
    return { xs, y: build(...xs) };
  });
  const session = new tl.Session({ graph, backend: 'recorder' });
  await session.run(
    y,
    xs.map((x, i) => {
      const size = shapes[i].reduce((a, b) => a * b, 1);
      return [x, new tl.NDArray('float32', shapes[i], numbers(size, i + 1))] as const;
    }),
  );
  await session.close();
  return seen;
}

/** Runs every way of each launch; gives their names. */
async function allWays(all: readonly Launch[], limits: WgslLimits): Promise<Set<string>> {
  const names = new Set<string>();
  for (const { kernel, buffers, params } of all) {
    const want = buffers.map((b) => b.slice() as TypedArray);
    interpretKernel(kernel, want, params);
    for (const { name } of emitWgsl(kernel, limits).variants) {
      names.add(name);
      const got = buffers.map((b) => b.slice() as TypedArray);
      await runWgsl(kernel, got, params, { variant: name, limits });
      kernel.buffers.forEach((b, i) => {
        if (b.access !== 'read') expectClose(got[i], want[i], 2e-5, 1);
      });
    }
  }
  return names;
}

const hasSubgroups = await webgpuHas('subgroups', 'wgsl-ways.test.ts');

const SOFTWARE: WgslLimits = { ...LIMITS, software: true };
const PRODUCTS = ['large tiles', 'split product', 'tiles'];

describe.skipIf(!available)('ways to run a kernel', () => {
  afterAll(disposeWebgpu);

  it.each<[number, number, number]>([
    [1, 1, 1],
    [5, 3, 7],
    [64, 64, 64],
    [67, 300, 130],
    [129, 70, 65],
    [3, 1030, 2],
    [0, 4, 5],
    [4, 0, 5],
  ])('of a product, %i by %i by %i', async (m, k, n) => {
    const all = await launches([[m, k], [k, n], [n]], (a, b, c) =>
      tl.relu(tl.add(tl.matmul(tl.mul(a, 0.5), b), c)),
    );
    const names = await allWays(all, LIMITS);
    for (const name of PRODUCTS) expect(names).toContain(name);
    expect(await allWays(all, SOFTWARE)).toContain('blocks');
  });

  it.each([
    [false, true],
    [true, false],
    [true, true],
  ])('of products of transposed matrices: %s, %s', async (transposeA, transposeB) => {
    const a = transposeA ? [3, 33, 70] : [3, 70, 33];
    const b = transposeB ? [3, 41, 33] : [3, 33, 41];
    const all = await launches([a, b], (x, y) => tl.matmul(x, y, { transposeA, transposeB }));
    const names = await allWays(all, LIMITS);
    for (const name of PRODUCTS) expect(names).toContain(name);
    await allWays(all, SOFTWARE);
  });

  it('of a convolution and what comes after it', async () => {
    const all = await launches(
      [
        [2, 9, 7, 3],
        [3, 3, 3, 6],
      ],
      (x, w) => tl.tanh(tl.nn.conv2d(x, w, { strides: 1, padding: 'SAME' })),
    );
    await allWays(all, LIMITS);
    await allWays(all, SOFTWARE);
  });

  it.each<[number, number]>([
    [1, 1],
    [3, 300],
    [300, 3],
    [70, 65],
    [1, 20000],
    [0, 5],
    [5, 0],
  ])('of reductions of %i by %i', async (m, n) => {
    const shape = [m, n];
    const rows = await launches([shape], (x) => tl.reduceSum(tl.exp(x), { axis: 1 }));
    expect(await allWays(rows, LIMITS)).toEqual(
      new Set(['two stages', 'long rows', 'rows', 'points']),
    );
    expect(await allWays(rows, SOFTWARE)).toEqual(new Set(['two stages', 'points']));
    const columns = await launches([shape], (x) => tl.reduceMax(x, { axis: 0 }));
    expect(await allWays(columns, LIMITS)).toContain('columns');
    const whole = await launches([shape], (x) => tl.reduceMean(tl.square(x)));
    expect(await allWays(whole, LIMITS)).toContain('two stages');
  });

  it.each<[number, number]>([
    [1, 1],
    [3, 300],
    [66, 33],
    [0, 3],
  ])('of kernels of whole rows, %i by %i', async (m, n) => {
    const softmax = await launches([[m, n]], (x) => tl.softmax(x));
    await allWays(softmax, LIMITS);
    await allWays(softmax, SOFTWARE);
    const moments = await launches([[m, n]], (x) => tl.nn.moments(x, [1]).variance);
    await allWays(moments, LIMITS);
    await allWays(moments, SOFTWARE);
  });
});

const SPECIAL = [Number.NaN, Infinity, -Infinity, -0, 0, 1e-40, -1e-40, 3e38, -3e38];

/** Numbers with some that are special, in the order of a seed. */
const specials = (size: number, seed: number, share: number): Float32Array =>
  numbers(size, seed).map((x) =>
    Math.abs(x) < share ? SPECIAL[Math.floor(Math.abs(x / share) * SPECIAL.length)] : x,
  );

describe.skipIf(!available || !hasSubgroups)('teams that combine by shuffles', () => {
  afterAll(disposeWebgpu);

  /** The bits of numbers; which sign a NaN has is open everywhere. */
  const bits = (data: TypedArray): TypedArray => {
    if (!(data instanceof Float32Array)) return data;
    const words = new Uint32Array(data.slice().buffer);
    return words.map((word, i) => (Number.isNaN(data[i]) ? 0x7fc00000 : word));
  };

  /** Runs the ways that have subgroups with and without them; gives the names of those. */
  async function same(all: readonly Launch[], share = 0): Promise<string[]> {
    const limits: WgslLimits = { ...LIMITS, subgroup: webgpuSubgroup() };
    const names: string[] = [];
    for (const { kernel, buffers, params } of all) {
      const given = buffers.map((b, i) =>
        share > 0 && b instanceof Float32Array ? specials(b.length, i + 1, share) : b,
      );
      for (const { name, dispatches } of emitWgsl(kernel, limits).variants) {
        if (!dispatches.some((d) => d.code.includes('enable subgroups;'))) continue;
        names.push(name);
        const [got, want] = [given, given].map((all) => all.map((b) => b.slice() as TypedArray));
        await runWgsl(kernel, got, params, { variant: name, limits });
        await runWgsl(kernel, want, params, { variant: name, limits: LIMITS });
        expect(got.map(bits)).toEqual(want.map(bits));
      }
    }
    return names;
  }

  it.each<[number, number]>([
    [1, 1],
    [70, 65],
    [5, 1030],
    [1, 9000],
    [5, 0],
  ])('give the bits of those that do not, for %i by %i', async (m, n) => {
    const over = (build: (x: tl.Tensor) => tl.Tensor) => launches([[m, n]], build);
    const sum = await over((x) => tl.reduceSum(x, { axis: 1 }));
    expect(await same(sum)).toEqual(['two stages', 'long rows', 'rows']);
    const softmax = await over((x) => tl.softmax(x));
    await same(softmax);
    await same(softmax, 0.01);
    await same(await over((x) => tl.reduceMax(x, { axis: 1 })), 0.01);
    await same(await over((x) => tl.reduceAny(tl.greater(x, 1.9), { axis: 1 })));
    await same(await over((x) => tl.reduceProd(tl.cast(tl.mul(x, 9), 'int32'), { axis: 1 })));
  });
});

describe('teams with subgroups', () => {
  const codeOf = (kernel: Kernel, way: string, subgroup: number): string => {
    const { variants } = emitWgsl(kernel, { ...LIMITS, subgroup });
    return variants.find((v) => v.name === way)?.dispatches[0].code ?? '';
  };
  const count = (code: string, what: string): number => code.split(what).length - 1;

  it.each([
    [1, 0, 2, 272],
    [4, 2, 2, 72],
    [8, 3, 2, 36],
    [32, 5, 1, 8],
    [64, 6, 1, 4],
    [128, 7, 1, 2],
  ])('of %i take %i shuffles and %i barriers', async (subgroup, shuffles, barriers, words) => {
    const [{ kernel }] = await launches([[2, 3]], (x) => tl.reduceSum(x, { axis: 1 }));
    const code = codeOf(kernel, 'long rows', subgroup);
    expect(count(code, 'subgroupShuffleDown')).toBe(shuffles);
    expect(count(code, 'enable subgroups;')).toBe(shuffles > 0 ? 1 : 0);
    expect(count(code, 'workgroupBarrier')).toBe(barriers);
    expect(code).toContain(`array<f32, ${words}>;`);
  });

  it('do without where neighbours belong to different points', async () => {
    const [{ kernel }] = await launches([[2, 3]], (x) => tl.reduceSum(x, { axis: 0 }));
    const code = codeOf(kernel, 'columns', 32);
    expect(code).toContain('workgroupBarrier');
    expect(code).not.toContain('subgroup');
  });
});
