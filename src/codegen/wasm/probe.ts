// What the WebAssembly engine can do beyond what the project requires, found by asking it to validate
// a module. Invariant: asked once per process.

import { ModuleBuilder } from './assembler.ts';

let relaxed: boolean | undefined;

/** Whether the engine has relaxed SIMD, so that a product and a sum are one instruction. */
export function relaxedSimdSupported(): boolean {
  if (relaxed === undefined) {
    const module = new ModuleBuilder();
    const f = module.func('probe', ['v128'], ['v128']);
    f.op('local.get', 0).op('local.get', 0).op('local.get', 0).op('f32x4.relaxed_madd');
    relaxed = WebAssembly.validate(module.toBytes());
  }
  return relaxed;
}
