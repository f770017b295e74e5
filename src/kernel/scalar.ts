// What the machine types are, one row each: the only place where kernels' code asks for more than a
// type's name. Invariant: a new type is a new row here and the instructions that compute in it.

import type { StorageType } from '../core/dtype.ts';
import type { ScalarType } from './expr.ts';

/** What kind of numbers a machine type holds. */
export interface ScalarInfo {
  readonly kind: 'float' | 'int' | 'bool';
  /** Bytes of one element of scratch on the CPU. */
  readonly bytes: number;
  /** Lanes of a vector of it. */
  readonly lanes: 2 | 4;
  /** The least and the greatest value, infinities of floats included. */
  readonly lowest: number | bigint;
  readonly highest: number | bigint;
}

const SCALARS: Readonly<Record<ScalarType, ScalarInfo>> = {
  f32: { kind: 'float', bytes: 4, lanes: 4, lowest: -Infinity, highest: Infinity },
  f64: { kind: 'float', bytes: 8, lanes: 2, lowest: -Infinity, highest: Infinity },
  i32: { kind: 'int', bytes: 4, lanes: 4, lowest: -(2 ** 31), highest: 2 ** 31 - 1 },
  u32: { kind: 'int', bytes: 4, lanes: 4, lowest: 0, highest: 2 ** 32 - 1 },
  i64: { kind: 'int', bytes: 8, lanes: 2, lowest: -(2n ** 63n), highest: 2n ** 63n - 1n },
  bool: { kind: 'bool', bytes: 1, lanes: 4, lowest: 0, highest: 1 },
};

/** The row of a machine type. */
export const scalarInfo = (type: ScalarType): ScalarInfo => SCALARS[type];

/** Whether a machine type holds floating-point numbers. */
export const isFloatType = (type: ScalarType): boolean => SCALARS[type].kind === 'float';

/** Bytes of an element in memory on the CPU. */
export const storageBytes = (type: StorageType): number =>
  type in PARTS ? PARTS[type as keyof typeof PARTS] : SCALARS[type as ScalarType].bytes;

const PARTS = { i8: 1, u8: 1, i16: 2, u16: 2, f16: 2 } as const;

/** The machine type that elements are loaded as. */
export const loadedType = (type: StorageType): ScalarType =>
  type in PARTS ? 'i32' : (type as ScalarType);

/** Whether a machine type has no sign. */
export const isUnsigned = (type: ScalarType): boolean => type === 'u32';

/** Whether a machine type takes 64 bits, so that a vector has two of it. */
export const isWideType = (type: ScalarType): boolean => SCALARS[type].lanes === 2;
