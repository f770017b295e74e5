// Inputs of the workloads, the same for every peer and run: drawn from a seed that hashes the workload's
// and the input's names.

import type { HostArray, InputSpec, Values, Workload } from './types.ts';

/** Uniform numbers in [0, 1) that depend on the seed alone (mulberry32). */
export function mulberry32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function seedOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash;
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((n, d) => n * d, 1);
}

function draw(spec: InputSpec, next: () => number): HostArray {
  const n = sizeOf(spec.shape);
  if (spec.dtype === 'int32') {
    const out = new Int32Array(n);
    for (let i = 0; i < n; i++) out[i] = Math.floor(next() * spec.below);
    return out;
  }
  const out = new Float32Array(n);
  const scale = spec.scale ?? 1;
  for (let i = 0; i < n; i++) out[i] = (2 * next() - 1) * scale;
  return out;
}

export function makeInputs(workload: Workload): Values {
  return Object.fromEntries(
    Object.entries(workload.inputs).map(([name, spec]) => [
      name,
      draw(spec, mulberry32(seedOf(`${workload.name}/${name}`))),
    ]),
  );
}
