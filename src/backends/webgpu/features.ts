// Features of adapters that shaders use where an adapter has them. WGSL leaves open what they rely on, so each
// device is tried first. Invariant: a feature that fails its trial is as good as absent; every feature can
// be switched off, or demanded.

import { libraryText } from '../../codegen/wgsl/library.ts';
import type { WgslLimits } from '../../codegen/wgsl/program.ts';
import { ENABLE_SUBGROUPS, SHUFFLED_GROUP, shuffledText } from '../../codegen/wgsl/teams.ts';
import { UnsupportedError } from '../../core/error.ts';
import type { AdapterOptions } from '../backend.ts';
import { BufferUsage, MAP_READ } from './flags.ts';

/** What shaders may use besides what every device has. */
export type Features = Required<Pick<WgslLimits, 'float16' | 'subgroup'>>;

/** The options that are features, and the names that WebGPU has for them. */
const NAMES = { float16: 'shader-f16', subgroups: 'subgroups' } as const;

const FEATURES = Object.keys(NAMES) as (keyof typeof NAMES)[];

/** What to request of an adapter: the features that it has and that are not switched off. */
export function featuresOf(adapter: GPUAdapter, options: AdapterOptions): GPUFeatureName[] {
  return FEATURES.filter((f) => options[f] !== false).flatMap((f) =>
    adapter.features.has(NAMES[f]) ? NAMES[f] : [],
  );
}

/**
 * The features of a device that do what shaders rely on. Rejects with UnsupportedError `webgpu/feature` where
 * one that is demanded is not among them.
 */
export async function triedFeatures(
  device: GPUDevice,
  info: GPUAdapterInfo,
  options: AdapterOptions,
): Promise<Features> {
  const has = (f: keyof typeof NAMES): boolean => device.features.has(NAMES[f]);
  const size = has('subgroups') ? neighboursOf(info) : 1;
  const [float16, subgroups] = await Promise.all([
    has('float16') && keepsHalves(device),
    size > 1 && shufflesInOrder(device, size),
  ]);
  const tried = { float16, subgroups };
  for (const name of FEATURES) {
    if (options[name] !== true || tried[name]) continue;
    throw new UnsupportedError(
      'webgpu/feature',
      `adapter: ${name} is demanded, but this adapter has no ${NAMES[name]} that can be relied on. ` +
        'Leave the option out to use the feature where it is.',
    );
  }
  return { float16, subgroup: subgroups ? size : 1 };
}

const GROUP = SHUFFLED_GROUP;

/** Copies each float of 16 bits as its bits, one of which the number of workgroups turns over. */
const HALVES = `enable f16;

@group(0) @binding(0) var<storage, read_write> given: array<f16>;
@group(0) @binding(1) var<storage, read_write> found: array<f16>;

${libraryText(new Set(['half_bits', 'half_from'])).join('\n\n')}

@compute @workgroup_size(${GROUP})
fn main(
  @builtin(global_invocation_id) id: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
) {
  found[id.x] = half_from(half_bits(given[id.x]) ^ i32(groups.x));
}
`;

/** Whether the bits of all floats of 16 survive a load and a store. */
async function keepsHalves(device: GPUDevice): Promise<boolean> {
  const given = Uint16Array.from({ length: 65536 }, (_, bits) => bits);
  const groups = given.length / GROUP;
  const found = await runTrial(
    device,
    HALVES,
    groups,
    new Uint8Array(given.buffer),
    2 * given.length,
  );
  return found !== undefined && new Uint16Array(found).every((bits, i) => bits === (i ^ groups));
}

/** As many invocations as share a subgroup whatever its size; 1 where that is not known. */
function neighboursOf({ subgroupMinSize: size }: GPUAdapterInfo): number {
  return size !== undefined && Number.isInteger(Math.log2(size)) ? Math.min(size, GROUP) : 1;
}

/** Powers of two below a number. */
const powersBelow = (end: number): number[] =>
  Array.from({ length: Math.log2(end) }, (_, i) => 2 ** i);

/**
 * Shuffles values that tell where they come from, after loops with as many turns as the invocation is given, as
 * where lanes share a row.
 */
function shuffles(size: number): string {
  const steps = powersBelow(size);
  const at = (i: number): string => `found[id.x * ${steps.length}u + ${i}u]`;
  return `${ENABLE_SUBGROUPS}

@group(0) @binding(0) var<storage, read_write> given: array<u32>;
@group(0) @binding(1) var<storage, read_write> found: array<u32>;

@compute @workgroup_size(${GROUP})
fn main(
  @builtin(global_invocation_id) id: vec3<u32>,
  @builtin(local_invocation_index) local_index: u32,
) {
  var value = local_index;
  for (var i = 0u; i < given[id.x]; i++) {
    value += given[i];
  }
${steps.map((by, i) => `  ${at(i)} = ${shuffledText('value', by)};`).join('\n')}
}
`;
}

/** Whether shuffles find the neighbours that WGSL does not promise: it leaves open who is in a subgroup. */
async function shufflesInOrder(device: GPUDevice, size: number): Promise<boolean> {
  const groups = 4;
  const steps = powersBelow(size);
  const given = Uint32Array.from({ length: groups * GROUP }, (_, i) => i % 7);
  const bytes = 4 * given.length * steps.length;
  const code = shuffles(size);
  const found = await runTrial(device, code, groups, new Uint8Array(given.buffer), bytes);
  if (!found) return false;
  const words = new Uint32Array(found);
  const valueAt = (i: number): number =>
    (i % GROUP) + given.subarray(0, given[i]).reduce((a, b) => a + b, 0);
  // Only who is left of what remains to be combined looks at what it gets.
  return steps.every((by, s) =>
    given.every((_, i) => i % (2 * by) !== 0 || words[i * steps.length + s] === valueAt(i + by)),
  );
}

/** Runs a shader over what it is given; what it finds, or undefined where it does not run at all. */
async function runTrial(
  device: GPUDevice,
  code: string,
  groups: number,
  given: Uint8Array<ArrayBuffer>,
  size: number,
): Promise<ArrayBuffer | undefined> {
  const { storage, copySrc, copyDst, mapRead } = BufferUsage;
  const from = device.createBuffer({ size: given.byteLength, usage: storage | copyDst });
  const to = device.createBuffer({ size, usage: storage | copySrc });
  const staging = device.createBuffer({ size, usage: mapRead | copyDst });
  // What is wrong with the shader is said by the rejection below as well.
  device.pushErrorScope('validation');
  try {
    const module = device.createShaderModule({ code });
    const pipeline = await device.createComputePipelineAsync({
      layout: 'auto',
      compute: { module, entryPoint: 'main' },
    });
    device.queue.writeBuffer(from, 0, given);
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    const entries = [from, to].map((buffer, binding) => ({ binding, resource: { buffer } }));
    const layout = pipeline.getBindGroupLayout(0);
    pass.setBindGroup(0, device.createBindGroup({ layout, entries }));
    pass.dispatchWorkgroups(groups);
    pass.end();
    encoder.copyBufferToBuffer(to, 0, staging, 0, size);
    device.queue.submit([encoder.finish()]);
    await staging.mapAsync(MAP_READ);
    return staging.getMappedRange().slice(0);
  } catch {
    // A device that is lost meanwhile says so to whoever uses it next.
    return undefined;
  } finally {
    void device.popErrorScope().catch(() => undefined);
    for (const buffer of [from, to, staging]) buffer.destroy();
  }
}
