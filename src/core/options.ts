// Options of functions: a record with known keys. What a function would ignore is a mistake of its caller.

import { ValueError } from './error.ts';

/** Whether an object is one of a class, or a list, where a plain record is meant. */
function isInstance(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  // A record of another realm has another Object.prototype, which has no prototype either.
  return prototype !== null && Object.getPrototypeOf(prototype) !== null;
}

/** Whether a value is a plain record, as options are. */
export function isRecord(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !isInstance(value);
}

/** A value in a message, in a few words. */
export function nameOf(value: unknown): string {
  if (typeof value === 'string') return `"${value}"`;
  if (typeof value === 'function') return 'a function';
  if (typeof value !== 'object' || value === null) return String(value);
  if (Array.isArray(value)) return `[${value.map(nameOf).join(', ')}]`;
  if (!isRecord(value)) return `an instance of ${(value as object).constructor.name}`;
  const entries = Object.entries(value).map(([key, v]) => `${key}: ${nameOf(v)}`);
  return entries.length === 0 ? '{}' : `{ ${entries.join(', ')} }`;
}

/**
 * Throws ValueError `options/unknown` for what is no record or has a key that is not known. Functions
 * call it first, before they read an option or make anything.
 */
export function checkOptions(what: string, options: unknown, known: readonly string[]): void {
  if (options === undefined) return;
  if (typeof options !== 'object' || options === null || isInstance(options)) {
    throw new ValueError(
      'options/unknown',
      `${what}: options are a record such as { ${known[0]}: … }, got ${nameOf(options)}. ` +
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

/** Throws ValueError `options/unknown` where a function without options was given any. */
export function checkNoOptions(what: string, more: readonly unknown[]): void {
  if (more.every((x) => x === undefined)) return;
  throw new ValueError(
    'options/unknown',
    `${what}: it takes no options, got ${more.map(nameOf).join(', ')}. Leave them out.`,
  );
}

/** Throws ValueError `value/function` where a callback is none. */
export function checkFunction(what: string, fn: unknown): void {
  if (typeof fn === 'function') return;
  throw new ValueError(
    'value/function',
    `${what}: it calls a function, got ${nameOf(fn)}. Pass one such as () => ….`,
  );
}

/** Whether a value is an array, or what can be made one. */
export function isList(value: unknown): value is Iterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.iterator in value;
}

/** Throws ValueError `value/list` where a list is meant and `value` is none. */
export function checkList(what: string, value: unknown): void {
  if (isList(value)) return;
  throw new ValueError('value/list', `${what} must be an array, got ${nameOf(value)}. Write […].`);
}
