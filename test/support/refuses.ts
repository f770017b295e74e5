// Checks that something is refused with a class, a code and a message.

import { expect } from 'vitest';

type ErrorClass = new (...args: never[]) => Error;

/** Expects `fn` to throw or reject with this class, code and message. */
export async function refuses(
  fn: () => unknown,
  kind: ErrorClass,
  code: string,
  message: RegExp,
): Promise<void> {
  let error: unknown;
  try {
    await fn();
  } catch (e) {
    error = e;
  }
  expect(error, `nothing was refused; expected ${code}`).toBeInstanceOf(kind);
  expect((error as { code: string }).code).toBe(code);
  expect((error as Error).message).toMatch(message);
}
