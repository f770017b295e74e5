// Kernels compiled once per process: equal kernels of any plan and session share the scheduled form
// and the instructions. Invariant: what is kept mentions no module: calls are kept by what they call,
// and code that calls anything but the known helpers is not kept.

import type { FunctionBuilder, ModuleBuilder } from '../../codegen/wasm/assembler.ts';
import type { KernelCompiler } from '../../codegen/wasm/entry.ts';
import { dimEmitter } from '../../codegen/wasm/entry-dims.ts';
import { sharedCode } from '../../codegen/wasm/shared-code.ts';
import type { DimFn } from '../../core/dim.ts';
import { InternalError } from '../../core/error.ts';
import type { Kernel, TiledKernel } from '../../kernel/ir.ts';
import { printKernel } from '../../kernel/print.ts';

/** Kernels kept; the least recently used are forgotten. */
const MAX_KERNELS = 512;

/** What kernels call: the note of a failed check, functions of sizes, shared functions. */
type Helper =
  | { readonly kind: 'fail' }
  | { readonly kind: 'dim'; readonly fn: Exclude<DimFn, 'ne1'> }
  | { readonly kind: 'shared'; readonly name: string };

interface Code {
  readonly func: FunctionBuilder;
  readonly calls: ReadonlyMap<number, Helper>;
  readonly scratchBytes: number;
}

interface Entry {
  readonly tiled: TiledKernel;
  code: Code | undefined;
}

/** How many kernels a session's plans had, and how many of them were known. */
export interface KernelCounts {
  compiled: number;
  shared: number;
}

const entries = new Map<string, Entry>();
const entryOf = new WeakMap<TiledKernel, Entry>();

/** A compiler that compiles equal kernels once, and counts for one session. */
export function sharedKernels(base: KernelCompiler, counts: KernelCounts): KernelCompiler {
  return {
    name: base.name,
    schedule(kernel) {
      const entry = find(kernel, base);
      return entry.tiled;
    },
    emit(module, tiled, env) {
      const entry = entryOf.get(tiled);
      const code = entry?.code;
      if (code) {
        counts.shared++;
        return { func: copy(module, code, env), scratchBytes: code.scratchBytes };
      }
      counts.compiled++;
      const made = base.emit(module, tiled, env);
      const calls = callsOf(module, made.func, env.fail);
      if (entry && calls) entry.code = { ...made, calls };
      return made;
    },
  };
}

function find(kernel: Kernel, base: KernelCompiler): Entry {
  const key = `${base.name}\n${printKernel(kernel)}`;
  let entry = entries.get(key);
  if (entry) entries.delete(key);
  else {
    entry = { tiled: base.schedule(kernel), code: undefined };
    entryOf.set(entry.tiled, entry);
  }
  entries.set(key, entry);
  if (entries.size > MAX_KERNELS) {
    for (const oldest of entries.keys()) {
      entries.delete(oldest);
      break;
    }
  }
  return entry;
}

/** What the calls of a function lead to, by index; undefined where one leads elsewhere. */
function callsOf(
  module: ModuleBuilder,
  func: FunctionBuilder,
  fail: number,
): ReadonlyMap<number, Helper> | undefined {
  if (func.usesGlobals) return undefined;
  const calls = new Map<number, Helper>();
  for (const index of func.callees) {
    if (calls.has(index)) continue;
    const fn = dimEmitter(module).helperAt(index);
    const name = sharedCode(module).nameAt(index);
    if (index === fail) calls.set(index, { kind: 'fail' });
    else if (fn !== undefined) calls.set(index, { kind: 'dim', fn });
    else if (name !== undefined) calls.set(index, { kind: 'shared', name });
    else return undefined;
  }
  return calls;
}

function neverWritten(): never {
  throw new InternalError('code is kept that calls a function which no module has had');
}

function copy(
  module: ModuleBuilder,
  { func, calls }: Code,
  env: { readonly fail: number; readonly name: string },
): FunctionBuilder {
  const to = new Map<number, number>();
  for (const [index, helper] of calls) {
    if (helper.kind === 'fail') to.set(index, env.fail);
    else if (helper.kind === 'dim') to.set(index, dimEmitter(module).helper(helper.fn));
    else to.set(index, sharedCode(module).index(helper.name, neverWritten));
  }
  const made = module.func(env.name, [...func.params], [...func.results]);
  made.copyBody(func, to);
  return made;
}
