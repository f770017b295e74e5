// Dims as i32 code for the entry of a plan, where symbols are words of memory or locals: products and
// sums inline, the functions that do not distribute over sums as calls of helpers of the module.

import type { Atom, Dim, DimFn } from '../../core/dim.ts';
import type { FunctionBuilder, ModuleBuilder } from './assembler.ts';

/** Pushes the i32 value of a symbol. */
export type PushSym = (f: FunctionBuilder, id: string) => void;

/** Emits dims into functions of one module. */
export class DimEmitter {
  readonly #module: ModuleBuilder;
  readonly #helpers = new Map<Exclude<DimFn, 'ne1'>, number>();

  constructor(module: ModuleBuilder) {
    this.#module = module;
  }

  /** Pushes the value of a dim as i32. */
  push(f: FunctionBuilder, dim: Dim, sym: PushSym): void {
    if (typeof dim === 'number') {
      f.op('i32.const', dim | 0);
      return;
    }
    dim.terms.forEach((term, i) => {
      let factors = 0;
      const factor = (emit: () => void): void => {
        emit();
        if (factors++ > 0) f.op('i32.mul');
      };
      for (const atom of term.atoms) factor(() => this.#atom(f, atom, sym));
      if (term.coef !== 1 || factors === 0) factor(() => f.op('i32.const', term.coef | 0));
      if (i > 0) f.op('i32.add');
    });
  }

  /** Pushes the value of a dim as f64, for estimates that exceed 32 bits. */
  pushFloat(f: FunctionBuilder, dim: Dim, sym: PushSym): void {
    if (typeof dim === 'number') {
      f.op('f64.const', dim);
      return;
    }
    dim.terms.forEach((term, i) => {
      f.op('f64.const', term.coef);
      for (const atom of term.atoms) {
        this.#atom(f, atom, sym);
        f.op('f64.convert_i32_s').op('f64.mul');
      }
      if (i > 0) f.op('f64.add');
    });
  }

  /** Calls the helper of a function of dims on the two values on the stack. */
  pushCall(f: FunctionBuilder, fn: Exclude<DimFn, 'ne1'>): void {
    f.op('call', this.helper(fn));
  }

  /** The function of dims whose helper has an index in the module. */
  helperAt(index: number): Exclude<DimFn, 'ne1'> | undefined {
    for (const [fn, at] of this.#helpers) if (at === index) return fn;
    return undefined;
  }

  #atom(f: FunctionBuilder, atom: Atom, sym: PushSym): void {
    if (atom.kind === 'sym') {
      sym(f, atom.id);
      return;
    }
    for (const arg of atom.args) this.push(f, arg, sym);
    if (atom.fn === 'ne1') f.op('i32.const', 1).op('i32.ne');
    else f.op('call', this.helper(atom.fn));
  }

  /** The index of the helper of a function of dims. */
  helper(fn: Exclude<DimFn, 'ne1'>): number {
    const old = this.#helpers.get(fn);
    if (old !== undefined) return old;
    const f = this.#module.func(`dim_${fn}`, ['i32', 'i32'], ['i32'], { paramNames: ['a', 'b'] });
    this.#helpers.set(fn, f.index);
    const a = () => f.op('local.get', 0);
    const b = () => f.op('local.get', 1);
    if (fn === 'max' || fn === 'min') {
      a();
      b();
      a();
      b();
      f.op(fn === 'max' ? 'i32.gt_s' : 'i32.lt_s').op('select');
    } else if (fn === 'bcast') {
      b();
      a();
      a();
      f.op('i32.const', 1).op('i32.eq').op('select');
    } else {
      b();
      f.op('i32.eqz').if_().op('i32.const', 0).op('return').end();
      const rest = f.local('i32', 'rest');
      a();
      b();
      f.op('i32.rem_s').op('local.set', rest);
      // The machine truncates; floor differs where the rest and the divisor differ in sign.
      const differs = () => {
        f.op('local.get', rest);
        f.op('i32.const', 0).op('i32.ne');
        f.op('local.get', rest);
        b();
        f.op('i32.xor').op('i32.const', 0).op('i32.lt_s').op('i32.and');
      };
      if (fn === 'floordiv') {
        a();
        b();
        f.op('i32.div_s');
        differs();
        f.op('i32.sub');
      } else {
        f.op('local.get', rest);
        b();
        f.op('i32.const', 0);
        differs();
        f.op('select').op('i32.add');
      }
    }
    return f.index;
  }
}

const dimEmitters = new WeakMap<ModuleBuilder, DimEmitter>();

/** The emitter of sizes that the kernels of a module share. */
export function dimEmitter(module: ModuleBuilder): DimEmitter {
  const old = dimEmitters.get(module);
  if (old) return old;
  const made = new DimEmitter(module);
  dimEmitters.set(module, made);
  return made;
}
