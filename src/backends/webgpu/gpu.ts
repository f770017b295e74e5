// The way to a GPU: `navigator.gpu` in a page or worker, the optional package `webgpu` in Node, and the
// devices that the sessions of a process share. Invariant: sessions with the same adapter options share
// one device and its pipelines; what is lost or has grown old is not handed out again.

import type { WgslLimits } from '../../codegen/wgsl/program.ts';
import { TensorloomError, UnsupportedError } from '../../core/error.ts';
import { checkOptions } from '../../core/options.ts';
import { ADAPTER_OPTIONS, type AdapterOptions } from '../backend.ts';
import { featuresOf, triedFeatures } from './features.ts';
import { PipelineCache } from './pipelines.ts';

/** A device and what is known of it. */
export interface Gpu {
  readonly device: GPUDevice;
  readonly limits: WgslLimits;
  readonly pipelines: PipelineCache;
  /** The largest storage binding, in bytes. */
  readonly maxBinding: number;
  /** Why the device is gone, once it is. */
  lost: GPUDeviceLostInfo | undefined;
}

/** What WebGPU guarantees of every adapter. */
export const LEAST_LIMITS: WgslLimits = {
  workgroupMemory: 16384,
  workgroupInvocations: 256,
  workgroupSizeX: 256,
  workgroupsPerDimension: 65535,
  storageBuffers: 8,
};

interface Shared {
  readonly opened: Promise<Gpu>;
  gpu: Gpu | undefined;
  users: number;
}

/** A device that has compiled more than this is not kept for the next session. */
const MAX_IDLE_PIPELINES = 200;

const shared = new Map<string, Shared>();

// Collected, the object that Node's `create` returns takes the process down with it.
const kept = globalThis as { __tensorloomGpu?: GPU };

/** The module that brings WebGPU to Node, put together so that bundlers of pages don't follow it. */
const NODE_MODULE = ['web', 'gpu'].join('');

async function findGpu(): Promise<GPU | undefined> {
  const here = (globalThis as { navigator?: { gpu?: GPU } }).navigator?.gpu;
  if (here) return here;
  if (kept.__tensorloomGpu) return kept.__tensorloomGpu;
  if (typeof process === 'undefined' || !process.versions?.node) return undefined;
  try {
    const { create, globals } = (await import(
      /* @vite-ignore */ /* webpackIgnore: true */ NODE_MODULE
    )) as {
      create(options: string[]): GPU;
      globals: object;
    };
    Object.assign(globalThis, globals);
    kept.__tensorloomGpu = create([]);
    return kept.__tensorloomGpu;
  } catch {
    return undefined;
  }
}

async function findAdapter(options: AdapterOptions): Promise<GPUAdapter | undefined> {
  const { float16, subgroups, ...asked } = options;
  const gpu = await findGpu();
  return (await gpu?.requestAdapter(asked)) ?? undefined;
}

/** What software adapters call themselves. */
const SOFTWARE = /swiftshader|llvmpipe|lavapipe|software|basic render|warp/i;

/** Whether an adapter emulates a GPU on the CPU. */
function isSoftware(info: GPUAdapterInfo): boolean {
  const { vendor, architecture, device, description, isFallbackAdapter } = info;
  return isFallbackAdapter || SOFTWARE.test([vendor, architecture, device, description].join());
}

/** Whether there is an adapter and it is a GPU's rather than an emulation on the CPU. Never rejects. */
export async function hardwareAvailable(options: AdapterOptions): Promise<boolean> {
  try {
    const adapter = await findAdapter(options);
    if (!adapter) return false;
    return !isSoftware(adapter.info);
  } catch {
    return false;
  }
}

/**
 * Whether there is a WebGPU adapter here, be it a GPU's or a software one: in a page what the browser
 * has, in Node what the package `webgpu` finds. Rejects with ValueError for options that there are not,
 * and for nothing else.
 */
export async function available(options: AdapterOptions = {}): Promise<boolean> {
  checkOptions('available', options, ADAPTER_OPTIONS);
  try {
    return (await findAdapter(options)) !== undefined;
  } catch {
    return false;
  }
}

function noAdapter(): UnsupportedError {
  return new UnsupportedError(
    'webgpu/adapter',
    'backend "webgpu": there is no WebGPU adapter here. In Node install the package webgpu and a ' +
      'Vulkan driver (VK_ICD_FILENAMES names its file); in a page use a browser with WebGPU, over ' +
      'https or on localhost. backend "cpu" runs everywhere.',
  );
}

async function openGpu(options: AdapterOptions): Promise<Gpu> {
  const adapter = await findAdapter(options);
  if (!adapter) throw noAdapter();
  const { limits } = adapter;
  const device = await adapter.requestDevice({
    requiredFeatures: featuresOf(adapter, options),
    requiredLimits: {
      maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage,
      maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
      maxBufferSize: limits.maxBufferSize,
      maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
      maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
      maxComputeWorkgroupSizeX: limits.maxComputeWorkgroupSizeX,
    },
  });
  const features = await triedFeatures(device, adapter.info, options).catch((error) => {
    device.destroy();
    throw error;
  });
  const gpu: Gpu = {
    device,
    limits: {
      workgroupMemory: limits.maxComputeWorkgroupStorageSize,
      workgroupInvocations: limits.maxComputeInvocationsPerWorkgroup,
      workgroupSizeX: limits.maxComputeWorkgroupSizeX,
      workgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
      storageBuffers: limits.maxStorageBuffersPerShaderStage,
      software: isSoftware(adapter.info),
      ...features,
    },
    pipelines: new PipelineCache(device),
    maxBinding: Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize),
    lost: undefined,
  };
  void device.lost.then((info) => {
    gpu.lost = info;
    for (const [key, entry] of shared) if (entry.gpu === gpu) shared.delete(key);
  });
  return gpu;
}

/**
 * A device for one more session, until {@link Lease.end}. Rejects with UnsupportedError
 * `webgpu/adapter` where there is no adapter.
 */
export async function leaseGpu(options: AdapterOptions): Promise<Lease> {
  const key = JSON.stringify(ADAPTER_OPTIONS.map((name) => options[name]));
  let entry = shared.get(key);
  if (!entry) {
    entry = { opened: openGpu(options), gpu: undefined, users: 0 };
    shared.set(key, entry);
  }
  entry.users++;
  try {
    const gpu = await entry.opened;
    entry.gpu = gpu;
    return new Lease(gpu, key, entry);
  } catch (error) {
    if (shared.get(key) === entry) shared.delete(key);
    if (error instanceof TensorloomError) throw error;
    throw new UnsupportedError('webgpu/device', `backend "webgpu": no device: ${error}`, {
      cause: error,
    });
  }
}

/** One session's use of a device. */
export class Lease {
  readonly gpu: Gpu;
  readonly #key: string;
  readonly #entry: Shared;
  #ended = false;

  constructor(gpu: Gpu, key: string, entry: Shared) {
    this.gpu = gpu;
    this.#key = key;
    this.#entry = entry;
  }

  /** Ends the use; the device goes with its last one, unless it is young enough for the next. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#entry.users--;
    if (this.#entry.users > 0 || this.gpu.pipelines.size <= MAX_IDLE_PIPELINES) return;
    if (shared.get(this.#key) === this.#entry) shared.delete(this.#key);
    this.gpu.device.destroy();
  }
}
