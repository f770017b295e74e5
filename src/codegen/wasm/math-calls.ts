// Elementary functions as functions of a module: a kernel that calls many of them would grow with each
// expansion, and with it the time to compile it.
// Invariant: a function gives the bits that its expansion in place gives.

import { invariant } from '../../core/error.ts';
import {
  argsOf,
  binary,
  type Expr,
  type Lanes,
  type LocalExpr,
  letRef,
  type ScalarType,
  type UnaryOp,
  unary,
} from '../../kernel/expr.ts';
import type { Stmt } from '../../kernel/ir.ts';
import { type ElementaryCall, expandCall, isElementary } from '../../kernel/math.ts';
import { exprsOf, walkExprs, walkStmts } from '../../kernel/rewrite.ts';
import type { FunctionBuilder, ModuleBuilder } from './assembler.ts';

/**
 * An elementary function of so many values of a type and width, such as `tanh_f32_4_2`: of two vectors
 * in one call, which share the time to set up constants.
 */
export type ElementaryName = `${ElementaryCall['fn']}_${ScalarType}_${Lanes}_${1 | 2}`;

/** More calls than these on vectors are better not expanded. */
const MAX_EXPANDED = 8;

/** The name of what an expression calls. */
export function elementaryName(e: ElementaryCall, values: 1 | 2 = 1): ElementaryName {
  return `${e.fn}_${e.args[0].type}_${e.lanes}_${values}`;
}

/** Whether two statements are lets of the same function that one call can compute. */
export function isPair(a: Stmt, b: Stmt): boolean {
  if (a.kind !== 'let' || b?.kind !== 'let') return false;
  if (!isElementary(a.value) || !isElementary(b.value)) return false;
  const name = elementaryName(a.value);
  if (a.value.lanes === 1 || name !== elementaryName(b.value)) return false;
  let free = true;
  walkExprs([b.value], (e) => {
    if (e.op === 'let' && e.name === a.name) free = false;
  });
  return free;
}

/**
 * Which of a kernel's elementary functions to call. Those of vectors are expanded where they are few;
 * scalar ones beside vectors serve the few points at the edges. Those of f64 are long: always called.
 */
export function chooseCalls(body: readonly Stmt[]): (e: Expr) => boolean {
  const calls = new Set<ElementaryCall>();
  walkStmts(body, (s) =>
    walkExprs(exprsOf(s), (e) => {
      if (isElementary(e)) calls.add(e);
    }),
  );
  let wide = 0;
  for (const e of calls) if (e.lanes !== 1) wide++;
  const many = (n: number): boolean => n > MAX_EXPANDED;
  return (e) =>
    isElementary(e) &&
    (e.type === 'f64' || (e.lanes !== 1 ? many(wide) : wide > 0 || many(calls.size - wide)));
}

/** Code of the functions that any module has had. */
const written = new Map<ElementaryName, FunctionBuilder>();

/** The elementary functions of one module. */
class MathFunctions {
  readonly #module: ModuleBuilder;
  readonly #indices = new Map<ElementaryName, number>();
  readonly #names = new Map<number, ElementaryName>();

  constructor(module: ModuleBuilder) {
    this.#module = module;
  }

  /** The function that has an index in the module. */
  nameAt(index: number): ElementaryName | undefined {
    return this.#names.get(index);
  }

  /** The index of a function; `write` gives one that computes a value of its parameters. */
  index(
    name: ElementaryName,
    write: (params: readonly LocalExpr[], values: readonly Expr[]) => FunctionBuilder,
  ): number {
    const old = this.#indices.get(name);
    if (old !== undefined) return old;
    let f = written.get(name);
    if (f) {
      const { params, results } = f;
      const copy = this.#module.func(name, [...params], [...results]);
      copy.copyBody(f, new Map());
      f = copy;
    } else {
      f = write(...definition(name));
      written.set(name, f);
    }
    this.#indices.set(name, f.index);
    this.#names.set(f.index, name);
    return f.index;
  }
}

/** A function's parameters and its values in primitives. */
function definition(name: ElementaryName): [readonly LocalExpr[], readonly Expr[]] {
  const [fn, type, lanes, count] = name.split('_') as [
    ElementaryCall['fn'],
    ScalarType,
    string,
    string,
  ];
  const params: LocalExpr[] = [];
  const param = (id: string): LocalExpr => {
    const made = letRef(id, type, Number(lanes) as Lanes) as LocalExpr;
    params.push(made);
    return made;
  };
  const values = Array.from({ length: Number(count) }, (_, i) => {
    const x = param(`x${i}`);
    const call = fn === 'pow' ? binary(fn, x, param(`y${i}`)) : unary(fn as UnaryOp, x);
    const value = expandCall(call as ElementaryCall, argsOf(call));
    invariant(value, `no function is called ${name}`);
    return value;
  });
  return [params, values];
}

const modules = new WeakMap<ModuleBuilder, MathFunctions>();

/** The elementary functions of a module. */
export function mathFunctions(module: ModuleBuilder): MathFunctions {
  let made = modules.get(module);
  if (!made) {
    made = new MathFunctions(module);
    modules.set(module, made);
  }
  return made;
}
