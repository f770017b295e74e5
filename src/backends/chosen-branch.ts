// Which branch a selector takes, alike on all backends.

import type { DType } from '../core/dtype.ts';

/** True takes the first branch and false the second; a number takes its own, or the last where there is none. */
export function chosenBranch(dtype: DType, value: number, count: number): number {
  const at = dtype === 'bool' ? (value ? 0 : 1) : value;
  return at >= 0 && at < count ? at : count - 1;
}
