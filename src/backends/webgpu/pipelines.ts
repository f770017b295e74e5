// Compute pipelines of a device, one for each text of a shader. Invariant: a text is compiled once,
// however many kernels and sessions have it.

import type { WgslDispatch } from '../../codegen/wgsl/program.ts';
import { InternalError } from '../../core/error.ts';
import { STAGE_COMPUTE } from './flags.ts';

/** A compiled dispatch. The uniform block has a dynamic offset. */
export interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: BindingLayout;
}

/** How a pipeline's buffers are bound; pipelines that bind alike have the same one. */
export interface BindingLayout {
  readonly id: number;
  readonly layout: GPUBindGroupLayout;
}

/** Bytes from one uniform block to the next: WebGPU's default alignment of dynamic offsets. */
export const UNIFORM_STRIDE = 256;

/** The pipelines of a device. */
export class PipelineCache {
  readonly #device: GPUDevice;
  readonly #byText = new Map<string, Promise<Pipeline>>();
  readonly #layouts = new Map<string, BindingLayout>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  get size(): number {
    return this.#byText.size;
  }

  /** The pipeline of a dispatch. Rejects with InternalError that names the kernel. */
  get(dispatch: WgslDispatch, kernel: string): Promise<Pipeline> {
    const kind = accessOf(dispatch);
    const key = `${kind}\n${dispatch.code}`;
    let made = this.#byText.get(key);
    if (!made) {
      made = this.#compile(dispatch, kind, kernel);
      this.#byText.set(key, made);
    }
    return made;
  }

  #layout({ bindings, fails }: WgslDispatch, kind: string): BindingLayout {
    const old = this.#layouts.get(kind);
    if (old) return old;
    const types: GPUBufferBindingLayout[] = bindings.map((b) => ({
      type: b.access === 'read' ? 'read-only-storage' : 'storage',
    }));
    types.push({ type: 'uniform', hasDynamicOffset: true });
    if (fails) types.push({ type: 'storage' });
    const layout = this.#device.createBindGroupLayout({
      entries: types.map((buffer, binding) => ({ binding, visibility: STAGE_COMPUTE, buffer })),
    });
    const made = { id: this.#layouts.size, layout };
    this.#layouts.set(kind, made);
    return made;
  }

  async #compile(dispatch: WgslDispatch, kind: string, kernel: string): Promise<Pipeline> {
    const device = this.#device;
    const layout = this.#layout(dispatch, kind);
    const { code } = dispatch;
    const module = device.createShaderModule({ code });
    try {
      const pipeline = await device.createComputePipelineAsync({
        layout: device.createPipelineLayout({ bindGroupLayouts: [layout.layout] }),
        compute: { module, entryPoint: 'main' },
      });
      return { pipeline, layout };
    } catch (cause) {
      const { messages } = await module.getCompilationInfo();
      const said = messages.map((m) => `line ${m.lineNum}: ${m.message}`).join('\n');
      throw new InternalError(`kernel "${kernel}": its WGSL does not compile. ${said || cause}`, {
        cause,
      });
    }
  }
}

/** What tells one layout of bindings from another. */
function accessOf({ bindings, fails }: WgslDispatch): string {
  const access = bindings.map((b) => (b.access === 'read' ? 'r' : 'w')).join('');
  return `${access}${fails ? 'f' : ''}`;
}
