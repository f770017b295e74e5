// Elements that are parts of a word: loads take them out of it, stores put them in. Invariant: invocations
// that share a word change it atomically, each its own bits, so the order between them makes no difference.

import type { StorageType } from '../../core/dtype.ts';
import { loadedType, storageBytes } from '../../kernel/scalar.ts';

/** How a buffer of a shader is declared: `parts` of words, that are changed by several invocations. */
export interface Storage {
  readonly type: StorageType;
  readonly atomic: boolean;
}

/** Bits of an element in a buffer: a word, or less. */
export const elementBits = (type: StorageType): number =>
  type === 'bool' ? 32 : Math.min(32, 8 * storageBytes(type));

/** Whether several elements stand in one word; floats of 16 bits have a type of their own. */
export const isPart = (type: StorageType): boolean => elementBits(type) < 32 && type !== 'f16';

/** The type of what a buffer is an array of. */
export function wordType({ type, atomic }: Storage): string {
  if (isPart(type)) return atomic ? 'atomic<u32>' : 'u32';
  if (type === 'f16') return type;
  return type === 'bool' ? 'u32' : loadedType(type);
}

/** The word that an element is in, and how far up its bits are, from the text of its index. */
export function placeText(type: StorageType, index: string): { word: string; shift: string } {
  const bits = elementBits(type);
  const each = 32 / bits;
  return {
    word: `(${index}) >> ${Math.log2(each)}u`,
    shift: `u32((${index}) & ${each - 1}) * ${bits}u`,
  };
}

/** The text of an element of part of a word, as an i32. */
export function partText(buffer: string, storage: Storage, index: string): string {
  const { word, shift } = placeText(storage.type, index);
  const at = `${buffer}[${word}]`;
  const whole = storage.atomic ? `atomicLoad(&${at})` : at;
  const bits = `${elementBits(storage.type)}u`;
  return storage.type.startsWith('u')
    ? `i32(extractBits(${whole}, ${shift}, ${bits}))`
    : `extractBits(bitcast<i32>(${whole}), ${shift}, ${bits})`;
}

/** The bits of an i32 that a part holds, as a u32. */
export function bitsText(type: StorageType, value: string): string {
  return `(u32(${value}) & ${2 ** elementBits(type) - 1}u)`;
}
