// Runs the kit's cases in several configurations at once: the float64 reference is the truth of values,
// finite differences on it the truth of gradients.

import { type BuiltCase, buildCase, feedsOf } from '../../src/conformance/build.ts';
import type { OpCase, Shapes } from '../../src/conformance/case.ts';
import { ConformanceError, compare, sameBits } from '../../src/conformance/compare.ts';
import { TOLERANCE } from '../../src/conformance/suite.ts';
import type { DType } from '../../src/core/dtype.ts';
import type { NDArray } from '../../src/core/ndarray.ts';
import type { Tensor } from '../../src/graph/tensor.ts';
import * as tl from '../../src/index.ts';
import { contendersOf } from '../support/matrix.ts';

/** Largest input of which every element is probed by finite differences. */
const PROBES = 40;

export async function checkCase(
  c: OpCase,
  dtype: DType,
  shapes: Shapes,
  contenders = contendersOf(`${c.name} ${dtype} ${shapes.name}`),
): Promise<void> {
  const b = buildCase(c, dtype, shapes);
  const fetches = [...b.outputs, ...b.gradients.map((g) => g.tensor)];
  const exact = new tl.Session({ graph: b.graph, backend: 'reference', exact: true });
  const truth = (await exact.run(fetches, feedsOf(b))) as NDArray[];
  if (b.loss) await checkDifferences(c, b, exact, truth.slice(b.outputs.length));
  const results = new Map<string, readonly NDArray[]>();
  for (const { name, options, sameBitsAs } of contenders) {
    const session = new tl.Session({ ...options, graph: b.graph });
    let got: NDArray[];
    try {
      got = (await session.run(fetches, feedsOf(b))) as NDArray[];
    } finally {
      await session.close();
    }
    results.set(name, got);
    const twin = sameBitsAs === undefined ? undefined : results.get(sameBitsAs);
    got.forEach((g, i) => {
      const which = i < b.outputs.length ? `output ${i}` : `gradient ${i - b.outputs.length}`;
      const what = `${c.name} ${dtype} ${shapes.name} on ${name}: ${which}`;
      compare(g, truth[i], c.tolerance ?? TOLERANCE, what);
      if (twin) sameBits(g, twin[i], what);
    });
  }
  await exact.close();
}

/** Central differences in float64 against the symbolic gradient in float64. */
async function checkDifferences(
  c: OpCase,
  b: BuiltCase,
  exact: tl.Session,
  grads: readonly NDArray[],
): Promise<void> {
  const step = 1 / 8192;
  for (const [k, g] of b.gradients.entries()) {
    const value = b.values[g.input];
    const data = value.data as Float32Array;
    const stride = Math.max(1, Math.floor(data.length / PROBES));
    for (let i = 0; i < data.length; i += stride) {
      const at = async (h: number): Promise<number> => {
        const moved = data.slice();
        moved[i] += h;
        const feeds = feedsOf(b).map(
          ([t, v], j) =>
            [t, j === g.input ? new tl.NDArray(value.dtype, value.shape, moved) : v] as const,
        );
        const session = c.fresh
          ? new tl.Session({ graph: b.graph, backend: 'reference', exact: true })
          : exact;
        const loss = (await session.run(b.loss as Tensor, feeds)) as NDArray;
        return loss.data[0];
      };
      // The step as the dtype takes it, which is exact for small numbers but not for large ones.
      const [up, down] = (data.constructor as Float32ArrayConstructor).of(
        data[i] + step,
        data[i] - step,
      );
      const slope = ((await at(up - data[i])) - (await at(down - data[i]))) / (up - down);
      const want = grads[k].data[i];
      const allowed = 2e-5 * Math.max(1, Math.abs(slope), Math.abs(want));
      if (!(Math.abs(slope - want) <= allowed)) {
        throw new ConformanceError(
          `${c.name}: gradient ${g.input}[${i}] is ${want}, differences give ${slope}`,
        );
      }
    }
  }
}
