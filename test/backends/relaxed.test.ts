// Relaxed SIMD: used where the engine has it, left out on demand, refused where it is demanded in vain.

import { describe, expect, it } from 'vitest';
import { relaxedSimdSupported } from '../../src/codegen/wasm/probe.ts';
import * as tl from '../../src/index.ts';

function product(options: tl.SessionOptions): { session: tl.Session; y: tl.Tensor } {
  const graph = new tl.Graph();
  const y = graph.asDefault(() => {
    const a = tl.placeholder('float32', [null, 24], { name: 'a' });
    return tl.matmul(a, a, { transposeB: true });
  });
  return { session: new tl.Session({ ...options, graph, threads: 1 }), y };
}

const a = new tl.NDArray(
  'float32',
  [17, 24],
  Float32Array.from({ length: 17 * 24 }, (_, i) => Math.fround(Math.sin(i))),
);

describe.runIf(relaxedSimdSupported())('where the engine has relaxed SIMD', () => {
  it('multiplies and adds in one instruction unless told not to', async () => {
    const values: tl.NDArray[] = [];
    for (const relaxedSimd of [undefined, true, false]) {
      const { session, y } = product(relaxedSimd === undefined ? {} : { relaxedSimd });
      const text = session.explain(y);
      expect(text.includes('f32x4.relaxed_madd'), String(relaxedSimd)).toBe(relaxedSimd !== false);
      values.push(await session.run(y, { a }));
      await session.close();
    }
    expect(values[1].data).toEqual(values[0].data);
    values[2].data.forEach((v, i) => {
      expect(Math.abs(v - values[0].data[i])).toBeLessThan(1e-5);
    });
  });
});

describe.skipIf(relaxedSimdSupported())('where the engine has none', () => {
  it('does without', async () => {
    const { session, y } = product({});
    expect(session.explain(y)).not.toContain('relaxed_madd');
    await session.close();
  });

  it('refuses to be told to use it', () => {
    expect(() => new tl.Session({ relaxedSimd: true })).toThrow(
      expect.objectContaining({ code: 'option/relaxed-simd' }),
    );
  });
});
