// Calls of records' references: floats of 16 bits are numbers inside, and bits again in the results.

import { dtypeInfo, toNumbers, toStorage } from '../core/dtype.ts';
import type { HostTensor } from '../core/ndarray.ts';
import type { Attrs } from '../graph/func.ts';
import type { OpRecord, ReferenceContext } from '../graph/op.ts';

/** The values of a node by its record's reference; undefined where it has none. */
export function callReference(
  record: OpRecord,
  context: ReferenceContext,
  inputs: readonly HostTensor[],
  attrs: Attrs,
): readonly HostTensor[] | undefined {
  const alloc: ReferenceContext['alloc'] = (dtype, size) =>
    dtypeInfo(dtype).half ? new Float64Array(size) : context.alloc(dtype, size);
  const numbers = inputs.map((x) => ({ ...x, data: toNumbers(x.dtype, x.data) }));
  const out = record.reference?.({ ...context, alloc }, numbers, attrs);
  // The exact reference does not round.
  return out?.map((v) => (context.exact ? v : { ...v, data: toStorage(v.dtype, v.data) }));
}
