// The machine types that WGSL has no arithmetic for. Whoever places work asks before generating any.

import { UnsupportedError } from '../../core/error.ts';
import type { ScalarType } from '../../kernel/expr.ts';
import type { Kernel } from '../../kernel/ir.ts';
import { exprsOf, walkExprs, walkStmts } from '../../kernel/rewrite.ts';
import { isWideType, loadedType } from '../../kernel/scalar.ts';

/** The first type of a kernel that WGSL lacks: those of 64 bits. */
export function missingType(kernel: Kernel): ScalarType | undefined {
  const found: ScalarType[] = kernel.buffers.flatMap((b) =>
    isWideType(loadedType(b.type)) ? loadedType(b.type) : [],
  );
  walkStmts(kernel.body, (s) => {
    if (found.length > 0) return;
    walkExprs(exprsOf(s), (e) => {
      if (isWideType(e.type)) found.push(e.type);
    });
  });
  return found[0];
}

/** Throws UnsupportedError `wgsl/type` for a kernel that computes in a type that WGSL lacks. */
export function needTypes(kernel: Kernel): void {
  const type = missingType(kernel);
  if (type === undefined) return;
  throw new UnsupportedError(
    'wgsl/type',
    `kernel "${kernel.name}" computes in ${type}, WGSL has no 64 bits. Use backend "cpu".`,
  );
}
