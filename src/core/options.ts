// Options of functions: a record with known keys. What a function would ignore is a mistake of its caller.

import { ValueError } from './error.ts';

/** Whether an object is one of a class, or a list, where a plain record is meant. */
function isInstance(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  // A record of another realm has another Object.prototype, which has no prototype either.
  return prototype !== null && Object.getPrototypeOf(prototype) !== null;
}

function nameOf(value: unknown): string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return String(value);
  return `an instance of ${value.constructor.name}`;
}

/** Throws ValueError `options/unknown` for what is no record or has a key that is not known. */
export function checkOptions(what: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null || isInstance(options)) {
    const got = typeof options === 'string' ? `"${options}"` : nameOf(options);
    throw new ValueError(
      'options/unknown',
      `${what}: options are a record such as { ${known[0]}: … }, got ${got}. ` +
        `Pass some of ${known.join(', ')}.`,
    );
  }
  for (const key in options) {
    if (known.includes(key)) continue;
    throw new ValueError(
      'options/unknown',
      `${what}: there is no option "${key}". Pass some of ${known.join(', ')}.`,
    );
  }
}
