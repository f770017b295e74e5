// Kernels that come from no fusion group: copies of whole values, and the kernels that op records
// write by hand, renamed to local names like all others.

import { asSym, type Dim, makeSym, type Sym, substituteDim, symDim } from '../core/dim.ts';
import { type DType, dtypeInfo } from '../core/dtype.ts';
import { InternalError } from '../core/error.ts';
import type { Func, Node } from '../graph/func.ts';
import { type KnownType, opRecord } from '../graph/op.ts';
import { dimValue, load } from '../kernel/expr.ts';
import type { Kernel } from '../kernel/ir.ts';
import { loadedType } from '../kernel/scalar.ts';
import { knownType } from './access.ts';

interface Direct {
  readonly kernel: Kernel;
  readonly args: readonly Dim[];
}

/** The symbol that a hand-written kernel uses for the code of its check. */
const CHECK_SYM = '$check';

/** Copies a number of elements from its first buffer to its second. */
export function copyKernel(dtype: DType, size: Dim): Direct {
  const { storage: type } = dtypeInfo(dtype);
  const n = typeof size === 'number' ? undefined : makeSym('d0');
  const extent: Dim = n ? symDim(n) : size;
  const axis = makeSym('i0', 'i0', { extent });
  const index = symDim(axis);
  return {
    kernel: {
      name: 'copy',
      buffers: [
        { name: 'b0', type, access: 'read' },
        { name: 'b1', type, access: 'write' },
      ],
      params: n ? [n] : [],
      body: [
        {
          kind: 'for',
          axis,
          start: 0,
          end: extent,
          step: 1,
          role: 'grid',
          body: [
            { kind: 'store', buffer: 'b1', index, value: load('b0', loadedType(type), index) },
          ],
        },
      ],
      flops: 0,
      bytes: 0,
    },
    args: n ? [size] : [],
  };
}

/** Stores a size as an int32 scalar. */
export function sizeKernel(size: Dim): Direct {
  const n = typeof size === 'number' ? undefined : makeSym('d0');
  const value = dimValue(n ? symDim(n) : size);
  return {
    kernel: {
      name: 'size',
      buffers: [{ name: 'b0', type: 'i32', access: 'write' }],
      params: n ? [n] : [],
      body: [{ kind: 'store', buffer: 'b0', index: 0, value }],
      flops: 0,
      bytes: 4,
    },
    args: n ? [size] : [],
  };
}

/** The kernel of a node whose record writes it by hand; `code` is the number of its check. */
export function handWritten(func: Func, node: Node, code: number): Direct {
  const { form } = opRecord(node.op);
  if (form.kind !== 'kernel') throw new InternalError(`${node.op} has no kernel of its own`);
  const params: Sym[] = [];
  const args: Dim[] = [];
  const names = new Map<string, Dim>();
  const rename = (d: Dim): Dim =>
    substituteDim(d, (s) => {
      const old = names.get(s.id);
      if (old !== undefined) return old;
      const local = makeSym(`d${params.length}`);
      params.push(local);
      args.push(symDim(s));
      names.set(s.id, symDim(local));
      return symDim(local);
    });
  const known = (t: KnownType): KnownType => ({ dtype: t.dtype, shape: t.shape.map(rename) });
  const kernel = form.lower({
    inputs: node.inputs.map((r) => known(knownType(func, r))),
    outputs: node.types.map((_, port) => known(knownType(func, { node: node.id, port }))),
    attrs: node.attrs,
  });
  const used = kernel.params.map((p): Dim => {
    if (p.id === CHECK_SYM) return code;
    const at = params.findIndex((q) => q.id === p.id);
    if (at < 0 || !asSym(args[at])) throw new InternalError(`${node.op}: unknown size "${p.id}"`);
    return args[at];
  });
  return { kernel, args: used };
}
