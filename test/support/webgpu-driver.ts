// Shows tests in Node the software driver of WebGPU that comes with Chromium, where no other is named.
// The Vulkan loader looks at the variable when the first instance is made.

import { existsSync } from 'node:fs';

const DRIVERS = [
  '/usr/lib/chromium/vk_swiftshader_icd.json',
  '/usr/lib/chromium-browser/vk_swiftshader_icd.json',
  '/usr/lib64/chromium-browser/vk_swiftshader_icd.json',
  '/opt/google/chrome/vk_swiftshader_icd.json',
];

const found = DRIVERS.find((path) => existsSync(path));
if (found && !process.env.VK_ICD_FILENAMES) process.env.VK_ICD_FILENAMES = found;
