// The table of workloads, in the order it is printed.

import type { Workload } from '../types.ts';
import { conv } from './conv.ts';
import { elementwise } from './elementwise.ts';
import { linear } from './linear.ts';
import { mlp } from './mlp.ts';

const ORDER = [
  'mm256',
  'mm512',
  'mm1024',
  'mm512_at',
  'mm512_bt',
  'bmm',
  'eltwise4M',
  'moments0',
  'softmax',
  'layernorm',
  'conv2d',
  'depthwise',
  'einsum',
  'attention',
  'mlp_fwd',
  'mlp_newbatch',
  'mlp_train',
  'small50',
  'linreg',
  'matvec',
  'transpose',
  'gather',
];

const byName = new Map([...linear, ...elementwise, ...conv, ...mlp].map((w) => [w.name, w]));

export const workloads: readonly Workload[] = ORDER.map((name) => {
  const workload = byName.get(name);
  if (workload === undefined) throw new RangeError(`no workload "${name}" is defined`);
  return workload;
});

export function workloadNamed(name: string): Workload {
  const workload = byName.get(name);
  if (workload === undefined) throw new RangeError(`no workload "${name}"`);
  return workload;
}
