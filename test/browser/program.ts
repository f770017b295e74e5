// What the browser tests run, in Node and in pages alike: it takes the library as an argument and
// gives plain data, values as their bytes, so that results can be compared across engines.

import type * as Tensorloom from '../../src/index.ts';

type Library = typeof Tensorloom;

/** Relaxed SIMD is not in every engine, and changes bits. */
export const OPTIONS = { relaxedSimd: false };

/** A value as plain data. */
export function bits(x: Tensorloom.NDArray): unknown {
  const { buffer, byteOffset, byteLength } = x.data;
  return [x.dtype, x.shape.join(), new Uint8Array(buffer, byteOffset, byteLength).join()];
}

async function failure(run: () => unknown): Promise<unknown> {
  try {
    await run();
    return 'no error';
  } catch (error) {
    const failed = error as Tensorloom.TensorloomError;
    const { code, op, node, message, cause } = failed;
    const why = cause instanceof Error ? cause.message : cause;
    // How long it took is in the text of a timeout.
    const text = code === 'run/timeout' ? '' : message;
    return { type: failed.constructor.name, code, op, node, text, cause: why };
  }
}

/** Draws, multiplies, normalises and trains, for three batch sizes of one plan. */
async function training(tl: Library): Promise<unknown> {
  const graph = new tl.Graph();
  const { x, w, y, train, init } = graph.asDefault(() => {
    tl.setRandomSeed(7);
    const x = tl.placeholder('float32', [null, 96], { name: 'x' });
    const w = tl.variable(tl.randomNormal([96, 64]), { name: 'w' });
    const y = tl.softmax(x.matmul(w));
    const train = new tl.AdamOptimizer(0.05).minimize(tl.reduceMean(tl.square(y)));
    return { x, w, y, train, init: tl.globalVariablesInitializer() };
  });
  const session = new tl.Session({ ...OPTIONS, graph });
  const early = await failure(() => session.run(y, [[x, new Float32Array(96)]]));
  await session.run(init);
  const out: unknown[] = [early];
  for (const batch of [5, 300, 1]) {
    const data = Float32Array.from({ length: batch * 96 }, (_, i) => Math.sin(i));
    const feed = new tl.NDArray('float32', [batch, 96], data);
    const done = session.run({ y, train }, [[x, feed]]);
    data.fill(0);
    out.push(bits((await done).y));
  }
  out.push(bits(await session.run(w)));
  session.setVariable(w, new tl.NDArray('float32', [96, 64], new Float32Array(96 * 64).fill(0.5)));
  out.push(bits(await session.run(w)));
  await session.close();
  out.push(await failure(() => session.run(w)));
  return out;
}

/** A loop with its gradient, host functions of both kinds, sizes from data, checks that fail. */
async function control(tl: Library): Promise<unknown> {
  const graph = new tl.Graph();
  const made = graph.asDefault(() => {
    const x = tl.placeholder('float32', ['n'], { name: 'x' });
    const sums = tl.scan(
      (a: Tensorloom.Tensor, e: Tensorloom.Tensor) => a.mul(0.9).add(tl.tanh(e)),
      x,
    );
    const slope = tl.gradients([tl.reduceSum(sums)], [x])[0] as Tensorloom.Tensor;
    const host = (fn: (v: Tensorloom.NDArray) => unknown) =>
      tl.hostCall(fn, [x.mul(2)], [{ dtype: 'float32', shape: ['n'] }])[0].add(1);
    const reversed = host(
      (v) => new tl.NDArray('float32', v.shape, v.data.slice().reverse() as Float32Array),
    );
    const late = host(async (v) => [...v.data].map((e) => e + 1));
    const broken = host(() => {
      throw new Error('no such thing');
    });
    const wrong = host(() => ['a']);
    const many = tl.where(tl.greater(x, 0));
    const at = tl.gather(x, tl.placeholder('int32', [], { name: 'at' }));
    return { x, sums, slope, reversed, late, broken, wrong, many, at };
  });
  const session = new tl.Session({ ...OPTIONS, graph });
  const x = Float32Array.from({ length: 50 }, (_, i) => Math.cos(i));
  const { sums, slope, reversed, late, many } = made;
  const values = await session.run([sums, slope, reversed, late, many], { x });
  const out: unknown[] = values.map(bits);
  out.push(await failure(() => session.run(made.broken, { x })));
  out.push(await failure(() => session.run(made.wrong, { x })));
  out.push(await failure(() => session.run(made.at, { x, at: 50 })));
  out.push(bits(await session.run(made.at, { x, at: 49 })));
  await session.close();
  return out;
}

/** Values that stay on the device, and two sessions side by side. */
async function handles(tl: Library): Promise<unknown> {
  const graph = new tl.Graph();
  const { x, y } = graph.asDefault(() => {
    const x = tl.placeholder('float32', [null], { name: 'x' });
    return { x, y: x.mul(3).add(1) };
  });
  const sessions = [0, 1].map(() => new tl.Session({ ...OPTIONS, graph }));
  const out: unknown[] = [];
  const all = sessions.map(async (session, i) => {
    const given = await session.put(Float32Array.of(1, 2, 3 + i));
    const kept = await session.run(y, [[x, given]], { keep: true });
    given.dispose();
    given.dispose();
    const again = session.run(y, [[x, kept]]);
    kept.dispose();
    return bits(await again);
  });
  out.push(...(await Promise.all(all)));
  const left = await sessions[0].run(y, { x: [5] }, { keep: true });
  out.push(bits(await left.read()), sessions[0].explain(y).includes('local.get'));
  await Promise.all(sessions.map((s) => s.close()));
  out.push(await failure(() => left.read()));
  return out;
}

/** Runs that are ended, and what they leave behind; memory that does not suffice. */
async function endings(tl: Library): Promise<unknown> {
  const graph = new tl.Graph();
  const { v, init, forever } = graph.asDefault(() => {
    const v = tl.variable(1, { name: 'v' });
    const step = v.assignAdd(1);
    const forever = tl.controlDependencies([step], () =>
      tl.whileLoop(
        (i: Tensorloom.Tensor) => tl.greaterEqual(i, 0),
        (i: Tensorloom.Tensor) => tl.mod(tl.add(i, 1), 1000),
        tl.constant(0, { dtype: 'int32' }),
      ),
    );
    return { v, init: tl.globalVariablesInitializer(), forever };
  });
  const session = new tl.Session({ ...OPTIONS, graph, memoryLimit: 2 ** 24 });
  await session.run(init);
  const out: unknown[] = [await failure(() => session.run(forever, {}, { timeoutMs: 100 }))];
  out.push(bits(await session.run(v)));
  const failed = (await failure(() => session.put(new Float32Array(2 ** 23)))) as { code: string };
  out.push(failed.code);
  out.push(bits(await session.run(v)));
  await session.close();
  return out;
}

/** All of it, by name. */
export async function program(tl: Library): Promise<Record<string, unknown>> {
  return {
    training: await training(tl),
    control: await control(tl),
    handles: await handles(tl),
    endings: await endings(tl),
  };
}

/** What pages alone are asked: no sync forms, a main thread that never waits, abort, threads. */
export async function pageOnly(tl: Library): Promise<Record<string, unknown>> {
  const graph = new tl.Graph();
  const { x, y, v, init, forever } = graph.asDefault(() => {
    const x = tl.placeholder('float32', [null, null], { name: 'x' });
    const v = tl.variable(1, { name: 'v' });
    const forever = tl.whileLoop(
      (i: Tensorloom.Tensor) => tl.greaterEqual(i, 0),
      (i: Tensorloom.Tensor) => tl.mod(tl.add(i, 1), 1000),
      tl.constant(0, { dtype: 'int32' }),
    );
    return { x, y: x.matmul(x), v, init: tl.globalVariablesInitializer(), forever };
  });
  const session = new tl.Session({ ...OPTIONS, graph, threads: 2 });
  await session.run(init);
  const call = session.makeCallable({ fetches: v });
  const kept = await session.run(v, {}, { keep: true });
  const sync = [
    await failure(() => session.runSync(v)),
    await failure(() => call.sync({})),
    await failure(() => kept.readSync()),
    await failure(() => session.variableValue(v)),
  ];
  // Timers go on while a run takes half a second; the longest gap between two says how well.
  let ticks = 0;
  let longest = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    ticks++;
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }, 10);
  await failure(() => session.run(forever, {}, { timeoutMs: 500 }));
  clearInterval(timer);
  let aborted: unknown = 'not isolated';
  if (globalThis.crossOriginIsolated) {
    const ending = new AbortController();
    setTimeout(() => ending.abort(new Error('enough')), 50);
    aborted = await failure(() => session.run(forever, {}, { signal: ending.signal }));
  }
  const n = 512;
  const data = Float32Array.from({ length: n * n }, (_, i) => Math.sin(i));
  const feed = new tl.NDArray('float32', [n, n], data);
  const products: unknown[] = [];
  for (const threads of [1, 2]) {
    const other = new tl.Session({ ...OPTIONS, graph, threads });
    for (let i = 0; i < 3; i++) products.push(bits(await other.run(y, [[x, feed]])));
    await other.close();
  }
  const same = products.every((p) => JSON.stringify(p) === JSON.stringify(products[0]));
  await session.close();
  return { isolated: globalThis.crossOriginIsolated, sync, ticks, longest, aborted, same };
}
