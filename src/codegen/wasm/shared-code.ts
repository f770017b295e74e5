// Functions of a module that several kernels call, by name: elementary functions, and parts that kernels
// have in common. Written once per process and copied into each module that uses them.
// Invariant: a name stands for the same code in all modules, and that code calls nothing.

import { InternalError } from '../../core/error.ts';
import type { FunctionBuilder, ModuleBuilder } from './assembler.ts';

/** Code of the functions that any module has had. */
const written = new Map<string, FunctionBuilder>();

/** The shared functions of one module. */
export class SharedCode {
  readonly #module: ModuleBuilder;
  readonly #indices = new Map<string, number>();
  readonly #names = new Map<number, string>();

  constructor(module: ModuleBuilder) {
    this.#module = module;
  }

  /** The name of the function that has an index in the module. */
  nameAt(index: number): string | undefined {
    return this.#names.get(index);
  }

  /** The index of a function; `write` adds it to the module where no module has had it. */
  index(name: string, write: () => FunctionBuilder): number {
    const old = this.#indices.get(name);
    if (old !== undefined) return old;
    const code = written.get(name);
    let f: FunctionBuilder;
    if (code) {
      f = this.#module.func(name, [...code.params], [...code.results]);
      f.copyBody(code, new Map());
    } else {
      f = write();
      if (f.callees.length > 0) throw new InternalError(`the shared function ${name} calls others`);
      written.set(name, f);
    }
    this.#indices.set(name, f.index);
    this.#names.set(f.index, name);
    return f.index;
  }
}

const modules = new WeakMap<ModuleBuilder, SharedCode>();

/** The shared functions of a module. */
export function sharedCode(module: ModuleBuilder): SharedCode {
  let made = modules.get(module);
  if (!made) {
    made = new SharedCode(module);
    modules.set(module, made);
  }
  return made;
}
