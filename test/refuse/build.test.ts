// Programs that are wrong before they run: refused when they are built, in terms of op, node and types.

import { beforeEach, describe, expect, it } from 'vitest';
import * as tl from '../../src/index.ts';
import { refuses } from '../support/refuses.ts';

beforeEach(() => tl.resetDefaultGraph());

describe('shapes', () => {
  it('that do not broadcast', async () => {
    const a = tl.placeholder('float32', ['batch', 64]);
    const b = tl.placeholder('float32', [32, 10]);
    await refuses(
      () => tl.add(a, b),
      tl.ShapeError,
      'shape/broadcast',
      /^Add "Add": .*64 and 10 do not broadcast, got float32\[batch, 64\] and float32\[32, 10\]\. Make the sizes equal/,
    );
  });
  it('that do not contract', () =>
    refuses(
      () => tl.matmul(tl.zeros([2, 3]), tl.zeros([4, 5])),
      tl.ShapeError,
      'shape/mismatch',
      /^MatMul "MatMul": the inner sizes must be equal: 3 is not 4, got float32\[2, 3\] and float32\[4, 5\]/,
    ));
  it('that do not hold the elements', () =>
    refuses(
      () => tl.reshape(tl.zeros([2, 3]), [4, 2]),
      tl.ShapeError,
      'shape/mismatch',
      /^Reshape "Reshape": the number of elements must stay the same: 8 is not 6/,
    ));
  it('of vectors where matrices are due', () =>
    refuses(
      () => tl.matmul([1, 2], [3, 4]),
      tl.ShapeError,
      'shape/rank',
      /^MatMul "MatMul": matrices need rank 2/,
    ));
  it('with an axis too many', () =>
    refuses(
      () => tl.reduceSum([1, 2], { axis: 1 }),
      tl.ShapeError,
      'shape/axis',
      /^Sum "Sum": axis 1 does not exist in a tensor of rank 1/,
    ));
  it('of placeholders that are none', () =>
    refuses(() => tl.placeholder('float32', [-1]), tl.ShapeError, 'shape/spec', /-1 is no size/));
  it('of assigned values', () => {
    const v = tl.variable([1, 2], { name: 'v' });
    return refuses(
      () => v.assign([1, 2, 3]),
      tl.ShapeError,
      'shape/mismatch',
      /^Assign "Assign": the value must have the shape \(2\) of "v"/,
    );
  });
});

describe('dtypes', () => {
  it('that are mixed', () =>
    refuses(
      () => tl.add(tl.placeholder('float32', [2]), tl.placeholder('int32', [2])),
      tl.DTypeError,
      'dtype/mixed',
      /^Add "Add": the operands have different dtypes float32 and int32, got float32\[2\] and int32\[2\]\. Cast one/,
    ));
  it('of numbers that do not fit', () =>
    refuses(
      () => tl.add(tl.placeholder('int32', [2]), 1.5),
      tl.DTypeError,
      'dtype/weak',
      /the number 1.5 does not fit/,
    ));
  it('an op does not have', () =>
    refuses(
      () => tl.exp(tl.placeholder('int32', [2])),
      tl.DTypeError,
      'dtype/unsupported',
      /^Exp "Exp": int32 is not among/,
    ));
  it('that do not exist', () =>
    refuses(
      () => tl.placeholder('complex64' as 'float32', []),
      tl.DTypeError,
      'dtype/unknown',
      /"complex64" is no dtype/,
    ));
  it('of conditions that are none', () =>
    refuses(
      () => tl.select([1, 2], 1, 2),
      tl.DTypeError,
      'dtype/unsupported',
      /the condition is float32, not bool/,
    ));
});

describe('graphs', () => {
  it('that are mixed', () => {
    const a = tl.placeholder('float32', []);
    return refuses(
      () => new tl.Graph().asDefault(() => tl.neg(a)),
      tl.GraphError,
      'graph/foreign',
      /^Neg "Neg": Tensor 'Placeholder:0'.*belongs to another graph/,
    );
  });
  it('that are finalized', () => {
    tl.getDefaultGraph().finalize();
    return refuses(
      () => tl.constant(1),
      tl.GraphError,
      'graph/finalized',
      /the graph is finalized/,
    );
  });
  it('with an async scope callback', async () => {
    await refuses(
      () => tl.nameScope('s', async () => 1),
      tl.GraphError,
      'graph/async-scope',
      /nameScope\("s"\).*returned a promise/,
    );
    await refuses(
      () => new tl.Graph().asDefault(async () => 1),
      tl.GraphError,
      'graph/async-scope',
      /asDefault\(\)/,
    );
    await refuses(
      () => tl.variableScope('s', async () => 1),
      tl.GraphError,
      'graph/async-scope',
      /returned a promise/,
    );
    await refuses(
      () => tl.controlDependencies([], async () => 1),
      tl.GraphError,
      'graph/async-scope',
      /controlDependencies\(\)/,
    );
    expect(tl.constant(1).name).toBe('Const:0');
  });
  it('without the name asked for', () => {
    tl.constant(1, { name: 'weights' });
    return refuses(
      () => tl.getDefaultGraph().getTensorByName('weight:0'),
      tl.GraphError,
      'graph/name',
      /no operation "weight" in the graph \(there is "weights"\)/,
    );
  });
  it('with names that are none', () =>
    refuses(
      () => tl.constant(1, { name: 'a b' }),
      tl.ValueError,
      'graph/bad-name',
      /"a b" is no name/,
    ));
  it('in damaged files', async () => {
    tl.add(tl.placeholder('float32', [null]), 1);
    const text = tl.graphToJson(tl.getDefaultGraph());
    await refuses(() => tl.graphFromJson('{'), tl.GraphError, 'json/syntax', /the text is no JSON/);
    await refuses(() => tl.graphFromJson('{}'), tl.GraphError, 'json/format', /no graph of format/);
    await refuses(
      () => tl.graphFromJson(text.replace('"op":"add"', '"op":"nope"')),
      tl.GraphError,
      'json/op',
      /no op "nope"/,
    );
    await refuses(
      () => tl.graphFromJson(text.replace('float32[?]"', 'float32[3]"')),
      tl.GraphError,
      'json/types',
      /the file says float32\[3\], inference float32\[\?\]/,
    );
  });
});

describe('variables', () => {
  it('of unknown size', () =>
    refuses(
      () => tl.variable(tl.placeholder('float32', [null])),
      tl.ValueError,
      'variable/shape',
      /known sizes/,
    ));
  it('that exist already', () => {
    tl.getVariable('w', 1);
    return refuses(
      () => tl.getVariable('w', 1),
      tl.StateError,
      'variable/exists',
      /"w" exists already/,
    );
  });
  it('that do not exist yet', () =>
    refuses(
      () => tl.variableScope('s', () => tl.getVariable('w', 1), { reuse: true }),
      tl.StateError,
      'variable/missing',
      /"s\/w" was not made before/,
    ));
});

describe('messages', () => {
  it('name where the node was made', () => {
    try {
      tl.matmul(tl.zeros([2, 3]), tl.zeros([4, 5]));
      expect.fail('nothing was refused');
    } catch (e) {
      expect((e as tl.TensorloomError).site?.[0]).toMatch(/build\.test\.ts:\d+:\d+$/);
      expect((e as tl.TensorloomError).op).toBe('MatMul');
    }
  });
});
