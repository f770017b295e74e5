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
  const seen = new Set<Expr>();
  const look = (e: Expr): void => {
    if (isElementary(e)) calls.add(e);
  };
  walkStmts(body, (s) => walkExprs(exprsOf(s), look, seen));
  let wide = 0;
  for (const e of calls) if (e.lanes !== 1) wide++;
  const many = (n: number): boolean => n > MAX_EXPANDED;
  return (e) =>
    isElementary(e) &&
    (e.type === 'f64' || (e.lanes !== 1 ? many(wide) : wide > 0 || many(calls.size - wide)));
}

/** A function's parameters and its values in primitives. */
export function definition(name: ElementaryName): [readonly LocalExpr[], readonly Expr[]] {
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
