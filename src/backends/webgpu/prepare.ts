// The kernels of a plan as pipelines: each step's kernel fitted to its buffers, generated and compiled.
// Invariant: nothing here knows a size; which variant runs is decided by each run.

import type { WgslLimits, WgslProgram } from '../../codegen/wgsl/program.ts';
import { emitWgsl } from '../../codegen/wgsl/wgsl.ts';
import { InternalError, UnsupportedError } from '../../core/error.ts';
import type { Kernel } from '../../kernel/ir.ts';
import { walkStmts } from '../../kernel/rewrite.ts';
import type { KernelStep, Plan, Step } from '../../plan/types.ts';
import { type BoundKernel, bindKernel } from './bound-kernel.ts';
import type { Gpu } from './gpu.ts';
import type { Pipeline } from './pipelines.ts';

/** Bindings that a kernel may need besides its buffers: for the word of checks, and for partial results. */
function sparesFor(kernel: Kernel): number {
  let [fails, reduces] = [false, false];
  walkStmts(kernel.body, (s) => {
    fails ||= s.kind === 'fail';
    reduces ||= s.kind === 'for' && s.role === 'reduce';
  });
  return (fails ? 1 : 0) + (reduces ? 1 : 0);
}

/** A step ready to run. */
export interface PreparedStep {
  readonly bound: BoundKernel;
  readonly program: WgslProgram;
  /** By variant and dispatch. */
  readonly pipelines: readonly (readonly Pipeline[])[];
}

/** The kernel steps of a plan, bodies of loops and branches included. */
export function kernelSteps(plan: Plan): KernelStep[] {
  const out: KernelStep[] = [];
  const visit = (steps: readonly Step[]): void => {
    for (const s of steps) {
      if (s.kind === 'kernel') out.push(s);
      else if (s.kind === 'branch') s.branches.forEach(visit);
      else if (s.kind === 'loop') {
        if (s.cond) visit(s.cond.steps);
        visit(s.body);
      }
    }
  };
  for (const s of plan.segments) if (s.kind === 'device') visit(s.steps);
  return out;
}

/** Compiles all steps of a plan, the pipelines beside each other. */
export async function prepareSteps(
  plan: Plan,
  gpu: Gpu,
): Promise<ReadonlyMap<KernelStep, PreparedStep>> {
  const programs = new Map<Kernel, WgslProgram>();
  const made = kernelSteps(plan).map(async (step) => {
    const kernel = plan.kernels[step.kernel];
    const limit = gpu.limits.storageBuffers - sparesFor(kernel);
    const bound = bindKernel(kernel, step.views, step.args, limit);
    // Steps that bind in the same plain way share what was generated.
    let program = programs.get(bound.kernel);
    if (!program) {
      program = emitWgsl(bound.kernel, gpu.limits);
      programs.set(bound.kernel, program);
    }
    const name = `${kernel.name}" of "${step.nodes.join(', ')}`;
    checkBindings(program, gpu.limits, name);
    const pipelines = await Promise.all(
      program.variants.map((v) => Promise.all(v.dispatches.map((d) => gpu.pipelines.get(d, name)))),
    );
    return [step, { bound, program, pipelines }] as const;
  });
  return new Map(await Promise.all(made));
}

function checkBindings(program: WgslProgram, limits: WgslLimits, name: string): void {
  for (const { dispatches } of program.variants) {
    for (const { bindings, fails } of dispatches) {
      const count = bindings.length + (fails ? 1 : 0);
      if (count <= limits.storageBuffers) continue;
      throw new UnsupportedError(
        'webgpu/bindings',
        `kernel "${name}" binds ${count} buffers even when they are packed, this GPU device allows ` +
          `${limits.storageBuffers}. Run with fuse: false, or use backend "cpu".`,
      );
    }
  }
}

/** The WGSL of a kernel as it would be with plain views. */
export function wgslSource(kernel: Kernel, limits: WgslLimits): string {
  const { variants } = emitWgsl(kernel, limits);
  const last = variants[variants.length - 1];
  if (!last) throw new InternalError(`kernel "${kernel.name}" has no WGSL`);
  return variants
    .flatMap((v) => v.dispatches.map((d, i) => `// ${v.name}, dispatch ${i}\n${d.code}`))
    .join('\n');
}
