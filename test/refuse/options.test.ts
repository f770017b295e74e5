// Options that a function would ignore are refused, and what the values print as.

import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import * as tl from '../../src/index.ts';

/** Calls as JavaScript would, without types. */
// biome-ignore lint/suspicious/noExplicitAny: that is the point
const any = tl as any;

describe('options', () => {
  it.each([
    [
      'reduceSum',
      () => any.reduceSum([1, 2], { axes: [0] }),
      /sum: there is no option "axes".*axis, keepDims, name/,
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
