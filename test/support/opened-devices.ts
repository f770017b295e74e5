// The GPU devices that sessions of a suite open, so that a test can take them away.

import { afterEach, beforeEach, vi } from 'vitest';

/** Collects the devices that each test of the suite around it opens; they are destroyed after it. */
export function openedDevices(): GPUDevice[] {
  const devices: GPUDevice[] = [];
  beforeEach(() => {
    devices.length = 0;
    const request = GPUAdapter.prototype.requestDevice;
    vi.spyOn(GPUAdapter.prototype, 'requestDevice').mockImplementation(async function (
      this: GPUAdapter,
      ...args
    ) {
      const device = await request.apply(this, args);
      devices.push(device);
      return device;
    });
  });
  afterEach(() => {
    vi.restoreAllMocks();
    for (const d of devices) d.destroy();
  });
  return devices;
}
