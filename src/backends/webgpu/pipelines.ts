// Compute pipelines of a device, one for each text of a shader. Invariant: a text is compiled once,
// however many kernels and sessions have it.

import type { WgslDispatch } from '../../codegen/wgsl/program.ts';
import { InternalError } from '../../core/error.ts';
import { STAGE_COMPUTE } from './flags.ts';

/** A compiled dispatch. The uniform block has a dynamic offset. */
export interface Pipeline {
  readonly id: number;
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/** Bytes from one uniform block to the next: WebGPU's default alignment of dynamic offsets. */
export const UNIFORM_STRIDE = 256;

/** The pipelines of a device. */
export class PipelineCache {
  readonly #device: GPUDevice;
  readonly #byText = new Map<string, Promise<Pipeline>>();
  #next = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  get size(): number {
    return this.#byText.size;
  }

  /** The pipeline of a dispatch. Rejects with InternalError that names the kernel. */
  get(dispatch: WgslDispatch, kernel: string): Promise<Pipeline> {
    const access = dispatch.bindings.map((b) => (b.access === 'read' ? 'r' : 'w')).join('');
    const key = `${access}${dispatch.fails ? 'f' : ''}\n${dispatch.code}`;
    let made = this.#byText.get(key);
    if (!made) {
      made = this.#compile(dispatch, kernel);
      this.#byText.set(key, made);
    }
    return made;
  }

  async #compile({ code, bindings, fails }: WgslDispatch, kernel: string): Promise<Pipeline> {
    const device = this.#device;
    const types: GPUBufferBindingLayout[] = bindings.map((b) => ({
      type: b.access === 'read' ? 'read-only-storage' : 'storage',
    }));
    types.push({ type: 'uniform', hasDynamicOffset: true });
    if (fails) types.push({ type: 'storage' });
    const layout = device.createBindGroupLayout({
      entries: types.map((buffer, binding) => ({
        binding,
        visibility: STAGE_COMPUTE,
        buffer,
      })),
    });
    const module = device.createShaderModule({ code });
    try {
      const pipeline = await device.createComputePipelineAsync({
        layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
        compute: { module, entryPoint: 'main' },
      });
      return { id: this.#next++, pipeline, layout };
    } catch (cause) {
      const { messages } = await module.getCompilationInfo();
      const said = messages.map((m) => `line ${m.lineNum}: ${m.message}`).join('\n');
      throw new InternalError(`kernel "${kernel}": its WGSL does not compile. ${said || cause}`, {
        cause,
      });
    }
  }
}
