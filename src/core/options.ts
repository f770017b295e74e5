// Options of functions: a record with known keys. What a function would ignore is a mistake of its caller.

import { ValueError } from './error.ts';

/** Throws ValueError `options/unknown` for what is no record or has a key that is not known. */
export function checkOptions(what: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    const got = typeof options === 'string' ? `"${options}"` : String(options);
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
