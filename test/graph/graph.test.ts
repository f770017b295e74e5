// Names, scopes, control dependencies, collections, growth; and graphs as JSON.

import { beforeEach, describe, expect, it, vi } from 'vitest';
import * as tl from '../../src/index.ts';

beforeEach(() => tl.resetDefaultGraph());

describe('names', () => {
  it('are those TF1 makes', () => {
    const x = tl.placeholder('float32', [null, 3]);
    expect(x.name).toBe('Placeholder:0');
    const a = tl.matmul(x, tl.zeros([3, 10]));
    const b = tl.matmul(x, tl.zeros([3, 10]));
    expect([a.name, b.name]).toEqual(['MatMul:0', 'MatMul_1:0']);
    expect(String(a)).toBe("Tensor 'MatMul:0' shape=(?, 10) dtype=float32");
    const c = tl.nameScope('scope', () => tl.matmul(x, tl.zeros([3, 1])));
    expect(c.name).toBe('scope/MatMul:0');
    expect(tl.nameScope('scope', () => tl.neg(x)).name).toBe('scope_1/Neg:0');
    expect(tl.nameScope('a', () => tl.nameScope('b', () => tl.neg(x))).name).toBe('a/b/Neg:0');
    expect(tl.add(x, 1, { name: 'sum' }).name).toBe('sum:0');
    expect(tl.add(x, 1, { name: 'sum' }).name).toBe('sum_1:0');
    expect(tl.getDefaultGraph().getTensorByName('scope/MatMul:0')).toBe(c);
    expect(tl.getDefaultGraph().getOperationByName('sum').output().name).toBe('sum:0');
  });

  it('of a refused operation are free again', () => {
    expect(() => tl.add([1, 2], [1, 2, 3])).toThrow(tl.ShapeError);
    expect(tl.add([1], [2]).name).toBe('Add:0');
  });

  it('of variables follow their scopes', () => {
    const w = tl.nameScope('layer', () => tl.variable([1], { name: 'w' }));
    expect([w.name, w.initializer.name, w.asTensor().name]).toEqual([
      'layer/w',
      'layer/w/Assign',
      'layer/w/read:0',
    ]);
    const shared = tl.variableScope('s', () => tl.getVariable('v', [1]));
    expect(shared.name).toBe('s/v');
    expect(tl.variableScope('s', () => tl.getVariable('v'), { reuse: true })).toBe(shared);
  });
});

describe('shapes', () => {
  it('follow through open and named sizes', () => {
    const x = tl.placeholder('float32', ['batch', 4]);
    expect(String(x.reshape([-1, 2]))).toContain('shape=(2*batch, 2)');
    expect(String(tl.concat([x, x], 0))).toContain('shape=(2*batch, 4)');
    const rows = tl.shape(x).slice([0], [1]);
    expect(String(tl.ones([5]).broadcastTo(tl.concat([rows, [5]], 0)))).toContain(
      'shape=(batch, 5)',
    );
    expect(String(tl.placeholder('float32'))).toContain('shape=<unknown>');
  });
});

describe('control dependencies', () => {
  it('are those in force when an operation is made', () => {
    const first = tl.noOp({ name: 'first' });
    const c = tl.controlDependencies([first], () => tl.constant(1));
    expect(c.op.controlInputs.map((o) => o.name)).toEqual(['first']);
    expect(tl.constant(1).op.controlInputs).toEqual([]);
    expect(tl.group([first, c]).controlInputs.map((o) => o.name)).toEqual(['first', 'Const']);
  });
});

describe('collections', () => {
  it('hold what was put in', () => {
    const graph = tl.getDefaultGraph();
    graph.addToCollection('losses', 1);
    expect(graph.getCollection('losses')).toEqual([1]);
    const v = tl.variable(1);
    const hidden = tl.variable(1, { trainable: false });
    expect(tl.globalVariables()).toEqual([v, hidden]);
    expect(tl.trainableVariables()).toEqual([v]);
  });
});

describe('growth', () => {
  it('between runs in a loop is warned of, once', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    const session = new tl.Session({ backend: 'reference' });
    for (let i = 0; i < 12; i++) await session.run(tl.add(1, i));
    expect(warn).toHaveBeenCalledTimes(1);
    expect(warn.mock.calls[0][0]).toMatch(
      /the graph has grown before each of the last 5 runs.*finalize\(\)/,
    );
    warn.mockRestore();
    await session.close();
  });
});

describe('JSON', () => {
  it('keeps everything a run needs', async () => {
    tl.setRandomSeed(5);
    const x = tl.placeholder('float32', ['batch', 3], { name: 'x' });
    const w = tl.variable(() => tl.randomNormal([3, 2]), { name: 'w' });
    const steps = tl.scan((acc, row) => tl.add(acc, tl.reduceSum(row)), x, {
      initializer: tl.constant(Number.POSITIVE_INFINITY),
    });
    const y = tl.cond(
      tl.greater(tl.reduceSum(x), 0),
      () => tl.matmul(x, w),
      () => tl.zeros([1, 2]).broadcastTo([tl.size(x, { axis: 0 }), 2]),
    );
    const text = tl.graphToJson(tl.getDefaultGraph());
    const loaded = tl.graphFromJson(text);
    expect(tl.graphToJson(loaded)).toBe(text);
    const feeds = {
      x: [
        [1, 2, 3],
        [4, 5, 6],
      ],
    };
    const names = [y.name, steps.name];
    const results = [];
    for (const graph of [tl.getDefaultGraph(), loaded]) {
      const session = new tl.Session({ graph });
      await session.run('w/Assign');
      results.push((await session.run(names, feeds)).map((v) => (v as tl.NDArray).toArray()));
      await session.close();
    }
    expect(results[1]).toEqual(results[0]);
  });
});
