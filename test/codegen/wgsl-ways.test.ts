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
