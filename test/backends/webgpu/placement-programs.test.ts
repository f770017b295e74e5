// Random programs that mix dtypes of 32 and 64 bits, variables of both, loops, branches and control
// dependencies: the CPU gives what the reference gives, and WebGPU what the CPU gives, bit for bit, and they
// leave the same variables. All numbers are small integers, so that every dtype holds them exactly.

import { describe, expect, it } from 'vitest';
import { generator } from '../../../src/conformance/draw.ts';
import * as tl from '../../../src/index.ts';
import { webgpuAvailable } from '../../support/wgsl-run.ts';

const available = await webgpuAvailable();

const PROGRAMS = 50;
const DTYPES = ['float32', 'float64', 'int32', 'int64'] as const;

interface Program {
  readonly graph: tl.Graph;
  readonly feeds: readonly tl.Tensor[];
  readonly fetches: readonly tl.Tensor[];
  readonly variables: readonly tl.Variable[];
  readonly init: tl.Operation;
}

function program(seed: number): Program {
  const next = generator(seed);
  const below = (n: number): number => Math.floor(next() * n);
  /** Late values more often than early ones. */
  const pick = <T>(list: readonly T[]): T =>
    list[list.length - 1 - Math.min(below(list.length), below(list.length))];
  const small = (t: tl.Tensor): tl.Tensor => tl.mod(t, 7);
  const as = (t: tl.Tensor, like: { readonly dtype: tl.DType }): tl.Tensor =>
    tl.cast(t, like.dtype);
  const graph = new tl.Graph();
  return graph.asDefault(() => {
    const feeds = (['float32', 'float64', 'int64'] as const).map((dtype) =>
      tl.placeholder(dtype, ['n', 3], { name: dtype }),
    );
    const variables = DTYPES.map((dtype) =>
      tl.variable(tl.zeros([3], { dtype }), { name: `of_${dtype}` }),
    );
    const matrices: tl.Tensor[] = [...feeds];
    const rows: tl.Tensor[] = variables.map((v) => v.read());
    const writes: tl.Tensor[] = [];
    const write = (made: tl.Tensor): void => {
      writes.push(made);
      if (below(2) === 0) rows.push(made);
    };
    const steps: readonly (() => unknown)[] = [
      () => matrices.push(tl.cast(pick(matrices), pick(DTYPES))),
      () => rows.push(tl.cast(pick(rows), pick(DTYPES))),
      () => {
        const a = pick(matrices);
        matrices.push(small(tl.add(a, as(pick(matrices), a))));
      },
      () => {
        const a = pick(matrices);
        matrices.push(small(tl.mul(a, as(pick(rows), a))));
      },
      () => rows.push(small(tl.reduceSum(pick(matrices), { axis: 0 }))),
      () => matrices.push(tl.reverse(pick(matrices), [0])),
      () => {
        const a = pick(matrices);
        matrices.push(small(tl.matmul(a, tl.ones([3, 3], { dtype: a.dtype }))));
      },
      () =>
        matrices.push(
          tl.broadcastTo(small(tl.reduceSum(pick(matrices))), tl.shape(pick(matrices))),
        ),
      () => rows.push(pick(variables).read()),
      () => {
        const v = pick(variables);
        write(v.assignAdd(as(small(pick(rows)), v)));
      },
      () => {
        const v = pick(variables);
        write(v.assign(as(small(pick(rows)), v)));
      },
      () => {
        const [v, by, first] = [pick(variables), pick(rows), pick(rows)];
        const writing = below(2) === 0;
        const { sum } = tl.whileLoop(
          ({ i }) => tl.less(i, 2),
          ({ i, sum }) => {
            const seen = writing ? v.assignAdd(as(small(by), v)) : v.read();
            return { i: tl.add(i, 1), sum: small(tl.add(sum, as(seen, sum))) };
          },
          { i: tl.constant(0, { dtype: 'int32' }), sum: tl.cast(first, pick(DTYPES)) },
        );
        rows.push(sum);
      },
      () => {
        const [a, b] = [pick(rows), pick(rows)];
        const large = tl.greater(tl.reduceSum(tl.cast(a, 'int32')), 5);
        rows.push(
          tl.cond(
            large,
            () => small(tl.add(b, 1)),
            () => small(tl.add(as(a, b), 2)),
          ),
        );
      },
    ];
    for (let k = 4 + below(16); k > 0; k--) {
      const after = writes.length > 0 && below(3) === 0 ? [pick(writes)] : [];
      tl.controlDependencies(after, pick(steps));
    }
    const fetches = [0, 1, 2].flatMap(() => [pick(matrices), pick(rows)]);
    for (const w of writes) if (below(2) === 0) fetches.push(w);
    return { graph, feeds, fetches, variables, init: tl.globalVariablesInitializer() };
  });
}

async function trial({ graph, feeds, fetches, variables, init }: Program, backend: string) {
  const session = new tl.Session({ graph, backend });
  const out: string[] = [];
  const note = ({ dtype, shape, data }: tl.HostTensor): void => {
    out.push(`${dtype}[${shape}] ${Array.from(data as Iterable<unknown>).join()}`);
  };
  await session.run(init);
  for (const n of [2, 4, 1]) {
    const given = feeds.map((t, k) => {
      const data = Array.from({ length: 3 * n }, (_, i) => (i * 5 + n + k) % 7);
      const typed = t.dtype === 'int64' ? BigInt64Array.from(data, BigInt) : data;
      return [t, tl.toNDArray(typed, t.dtype, [n, 3])] as const;
    });
    if (n === 4) {
      for (const kept of await session.run(fetches, given, { keep: true })) note(await kept.read());
    } else for (const v of await session.run(fetches, given)) note(v);
    for (const v of await session.run(variables)) note(v);
  }
  await session.close();
  return out;
}

describe('programs of mixed dtypes', () => {
  const agree = async (count: number, backend: string, judge: string): Promise<void> => {
    for (let seed = 1; seed <= count; seed++) {
      const made = program(seed);
      expect(await trial(made, backend), `program ${seed}`).toEqual(await trial(made, judge));
    }
  };

  it('give on the CPU what the reference gives', () => agree(2 * PROGRAMS, 'cpu', 'reference'));

  it.skipIf(!available)('give on WebGPU what they give on the CPU', () =>
    agree(PROGRAMS, 'webgpu', 'cpu'),
  );
});
