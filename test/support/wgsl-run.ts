// Runs the WGSL of portable kernels in Node, on whatever WebGPU there is: a GPU's driver, or the
// software one (SwiftShader) that comes with Chromium. One device for each test process.

import type { WgslDispatch, WgslLimits, WgslVariant } from '../../src/codegen/wgsl/program.ts';
import { emitWgsl } from '../../src/codegen/wgsl/wgsl.ts';
import type { Dim } from '../../src/core/dim.ts';
import { evalDim } from '../../src/core/dim-value.ts';
import type { StorageType } from '../../src/core/dtype.ts';
import type { Kernel } from '../../src/kernel/ir.ts';

/** The arrays of kernels: that of the storage type, or words where their values are the same. */
export type TypedArray =
  | Float32Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array;

// Collected, the object that `create` returns takes the process down with it.
const keep = globalThis as { __tensorloomGpu?: GPU };

/** The features that generated code knows, for those adapters that have them. */
const FEATURES: readonly GPUFeatureName[] = ['shader-f16', 'subgroups'];

let subgroup = 1;

let device: Promise<GPUDevice | undefined> | undefined;

async function openDevice(): Promise<GPUDevice | undefined> {
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
  subgroup = adapter?.info.subgroupMinSize ?? 1;
  const requiredFeatures = FEATURES.filter((f) => adapter?.features.has(f));
  return (await adapter?.requestDevice({ requiredFeatures })) ?? undefined;
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

/** Whether the device has a feature; tests that need it are skipped elsewhere, with a warning. */
export async function webgpuHas(feature: GPUFeatureName, test: string): Promise<boolean> {
  const has = (await webgpuDevice())?.features.has(feature) ?? false;
  if (!has) console.warn(`${test}: no adapter with ${feature}, so what needs it is not run`);
  return has;
}

/** The least size of a subgroup of the device, or 1. */
export const webgpuSubgroup = (): number => subgroup;

/** Gives the device back; the next call opens another. */
export async function disposeWebgpu(): Promise<void> {
  const open = await device;
  device = undefined;
  open?.destroy();
}

/** The arrays that hold elements as the GPU does, where those are parts of words. */
const PARTS = {
  i8: Int8Array,
  u8: Uint8Array,
  i16: Int16Array,
  u16: Uint16Array,
  f16: Uint16Array,
};

const isPart = (type: StorageType): type is keyof typeof PARTS => type in PARTS;

/** What stands behind the elements in the last word, and must stay there. */
const STRAY = 0xa5;

/** What a buffer of a kernel is on the GPU: whole words, one for a bool. */
function toWords(data: TypedArray, type: StorageType): Uint8Array {
  const whole = data.BYTES_PER_ELEMENT === 4 ? data : Uint32Array.from(data);
  const own = isPart(type) ? PARTS[type].from(data) : whole;
  const words = new Uint8Array(4 * Math.ceil(own.byteLength / 4)).fill(STRAY);
  words.set(new Uint8Array(own.buffer, own.byteOffset, own.byteLength));
  return words;
}

/** Writes what a buffer holds to an array; throws where bytes behind it have changed and must not. */
function fromWords(bytes: ArrayBuffer, type: StorageType, to: TypedArray, whole: boolean): void {
  const own = isPart(type) ? new PARTS[type](bytes, 0, to.length) : undefined;
  if (own) to.set(own);
  else if (to instanceof Float32Array) to.set(new Float32Array(bytes, 0, to.length));
  else to.set(new Int32Array(bytes, 0, to.length));
  const rest = new Uint8Array(bytes).subarray(own?.byteLength ?? bytes.byteLength);
  if (!whole && rest.some((b) => b !== STRAY)) throw new Error('stray bytes were changed');
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

/** WebGPU's default limits, which every device has. */
export const LIMITS: WgslLimits = {
  workgroupMemory: 16384,
  workgroupInvocations: 256,
  workgroupSizeX: 256,
  workgroupsPerDimension: 65535,
  storageBuffers: 8,
};

/** Which variant of a kernel's program to run, and on what limits it is made. */
export interface RunOptions {
  /** The name of the variant to run whether or not it applies; else the first that applies. */
  readonly variant?: string;
  readonly limits?: WgslLimits;
}

/** The value of a dim of the kernel's params. */
function evaluator(kernel: Kernel, params: readonly number[]): (d: Dim) => number {
  const values = new Map(kernel.params.map((p, i) => [p.id, params[i]]));
  return (d) => evalDim(d, (id) => values.get(id)!);
}

function chosen(kernel: Kernel, params: readonly number[], options: RunOptions): WgslVariant {
  const { variants } = emitWgsl(kernel, options.limits ?? LIMITS);
  const value = evaluator(kernel, params);
  const { variant } = options;
  const found = variants.find((v) =>
    variant === undefined ? v.applies === undefined || value(v.applies) > 0 : v.name === variant,
  );
  if (!found) throw new Error(`no variant ${variant} in ${variants.map((v) => v.name)}`);
  return found;
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
  options: RunOptions = {},
): Promise<number | undefined> {
  const gpu = await webgpuDevice();
  if (!gpu) throw new Error('there is no WebGPU here');
  const variant = chosen(kernel, params, options);
  const value = evaluator(kernel, params);
  const texts = variant.dispatches.map((d) => d.code).join('\n');

  const made: GPUBuffer[] = [];
  const make = (size: number, usage: number): GPUBuffer => {
    const buffer = gpu.createBuffer({ size: Math.max(4, size), usage });
    made.push(buffer);
    return buffer;
  };
  const { STORAGE, UNIFORM, COPY_DST, COPY_SRC, MAP_READ } = GPUBufferUsage;
  const data = buffers.map((d, i) => {
    const words = toWords(d, kernel.buffers[i].type);
    const buffer = make(words.byteLength, STORAGE | COPY_DST | COPY_SRC);
    gpu.queue.writeBuffer(buffer, 0, words as GPUAllowSharedBufferSource);
    return buffer;
  });
  const scratch = variant.scratch.map((s) => {
    const size = 4 * Math.max(1, value(s.elements));
    const buffer = make(size, STORAGE | COPY_DST);
    // What no program should read.
    gpu.queue.writeBuffer(buffer, 0, new Uint32Array(size / 4).fill(0x7fc00001));
    return buffer;
  });
  const failed = make(4, STORAGE | COPY_SRC);

  const pipelines: GPUComputePipeline[] = [];
  for (const d of variant.dispatches) pipelines.push(await pipelineFor(gpu, d.code, typesOf(d)));
  gpu.pushErrorScope('validation');
  const encoder = gpu.createCommandEncoder();
  const pass = encoder.beginComputePass();
  variant.dispatches.forEach((d, i) => {
    const block = new Int32Array(d.uniformWords);
    d.params.forEach((p, word) => {
      block[word] = params[kernel.params.findIndex((q) => q.id === p.id)];
    });
    const uniform = make(block.byteLength, UNIFORM | COPY_DST);
    gpu.queue.writeBuffer(uniform, 0, block);
    const bound = d.bindings.map((b) => (b.source === 'buffer' ? data : scratch)[b.index]);
    bound.push(uniform);
    if (d.fails) bound.push(failed);
    pass.setPipeline(pipelines[i]);
    const layout = pipelines[i].getBindGroupLayout(0);
    const entries = bound.map((buffer, binding) => ({ binding, resource: { buffer } }));
    pass.setBindGroup(0, gpu.createBindGroup({ layout, entries }));
    const workgroups = value(d.workgroups);
    const columns = Math.min(workgroups, 65535);
    if (columns > 0) pass.dispatchWorkgroups(columns, Math.ceil(workgroups / columns));
  });
  pass.end();
  const readBack = (from: GPUBuffer): GPUBuffer => {
    const to = make(from.size, COPY_DST | MAP_READ);
    encoder.copyBufferToBuffer(from, 0, to, 0, from.size);
    return to;
  };
  const results = kernel.buffers.map((b, i) =>
    b.access === 'read' || buffers[i].length === 0 ? undefined : readBack(data[i]),
  );
  const failedWord = readBack(failed);
  gpu.queue.submit([encoder.finish()]);
  const error = await gpu.popErrorScope();
  if (error) throw new Error(`${error.message}\n${texts}`);

  for (const [i, result] of results.entries()) {
    if (!result) continue;
    await result.mapAsync(GPUMapMode.READ);
    // Whole words are stored to the ends of whole buffers.
    const whole = variant.name === 'words';
    fromWords(result.getMappedRange(), kernel.buffers[i].type, buffers[i], whole);
    result.unmap();
  }
  await failedWord.mapAsync(GPUMapMode.READ);
  const [word] = new Uint32Array(failedWord.getMappedRange());
  failedWord.unmap();
  for (const buffer of made) buffer.destroy();
  return word === 0 ? undefined : ~word >>> 0;
}

function typesOf(d: WgslDispatch): GPUBufferBindingType[] {
  const types = d.bindings.map(
    (b): GPUBufferBindingType => (b.access === 'read' ? 'read-only-storage' : 'storage'),
  );
  types.push('uniform');
  if (d.fails) types.push('storage');
  return types;
}
