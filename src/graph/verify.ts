// What must hold of every function, as a table of named rules. Run after every pass in tests and
// under the session's `verify` option; a broken rule is a bug of the pass named in the error.

import { InternalError } from '../core/error.ts';
import { typeEquals } from '../core/type.ts';
import type { Func } from './func.ts';
import { inferNode, knownOf } from './infer.ts';
import { hasOp } from './op.ts';
import { bodies, liveNodes } from './walk.ts';

interface Rule {
  readonly name: string;
  /** What is wrong, or undefined. */
  check(func: Func): string | undefined;
}

const RULES: readonly Rule[] = [
  {
    name: 'ids are positions',
    check: (f) => {
      const bad = f.nodes.findIndex((n, i) => n.id !== i);
      return bad < 0 ? undefined : `nodes[${bad}].id is ${f.nodes[bad].id}`;
    },
  },
  {
    name: 'ops are registered',
    check: (f) => f.nodes.find((n) => !hasOp(n.op))?.op,
  },
  {
    name: 'refs exist',
    check: (f) => {
      for (const n of f.nodes) {
        for (const r of n.inputs) {
          if (r.port >= (f.nodes[r.node]?.types.length ?? 0))
            return `${n.name} reads ${r.node}:${r.port}`;
        }
      }
      for (const r of f.results) {
        if (r.port >= (f.nodes[r.node]?.types.length ?? 0)) return `result ${r.node}:${r.port}`;
      }
      return undefined;
    },
  },
  {
    name: 'acyclic',
    check: (f) => {
      const at = new Map(liveNodes(f).map((id, i) => [id, i]));
      for (const [id, i] of at) {
        for (const r of f.nodes[id].inputs) {
          if ((at.get(r.node) as number) >= i) return `${f.nodes[id].name} needs itself`;
        }
      }
      return undefined;
    },
  },
  {
    name: 'names are unique',
    check: (f) => {
      const seen = new Set<string>();
      for (const n of f.nodes) {
        if (seen.has(n.name)) return n.name;
        seen.add(n.name);
      }
      return undefined;
    },
  },
  {
    name: 'params are params',
    check: (f) => {
      const bad = f.params.find((p, i) => {
        const n = f.nodes[p];
        return n?.op !== 'param' || n.attrs.index !== i;
      });
      return bad === undefined ? undefined : `%${bad}`;
    },
  },
  {
    name: 'types match inference',
    check: (f) => {
      for (const id of liveNodes(f)) {
        const n = f.nodes[id];
        if (n.inputs.length === 0) continue;
        const got = inferNode(
          n.op,
          n.attrs,
          n.inputs.map((r) => knownOf(f, r)),
          n.name,
        );
        const same =
          got.types.length === n.types.length &&
          got.types.every((t, i) => typeEquals(t, n.types[i]));
        if (!same) return `${n.name} (${n.op})`;
      }
      return undefined;
    },
  },
];

/** Checks a function and its bodies; `after` names the pass. Throws InternalError. */
export function verifyFunc(func: Func, after: string): void {
  const work: Func[] = [func];
  while (work.length > 0) {
    const f = work.pop() as Func;
    for (const rule of RULES) {
      const wrong = rule.check(f);
      if (wrong !== undefined) {
        throw new InternalError(
          `after ${after}: rule "${rule.name}" broken in ${f.name}: ${wrong}`,
        );
      }
    }
    for (const n of f.nodes) work.push(...bodies(n));
  }
}
