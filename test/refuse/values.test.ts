// Values of the wrong kind where a tensor, a variable, a list or a graph is due: what the errors say.

import { describe, expect, it } from 'vitest';
import * as tl from '../../src/index.ts';
import { refuses } from '../support/refuses.ts';

/** The public functions as untyped code calls them. */
// biome-ignore lint/suspicious/noExplicitAny: calls that types would refuse
const any = tl as any;

const graph = new tl.Graph();
const { x, v, loss, step } = graph.asDefault(() => {
  const v = tl.variable([1, 2], { name: 'v' });
  const loss = tl.reduceSum(tl.mul(v, v));
  return { x: tl.placeholder('float32', [null, 2]), v, loss, step: v.assignAdd([1, 1]).op };
});
const sgd = () => new any.GradientDescentOptimizer(0.1);
const f32 = new Float32Array(3);

const calls: readonly [string, () => unknown, RegExp][] = [
  ['variable of no dtype', () => any.variable(1, { dtype: 'flaot32' }), /no dtype "flaot32"/],
  ['zeros of no dtype', () => any.zeros([1], { dtype: 'int' }), /no dtype "int"/],
  ['oneHot of no dtype', () => any.oneHot([1], 2, { dtype: 'int' }), /no dtype "int"/],
  ['zeros without a size', () => any.zeros([null, 3]), /\[null, 3\] has no size at \[0\]/],
  ['concat of two', () => any.concat(x, x), /^concat: values must be an array/],
  ['concat of a number', () => any.concat(3, 0), /^concat: values must be an array, got 3/],
  ['stack of one', () => any.stack(x), /^stack: values must be an array/],
  ['group of one', () => any.group(step), /^group: inputs must be an array/],
  ['gradients of a number', () => any.gradients(3, x), /^gradients: ys are tensors.*got 3/],
  ['gradients of nothing', () => any.gradients(), /^gradients: ys are tensors.*got undefined/],
  ['gradients by nothing', () => any.gradients(loss), /^gradients: xs are tensors or variables/],
  ['gradients by a number', () => any.gradients(loss, 3), /^gradients: xs.*got 3/],
  ['minimize nothing', () => sgd().minimize(), /the loss is a tensor, got undefined/],
  ['minimize an operation', () => sgd().minimize(step), /the loss is a tensor, got an instance/],
  ['varList of one', () => sgd().minimize(loss, { varList: v }), /^varList must be an array/],
  [
    'varList of tensors',
    () => sgd().minimize(loss, { varList: [v.read()] }),
    /varList holds variables, got Tensor 'v\/read/,
  ],
  [
    'gradients without their variables',
    () => sgd().applyGradients(any.gradients(loss, [v])),
    /^applyGradients takes pairs \[gradient, variable\], got Tensor/,
  ],
  ['a learning rate of NaN', () => new any.GradientDescentOptimizer(Number.NaN), /rate is NaN/],
  ['drawing a tensor', () => any.toDot(loss), /^a graph is drawn, got Tensor/],
  ['pad without pairs', () => any.pad(x, [1, 1]), /^pad: \[1, 1\] must hold a pair/],
  [
    'pad of integers by a fraction',
    () => any.pad(tl.constant([1], { dtype: 'int32' }), [[1, 1]], { value: 0.5 }),
    /^pad: 0.5 does not fit int32/,
  ],
  ['a list of tensors', () => any.add([x], 1), /the list holds an instance of Tensor/],
  ['an array too short', () => new any.NDArray('float32', [2, 2], f32), /4 elements.*of 3/],
  ['an array of no shape', () => new any.NDArray('float32', [-2], f32), /\[-2\] is no shape/],
  ['an array of no dtype', () => new any.NDArray('float', [3], f32), /no dtype "float"/],
  ['an array of plain data', () => new any.NDArray('float32', [3], [1, 2, 3]), /got \[1, 2, 3\]/],
  [
    'an array of other data',
    () => new any.NDArray('float32', [3], new Float64Array(3)),
    /takes a Float32Array of 3 elements, got Float64Array of 3/,
  ],
];

it('arrays take what is a typed array of their kind, of whatever class', () => {
  const bytes = new tl.NDArray('uint8', [3], Buffer.from([1, 2, 3]));
  expect(bytes.toArray()).toEqual([1, 2, 3]);
});

describe('values of the wrong kind', () => {
  it.each(calls)('%s', (_, call, message) => {
    let error: unknown;
    try {
      graph.asDefault(() => {
        call();
      });
    } catch (e) {
      error = e;
    }
    expect(error).toBeInstanceOf(tl.TensorloomError);
    expect((error as Error).message).toMatch(message);
  });

  it('leave a session as it was', async () => {
    const other = new tl.Graph();
    const foreign = other.asDefault(() => tl.variable([1, 2], { name: 'v' }));
    const session = new tl.Session({ graph, threads: 1 });
    await session.run(v.initializer);
    const set = (variable: unknown) => () => session.setVariable(variable as tl.Variable, [7, 8]);
    await refuses(set(foreign), tl.GraphError, 'graph/foreign', /"v" belongs to another graph/);
    await refuses(set(v.read()), tl.ValueError, 'variable/none', /takes the variable itself/);
    await refuses(set('v'), tl.ValueError, 'variable/none', /got "v"/);
    const read = () => session.variableValue('v' as unknown as tl.Variable);
    await refuses(read, tl.ValueError, 'variable/none', /^variableValue takes the variable/);
    const fed = () => session.run(x, [[x, Promise.resolve([[1, 2]])]]);
    await refuses(fed, tl.FeedError, 'feed/not-array', /an instance of Promise is no tensor value/);
    expect(session.variableValue(v)?.toArray()).toEqual([1, 2]);
    await session.close();
  });

  it('an index out of range says what indices are', async () => {
    const [i, y] = graph.asDefault(() => {
      const i = tl.placeholder('int32', [1]);
      return [i, tl.gather(tl.constant([1, 2, 3]), i)];
    });
    const session = new tl.Session({ graph, backend: 'cpu', threads: 1 });
    const run = () => session.run(y, [[i, [5]]]);
    await refuses(
      run,
      tl.ExecutionError,
      'run/check',
      /an index is out of range. Indices and labels/,
    );
    await session.close();
  });
});
