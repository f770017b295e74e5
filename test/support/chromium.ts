// Where Debian's Chromium is, and how tests start it.

export const CHROMIUM = '/usr/bin/chromium';

/** Arguments that keep the browser from the network and from asking. */
export const FLAGS = [
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Arguments that bring WebGPU to machines without a GPU. */
export const WEBGPU_FLAGS = ['--enable-unsafe-webgpu'];
