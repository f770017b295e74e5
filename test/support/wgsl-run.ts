// Runs the WGSL of portable kernels in Node, on whatever WebGPU there is: a GPU's driver, or the
// software one (SwiftShader) that comes with Chromium. One device for each test process.

import { existsSync } from 'node:fs';
import { emitWgsl } from '../../src/codegen/wgsl/wgsl.ts';
import { evalDim } from '../../src/core/dim-value.ts';
import type { Kernel } from '../../src/kernel/ir.ts';

/** The arrays of kernels: f32, i32, and one byte or word per bool. */
export type TypedArray = Float32Array | Int32Array | Uint8Array | Uint32Array;

const DRIVERS = [
  '/usr/lib/chromium/vk_swiftshader_icd.json',
  '/usr/lib/chromium-browser/vk_swiftshader_icd.json',
  '/usr/lib64/chromium-browser/vk_swiftshader_icd.json',
  '/opt/google/chrome/vk_swiftshader_icd.json',
];

// Collected, the object that `create` returns takes the process down with it.
const keep = globalThis as { __tensorloomGpu?: GPU };

let device: Promise<GPUDevice | undefined> | undefined;

async function openDevice(): Promise<GPUDevice | undefined> {
  if (!process.env.VK_ICD_FILENAMES) {
    const found = DRIVERS.find((path) => existsSync(path));
    // The Vulkan loader looks at it when the first instance is made.
    if (found) process.env.VK_ICD_FILENAMES = found;
  }
  let gpu: GPU;
  try {
    const { create, globals } = await import('webgpu');
    Object.assign(globalThis, globals);
    keep.__tensorloomGpu ??= create([]);
    gpu = keep.__tensorloomGpu;
  } catch {
    // No binary for this platform.
    return undefined;
  }
  const adapter = await gpu.requestAdapter();
  return (await adapter?.requestDevice()) ?? undefined;
}

/** The device of this process, or undefined where there is no WebGPU. */
export function webgpuDevice(): Promise<GPUDevice | undefined> {
  device ??= openDevice();
  return device;
}

/**
 * Whether kernels can be run here. With `REQUIRE_WEBGPU=1` in the environment it throws rather than
 * give false, so that tests can't be skipped unnoticed.
 */
export async function webgpuAvailable(): Promise<boolean> {
  if (await webgpuDevice()) return true;
  if (process.env.REQUIRE_WEBGPU === '1') {
    throw new Error(
      'REQUIRE_WEBGPU=1, but there is no WebGPU adapter. Install chromium-common and libvulkan1, ' +
        'or set VK_ICD_FILENAMES to the file of a Vulkan driver.',
    );
  }
  return false;
}

/** Gives the device back; the next call opens another. */
export async function disposeWebgpu(): Promise<void> {
  const open = await device;
  device = undefined;
  open?.destroy();
}

/** What a buffer of a kernel is on the GPU: bools are words there. */
function toWords(data: TypedArray): Float32Array | Int32Array | Uint32Array {
  return data instanceof Uint8Array ? Uint32Array.from(data) : data;
}

const layouts = new WeakMap<GPUDevice, Map<string, GPUComputePipeline>>();

/** Compiles WGSL, once for each text; throws with the compiler's messages and the text. */
async function pipelineFor(
  gpu: GPUDevice,
  code: string,
  types: readonly GPUBufferBindingType[],
): Promise<GPUComputePipeline> {
  const cache = layouts.get(gpu) ?? new Map<string, GPUComputePipeline>();
  layouts.set(gpu, cache);
  const old = cache.get(code);
  if (old) return old;
  gpu.pushErrorScope('validation');
  const module = gpu.createShaderModule({ code });
  const bindGroupLayout = gpu.createBindGroupLayout({
    entries: types.map((type, binding) => ({
      binding,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type },
    })),
  });
  const pipeline = gpu.createComputePipeline({
    layout: gpu.createPipelineLayout({ bindGroupLayouts: [bindGroupLayout] }),
    compute: { module, entryPoint: 'main' },
  });
  const error = await gpu.popErrorScope();
  if (error) throw new Error(`${error.message}\n${code}`);
  cache.set(code, pipeline);
  return pipeline;
}

/**
 * Runs a portable kernel. `buffers` stand in the order of `kernel.buffers`, those it writes are
 * changed in place; `params` stand in that of `kernel.params`. Gives the lowest code of a `fail`
 * statement whose condition held, or undefined.
 */
export async function runWgsl(
  kernel: Kernel,
  buffers: readonly TypedArray[],
  params: readonly number[],
): Promise<number | undefined> {
  const gpu = await webgpuDevice();
  if (!gpu) throw new Error('there is no WebGPU here');
  const wgsl = emitWgsl(kernel);
  const types = kernel.buffers.map(
    (b): GPUBufferBindingType => (b.access === 'read' ? 'read-only-storage' : 'storage'),
  );
  types.push('uniform');
  if (wgsl.fails) types.push('storage');
  const pipeline = await pipelineFor(gpu, wgsl.code, types);

  gpu.pushErrorScope('validation');
  const made: GPUBuffer[] = [];
  const make = (size: number, usage: number): GPUBuffer => {
    const buffer = gpu.createBuffer({ size: Math.max(4, size), usage });
    made.push(buffer);
    return buffer;
  };
  const { STORAGE, UNIFORM, COPY_DST, COPY_SRC, MAP_READ } = GPUBufferUsage;
  const bindings = buffers.map((data) => {
    const words = toWords(data);
    const buffer = make(words.byteLength, STORAGE | COPY_DST | COPY_SRC);
    gpu.queue.writeBuffer(buffer, 0, words as GPUAllowSharedBufferSource);
    return buffer;
  });
  const block = new Int32Array(wgsl.uniformWords);
  block.set(params);
  const uniform = make(block.byteLength, UNIFORM | COPY_DST);
  gpu.queue.writeBuffer(uniform, 0, block);
  bindings.push(uniform);
  if (wgsl.fails) bindings.push(make(4, STORAGE | COPY_SRC));

  const values = new Map(kernel.params.map((p, i) => [p.id, params[i]]));
  const workgroups = evalDim(wgsl.workgroups, (id) => values.get(id)!);
  const encoder = gpu.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(
    0,
    gpu.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: bindings.map((buffer, binding) => ({ binding, resource: { buffer } })),
    }),
  );
  const columns = Math.min(workgroups, 65535);
  if (columns > 0) pass.dispatchWorkgroups(columns, Math.ceil(workgroups / columns));
  pass.end();
  const readBack = (from: GPUBuffer): GPUBuffer => {
    const to = make(from.size, COPY_DST | MAP_READ);
    encoder.copyBufferToBuffer(from, 0, to, 0, from.size);
    return to;
  };
  const results = kernel.buffers.map((b, i) =>
    b.access === 'read' || buffers[i].length === 0 ? undefined : readBack(bindings[i]),
  );
  const failed = wgsl.fails ? readBack(bindings[bindings.length - 1]) : undefined;
  gpu.queue.submit([encoder.finish()]);
  const error = await gpu.popErrorScope();
  if (error) throw new Error(`${error.message}\n${wgsl.code}`);

  for (const [i, result] of results.entries()) {
    if (!result) continue;
    await result.mapAsync(GPUMapMode.READ);
    const bytes = result.getMappedRange();
    const data = buffers[i];
    if (data instanceof Float32Array) data.set(new Float32Array(bytes, 0, data.length));
    else data.set(new Int32Array(bytes, 0, data.length));
    result.unmap();
  }
  let word = 0;
  if (failed) {
    await failed.mapAsync(GPUMapMode.READ);
    [word] = new Uint32Array(failed.getMappedRange());
    failed.unmap();
  }
  for (const buffer of made) buffer.destroy();
  return word === 0 ? undefined : ~word >>> 0;
}
