// The script of a tile thread in a page: what the workers of `threads.ts` do in Node, with the one
// difference that a web worker gets messages only in its event loop, to which it returns when it
// lacks a module and before it sleeps. Imported by nothing; it imports only types.

import type { ModuleMessage, WebThreadStart } from './threads.ts';

type Work = (spins: number, thread: number) => void;

/** The scope of a worker, as far as it is used: the types of pages know none. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<WebThreadStart | ModuleMessage>) => void) | null;
  postMessage(message: unknown): void;
}

const scope = globalThis as unknown as WorkerScope;
const works = new Map<number, Work>();
let env: WebAssembly.ModuleImports = {};

scope.onmessage = ({ data }) => {
  if ('memory' in data) {
    env = { memory: data.memory, poll: () => 0, reserve: () => {} };
    void serve(data);
    scope.postMessage('started');
  } else if (data.module) {
    const { exports } = new WebAssembly.Instance(data.module, { env });
    works.set(data.id, exports.work as Work);
  } else {
    works.delete(data.id);
  }
};

/** Lets messages that wait be handled. */
const turns = new MessageChannel();
function turn(): Promise<unknown> {
  return new Promise((resolve) => {
    turns.port1.onmessage = resolve;
    turns.port2.postMessage(null);
  });
}

async function serve(start: WebThreadStart): Promise<void> {
  const { memory, control, thread, word, spins, awakeMs } = start;
  const words = new Int32Array(memory.buffer, control, word.words);
  Atomics.add(words, word.awake, 1);
  try {
    let seen = Atomics.load(words, word.wake);
    let generation = -1;
    let busy = performance.now();
    while (Atomics.load(words, word.stop) === 0) {
      const work = works.get(Atomics.load(words, word.module));
      if (work) work(spins, thread);
      else await turn();
      const now = performance.now();
      const g = Atomics.load(words, word.generation);
      const w = Atomics.load(words, word.wake);
      if (g !== generation || w !== seen) {
        generation = g;
        seen = w;
        busy = now;
      } else if (now - busy > awakeMs) {
        await turn();
        Atomics.sub(words, word.awake, 1);
        Atomics.wait(words, word.wake, seen);
        Atomics.add(words, word.awake, 1);
        busy = performance.now();
      }
    }
  } catch (error) {
    Atomics.store(words, word.trap, 1);
    throw error;
  } finally {
    Atomics.sub(words, word.awake, 1);
  }
}
