// Elementary functions as the cpu backend compiles them, in vectors and in the scalar rest of a row,
// against double precision: at most 2 ulp over the whole range of float32.

import { describe, expect, it } from 'vitest';
import * as tl from '../../src/index.ts';
import { erf, powFloat } from '../../src/util/numeric.ts';

const sigmoid = (x: number): number => (x < 0 ? Math.exp(x) : 1) / (1 + Math.exp(-Math.abs(x)));

const CASES: readonly [string, (x: tl.Tensor) => tl.Tensor, (x: number) => number][] = [
  ['exp', tl.exp, Math.exp],
  ['expm1', tl.expm1, Math.expm1],
  ['log', tl.log, Math.log],
  ['log1p', tl.log1p, Math.log1p],
  ['tanh', tl.tanh, Math.tanh],
  ['sigmoid', tl.sigmoid, sigmoid],
  ['erf', tl.erf, erf],
  ['sin', tl.sin, Math.sin],
  ['cos', tl.cos, Math.cos],
  ['pow 2.3', (x) => tl.pow(x, 2.3), (x) => powFloat(x, Math.fround(2.3))],
  ['pow -7', (x) => tl.pow(x, -7), (x) => powFloat(x, -7)],
  ['power of 1.7', (x) => tl.pow(1.7, x), (x) => powFloat(Math.fround(1.7), x)],
];

/** Every bit pattern of positive floats, in steps; all small arguments; negatives of all. */
function points(): Float32Array {
  const bits = Int32Array.from({ length: 150_001 }, (_, i) =>
    Math.floor((i * 0x7f800000) / 150_000),
  );
  const half = [...new Float32Array(bits.buffer)];
  for (let i = 0; i < 150_000; i++) half.push((i + 0.37) / 1400);
  return Float32Array.from([...half, ...half.map((x) => -x), Number.NaN, 0, 1]);
}

function ulpAt(y: number): number {
  const a = Math.max(Math.abs(y), 2 ** -126);
  let e = Math.floor(Math.log2(a));
  if (2 ** e > a) e--;
  return 2 ** (Math.min(e, 127) - 23);
}

describe('compiled functions', () => {
  const xs = points();
  it.each(CASES)('%s is within 2 ulp', (name, build, exact) => {
    const graph = new tl.Graph();
    const [x, y] = graph.asDefault(() => {
      const input = tl.placeholder('float32', [null]);
      return [input, build(input)] as const;
    });
    const session = new tl.Session({ graph, backend: 'cpu' });
    const out = session.runSync(y, [[x, new tl.NDArray('float32', [xs.length], xs)]]).data;
    let worst = 0;
    let at = 0;
    xs.forEach((v, i) => {
      const want = exact(v);
      const single = Math.fround(want);
      if (Object.is(out[i], single) || (out[i] === single && single !== 0)) return;
      const fits = Number.isFinite(single) && Number.isFinite(out[i]);
      const ulp = fits ? Math.abs(out[i] - want) / ulpAt(want) : Infinity;
      if (ulp > worst) [worst, at] = [ulp, v];
    });
    if (process.env.ULP_REPORT) console.log(name, worst.toFixed(3), 'ulp at', at);
    expect(worst, `at ${at}`).toBeLessThanOrEqual(2);
  });
});
