// A complete backend: each kernel becomes a JavaScript function over typed arrays. Conformance:
//   npx tensorloom conformance --backend ./examples/backend-minimal/backend.ts   (under tsx)

import {
  applyFn,
  argsOf,
  type Binding,
  backendFromKernels,
  binaryFn,
  bitcastFn,
  castFn,
  compareFn,
  type Dim,
  dtypeInfo,
  type Expr,
  type Kernel,
  type Stmt,
  type TypedArray,
  unaryFn,
} from '../../src/backend.ts';

type Memory = TypedArray;
type Run = (
  buffers: readonly Memory[],
  offsets: readonly number[],
  params: readonly number[],
) => number | undefined;

/** Writes one kernel as the text of a JavaScript function. */
class Writer {
  private readonly lines: string[] = [];
  /** Functions that the text calls: what each op means, number by number. */
  private readonly calls: ((...args: number[]) => number)[] = [];
  private readonly names = new Map<string, string>();
  private readonly buffers = new Map<string, number>();
  private temps = 0;

  compile({ buffers, params, body }: Kernel): Run {
    buffers.forEach((b, i) => this.buffers.set(b.name, i));
    params.forEach((p, i) => this.lines.push(`const ${this.name(p.id)} = p[${i}];`));
    this.lines.push('let failed;');
    this.block(body);
    this.lines.push('return failed;');
    const make = new Function('f', `return (b, o, p) => {\n${this.lines.join('\n')}\n}`);
    return make(this.calls);
  }

  /** A name of the kernel as one of JavaScript; blocks shadow names as the kernel's do. */
  private name(id: string): string {
    if (!this.names.has(id)) this.names.set(id, `v${this.names.size}`);
    return this.names.get(id) as string;
  }

  private call(fn: (...args: number[]) => number, args: readonly string[]): string {
    return `f[${this.calls.push(fn) - 1}](${args.join(', ')})`;
  }

  /** Sizes and indices: sums of products of symbols, and a few functions. */
  private dim(d: Dim): string {
    if (typeof d === 'number') return `(${d})`;
    const atoms = d.terms.map(({ coef, atoms: all }) => [
      `(${coef})`,
      ...all.map((a) => {
        if (a.kind === 'sym') return this.name(a.id);
        const { fn } = a;
        return this.call(
          (...xs) => applyFn(fn, xs) as number,
          a.args.map((x) => this.dim(x)),
        );
      }),
    ]);
    return `(${atoms.map((t) => t.join(' * ')).join(' + ')})`;
  }

  /** Computes an expression, shared parts once; gives the name of its value. */
  private value(root: Expr): string {
    const all = new Set([root]);
    for (const e of all) for (const a of argsOf(e)) all.add(a);
    const texts = new Map<Expr, string>();
    for (const e of [...all].sort((x, y) => x.id - y.id)) {
      const temp = `t${this.temps++}`;
      this.lines.push(
        `const ${temp} = ${this.one(
          e,
          argsOf(e).map((a) => texts.get(a) as string),
        )};`,
      );
      texts.set(e, temp);
    }
    return texts.get(root) as string;
  }

  private one(e: Expr, args: readonly string[]): string {
    switch (e.op) {
      case 'const':
        if (e.bits !== undefined) return `${e.bits}n`;
        return Object.is(e.value, -0) ? '-0' : String(e.value);
      case 'dim':
        return `${this.dim(e.dim)} | 0`;
      case 'let':
      case 'var':
        return this.name(e.name);
      case 'load': {
        const i = this.buffers.get(e.buffer);
        return `b[${i}][o[${i}] + ${this.dim(e.index)}]`;
      }
      case 'unary':
        return this.call(unaryFn(e.fn, e.type), args);
      case 'binary':
        return this.call(binaryFn(e.fn, e.type), args);
      case 'compare':
        return this.call(compareFn(e.fn), args);
      case 'select':
        return `${args[0]} ? ${args[1]} : ${args[2]}`;
      case 'madd':
        return this.call((a, b, c) => {
          const sum = a * b + c;
          return e.type === 'f32' ? Math.fround(sum) : sum;
        }, args);
      case 'cast':
        return this.call(castFn(e.type, e.args[0].type), args);
      case 'bitcast':
        return this.call(bitcastFn(e.type), args);
      default:
        throw new Error(`portable kernels have no ${e.op}`);
    }
  }

  private block(stmts: readonly Stmt[]): void {
    this.lines.push('{');
    for (const s of stmts) this.statement(s);
    this.lines.push('}');
  }

  private statement(s: Stmt): void {
    switch (s.kind) {
      case 'for': {
        const [i, end] = [this.name(s.axis.id), `e${this.temps++}`];
        this.lines.push(`const ${end} = ${this.dim(s.end)};`);
        this.lines.push(`for (let ${i} = ${this.dim(s.start)}; ${i} < ${end}; ${i} += ${s.step})`);
        this.block(s.body);
        return;
      }
      case 'let':
        this.lines.push(`const ${this.name(s.name)} = ${this.value(s.value)};`);
        return;
      case 'var':
        this.lines.push(`let ${this.name(s.name)} = ${this.value(s.init)};`);
        return;
      case 'set':
        this.lines.push(`${this.name(s.name)} = ${this.value(s.value)};`);
        return;
      case 'store': {
        const i = this.buffers.get(s.buffer);
        this.lines.push(`b[${i}][o[${i}] + ${this.dim(s.index)}] = ${this.value(s.value)};`);
        return;
      }
      case 'if':
        this.lines.push(`if (${this.value(s.cond)})`);
        this.block(s.then);
        this.lines.push('else');
        this.block(s.else);
        return;
      case 'while':
        this.lines.push('while (true) {', `if (!${this.value(s.cond)}) break;`);
        this.block(s.body);
        this.lines.push('}');
        return;
      case 'fail':
        this.lines.push(`if (${this.value(s.when)}) failed ??= ${this.dim(s.code)};`);
        return;
      case 'outline':
        this.block(s.body);
        return;
      default:
        throw new Error(`portable kernels have no ${s.kind}`);
    }
  }
}

/** Makes the backend. */
export const backend = () =>
  backendFromKernels<Memory, Run>({
    name: 'minimal',
    alloc: (dtype, n) => dtypeInfo(dtype).alloc(n),
    free: () => undefined,
    write: (memory, at, data) => memory.set(data, at),
    read: (memory, _dtype, at, n) => memory.slice(at, at + n),
    compile: (kernel) => new Writer().compile(kernel),
    launch: (run, buffers: readonly Binding<Memory>[], params) =>
      run(
        buffers.map((b) => b.memory),
        buffers.map((b) => b.offset),
        params,
      ),
  });
