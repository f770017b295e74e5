import { printKernel } from "../src/kernel/print.ts"; import { appendFileSync } from "node:fs";
import { verifyKernel } from "../src/kernel/verify.ts";
import { scheduleCpu } from "../src/kernel/schedule/schedule.ts";
import { describe, it } from 'vitest';
import * as tl from '../src/index.ts';
import { CASES } from './conformance/cases.ts';
import { checkCase } from './conformance/run.ts';
import { interpreterBackend } from './support/interpreter.ts';

tl.registerBackend('interp', () => interpreterBackend((k) => { const t = scheduleCpu(k); verifyKernel(t); const p = printKernel(t); if (!p.includes("x4[") && p.includes("for ")) { const f = "/tmp/novec.txt"; appendFileSync(f, k.name + "\n" + printKernel(k) + "\n=>\n" + p + "\n\n"); } appendFileSync("/tmp/allk.txt", k.name + (p.includes("x4[") ? " V" : p.includes("for ") ? " S" : " -") + (p.includes("panel") ? " G" : "") + "\n"); return t; }));
const contenders = [
  { name: 'ref', options: { backend: 'reference' } },
  { name: 'interp', options: { backend: 'interp', verify: true } },
  {
    name: 'interp-unopt',
    options: {
      backend: 'interp',
      fuse: false,
      disablePasses: ['stabilise', 'fold', 'simplify', 'cse'],
    },
  },
];
const G = process.env.GRAD !== undefined;
for (const c of CASES)
  describe(c.name, () => {
    for (const d of c.dtypes)
      for (const s of c.shapes)
        it(`${d} ${s.name}`, () => checkCase(G ? c : { ...c, gradient: false }, d, s, contenders));
  });
