// A kernel fitted to the buffers that a step binds: WebGPU binds whole buffers, none twice in one
// dispatch where it is written, and only so many. Invariant: the fitted kernel does to its buffers what
// the kernel does to the views.

import { addDim, type Dim, makeSym, type Sym, symDim } from '../../core/dim.ts';
import type { StorageType } from '../../core/dtype.ts';
import { type Expr, load } from '../../kernel/expr.ts';
import type { BufferParam, Kernel } from '../../kernel/ir.ts';
import { mapExpr, mapStmtExprs, mapStmts, rebuild } from '../../kernel/rewrite.ts';
import type { BufferView } from '../../plan/types.ts';

/** Several buffers of the plan, copied one after another into one for a kernel that needs too many. */
export interface Pack {
  readonly members: readonly PackMember[];
}

/** A buffer in a {@link Pack}. */
export interface PackMember {
  /** Id of the plan's buffer. */
  readonly buffer: number;
  /** The param that says at which element it begins. */
  readonly start: Sym;
  /** Whether it is copied back. */
  readonly written: boolean;
}

/** A fitted kernel and what to bind. */
export interface BoundKernel {
  readonly kernel: Kernel;
  /** Ids of the plan's buffers or packs, in the order of the kernel's buffers. */
  readonly buffers: readonly (number | Pack)[];
  /** Values of the kernel's params, but for those of packs, which come last. */
  readonly args: readonly Dim[];
}

interface Place {
  readonly name: string;
  readonly offset: Dim;
}

/**
 * Fits a kernel to views: one buffer for all views of it, their offsets as params. Where more than
 * `limit` buffers remain, some of one type are packed.
 */
export function bindKernel(
  kernel: Kernel,
  views: readonly BufferView[],
  args: readonly Dim[],
  limit: number,
): BoundKernel {
  const buffers: BufferParam[] = [];
  const ids: number[] = [];
  const params: Sym[] = [...kernel.params];
  const values: Dim[] = [...args];
  const places = new Map<string, Place>();
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
  const fitted = same ? kernel : moved({ ...kernel, buffers, params }, places);
  return packed({ kernel: fitted, buffers: ids, args: values }, limit);
}

/** A kernel that finds its buffers at other places. */
function moved(kernel: Kernel, places: ReadonlyMap<string, Place>): Kernel {
  const memo = new Map<Expr, Expr>();
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
  return { ...kernel, body };
}

/** Puts the last buffers of a type into one until no more than `limit` remain. */
function packed(bound: BoundKernel, limit: number): BoundKernel {
  const { kernel, buffers } = bound;
  let excess = kernel.buffers.length - limit;
  if (excess <= 0) return bound;
  const byType = new Map<StorageType, number[]>();
  kernel.buffers.forEach((b, i) => {
    byType.set(b.type, [...(byType.get(b.type) ?? []), i]);
  });
  const params: Sym[] = [...kernel.params];
  const places = new Map<string, Place>();
  const packs: { readonly param: BufferParam; readonly pack: Pack }[] = [];
  const gone = new Set<number>();
  for (const group of [...byType.values()].sort((a, b) => b.length - a.length)) {
    if (excess <= 0) break;
    const taken = group.slice(-(excess + 1));
    if (taken.length < 2) continue;
    excess -= taken.length - 1;
    const name = `pack${packs.length}`;
    const members = taken.map((i): PackMember => {
      const start = makeSym(`start${i}`, `start${i}`);
      params.push(start);
      places.set(kernel.buffers[i].name, { name, offset: symDim(start) });
      gone.add(i);
      const written = kernel.buffers[i].access !== 'read';
      return { buffer: buffers[i] as number, start, written };
    });
    const access = members.some((m) => m.written) ? 'readwrite' : 'read';
    const param = { ...kernel.buffers[taken[0]], name, access } as const;
    packs.push({ param, pack: { members } });
  }
  const rest = kernel.buffers.flatMap((b, i) => (gone.has(i) ? [] : [[b, buffers[i]] as const]));
  const fitted = { ...kernel, buffers: [...rest.map(([b]) => b), ...packs.map((p) => p.param)] };
  return {
    kernel: moved({ ...fitted, params }, places),
    buffers: [...rest.map(([, id]) => id), ...packs.map((p) => p.pack)],
    args: bound.args,
  };
}
