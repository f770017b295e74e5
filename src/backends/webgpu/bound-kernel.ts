// A kernel fitted to the buffers that a step binds: WebGPU binds whole buffers, and none twice in one
// dispatch where it is written. Invariant: the fitted kernel does to its buffers what the kernel does to
// the views.

import { addDim, type Dim, makeSym, type Sym, symDim } from '../../core/dim.ts';
import { load } from '../../kernel/expr.ts';
import type { BufferParam, Kernel } from '../../kernel/ir.ts';
import { mapExpr, mapStmtExprs, mapStmts, rebuild } from '../../kernel/rewrite.ts';
import type { BufferView } from '../../plan/types.ts';

/** A fitted kernel and what to bind. */
export interface BoundKernel {
  readonly kernel: Kernel;
  /** Ids of the plan's buffers, in the order of the kernel's. */
  readonly buffers: readonly number[];
  /** Values of the kernel's params. */
  readonly args: readonly Dim[];
}

/** Fits a kernel to views: one buffer for all views of it, their offsets as params. */
export function bindKernel(
  kernel: Kernel,
  views: readonly BufferView[],
  args: readonly Dim[],
): BoundKernel {
  const buffers: BufferParam[] = [];
  const ids: number[] = [];
  const params: Sym[] = [...kernel.params];
  const values: Dim[] = [...args];
  const places = new Map<string, { name: string; offset: Dim }>();
  let same = true;
  views.forEach((view, i) => {
    const own = kernel.buffers[i];
    let offset: Dim = 0;
    if (view.offset !== 0) {
      const sym = makeSym(`offset${i}`, `offset${i}`);
      params.push(sym);
      values.push(view.offset);
      offset = symDim(sym);
      same = false;
    }
    const at = ids.indexOf(view.buffer);
    if (at < 0) {
      ids.push(view.buffer);
      buffers.push(own);
      places.set(own.name, { name: own.name, offset });
      return;
    }
    same = false;
    const first = buffers[at];
    if (first.access !== own.access) buffers[at] = { ...first, access: 'readwrite' };
    places.set(own.name, { name: first.name, offset });
  });
  if (same) return { kernel, buffers: ids, args };
  const memo = new Map();
  const body = mapStmts(kernel.body, (s) => {
    const mapped = mapStmtExprs(s, (e) =>
      mapExpr(
        e,
        (x, xs) => {
          const place = x.op === 'load' ? places.get(x.buffer) : undefined;
          if (x.op !== 'load' || !place) return rebuild(x, xs);
          return load(place.name, x.type, addDim(x.index, place.offset), x.lanes);
        },
        memo,
      ),
    );
    const place = mapped.kind === 'store' ? places.get(mapped.buffer) : undefined;
    if (mapped.kind !== 'store' || !place) return mapped;
    return { ...mapped, buffer: place.name, index: addDim(mapped.index, place.offset) };
  });
  return { kernel: { ...kernel, buffers, params, body }, buffers: ids, args: values };
}
