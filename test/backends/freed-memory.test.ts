// What makes the C library keep freed memory must leave no trace: a process that has read a large result
// ends by itself, and holds no more memory than before. (What it gains only a benchmark shows.)

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const PROGRAM = `
  import { add, constant, Session } from './src/index.ts';
  import { keepFreedMemory } from './src/backends/cpu/freed-memory.ts';
  const before = process.memoryUsage().arrayBuffers;
  keepFreedMemory(2 ** 22);
  await new Promise((done) => setTimeout(done, 200));
  console.log(process.memoryUsage().arrayBuffers - before);
  const session = new Session({ threads: 1 });
  const y = await session.run(add(constant(new Float32Array(2 ** 20)), 1));
  console.log(y.data.length);
`;

it('keepFreedMemory holds nothing, and lets the process end', async () => {
  const args = ['--import', 'tsx', '--input-type=module', '--eval', PROGRAM];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 60_000 });
  const [held, length] = stdout.trim().split('\n').map(Number);
  // The block has 32 MB.
  expect(held).toBeLessThan(2 ** 20);
  expect(length).toBe(2 ** 20);
});
