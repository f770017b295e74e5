// What an expression costs to compute, in additions: the one cost model of fusion and duplication.

import { argsOf, type Expr } from './expr.ts';

const UNARY_COST: Readonly<Record<string, number>> = {
  exp: 12,
  expm1: 14,
  log1p: 18,
  erf: 24,
  log: 16,
  tanh: 18,
  sin: 16,
  cos: 16,
  sqrt: 6,
};

const BINARY_COST: Readonly<Record<string, number>> = { div: 4, rem: 4, pow: 60 };

/** The cost of expressions together, shared parts counted once. Loads and constants are free. */
export function exprCost(values: readonly Expr[]): number {
  const seen = new Set<Expr>();
  const stack = [...values];
  let cost = 0;
  while (stack.length > 0) {
    const e = stack.pop() as Expr;
    if (seen.has(e)) continue;
    seen.add(e);
    cost += own(e);
    stack.push(...argsOf(e));
  }
  return cost;
}

function own(e: Expr): number {
  switch (e.op) {
    case 'unary':
      return UNARY_COST[e.fn] ?? 1;
    case 'binary':
      return BINARY_COST[e.fn] ?? 1;
    case 'compare':
    case 'select':
    case 'cast':
      return 1;
    default:
      return 0;
  }
}
