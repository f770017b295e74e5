// Plans of one node: they take the value of a variable, or set it. With them whoever runs plans can keep and
// put back variables of a device that it reaches by plans alone.

import type { DType } from '../core/dtype.ts';
import { tensorType } from '../core/type.ts';
import type { Attrs, Func, Node } from '../graph/func.ts';
import { buildPlan } from './build.ts';
import type { Plan } from './types.ts';

/** A variable and what it holds. */
export interface VariableType {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** A plan whose result is the variable's value. */
export function readingPlan({ name, dtype, shape }: VariableType): Plan {
  const read = makeNode(0, 'readVariable', { variable: name, dtype, shape }, { dtype, shape });
  return buildPlan(funcOf([read], { results: [{ node: 0, port: 0 }] }));
}

/** A plan that sets the variable to what is fed. */
export function writingPlan({ name, dtype, shape }: VariableType): Plan {
  const type = tensorType(dtype, shape);
  const attrs = { index: 0, type, value: null } as unknown as Attrs;
  const value = makeNode(0, 'param', attrs, { dtype, shape });
  const to = { variable: name, dtype, shape, update: 'set' };
  const write = { ...makeNode(1, 'assign', to, { dtype, shape }), inputs: [{ node: 0, port: 0 }] };
  return buildPlan(funcOf([value, write], { params: [0], effects: [1] }));
}

function makeNode(
  id: number,
  op: string,
  attrs: Attrs,
  { dtype, shape }: Omit<VariableType, 'name'>,
): Node {
  const types = [tensorType(dtype, shape)];
  const none = { inputs: [], controls: [], constraints: [] };
  return { id, op, name: `${op}${id}`, attrs, types, values: [null], ...none };
}

function funcOf(nodes: readonly Node[], rest: Partial<Func>): Func {
  return { name: 'variable', params: [], captured: 0, results: [], effects: [], ...rest, nodes };
}
