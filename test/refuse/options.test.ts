// Options that a function would ignore are refused, and what the values print as.

import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import * as kit from '../../src/conformance/index.ts';
import * as tl from '../../src/index.ts';

/** Calls as JavaScript would, without types. */
// biome-ignore lint/suspicious/noExplicitAny: calls as JavaScript makes them, which the types refuse
const any = tl as any;
// biome-ignore lint/suspicious/noExplicitAny: as above
const anyKit = kit as any;

describe('options', () => {
  it.each([
    [
      'reduceSum',
      () => any.reduceSum([1, 2], { axes: [0] }),
      /^reduceSum: there is no option "axes".*axis, keepDims, name/,
    ],
    ['relu', () => any.relu([1], 'name'), /relu: options are a record.*got "name"/],
    [
      'constant',
      () => any.constant([1], { type: 'int32' }),
      /constant: there is no option "type".*dtype/,
    ],
    [
      'Session',
      () => new any.Session({ thread: 1 }),
      /Session: there is no option "thread".*threads/,
    ],
  ])('of %s', (_, call, message) => {
    expect(call).toThrow(tl.ValueError);
    expect(call).toThrow(message);
  });

  it('of run', async () => {
    const session = new tl.Session();
    const run = () => any.Session.prototype.run.call(session, tl.constant(1), {}, { timeout: 5 });
    await expect(run()).rejects.toThrow(/run: there is no option "timeout".*timeoutMs/);
    expect((await session.run(tl.constant(2))).item()).toBe(2);
    await session.close();
  });
});

describe('options that there are not', () => {
  const x = tl.constant([1, 2, 3]);
  const m = tl.ones([2, 2]);
  const image = tl.ones([1, 4, 4, 1]);
  const filter = tl.ones([2, 2, 1, 1]);
  const identity = (t: tl.Tensor) => t;
  const record = /options are a record such as \{ \w+: … \}, got /;
  const unknown = (key: string) => new RegExp(`there is no option "${key}"`);
  const calls: readonly [what: string, call: () => unknown, message: RegExp][] = [
    ['scan', () => any.scan(tl.add, x, { init: 0 }), /"init".*initializer, reverse, name/],
    ['scan', () => any.scan(tl.add, x, 0), record],
    ['foldl', () => any.foldl(tl.add, x, { reverse: true }), unknown('reverse')],
    ['foldr', () => any.foldr(tl.add, x, () => 1), /got a function/],
    ['mapFn', () => any.mapFn(identity, x, { parallel: 1 }), unknown('parallel')],
    ['whileLoop', () => any.whileLoop(identity, identity, 0, 5), record],
    ['cond', () => any.cond(tl.less(1, 2), identity, identity, 'name'), /got "name"/],
    ['switchCase', () => any.switchCase(0, [() => x], { nam: 1 }), unknown('nam')],
    ['oneHot', () => any.oneHot([1], 3, 1), record],
    ['oneHot', () => any.oneHot([1], 3, { foo: 1 }), /"foo".*axis, onValue, offValue, dtype/],
    ['gather', () => any.gather(x, [0], 1), /such as \{ axis: … \}, got 1/],
    ['where', () => any.where([true], x, x), record],
    ['stack', () => any.stack([x, x], 1), /such as \{ axis: … \}, got 1/],
    ['concat', () => any.concat([x, x], 0, { foo: 1 }), unknown('foo')],
    ['slice', () => any.slice(x, [0], [1], { foo: 1 }), unknown('foo')],
    ['pad', () => any.pad(x, [[1, 1]], { mode: 'REFLECT' }), unknown('mode')],
    ['pad', () => any.pad(x, [[1, 1]], 1), record],
    ['reverse', () => any.reverse(x, [0], { foo: 1 }), unknown('foo')],
    ['range', () => any.range(0, 10, 2), /such as \{ delta: … \}, got 2/],
    ['transpose', () => any.transpose(m, [1, 0], { perm: [1, 0] }), unknown('perm')],
    ['reshape', () => any.reshape(x, [3], { foo: 1 }), unknown('foo')],
    ['broadcastTo', () => any.broadcastTo(x, [2, 3], 1), record],
    ['expandDims', () => any.expandDims(x, 0, { axis: 1 }), unknown('axis')],
    ['squeeze', () => any.squeeze(x, [0]), /got \[0\]/],
    ['size', () => any.size(x, 0), record],
    ['zeros', () => any.zeros([2], 'int32'), /such as \{ dtype: … \}, got "int32"/],
    ['ones', () => any.ones([2], 'int32'), record],
    ['fill', () => any.fill([2], 3, 'int32'), record],
    ['zerosLike', () => any.zerosLike(x, { dtype: 'int32' }), unknown('dtype')],
    ['onesLike', () => any.onesLike(x, 'int32'), record],
    ['matmul', () => any.matmul(m, m, true), /got true/],
    ['matmul', () => any.matmul(m, m, { transpose: true }), unknown('transpose')],
    ['dotGeneral: axes', () => any.dotGeneral(m, m, { contract: [0] }), unknown('contract')],
    ['einsum', () => any.einsum('ij->ji', m, { name: 'q', foo: 1 }), /takes no options/],
    ['select', () => any.select([true], 1, 2, 1), record],
    ['clipByValue', () => any.clipByValue(x, 0, 1, { foo: 1 }), unknown('foo')],
    ['leakyRelu', () => any.leakyRelu(x, 0.1), /such as \{ alpha: … \}, got 0.1/],
    ['cast', () => any.cast(x, 'float32', { foo: 1 }), unknown('foo')],
    ['argMax', () => any.argMax(x, 0), record],
    ['reduceMean', () => any.reduceMean(x, 0), record],
    ['reduceSum', () => any.reduceSum(x, null), /got null/],
    ['reduceSum', () => any.constant(1).sum(x), /got an instance of Tensor/],
    ['reduceVariance', () => any.reduceVariance(x, { ddof: 1 }), unknown('ddof')],
    ['reduceStd', () => any.reduceStd(x, 0), record],
    ['reduceLogSumExp', () => any.reduceLogSumExp(x, { foo: 1 }), unknown('foo')],
    ['softmax', () => any.softmax(m, 0), record],
    [
      'softmaxCrossEntropyWithLogits',
      () => any.softmaxCrossEntropyWithLogits(m, m, { axis: 1, foo: 2 }),
      unknown('axis'),
    ],
    ['randomNormal', () => any.randomNormal([2], 0, 1), record],
    ['randomNormal', () => any.randomNormal([2], { stdev: 3 }), /"stdev".*stddev/],
    ['randomUniform', () => any.randomUniform([2], 0, 1), record],
    ['constant', () => any.constant(1, 'int32', { dtype: 'int8' }), unknown('dtype')],
    ['constant', () => any.constant(1, { name: 'a' }, { shape: [2] }), /takes no options/],
    ['placeholder', () => any.placeholder('float32', [1], 'x'), record],
    ['placeholderWithDefault', () => any.placeholderWithDefault(1, [], 'x'), record],
    ['variable', () => any.variable(1, 'x'), /got "x"/],
    ['variable', () => any.variable(1, { nam: 'x' }), unknown('nam')],
    ['getVariable', () => any.getVariable('x', 1, { name: 'y' }), unknown('name')],
    ['variableScope', () => any.variableScope('a', () => 1, true), record],
    ['assign', () => any.variable(1).assign(2, { locking: true }), unknown('locking')],
    ['variablesInitializer', () => any.variablesInitializer([], 'init'), record],
    ['globalVariablesInitializer', () => any.globalVariablesInitializer({}), /takes no options/],
    ['group', () => any.group([x], { foo: 1 }), unknown('foo')],
    ['noOp', () => any.noOp({ controls: [] }), unknown('controls')],
    ['hostCall', () => any.hostCall(identity, [x], [], { nme: 'x' }), unknown('nme')],
    ['customGradient', () => any.customGradient(identity, [x], 'name'), record],
    ['gradients', () => any.gradients(x, x, x), /got an instance of Tensor/],
    ['gradients', () => any.gradients([x], [x], { gradY: [x] }), /"gradY".*gradYs/],
    ['GradientDescentOptimizer', () => new any.GradientDescentOptimizer(1, 'gd'), record],
    ['AdamOptimizer', () => new any.AdamOptimizer(0.1, 0.9), record],
    ['AdamOptimizer', () => new any.AdamOptimizer(0.1, { bta1: 1 }), /"bta1".*beta1/],
    ['MomentumOptimizer', () => new any.MomentumOptimizer(0.1, 0.9, true), record],
    [
      'minimize',
      () => any.AdamOptimizer.prototype.minimize.call(new tl.AdamOptimizer(), x, { foo: 1 }),
      unknown('foo'),
    ],
    ['conv2d', () => any.nn.conv2d(image, filter, 1, 'SAME'), record],
    ['conv2d', () => any.nn.conv2d(image, filter, { stride: 2 }), /"stride".*strides/],
    ['conv2dTranspose', () => any.nn.conv2dTranspose(image, filter, [1, 5, 5, 1], 1), record],
    [
      'depthwiseConv2d',
      () => any.nn.depthwiseConv2d(image, filter, { groups: 2 }),
      unknown('groups'),
    ],
    ['separableConv2d', () => any.nn.separableConv2d(image, filter, filter, 1), record],
    ['maxPool2d', () => any.nn.maxPool2d(image, 2, 2, 'SAME'), record],
    ['avgPool', () => any.nn.avgPool(image, 2, { stride: 2 }), unknown('stride')],
    ['layerNorm', () => any.nn.layerNorm(x, { eps: 1 }), /"eps".*epsilon/],
    ['l2Normalize', () => any.nn.l2Normalize(x, 0), record],
    ['gelu', () => any.nn.gelu(x, true), record],
    ['moments', () => any.nn.moments(x, 0, { keepdims: true }), /"keepdims".*keepDims/],
    [
      'toDot',
      () => any.toDot(tl.getDefaultGraph(), { foo: 1 }),
      /takes no options, got \{ foo: 1 \}/,
    ],
    ['toMermaid', () => any.toMermaid(tl.getDefaultGraph(), 'TB'), /takes no options, got "TB"/],
    ['graphFromJson', () => any.graphFromJson('{}', { foo: 1 }), /takes no options/],
    ['setRandomSeed', () => any.setRandomSeed(1, 2), /takes no options, got 2/],
    ['Graph', () => new any.Graph({ name: 'g' }), unknown('name')],
    ['relu', () => any.getDefaultGraph().add('relu', [x], {}, 'name'), record],
    ['conformanceTests', () => anyKit.conformanceTests({ count: 1 }), unknown('count')],
    [
      'describeConformance',
      () => anyKit.describeConformance('cpu', { onResult() {} }),
      unknown('onResult'),
    ],
  ];
  it.each(calls)('of %s', (what, call, message) => {
    const nodes = tl.getDefaultGraph().version;
    expect(call).toThrow(tl.ValueError);
    expect(call).toThrow(new RegExp(`^${what}\\b`));
    expect(call).toThrow(message);
    // What tests need to make their calls are variables and constants of their own.
    if (!['assign', 'reduceSum', 'cond'].includes(what)) {
      expect(tl.getDefaultGraph().version).toBe(nodes);
    }
  });

  it('of sessions', async () => {
    const session = new tl.Session();
    const loose = session as unknown as { [method: string]: (...args: unknown[]) => unknown };
    await expect(loose.put([1], 'int32')).rejects.toThrow(/^put: options are a record/);
    await expect(loose.put([1], { type: 'int32' })).rejects.toThrow(/^put: .* "type".*dtype/);
    expect(() => loose.makeCallable({ fetch: x })).toThrow(/^makeCallable: .* "fetch".*fetches/);
    expect(() => loose.explain(x, { timeoutMs: 1 })).toThrow(/^explain: feeds must be an array/);
    await expect(loose.run(x, {}, 5)).rejects.toThrow(/^run: options are a record/);
    expect(() => loose.runSync(x, {}, { sync: true })).toThrow(/^run: .* "sync"/);
    await session.close();
  });

  it('of the kit and of WebGPU', async () => {
    await expect(anyKit.runConformance('cpu', { only: ['tanh'] })).rejects.toThrow(
      /^runConformance: there is no option "only".*include/,
    );
    await expect(any.webgpu.available({ power: 'low' })).rejects.toThrow(
      /"power".*powerPreference/,
    );
  });
});

describe('arguments that stand for options', () => {
  const x = tl.constant([1, 2]);
  const calls: readonly [call: () => unknown, message: RegExp][] = [
    [() => any.nameScope('a'), /^nameScope: it calls a function, got undefined/],
    [() => any.variableScope('a', { reuse: true }), /^variableScope: .*got \{ reuse: true \}/],
    [() => any.controlDependencies([x]), /^controlDependencies: it calls a function/],
    [() => new tl.Graph().asDefault(undefined as never), /^asDefault: it calls a function/],
    [() => any.scan(x, tl.add), /^scan: it calls a function, got an instance of Tensor/],
    [() => any.cond(tl.less(1, 2), x, x), /^cond: it calls a function/],
    [() => any.switchCase(0, [x]), /^switchCase: it calls a function/],
    [() => any.whileLoop(x, x, 0), /^whileLoop: it calls a function/],
    [() => any.hostCall(x, [x], []), /^hostCall: it calls a function/],
    [() => any.customGradient(x, [x]), /^customGradient: it calls a function/],
    [() => any.customGradient((t: tl.Tensor) => t, x), /^customGradient: xs must be an array/],
    [
      () => any.customGradient((t: tl.Tensor) => t, [x]),
      /^customGradient: the function returned an instance of Tensor\. Return \{ value, gradient \}/,
    ],
    [
      () => new any.GradientDescentOptimizer({ learningRate: 0.1 }),
      /^GradientDescentOptimizer: the learning rate is a number or a scalar tensor, got \{ learningRate: 0.1 \}/,
    ],
    [() => new any.MomentumOptimizer(0.1, { momentum: 1 }), /the momentum is a number/],
    [() => new any.AdamOptimizer({ beta1: 1 }), /^AdamOptimizer: the learning rate/],
    [
      () => any.nn.maxPool2d(tl.ones([1, 4, 4, 1]), { ksize: 2 }),
      /^maxPool2d: ksize must be integers of at least 1, one for each of 2 spatial axes.*got \{ ksize: 2 \}/,
    ],
    [() => any.transpose(x, { perm: [0] }), /^transpose: perm must be an array/],
    [() => any.reverse(x, 0), /^reverse: axes must be an array, got 0/],
    [
      () => any.nn.moments(x, { axes: [0] }),
      /^moments: axes must be an array, got \{ axes: \[0\] \}/,
    ],
  ];
  it.each(calls)('%s', (call, message) => {
    expect(call).toThrow(tl.ValueError);
    expect(call).toThrow(message);
  });

  it('are no options where they are undefined', () => {
    expect(tl.reduceSum(x, undefined).rank).toBe(0);
    expect(any.toDot(tl.getDefaultGraph(), undefined)).toMatch(/^digraph/);
  });
});

describe('constant', () => {
  it('takes a dtype by itself or among the options', () => {
    expect(tl.constant([1, 2], 'int32').dtype).toBe('int32');
    const named = tl.constant(3, 'float64', { name: 'three', shape: [2] });
    expect(String(named)).toBe("Tensor 'three:0' shape=(2) dtype=float64");
    expect(tl.constant(3, { dtype: 'int8' }).dtype).toBe('int8');
    expect(() => any.constant(3, 'int3')).toThrow(tl.DTypeError);
  });
});

describe('text', () => {
  it('shows sizes that nothing names as ?', () => {
    const graph = new tl.Graph();
    graph.asDefault(() => {
      const x = tl.placeholder('float32', [null, 1, 3]);
      const m = tl.placeholder('float32', [null, 3, 3]);
      const y = tl.matmul(x, m);
      expect(String(y)).toBe("Tensor 'MatMul:0' shape=(?, 1, 3) dtype=float32");
      const named = tl.placeholder('float32', ['batch', 4]);
      expect(String(tl.reshape(named, [-1]))).toMatch(/shape=\(4\*batch\)/);
    });
  });

  it('is short for graphs and sessions', async () => {
    const graph = new tl.Graph();
    graph.asDefault(() => tl.constant(1));
    expect(inspect(graph)).toBe('Graph operations=1');
    const session = new tl.Session({ graph });
    expect(inspect(session)).toBe('Session backend=cpu plans=0');
    await session.close();
    expect(inspect(session)).toBe('Session backend=cpu plans=0, closed');
  });
});
