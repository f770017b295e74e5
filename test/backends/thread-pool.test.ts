// When the pool wakes its threads: long runs at once, shorter ones when they come in a row.

import { afterEach, expect, it, vi } from 'vitest';
import { DeviceMemory } from '../../src/backends/cpu/memory.ts';
import { ThreadPool } from '../../src/backends/cpu/threads.ts';
import { CONTROL } from '../../src/codegen/wasm/block.ts';

const SHORT = 1e6;
const LONG = 4e6;

const pools: ThreadPool[] = [];

afterEach(() => {
  vi.restoreAllMocks();
  for (const pool of pools.splice(0)) pool.halt();
});

/** A pool of one thread more, its control block, how often it was woken, and a clock in milliseconds. */
function open() {
  const memory = new DeviceMemory(2 ** 20, true);
  const control = memory.alloc(4 * CONTROL.words, 'the control block');
  const words = memory.words(control, CONTROL.words).fill(0);
  const pool = new ThreadPool(memory, control, 1);
  pools.push(pool);
  const clock = vi.spyOn(performance, 'now');
  const at = (ms: number): void => {
    clock.mockReturnValue(ms);
  };
  at(0);
  return { pool, words, wakes: () => Atomics.load(words, CONTROL.wake), at };
}

it('leaves a short run alone to the caller', () => {
  const { pool, wakes } = open();
  expect(pool.wake(1, SHORT)).toBe(true);
  expect(wakes()).toBe(0);
});

it('wakes for a run that is long by itself', () => {
  const { pool, wakes } = open();
  expect(pool.wake(1, LONG)).toBe(false);
  expect(wakes()).toBe(1);
});

it('wakes for runs in a row, however long each has taken', () => {
  const { pool, wakes, at } = open();
  expect(pool.wake(1, SHORT)).toBe(true);
  at(8);
  pool.ended(8);
  at(8.1);
  expect(pool.wake(1, SHORT)).toBe(false);
  expect(wakes()).toBe(1);
});

it('takes a run after a pause for alone', () => {
  const { pool, wakes, at } = open();
  pool.ended(1);
  at(31);
  expect(pool.wake(1, SHORT)).toBe(true);
  expect(wakes()).toBe(0);
});

it('tells in mid-run whether the caller is alone from then on', () => {
  const { pool, words, wakes } = open();
  expect(pool.wakeIfMissed(1, LONG)).toBe(true);
  words[CONTROL.missed] = 1;
  expect(pool.wakeIfMissed(1, SHORT)).toBe(true);
  expect(pool.wakeIfMissed(1, LONG)).toBe(false);
  expect(wakes()).toBe(1);
});
