// A scalar emitter of the few statements that the tests of the CPU backend use, so that they test
// the backend and not the code generator.

import type { FunctionBuilder, ModuleBuilder } from '../../src/codegen/wasm/assembler.ts';
import type { KernelCompiler } from '../../src/codegen/wasm/entry.ts';
import { DimEmitter } from '../../src/codegen/wasm/entry-dims.ts';
import type { Dim } from '../../src/core/dim.ts';
import { addDim, floorDiv, makeSym, minDim, mulDim, symDim } from '../../src/core/dim.ts';
import type { Expr } from '../../src/kernel/expr.ts';
import type { ForStmt, Kernel, Stmt, TiledKernel } from '../../src/kernel/ir.ts';

/** One tile per so many turns of the outermost loop. */
export function tiledBy(size: number): (kernel: Kernel) => TiledKernel {
  return (kernel) => {
    const tile = makeSym('tile');
    const loop = kernel.body[0] as ForStmt;
    if (kernel.body.length !== 1 || loop.kind !== 'for' || loop.role !== 'grid') {
      return { ...kernel, tile, tiles: 1 };
    }
    const start = mulDim(symDim(tile), size);
    const end = minDim(addDim(start, size), loop.end);
    const tiles = floorDiv(addDim(loop.end, size - 1), size);
    return { ...kernel, tile, tiles, body: [{ ...loop, start, end }] };
  };
}

export const miniCompiler = (size: number): KernelCompiler => ({
  name: `mini ${size}`,
  schedule: tiledBy(size),
  emit,
});

function emit(
  module: ModuleBuilder,
  kernel: TiledKernel,
  env: { fail: number; name: string },
): { func: FunctionBuilder; scratchBytes: number } {
  const dims = new DimEmitter(module);
  const names = [
    ...kernel.buffers.map((b) => b.name),
    ...kernel.params.map((p) => p.id),
    'scratch',
    kernel.tile.id,
  ];
  // Helpers of dims are functions: make them before the kernel's own instructions refer to them.
  const f = module.func(
    env.name,
    names.map(() => 'i32' as const),
    [],
    { paramNames: names },
  );
  const locals = new Map<string, number>(names.map((n, i) => [n, i]));
  const dim = (d: Dim) => dims.push(f, d, (g, id) => g.op('local.get', locals.get(id) as number));
  const address = (buffer: string, index: Dim, type: string) => {
    f.op('local.get', locals.get(buffer) as number);
    dim(index);
    if (type !== 'bool') f.op('i32.const', 4).op('i32.mul');
    f.op('i32.add');
  };
  const expr = (e: Expr): void => {
    const t = e.type === 'f32' ? 'f32' : 'i32';
    switch (e.op) {
      case 'const':
        f.op(`${t}.const`, e.value);
        break;
      case 'dim':
        dim(e.dim);
        break;
      case 'let':
      case 'var':
        f.op('local.get', locals.get(e.name) as number);
        break;
      case 'load':
        address(e.buffer, e.index, e.type);
        f.op(e.type === 'bool' ? 'i32.load8_u' : `${t}.load`, 0);
        break;
      case 'binary':
        e.args.forEach(expr);
        f.op(`${t}.${e.fn === 'div' && t === 'i32' ? 'div_s' : e.fn}`);
        break;
      case 'compare': {
        e.args.forEach(expr);
        const a = e.args[0].type === 'f32' ? 'f32' : 'i32';
        f.op(`${a}.${e.fn}${a === 'i32' && !['eq', 'ne'].includes(e.fn) ? '_s' : ''}`);
        break;
      }
      default:
        throw new Error(`mini-emit has no ${e.op}`);
    }
  };
  const stmt = (s: Stmt): void => {
    switch (s.kind) {
      case 'for': {
        const at = f.local('i32', s.axis.id);
        locals.set(s.axis.id, at);
        dim(s.start);
        f.op('local.set', at).block().loop().op('local.get', at);
        dim(s.end);
        f.op('i32.ge_s').op('br_if', 1);
        s.body.forEach(stmt);
        f.op('local.get', at).op('i32.const', s.step).op('i32.add').op('local.set', at).op('br', 0);
        f.end().end();
        break;
      }
      case 'let': {
        expr(s.value);
        const at = f.local(s.value.type === 'f32' ? 'f32' : 'i32', s.name);
        locals.set(s.name, at);
        f.op('local.set', at);
        break;
      }
      case 'store': {
        address(s.buffer, s.index, s.value.type);
        expr(s.value);
        f.op(s.value.type === 'bool' ? 'i32.store8' : `${s.value.type}.store`, 0);
        break;
      }
      case 'fail':
        expr(s.when);
        f.if_();
        dim(s.code);
        f.op('call', env.fail).end();
        break;
      default:
        throw new Error(`mini-emit has no ${s.kind}`);
    }
  };
  kernel.body.forEach(stmt);
  return { func: f, scratchBytes: 0 };
}
