// The process of one JavaScript peer: prepares a workload, calls it, times the calls. Started by the
// harness as `peer-process.ts <peer> <threads>`.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makerOf } from './peers/all.ts';
import { type InputSpec, NotBuiltError, type Runner, type Values } from './types.ts';
import { type Reply, type Request, serve, textOf } from './wire.ts';

const [name, threads] = [process.argv[2], Number(process.argv[3])];
let runner: Runner | undefined;
let folder = '';
let calls = 0;

function readInputs(inputs: Readonly<Record<string, InputSpec>>): Values {
  return Object.fromEntries(
    Object.entries(inputs).map(([key, { dtype }]) => {
      const { buffer } = new Uint8Array(readFileSync(join(folder, `${key}.in`)));
      return [key, dtype === 'int32' ? new Int32Array(buffer) : new Float32Array(buffer)];
    }),
  );
}

function current(): Runner {
  if (runner === undefined) throw new Error('no workload is open');
  return runner;
}

/** Awaits only what is a promise, since an await costs a peer that needs none. */
async function time(count: number): Promise<number> {
  const active = current();
  const began = performance.now();
  for (let i = 0; i < count; i++) {
    const made = active.call(calls++);
    if (made instanceof Promise) await made;
  }
  return performance.now() - began;
}

async function check(tag: string): Promise<Reply> {
  const began = performance.now();
  const raw = await current().call(calls++);
  const ms = performance.now() - began;
  const outputs = current().tidy?.(raw) ?? raw;
  for (const [key, values] of Object.entries(outputs)) {
    writeFileSync(join(folder, `${key}.${tag}`), new Uint8Array(Float32Array.from(values).buffer));
  }
  return { state: 'checked', outputs: Object.keys(outputs), ms };
}

async function warm(request: Request & { do: 'warm' }): Promise<Reply> {
  const times: number[] = [];
  let spent = 0;
  while (times.length < request.most && (times.length < request.least || spent < request.ms)) {
    times.push(await time(1));
    spent += times[times.length - 1];
  }
  // The last third is warmer than the rest.
  const late = times.slice(Math.floor((times.length * 2) / 3));
  return { state: 'warmed', ms: late.reduce((sum, t) => sum + t, 0) / late.length };
}

async function answer(request: Request): Promise<Reply> {
  switch (request.do) {
    case 'open': {
      folder = request.folder;
      const make = await makerOf(name, request.workload, threads);
      if (make === undefined) return { state: 'absent' };
      runner = await make(readInputs(request.inputs));
      return { state: 'ready' };
    }
    case 'check':
      return check(request.tag);
    case 'warm':
      return warm(request);
    case 'time': {
      if (request.lead > 0) await time(request.lead);
      const times: number[] = [];
      for (let i = 0; i < request.samples; i++) {
        times.push((await time(request.inner)) / request.inner);
      }
      return { state: 'timed', times };
    }
    case 'close':
      await runner?.close?.();
      return { state: 'closed' };
    default:
      throw request satisfies never;
  }
}

function failed(error: unknown): Reply {
  if (error instanceof NotBuiltError) return { state: 'unbuilt', what: error.message };
  return { state: 'failed', error: textOf(error) };
}

await serve(answer, failed);
process.exit(0);
