// WGSL from portable kernels: one invocation for each point of the outer grid loops, which runs the
// rest of the kernel on its own. Invariant: the text is a function of the kernel's structure alone,
// so equal kernels give equal text, and it holds no sizes but those the kernel has as constants.

import {
  addDim,
  type Dim,
  floorDiv,
  maxDim,
  mentions,
  prodDims,
  subDim,
  symsOf,
} from '../../core/dim.ts';
import type { StorageType } from '../../core/dtype.ts';
import { InternalError, invariant } from '../../core/error.ts';
import type { Expr } from '../../kernel/expr.ts';
import type { ForStmt, Kernel, Stmt } from '../../kernel/ir.ts';
import { expandMath } from '../../kernel/math.ts';
import { loadedType } from '../../kernel/scalar.ts';
import { atomsOf } from './atoms.ts';
import { dimText, fnText } from './dims.ts';
import { type ExprScope, exprText, type Output, unwrapped } from './expr.ts';
import { type HelperName, libraryText, ZERO_WORD } from './library.ts';
import type { WgslDispatch } from './program.ts';

const WORKGROUP_SIZE = 64;

interface GridAxis {
  readonly loop: ForStmt;
  /** The count of its turns. */
  readonly count: Dim;
}

/** The outer loops whose turns become invocations, and what each invocation runs. */
function splitGrid(kernel: Kernel): { axes: GridAxis[]; body: readonly Stmt[] } {
  const axes: GridAxis[] = [];
  let body = kernel.body;
  while (body.length === 1) {
    const [s] = body;
    if (s.kind !== 'for' || s.role !== 'grid') break;
    const uneven = axes.some(
      ({ loop }) => mentions(s.start, loop.axis.id) || mentions(s.end, loop.axis.id),
    );
    if (uneven) break;
    invariant(s.step > 0, `kernel "${kernel.name}": step ${s.step} of ${s.axis.id}`);
    const span = maxDim(subDim(s.end, s.start), 0);
    axes.push({ loop: s, count: floorDiv(addDim(span, s.step - 1), s.step) });
    body = s.body;
  }
  return { axes, body };
}

/** Names in scope; blocks see those of the blocks around them. */
interface Names {
  readonly syms: Map<string, string>;
  readonly locals: Map<string, string>;
  /** Functions of dims that are computed, by key. */
  readonly atoms: Map<string, string>;
}

const innerNames = (n: Names): Names => ({
  syms: new Map(n.syms),
  locals: new Map(n.locals),
  atoms: new Map(n.atoms),
});

/** A word of the uniform block. */
const paramText = (word: number): string => `params[${word >> 2}].${'xyzw'[word & 3]}`;

const zeroText = (word: number): string => `fn ${ZERO_WORD} -> u32 {
  return u32(${paramText(word)});
}`;

/** An element is a word, of parts of a word too: no two invocations ever share one. */
const storageType = (type: StorageType): string => (type === 'bool' ? 'u32' : loadedType(type));

class Emitter {
  readonly kernel: Kernel;
  readonly lines: string[] = [];
  readonly helpers = new Set<HelperName>();
  fails = false;
  private level = 1;
  private readonly counts = new Map<string, number>();
  private readonly buffers = new Map<string, string>();
  private readonly out: Output = {
    line: (text) => this.line(text),
    indent: (by) => {
      this.level += by;
    },
    temp: () => this.fresh('t'),
  };

  constructor(kernel: Kernel) {
    this.kernel = kernel;
    kernel.buffers.forEach((b, i) => this.buffers.set(b.name, `b${i}`));
  }

  private line(text: string): void {
    this.lines.push('  '.repeat(this.level) + text);
  }

  private fresh(prefix: string): string {
    const n = this.counts.get(prefix) ?? 0;
    this.counts.set(prefix, n + 1);
    return `${prefix}${n}`;
  }

  private lookup(map: ReadonlyMap<string, string>, name: string, what: string): string {
    const found = map.get(name);
    invariant(found !== undefined, `kernel "${this.kernel.name}": ${what} "${name}" is not bound`);
    return found;
  }

  private scope(names: Names): ExprScope {
    return {
      sym: (id) => this.lookup(names.syms, id, 'symbol'),
      local: (name) => this.lookup(names.locals, name, 'local'),
      buffer: (name) => this.lookup(this.buffers, name, 'buffer'),
      atom: (a) => names.atoms.get(a.key),
      helper: (name) => {
        this.helpers.add(name);
        return name;
      },
    };
  }

  private dim(d: Dim, names: Names): string {
    return unwrapped(dimText(d, this.scope(names)));
  }

  /** Computes what the statements need of the symbols that are known. */
  private atoms(stmts: readonly Stmt[], names: Names): void {
    for (const a of atomsOf(stmts)) {
      if (names.atoms.has(a.key)) continue;
      if (a.args.some((d) => [...symsOf(d).keys()].some((id) => !names.syms.has(id)))) continue;
      const text = unwrapped(fnText(a, this.scope(names)));
      const name = this.fresh('d');
      this.line(`let ${name} = ${text};`);
      names.atoms.set(a.key, name);
    }
  }

  private value(e: Expr, names: Names): string {
    return unwrapped(exprText(e, this.scope(names), this.out));
  }

  /** Writes the body of the entry point. */
  main(axes: readonly GridAxis[], body: readonly Stmt[]): void {
    const names: Names = { syms: new Map(), locals: new Map(), atoms: new Map() };
    for (const p of this.kernel.params) {
      const name = this.fresh('p');
      invariant(
        !names.syms.has(p.id),
        `kernel "${this.kernel.name}": param "${p.id}" occurs twice`,
      );
      this.line(`let ${name} = ${paramText(names.syms.size)};`);
      names.syms.set(p.id, name);
    }
    // An axis without turns would be a division by a literal zero below.
    if (axes.some((a) => a.count === 0)) return;
    this.atoms(this.kernel.body, names);
    if (axes.length > 0) {
      this.gridIndices(axes, names);
      this.atoms(body, names);
    }
    this.block(body, names);
  }

  private gridIndices(axes: readonly GridAxis[], names: Names): void {
    const counts = axes.map(({ count }) => {
      if (typeof count === 'number') return `${count}u`;
      const name = this.fresh('n');
      this.line(`let ${name} = u32(${this.dim(count, names)});`);
      return name;
    });
    const rows = 'group.x + group.y * groups.x';
    this.line(`let point = (${rows}) * ${WORKGROUP_SIZE}u + local_index;`);
    this.line(`if (point >= ${counts.join(' * ')}) {`);
    this.line('  return;');
    this.line('}');
    // The innermost axis varies fastest, so that neighbours access neighbouring memory.
    let rest = 'point';
    const indices: string[] = [];
    for (let i = axes.length - 1; i >= 0; i--) {
      indices[i] = i === 0 ? rest : `${rest} % ${counts[i]}`;
      if (i === 0) break;
      const next = this.fresh('q');
      this.line(`let ${next} = ${rest} / ${counts[i]};`);
      rest = next;
    }
    axes.forEach(({ loop: { axis, start, step } }, i) => {
      const turn = `i32(${indices[i]})`;
      const scaled = step === 1 ? turn : `${turn} * ${step}`;
      const name = this.fresh('i');
      this.line(`let ${name} = ${start === 0 ? '' : `${this.dim(start, names)} + `}${scaled};`);
      names.syms.set(axis.id, name);
    });
  }

  private block(stmts: readonly Stmt[], outer: Names): void {
    const names = innerNames(outer);
    for (const s of stmts) this.stmt(s, names);
  }

  private indented(stmts: readonly Stmt[], names: Names): void {
    this.level++;
    this.block(stmts, names);
    this.level--;
  }

  private stmt(s: Stmt, names: Names): void {
    switch (s.kind) {
      case 'for':
        this.loop(s, names);
        return;
      case 'let': {
        const { type } = s.value;
        const value = this.value(s.value, names);
        const name = this.fresh('v');
        this.line(`let ${name}: ${type} = ${value};`);
        names.locals.set(s.name, name);
        if (type === 'i32') names.syms.set(s.name, name);
        return;
      }
      case 'var': {
        const value = this.value(s.init, names);
        const name = this.fresh('v');
        this.line(`var ${name}: ${s.type} = ${value};`);
        names.locals.set(s.name, name);
        return;
      }
      case 'set': {
        const value = this.value(s.value, names);
        this.line(`${this.lookup(names.locals, s.name, 'variable')} = ${value};`);
        return;
      }
      case 'store':
        this.store(s, names);
        return;
      case 'if':
        this.line(`if (${this.value(s.cond, names)}) {`);
        this.indented(s.then, names);
        if (s.else.length > 0) {
          this.line('} else {');
          this.indented(s.else, names);
        }
        this.line('}');
        return;
      case 'while':
        // The temporaries of the condition have to be computed anew in each turn.
        this.line('loop {');
        this.level++;
        this.line(`if (!(${this.value(s.cond, names)})) {`);
        this.line('  break;');
        this.line('}');
        this.level--;
        this.indented(s.body, names);
        this.line('}');
        return;
      case 'fail':
        this.fails = true;
        this.line(`if (${this.value(s.when, names)}) {`);
        this.line(`  atomicMax(&failed, ~u32(${this.dim(s.code, names)}));`);
        this.line('}');
        return;
      case 'outline':
        this.line('{');
        this.indented(s.body, names);
        this.line('}');
        return;
      case 'array':
        throw new InternalError(
          `kernel "${this.kernel.name}": WGSL is made from portable kernels, which have no arrays`,
        );
      default:
        s satisfies never;
    }
  }

  private loop(s: ForStmt, names: Names): void {
    invariant(s.step > 0, `kernel "${this.kernel.name}": step ${s.step} of ${s.axis.id}`);
    const start = this.dim(s.start, names);
    let end = this.dim(s.end, names);
    // The condition is evaluated in each turn, so that a longer bound is better computed before it.
    if (!/^\w+$/.test(end)) {
      const name = this.fresh('e');
      this.line(`let ${name} = ${end};`);
      end = name;
    }
    const name = this.fresh('i');
    const step = s.step === 1 ? `${name}++` : `${name} += ${s.step}`;
    this.line(`for (var ${name}: i32 = ${start}; ${name} < ${end}; ${step}) {`);
    const inner = innerNames(names);
    inner.syms.set(s.axis.id, name);
    this.level++;
    this.atoms(s.body, inner);
    this.block(s.body, inner);
    this.level--;
    this.line('}');
  }

  private store(s: Stmt & { kind: 'store' }, names: Names): void {
    const value = this.value(s.value, names);
    const stored = s.value.type === 'bool' ? `select(0u, 1u, ${value})` : value;
    const buffer = this.lookup(this.buffers, s.buffer, 'buffer');
    this.line(`${buffer}[${this.dim(s.index, names)}] = ${stored};`);
  }
}

/** WGSL promises too little of its exp, log, sin …, so those are the CPU's; NaN is told by its bits. */
const KEPT: ReadonlySet<string> = new Set(['isnan']);

/**
 * A portable kernel as one dispatch. Names are replaced by numbered ones; those of the kernel only
 * show in the order of terms of dims. Throws an `InternalError` on vectors and scratch arrays,
 * which only scheduled kernels have.
 */
export function emitPoints(portable: Kernel): WgslDispatch {
  const kernel = expandMath(portable, (e) => KEPT.has(e.fn));
  const { axes, body } = splitGrid(kernel);
  const emitter = new Emitter(kernel);
  emitter.main(axes, body);
  const { helpers, fails } = emitter;
  const count = kernel.buffers.length;
  // One word more than the params: the zero.
  const uniformWords = 4 * Math.ceil((kernel.params.length + 1) / 4);
  const workgroupSize = axes.length > 0 ? WORKGROUP_SIZE : 1;
  const points = prodDims(axes.map((a) => a.count));
  const workgroups =
    axes.length > 0 ? floorDiv(addDim(points, workgroupSize - 1), workgroupSize) : 1;

  const library = libraryText(helpers);
  const text = [...library, ...emitter.lines].join('\n');
  const header = kernel.buffers.map((b, i) => {
    const mode = b.access === 'read' ? 'read' : 'read_write';
    const type = `array<${storageType(b.type)}>`;
    return `@group(0) @binding(${i}) var<storage, ${mode}> b${i}: ${type};`;
  });
  const words = `array<vec4<i32>, ${uniformWords / 4}>`;
  header.push(`@group(0) @binding(${count}) var<uniform> params: ${words};`);
  if (fails) {
    const failed = 'var<storage, read_write> failed: atomic<u32>';
    header.push(`@group(0) @binding(${count + 1}) ${failed};`);
  }
  const code = [
    ...header,
    '',
    ...(text.includes(ZERO_WORD) ? [zeroText(kernel.params.length), ''] : []),
    ...library.flatMap((f) => [f, '']),
    `@compute @workgroup_size(${workgroupSize})`,
    'fn main(',
    '  @builtin(workgroup_id) group: vec3<u32>,',
    '  @builtin(num_workgroups) groups: vec3<u32>,',
    '  @builtin(local_invocation_index) local_index: u32,',
    ') {',
    ...emitter.lines,
    '}',
    '',
  ].join('\n');
  const bindings = kernel.buffers.map(
    ({ access }, index) =>
      ({ source: 'buffer', index, access: access === 'read' ? 'read' : 'readwrite' }) as const,
  );
  return { code, bindings, workgroups, workgroupSize, params: kernel.params, uniformWords, fails };
}
