// What users ask of WebGPU apart from sessions.

export { available } from './gpu.ts';
