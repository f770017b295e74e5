// State across a GPU and the CPU beside it: variables of 64 bits, values that are kept, and runs that fail
// on either side, which leave the variables of both as they were.

import { describe, expect, it } from 'vitest';
import * as tl from '../../../src/index.ts';
import { openedDevices } from '../../support/opened-devices.ts';
import { webgpuAvailable } from '../../support/wgsl-run.ts';

const available = await webgpuAvailable();

const numbers = (v: tl.NDArray | undefined): unknown[] => Array.from((v?.data ?? []) as never);

/** Variables of both devices, and writes of all of them around checks that fail on either. */
function counters() {
  const graph = new tl.Graph();
  return graph.asDefault(() => {
    const at = tl.placeholder('int32', [1], { name: 'at' });
    const wide = tl.variable(tl.constant([1, 2], { dtype: 'float64' }), { name: 'wide' });
    const long = tl.variable(tl.constant([5], { dtype: 'int64' }), { name: 'long' });
    const narrow = tl.variable(tl.constant([1, 2]), { name: 'narrow' });
    const count = (controls: tl.Tensor[] = []) =>
      tl.controlDependencies(controls, () => [
        wide.assignAdd(tl.constant([0.5, 0.5], { dtype: 'float64' })),
        long.assignAdd(tl.constant([1], { dtype: 'int64' })),
        narrow.assignAdd([1, 1]),
      ]);
    const writes = count();
    // A gather outside of its bounds fails: on the GPU after the writes, on the CPU after them, or before.
    const after = (dtype: tl.DType) =>
      tl.controlDependencies(writes, () =>
        tl.gather(tl.cast(tl.tanh(tl.cast(wide.read(), 'float32')), dtype), at),
      );
    const failsHere = after('float32');
    const failsThere = after('float64');
    const first = tl.gather(tl.exp(narrow.read()), at);
    const failsFirst = [first, ...count([first])];
    const vars = [wide, long, narrow];
    const init = tl.globalVariablesInitializer();
    return { graph, at, vars, wide, long, narrow, init, writes, failsHere, failsThere, failsFirst };
  });
}

const START = [[1, 2], [5n], [1, 2]];
const ONCE = [[1.5, 2.5], [6n], [2, 3]];

describe.skipIf(!available)('variables beside a GPU', () => {
  it('are initialized, read, set and written', async () => {
    const { graph, vars, wide, long, narrow, init, writes } = counters();
    const session = new tl.Session({ graph, backend: 'webgpu' });
    await session.ready;
    expect(session.variableValue(wide)).toBeUndefined();
    await expect(session.run(writes)).rejects.toThrow(/wide|long|narrow/);
    await session.run(init);
    expect((await session.run(vars)).map(numbers)).toEqual(START);
    expect(numbers(session.variableValue(wide))).toEqual([1, 2]);
    await session.run(writes);
    expect((await session.run(vars)).map(numbers)).toEqual(ONCE);
    session.setVariable(wide, [0.1, 0.2]);
    session.setVariable(long, BigInt64Array.of(2n ** 60n));
    session.setVariable(narrow, [8, 9]);
    await session.run(writes);
    expect((await session.run(vars)).map(numbers)).toEqual([[0.6, 0.7], [2n ** 60n + 1n], [9, 10]]);
    await session.close();
  });

  it.each(['failsHere', 'failsThere', 'failsFirst'] as const)(
    'are as they were after a run that %s',
    async (which) => {
      const made = counters();
      const { graph, at, vars, init } = made;
      const session = new tl.Session({ graph, backend: 'webgpu' });
      await session.run(init);
      const fetches = made[which] as tl.Tensor[];
      for (let k = 0; k < 2; k++) {
        await expect(session.run(fetches, [[at, [7]]])).rejects.toThrow(tl.ExecutionError);
        await expect(session.run(fetches, [[at, [7]]], { keep: true })).rejects.toThrow(
          /CheckIndices/,
        );
        expect((await session.run(vars)).map(numbers)).toEqual(START);
      }
      await session.run(fetches, [[at, [1]]]);
      expect((await session.run(vars)).map(numbers)).toEqual(ONCE);
      await session.close();
    },
  );

  it('that held nothing hold nothing after a run that fails', async () => {
    const graph = new tl.Graph();
    const { at, v, set } = graph.asDefault(() => {
      const at = tl.placeholder('int32', [1], { name: 'at' });
      const v = tl.variable(tl.zeros([2], { dtype: 'float64' }), { name: 'v' });
      const write = v.assign(tl.constant([3, 4], { dtype: 'float64' }));
      const set = tl.controlDependencies([write], () =>
        tl.gather(tl.tanh(tl.cast(v.read(), 'float32')), at),
      );
      return { at, v, set };
    });
    const session = new tl.Session({ graph, backend: 'webgpu' });
    await expect(session.run(set, [[at, [9]]])).rejects.toThrow(tl.ExecutionError);
    await expect(session.run(v)).rejects.toThrow(
      expect.objectContaining({ code: 'variable/uninitialized' }),
    );
    expect(session.variableValue(v)).toBeUndefined();
    await session.run(set, [[at, [1]]]);
    expect(numbers(await session.run(v))).toEqual([3, 4]);
    await session.close();
  });

  it('keep their value where a loop on the CPU takes too long', async () => {
    const graph = new tl.Graph();
    const { v, init, run } = graph.asDefault(() => {
      const v = tl.variable(tl.constant(1, { dtype: 'float64' }), { name: 'v' });
      const write = v.assignAdd(1);
      const run = tl.controlDependencies([write], () =>
        tl.whileLoop(
          ({ x }) => tl.less(x, 2),
          ({ x }) => ({ x: tl.mul(x, 1) }),
          { x: tl.tanh(tl.cast(v.read(), 'float64')) },
        ),
      );
      return { v, run: run.x, init: tl.globalVariablesInitializer() };
    });
    const session = new tl.Session({ graph, backend: 'webgpu' });
    await session.run(init);
    await expect(session.run(run, [], { timeoutMs: 50 })).rejects.toThrow(tl.TimeoutError);
    expect(numbers(await session.run(v))).toEqual([1]);
    await session.close();
  });

  it('see the versions that control dependencies say', async () => {
    const graph = new tl.Graph();
    const { init, fetches, vars } = graph.asDefault(() => {
      const a = tl.variable(tl.constant([1, 2], { dtype: 'float64' }), { name: 'a' });
      const b = tl.variable(tl.constant([3, 4]), { name: 'b' });
      const before = a.read();
      // Through the GPU and back, then over what was read.
      const far = tl.cast(tl.softmax(tl.cast(before, 'float32')), 'float64');
      const first = a.assign(tl.mul(far, 10));
      const [mid, second] = tl.controlDependencies([first], () => {
        const mid = a.read();
        return [mid, a.assignAdd(tl.cast(b.assignAdd(tl.cast(mid, 'float32')), 'float64'))];
      });
      const late = tl.add(before, tl.cast(tl.softmax(tl.cast(second, 'float32')), 'float64'));
      const swapped = [before, mid, second, late];
      return { init: tl.globalVariablesInitializer(), fetches: swapped, vars: [a, b] };
    });
    const all: unknown[][][] = [];
    for (const backend of ['reference', 'cpu', 'webgpu']) {
      const session = new tl.Session({ graph, backend });
      await session.run(init);
      const out: unknown[][] = [];
      for (let k = 0; k < 3; k++) {
        for (const v of [...(await session.run(fetches)), ...(await session.run(vars))]) {
          out.push(numbers(v).map((n) => Math.fround(n as number).toPrecision(4)));
        }
      }
      all.push(out);
      await session.close();
    }
    expect(all[1]).toEqual(all[0]);
    expect(all[2]).toEqual(all[0]);
  });
});

describe.skipIf(!available)('device tensors of 64 bits', () => {
  it('are put, kept, fed again and disposed', async () => {
    const graph = new tl.Graph();
    const { x, twice, single } = graph.asDefault(() => {
      const x = tl.placeholder('float64', [null], { name: 'x' });
      return { x, twice: tl.mul(x, 2), single: tl.exp(tl.cast(x, 'float32')) };
    });
    const session = new tl.Session({ graph, backend: 'webgpu' });
    const put = await session.put([0.1, 0.2], { dtype: 'float64' });
    expect(put.dtype).toBe('float64');
    expect((await put.read()).toArray()).toEqual([0.1, 0.2]);
    const feed = { x: put };
    const [a, b, c, d] = await session.run([twice, twice, single, x], feed, { keep: true });
    expect([a, b, c, d].map((v) => v.dtype)).toEqual(['float64', 'float64', 'float32', 'float64']);
    // A run in progress holds what it was fed.
    const run = session.run([twice, single], { x: a });
    a.dispose();
    expect(numbers((await run)[0])).toEqual([0.4, 0.8]);
    put.dispose();
    expect((await b.read()).toArray()).toEqual([0.2, 0.4]);
    expect((await d.read()).toArray()).toEqual([0.1, 0.2]);
    expect((await c.read()).data[1]).toBeCloseTo(Math.exp(0.2), 5);
    await expect(session.run(twice, { x: a })).rejects.toThrow(/disposed/);
    await session.close();
  });

  it('of the GPU go to the CPU where it needs them', async () => {
    const graph = new tl.Graph();
    const { x, wide, back } = graph.asDefault(() => {
      const x = tl.placeholder('float32', [null], { name: 'x' });
      const wide = tl.mul(tl.cast(x, 'float64'), 0.1);
      return { x, wide, back: tl.cast(wide, 'float32') };
    });
    const session = new tl.Session({ graph, backend: 'webgpu' });
    const put = await session.put([1, 2]);
    const kept = await session.run(back, { x: put }, { keep: true });
    const wanted = [Math.fround(0.1), Math.fround(0.2)];
    expect(numbers(await kept.read())).toEqual(wanted);
    expect(numbers(await session.run(wide, { x: kept }))).toEqual(wanted.map((v) => v * 0.1));
    expect(numbers(await session.run(wide, [[x, [3]]]))).toEqual([3 * 0.1]);
    await session.close();
  });
});

describe.skipIf(!available)('a GPU device that is lost', () => {
  const devices = openedDevices();

  it('takes no variable of the CPU with it, and a run that starts over counts once', async () => {
    const { graph, vars, init, writes, failsHere, at } = counters();
    const adapter = { powerPreference: 'low-power' } as const;
    const session = new tl.Session({ graph, backend: 'webgpu', adapter, keepHostCopy: true });
    await session.run(init);
    await session.run(writes);
    devices[devices.length - 1].destroy();
    await devices[devices.length - 1].lost;
    expect((await session.run(vars)).map(numbers)).toEqual(ONCE);
    const run = session.run(failsHere, [[at, [1]]]);
    devices[devices.length - 1].destroy();
    await run;
    expect((await session.run(vars)).map(numbers)).toEqual([[2, 3], [7n], [3, 4]]);
    expect(devices.length).toBe(3);
    await session.close();
  });
});
