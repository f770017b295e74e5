// Launching a kernel: all its tiles on the calling thread, or as a job on the board that every awake
// thread claims tiles from. The claim word holds the job's number and the tiles left in one i64, so
// that a late thread can never claim a tile of a later job: once the last tile is claimed the word
// is used up, and only a claim that succeeds vouches for the arguments read before it.

import type { TiledKernel } from '../../kernel/ir.ts';
import type { FunctionBuilder, ModuleBuilder } from './assembler.ts';
import { type BlockLayout, CONTROL } from './block.ts';
import type { DimEmitter, PushSym } from './entry-dims.ts';

/** Least work (operations and bytes) of a job; below, the handshake costs more than it gains. */
const MIN_JOB = 8192;

/** Work of a job that lasts long enough for threads to wake in the middle of it. */
const LONG_JOB = 4_000_000;

/** How to launch a kernel: a function of its addresses and params. */
export interface Launch {
  readonly func: number;
  /** Whether it returns the number of tiles, else nothing. */
  readonly counts: boolean;
}

interface Place {
  readonly block: number;
  readonly control: number;
  readonly id: number;
  readonly memory: { readonly shared: boolean };
}

/** Emits the launch functions of all kernels and, where there are threads, the exported `work`. */
export function emitJobs(
  module: ModuleBuilder,
  dims: DimEmitter,
  layout: BlockLayout,
  place: Place,
  kernels: readonly { readonly tiled: TiledKernel; readonly func: number }[],
): Launch[] {
  const workers = new Map<number, number>();
  const launches = kernels.map(({ tiled, func }, i) => {
    const worker = place.memory.shared && tiled.tiles !== 1;
    if (worker) workers.set(i, emitWorker(module, layout, place, tiled, func, i));
    return emitLaunch(module, dims, layout, place, tiled, func, i, workers.get(i));
  });
  if (place.memory.shared) emitWork(module, place, workers);
  return launches;
}

function control(place: Place, word: number): number {
  return place.control + 4 * word;
}

/** Pushes the scratch address of the thread with the given number. */
function pushScratch(f: FunctionBuilder, place: Place, thread?: number): void {
  f.op('i32.const', 0).op('i32.load', control(place, CONTROL.scratch));
  if (thread === undefined) return;
  f.op('i32.const', 0).op('i32.load', control(place, CONTROL.stride));
  f.op('local.get', thread).op('i32.mul').op('i32.add');
}

function emitLaunch(
  module: ModuleBuilder,
  dims: DimEmitter,
  layout: BlockLayout,
  place: Place,
  tiled: TiledKernel,
  kernel: number,
  number: number,
  worker: number | undefined,
): Launch {
  const count = tiled.buffers.length + tiled.params.length;
  const names = [...tiled.buffers.map((b) => b.name), ...tiled.params.map((p) => p.name)];
  const counts = tiled.tiles !== 1;
  const types = names.map(() => 'i32' as const);
  const f = module.func(`launch${number}_${tiled.name}`, types, counts ? ['i32'] : [], {
    paramNames: names,
  });
  const args = (): void => {
    for (let i = 0; i < count; i++) f.op('local.get', i);
    pushScratch(f, place);
  };
  if (!counts) {
    args();
    f.op('i32.const', 0).op('call', kernel);
    return { func: f.index, counts };
  }
  const sym: PushSym = (g, id) => {
    const at = tiled.params.findIndex((p) => p.id === id);
    g.op('local.get', g.param(tiled.buffers.length + at));
  };
  const tiles = f.local('i32', 'tiles');
  dims.push(f, tiled.tiles, sym);
  f.op('local.set', tiles);
  if (worker !== undefined) {
    const missed = control(place, CONTROL.missed);
    f.op('local.get', tiles).op('i32.const', 2).op('i32.ge_s').if_();
    dims.pushFloat(f, tiled.flops, sym);
    dims.pushFloat(f, tiled.bytes, sym);
    const work = f.local('f64', 'work');
    f.op('f64.add').op('local.tee', work).op('f64.const', MIN_JOB).op('f64.ge').if_();
    f.op('i32.const', 0).op('i32.atomic.load', control(place, CONTROL.awake));
    f.op('i32.const', 0).op('i32.gt_s');
    f.op('local.get', work).op('f64.const', LONG_JOB).op('f64.ge').op('i32.or').if_();
    emitJob(f, layout, place, count, number, worker, tiles);
    f.op('local.get', tiles).op('return').end();
    f.op('i32.const', 0).op('i32.const', 1).op('i32.store', missed);
    f.end().end();
  }
  const tile = f.local('i32', 'tile');
  f.block().loop();
  f.op('local.get', tile).op('local.get', tiles).op('i32.ge_s').op('br_if', 1);
  args();
  f.op('local.get', tile).op('call', kernel);
  f.op('local.get', tile).op('i32.const', 1).op('i32.add').op('local.set', tile).op('br', 0);
  f.end().end();
  f.op('local.get', tiles);
  return { func: f.index, counts };
}

/** Publishes a job, works on it and waits for the tiles that others have claimed. */
function emitJob(
  f: FunctionBuilder,
  layout: BlockLayout,
  place: Place,
  count: number,
  number: number,
  worker: number,
  tiles: number,
): void {
  const job = place.block + 4 * layout.job;
  const generation = f.local('i64', 'generation');
  f.op('i32.const', 0).op('local.get', tiles).op('i32.store', job);
  for (let i = 0; i < count; i++) {
    f.op('i32.const', 0)
      .op('local.get', i)
      .op('i32.store', job + 4 * (i + 1));
  }
  const set = (word: number, value: number): void => {
    f.op('i32.const', 0).op('i32.const', value).op('i32.atomic.store', control(place, word));
  };
  set(CONTROL.module, place.id);
  set(CONTROL.kernel, number);
  set(CONTROL.done, 0);
  const claim = control(place, CONTROL.claim);
  f.op('i32.const', 0).op('i64.atomic.load', claim).op('i64.const', 32).op('i64.shr_u');
  f.op('i64.const', 1).op('i64.add').op('local.set', generation);
  f.op('i32.const', 0).op('local.get', generation).op('i64.const', 32).op('i64.shl');
  f.op('local.get', tiles).op('i64.extend_i32_u').op('i64.or').op('i64.atomic.store', claim);
  // Shifted out and in again, the generation wraps as the word in memory does.
  f.op('local.get', generation).op('i32.wrap_i64').op('i32.const', 0).op('call', worker);
  f.loop();
  // A thread that trapped never finishes its tile.
  f.op('i32.const', 0).op('i32.atomic.load', control(place, CONTROL.trap));
  f.if_().op('unreachable').end();
  f.op('i32.const', 0).op('i32.atomic.load', control(place, CONTROL.done));
  f.op('local.get', tiles).op('i32.ne').op('br_if', 0).end();
}

/** `worker(generation, thread)`: runs tiles of one job until there are none left to claim. */
function emitWorker(
  module: ModuleBuilder,
  layout: BlockLayout,
  place: Place,
  tiled: TiledKernel,
  kernel: number,
  number: number,
): number {
  const f = module.func(`tiles${number}_${tiled.name}`, ['i32', 'i32'], [], {
    paramNames: ['generation', 'thread'],
  });
  const job = place.block + 4 * layout.job;
  const claim = control(place, CONTROL.claim);
  const args: number[] = [];
  for (let i = 0; i < tiled.buffers.length + tiled.params.length; i++) {
    const local = f.local('i32');
    args.push(local);
    f.op('i32.const', 0)
      .op('i32.load', job + 4 * (i + 1))
      .op('local.set', local);
  }
  const tiles = f.local('i32', 'tiles');
  f.op('i32.const', 0).op('i32.load', job).op('local.set', tiles);
  const scratch = f.local('i32', 'scratch');
  pushScratch(f, place, 1);
  f.op('local.set', scratch);
  const seen = f.local('i64', 'seen');
  const left = f.local('i32', 'left');
  f.block().loop();
  f.op('i32.const', 0).op('i64.atomic.load', claim).op('local.tee', seen);
  f.op('i32.wrap_i64').op('local.tee', left).op('i32.eqz').op('br_if', 1);
  f.op('local.get', seen).op('i64.const', 32).op('i64.shr_u').op('i32.wrap_i64');
  f.op('local.get', 0).op('i32.ne').op('br_if', 1);
  f.op('i32.const', 0).op('local.get', seen);
  f.op('local.get', seen).op('i64.const', 1).op('i64.sub');
  f.op('i64.atomic.rmw.cmpxchg', claim).op('local.get', seen).op('i64.ne').op('br_if', 0);
  for (const local of args) f.op('local.get', local);
  f.op('local.get', scratch);
  f.op('local.get', tiles).op('local.get', left).op('i32.sub').op('call', kernel);
  f.op('i32.const', 0).op('i32.const', 1);
  f.op('i32.atomic.rmw.add', control(place, CONTROL.done)).op('drop').op('br', 0);
  f.end().end();
  return f.index;
}

/**
 * `work(spins, thread) -> module`: looks for jobs so many times and works on those of this module.
 * Returns 0 after looking in vain, else the number of the module that has the current job.
 */
function emitWork(module: ModuleBuilder, place: Place, workers: ReadonlyMap<number, number>): void {
  const f = module.func('work', ['i32', 'i32'], ['i32'], {
    export: true,
    paramNames: ['spins', 'thread'],
  });
  const seen = f.local('i64', 'seen');
  const owner = f.local('i32', 'module');
  f.loop();
  f.op('i32.const', 0).op('i64.atomic.load', control(place, CONTROL.claim));
  f.op('local.tee', seen).op('i32.wrap_i64').if_();
  f.op('i32.const', 0).op('i32.atomic.load', control(place, CONTROL.module));
  f.op('local.tee', owner).op('i32.const', place.id).op('i32.ne').if_();
  f.op('local.get', owner).op('return').end();
  for (const [number, worker] of workers) {
    f.op('i32.const', 0).op('i32.atomic.load', control(place, CONTROL.kernel));
    f.op('i32.const', number).op('i32.eq').if_();
    f.op('local.get', seen).op('i64.const', 32).op('i64.shr_u').op('i32.wrap_i64');
    f.op('local.get', 1).op('call', worker).end();
  }
  f.end();
  f.op('local.get', 0).op('i32.const', 1).op('i32.sub').op('local.tee', 0).op('br_if', 0);
  f.end();
  f.op('i32.const', 0);
}
