// Sizes and indices as i32 code within a kernel: sums and products inline, with parts that the loops
// around hold in locals, and division by shifts and masks where numbers allow it.

import { type Dim, type DimExpr, type DimFn, isNonNegative, subDim } from '../../core/dim.ts';
import { InternalError } from '../../core/error.ts';
import type { FunctionBuilder } from './assembler.ts';
import type { DimEmitter } from './entry-dims.ts';
import { fixedPart } from './uses.ts';

/** Emits dims of one kernel. */
export class KernelDims {
  private readonly f: FunctionBuilder;
  private readonly dims: DimEmitter;
  private readonly syms: ReadonlyMap<string, number>;
  private readonly known: () => ReadonlyMap<string, number>;
  private readonly name: string;

  /** `syms` gives the locals of symbols, `known` those of dims by key, as of now. */
  constructor(
    f: FunctionBuilder,
    dims: DimEmitter,
    syms: ReadonlyMap<string, number>,
    known: () => ReadonlyMap<string, number>,
    name: string,
  ) {
    this.f = f;
    this.dims = dims;
    this.syms = syms;
    this.known = known;
    this.name = name;
  }

  /** Pushes the value of a dim, from what is known of it. */
  push(d: Dim): void {
    const { f } = this;
    if (typeof d === 'number') {
      f.op('i32.const', d | 0);
      return;
    }
    const known = this.known().get(d.key);
    if (known !== undefined) {
      f.op('local.get', known);
      return;
    }
    const part = this.knownPart(d);
    if (part) {
      f.op('local.get', part.local);
      this.push(part.rest);
      f.op('i32.add');
      return;
    }
    this.dimTerms(d);
  }

  /** A part of a sum that is held in a local, and what is left. */
  private knownPart(d: DimExpr): { local: number; rest: Dim } | undefined {
    if (d.terms.length < 2 || this.known().size === 0) return undefined;
    const tried = new Set<string>();
    const held = (part: Dim): { local: number; rest: Dim } | undefined => {
      const local = typeof part === 'number' ? undefined : this.known().get(part.key);
      return local === undefined ? undefined : { local, rest: subDim(d, part) };
    };
    const whole = held(fixedPart(d, tried));
    if (whole) return whole;
    for (const t of d.terms) {
      for (const a of t.atoms) {
        if (a.kind !== 'sym' || tried.has(a.id)) continue;
        tried.add(a.id);
        const found = held(fixedPart(d, new Set([a.id])));
        if (found) return found;
      }
    }
    return undefined;
  }

  private dimTerms(d: DimExpr): void {
    const { f } = this;
    d.terms.forEach((t, i) => {
      let pushed = 0;
      for (const a of t.atoms) {
        if (a.kind === 'sym') f.op('local.get', this.symLocal(a.id));
        else this.dimFn(a.fn, a.args, a.key);
        if (pushed++ > 0) f.op('i32.mul');
      }
      if (pushed === 0) f.op('i32.const', t.coef | 0);
      else if (t.coef !== 1) {
        const power = Math.log2(t.coef);
        if (Number.isInteger(power)) f.op('i32.const', power).op('i32.shl');
        else f.op('i32.const', t.coef | 0).op('i32.mul');
      }
      if (i > 0) f.op('i32.add');
    });
  }

  private symLocal(id: string): number {
    const local = this.syms.get(id);
    if (local === undefined) throw new InternalError(`kernel "${this.name}": ${id} has no value`);
    return local;
  }

  private dimFn(fn: DimFn, args: readonly Dim[], key: string): void {
    const { f } = this;
    const known = this.known().get(key);
    if (known !== undefined) {
      f.op('local.get', known);
      return;
    }
    const [a, b] = args;
    if ((fn === 'floordiv' || fn === 'mod') && typeof b === 'number' && b > 0 && isNonNegative(a)) {
      this.push(a);
      const power = Math.log2(b);
      if (Number.isInteger(power)) {
        f.op('i32.const', fn === 'mod' ? b - 1 : power).op(fn === 'mod' ? 'i32.and' : 'i32.shr_u');
      } else f.op('i32.const', b).op(fn === 'mod' ? 'i32.rem_u' : 'i32.div_u');
      return;
    }
    if ((fn === 'floordiv' || fn === 'mod') && isNonNegative(a) && isNonNegative(b)) {
      // A divisor of 0 becomes 1; the result is then replaced by 0.
      const divisor = f.local('i32', 'divisor');
      this.push(b);
      f.op('local.set', divisor);
      this.push(a);
      f.op('local.get', divisor).op('local.get', divisor).op('i32.eqz').op('i32.add');
      f.op(fn === 'mod' ? 'i32.rem_u' : 'i32.div_u')
        .op('i32.const', 0)
        .op('local.get', divisor)
        .op('select');
      return;
    }
    if (fn === 'ne1') {
      this.push(a);
      f.op('i32.const', 1).op('i32.ne');
      return;
    }
    this.push(a);
    this.push(b);
    this.dims.pushCall(f, fn);
  }
}
