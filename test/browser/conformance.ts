// Conformance cases for pages: a tenth of them all, chosen by a hash, whose outputs and gradients are
// given as bytes. The conformance suite itself compares Node's with the truth.

import { buildCase } from '../../src/conformance/build.ts';
import { hash } from '../../src/conformance/run.ts';
import { OP_CASES } from '../../src/conformance/suite.ts';
import { Session } from '../../src/session/session.ts';
import { bits, OPTIONS } from './program.ts';

/** The results of each case chosen, by name. */
export async function conformance(): Promise<Record<string, unknown>> {
  const out: Record<string, unknown> = {};
  for (const c of OP_CASES) {
    for (const dtype of c.dtypes) {
      for (const shapes of c.shapes) {
        const name = `${c.name} ${dtype} ${shapes.name}`;
        if (hash(`${name}/page`) % 10 !== 0) continue;
        const { graph, inputs, values, outputs, gradients } = buildCase(c, dtype, shapes);
        const session = new Session({ ...OPTIONS, graph, threads: 2 });
        const fetches = [...outputs, ...gradients.map((g) => g.tensor)];
        const results = await session.run(
          fetches,
          inputs.map((t, i) => [t, values[i]] as const),
        );
        out[name] = results.map(bits);
        await session.close();
      }
    }
  }
  return out;
}
