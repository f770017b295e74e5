// Memory over many runs and sessions: what stays is what the program holds. It runs alone, since it
// looks at the memory and the threads of the whole process.

import { existsSync, readdirSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { drawValue, generator } from '../../src/conformance/draw.ts';
import * as tl from '../../src/index.ts';
import { buildMlp } from '../support/mlp.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const MB = 2 ** 20;

/** Bytes of the process after a collection. */
function resident(): number {
  collect();
  collect();
  return process.memoryUsage().rss;
}

const threadsNow = (): number =>
  existsSync('/proc/self/task') ? readdirSync('/proc/self/task').length : 0;

const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

function small50() {
  const graph = new tl.Graph();
  const next = generator(3);
  const y = graph.asDefault(() => {
    const given = (name: string, shape: number[]) => tl.placeholder('float32', shape, { name });
    let h: tl.Tensor = given('h', [8, 16]);
    const [a, b, c] = ['a', 'b', 'c'].map((name) => given(name, [16]));
    for (let i = 0; i < 10; i++) {
      h = tl.tanh(tl.add(tl.mul(h, a), b));
      h = tl.sub(h, tl.mul(c, h));
    }
    return h;
  });
  const feeds: Record<string, tl.NDArray> = { h: drawValue([8, 16], 'float32', {}, next) };
  for (const name of ['a', 'b', 'c']) feeds[name] = drawValue([16], 'float32', {}, next);
  return { graph, y, feeds };
}

/** Runs warm-up and then the rest, and expects device and process to stay as they were. */
async function staysFlat(session: tl.Session, runs: number, run: () => Promise<unknown>) {
  for (let i = 0; i < runs / 5; i++) await run();
  const before = session.stats.device;
  const bytes = resident();
  for (let i = 0; i < runs; i++) await run();
  expect(session.stats.device).toEqual(before);
  expect(resident() - bytes).toBeLessThan(12 * MB);
}

describe('memory stays flat', () => {
  it('over 100,000 small runs', async () => {
    const { graph, y, feeds } = small50();
    const session = new tl.Session({ graph });
    await staysFlat(session, 100_000, () => session.run(y, feeds));
    await session.close();
  });

  it('over 20,000 runs whose results are kept and disposed', async () => {
    const { graph, y, feeds } = small50();
    const session = new tl.Session({ graph });
    await staysFlat(session, 20_000, async () => {
      (await session.run(y, feeds, { keep: true })).dispose();
    });
    await session.close();
  });

  it('over 5,000 steps of training', async () => {
    const { graph, init, train, loss, feeds } = buildMlp([784, 32, 10], 4);
    const session = new tl.Session({ graph });
    await session.run(init);
    await staysFlat(session, 5000, () => session.run([loss, train], feeds));
    await session.close();
  });

  it('over 100 sessions, some with threads, all closed', async () => {
    const { graph, y, feeds } = small50();
    const long = new tl.Graph();
    const product = long.asDefault(() => {
      const a = tl.placeholder('float32', [256, 256], { name: 'a' });
      return tl.matmul(a, tl.matmul(a, a));
    });
    const a = drawValue([256, 256], 'float32', {}, generator(1));
    const open = async (i: number): Promise<void> => {
      const session = new tl.Session({ graph, threads: 2 });
      await session.run(y, feeds);
      if (i % 10 === 0) {
        const other = new tl.Session({ graph: long, threads: 2 });
        for (let k = 0; k < 3; k++) await other.run(product, { a });
        await other.close();
      }
      await session.close();
    };
    for (let i = 0; i < 20; i++) await open(i);
    await pause(100);
    const [bytes, threads] = [resident(), threadsNow()];
    for (let i = 0; i < 100; i++) await open(i);
    await pause(100);
    expect(threadsNow()).toBe(threads);
    expect(resident() - bytes).toBeLessThan(48 * MB);
  });
});

it('handles that are forgotten free their memory', async () => {
  const session = new tl.Session({ graph: new tl.Graph() });
  const used = () => (session.stats.device as tl.DeviceStats).usedBytes;
  const before = used();
  await (async () => {
    for (let i = 0; i < 10; i++) await session.put(new Float32Array(100_000));
  })();
  expect(used()).toBeGreaterThan(before + 3_000_000);
  for (let i = 0; i < 50 && used() > before; i++) {
    collect();
    await pause(10);
  }
  expect(used()).toBe(before);
  await session.close();
});
