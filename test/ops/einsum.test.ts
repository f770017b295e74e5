// Einsum against known results, and the equations it refuses.

import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ShapeError, ValueError } from '../../src/core/error.ts';
import { opRecord } from '../../src/graph/op.ts';
import * as tl from '../../src/index.ts';
import { refuses } from '../support/refuses.ts';

const GOLDENS = process.env.TENSORLOOM_GOLDENS ?? '';
const FILE = `${GOLDENS}/tf1-semantics.json`;
const present = GOLDENS !== '' && existsSync(FILE);

interface Value {
  readonly shape: number[];
  readonly data: number[];
}

interface Golden {
  readonly equation: string;
  readonly inputs: Value[];
  readonly out: Value;
  readonly tol: number;
}

interface Goldens {
  readonly einsum: Golden[];
  readonly einsum_invalid: { equation: string; input_shapes: number[][]; why: string }[];
}

const read = (): Goldens => JSON.parse(readFileSync(FILE, 'utf8')) as Goldens;

describe('goldens of TensorFlow', () => {
  it.skipIf(present)('are absent: set TENSORLOOM_GOLDENS to their folder to run them', (c) =>
    c.skip(),
  );

  for (const g of present ? read().einsum : []) {
    const shapes = g.inputs.map((x) => `[${x.shape}]`).join(' ');
    it(`${g.equation} of ${shapes}`, async () => {
      const graph = new tl.Graph();
      const y = graph.asDefault(() =>
        tl.einsum(
          g.equation,
          ...g.inputs.map((x) => new tl.NDArray('float32', x.shape, Float32Array.from(x.data))),
        ),
      );
      const session = new tl.Session({ graph });
      const got = await session.run(y);
      expect(got.shape).toEqual(g.out.shape);
      const scale = Math.max(1, ...g.out.data.map(Math.abs));
      got.data.forEach((v, i) => {
        expect(Math.abs(v - g.out.data[i])).toBeLessThanOrEqual(g.tol * scale);
      });
      await session.close();
    });
  }

  for (const g of present ? read().einsum_invalid : []) {
    it(`refuses ${g.equation}: ${g.why}`, () => {
      const graph = new tl.Graph();
      const build = () =>
        graph.asDefault(() =>
          tl.einsum(g.equation, ...g.input_shapes.map((s) => tl.placeholder('float32', s))),
        );
      expect(build).toThrow(/^einsum "/);
    });
  }
});

function build(equation: string, ...shapes: number[][]): tl.Tensor {
  return new tl.Graph().asDefault(() =>
    tl.einsum(equation, ...shapes.map((s) => tl.placeholder('float32', s))),
  );
}

describe('refusals', () => {
  const refused: readonly [string, number[][], RegExp][] = [
    ['a0->a', [[5, 3]], /"0" is no label, got float32\[5, 3\]/],
    ['a->a->a', [[5]], /more than one "->"/],
    ['a->a,a', [[5]], /more than one result/],
    [
      'ijk ijk',
      [
        [1, 2],
        [1, 2],
      ],
      /1 operands, not 2/,
    ],
    ['a->b', [[5]], /"b" of the result is in no operand/],
    ['ab->aa', [[5, 2]], /the label "a" twice/],
    ['ij->i', [[5, 2, 3]], /operand 0 has 3 axes, the equation names 2/],
    ['..i->i', [[5, 2]], /"\." is no label/],
  ];
  for (const [equation, shapes, message] of refused) {
    it(equation, () =>
      refuses(() => build(equation, ...shapes), ValueError, 'value/einsum', message),
    );
  }

  it('sizes that differ', () =>
    refuses(
      () => build('ij,jk->ik', [2, 3], [4, 5]),
      ShapeError,
      'shape/einsum',
      /the label "j" has the sizes 3 and 4, got float32\[2, 3\] and float32\[4, 5\]/,
    ));
});

describe('composition', () => {
  const ops = (y: tl.Tensor): string[] =>
    y.graph.nodes.map((n) => n.op).filter((op) => opRecord(op).form.kind !== 'leaf');

  it('is one contraction where its axis order suffices', () => {
    expect(ops(build('ij,jk->ik', [2, 3], [3, 4]))).toEqual(['dotGeneral']);
    expect(ops(build('ij,kj->ki', [2, 3], [4, 3]))).toEqual(['dotGeneral']);
    expect(ops(build('bqhd,bkhd->bhqk', [2, 3, 4, 5], [2, 6, 4, 5]))).toEqual(['dotGeneral']);
    expect(ops(build('ab,ab->', [2, 3], [2, 3]))).toEqual(['dotGeneral']);
  });

  it('transposes operands rather than results', () => {
    expect(ops(build('jik,kl->ijl', [2, 3, 4], [4, 5]))).toEqual(['transpose', 'dotGeneral']);
    expect(ops(build('ij,jk->ki', [2, 3], [3, 4]))).toEqual(['dotGeneral']);
  });
});
