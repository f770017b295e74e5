// The bits of WebGPU's flags, as the standard (https://www.w3.org/TR/webgpu/) numbers them. Node has
// them as globals only once a module has put them there, and declarations for TypeScript lack them.

export const BufferUsage = {
  mapRead: 0x1,
  copySrc: 0x4,
  copyDst: 0x8,
  uniform: 0x40,
  storage: 0x80,
} as const;

export const MAP_READ = 0x1;
export const STAGE_COMPUTE = 0x4;
