// A device that is lost under a session: what is said, and how a session with copies goes on.

import { describe, expect, it } from 'vitest';
import * as tl from '../../../src/index.ts';
import { openedDevices } from '../../support/opened-devices.ts';
import { webgpuAvailable } from '../../support/wgsl-run.ts';

const available = await webgpuAvailable();

/** The devices that sessions opened, the newest last. */
/** A counter and what it takes to count. */
function counter() {
  const graph = new tl.Graph();
  return graph.asDefault(() => {
    const by = tl.placeholder('float32', [], { name: 'by' });
    const v = tl.variable(tl.zeros([3]), { name: 'count' });
    return {
      graph,
      by,
      v,
      add: v.assignAdd(tl.mul(tl.ones([3]), by)),
      init: tl.globalVariablesInitializer(),
    };
  });
}

describe.skipIf(!available)('a GPU device that is lost', () => {
  const devices = openedDevices();

  /** A session on a device of its own. */
  async function open(keepHostCopy: boolean) {
    const made = counter();
    const adapter = { powerPreference: keepHostCopy ? 'low-power' : 'high-performance' } as const;
    const session = new tl.Session({ graph: made.graph, backend: 'webgpu', adapter, keepHostCopy });
    await session.run(made.init);
    expect(devices.length).toBe(1);
    return { ...made, session };
  }

  const lose = async (): Promise<void> => {
    const device = devices[devices.length - 1];
    device.destroy();
    await device.lost;
  };

  it('is an error that says what was lost', async () => {
    const { session, add, by, v } = await open(false);
    await session.run(add, [[by, 1]]);
    await lose();
    const lost = expect.objectContaining({
      code: 'device/lost',
      message: expect.stringContaining('variables count'),
    });
    await expect(session.run(add, [[by, 1]])).rejects.toThrow(lost);
    await expect(session.run(v)).rejects.toThrow(lost);
    await expect(session.put([1])).rejects.toThrow(lost);
    await session.close();
    const next = new tl.Session({ graph: session.graph, backend: 'webgpu' });
    expect((await next.run(tl.mul(by, 2), [[by, 3]])).item()).toBe(6);
    await next.close();
  });

  it('is replaced where variables have copies', async () => {
    const { session, add, by, v } = await open(true);
    await session.run(add, [[by, 1]]);
    await session.run(add, [[by, 2]]);
    await lose();
    await session.run(add, [[by, 4]]);
    expect((await session.run(v)).toArray()).toEqual([7, 7, 7]);
    expect(session.variableValue({ name: 'count' })?.toArray()).toEqual([7, 7, 7]);
    expect(devices.length).toBe(2);
    await session.close();
  });

  it('is replaced in mid-run, and the run starts over', async () => {
    const { session, add, by, v } = await open(true);
    await session.run(add, [[by, 1]]);
    const run = session.run(add, [[by, 2]]);
    devices[0].destroy();
    await run;
    expect((await session.run(v)).toArray()).toEqual([3, 3, 3]);
    await session.close();
  });

  it('takes new values of variables while it is gone', async () => {
    const { session, add, by, v } = await open(true);
    await lose();
    session.setVariable(v, [1, 2, 3]);
    await session.run(add, [[by, 1]]);
    expect((await session.run(v)).toArray()).toEqual([2, 3, 4]);
    await session.close();
  });

  it('takes device tensors with it', async () => {
    const { session, add, by } = await open(true);
    const put = await session.put(1);
    await session.run(add, [[by, put]]);
    await lose();
    const lost = expect.objectContaining({
      code: 'device/lost',
      message: expect.stringContaining('device tensor'),
    });
    await expect(session.run(add, [[by, put]])).rejects.toThrow(lost);
    await expect(put.read()).rejects.toThrow(lost);
    put.dispose();
    await session.run(add, [[by, 1]]);
    await session.close();
  });
});
