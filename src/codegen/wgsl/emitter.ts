// Statements as WGSL: what the shaders of all schedules have in common. Names of the kernel are
// replaced by numbered ones. Invariant: the text is a function of the kernel's structure alone, so
// equal kernels give equal text, and it holds no sizes but those the kernel has as constants.

import type { Dim } from '../../core/dim.ts';
import { symsOf } from '../../core/dim-syms.ts';
import { InternalError, invariant } from '../../core/error.ts';
import type { Expr } from '../../kernel/expr.ts';
import type { ForStmt, Kernel, Stmt } from '../../kernel/ir.ts';
import { atomsOf } from './atoms.ts';
import { dimText, fnText } from './dims.ts';
import { type ExprScope, exprText, type Output, unwrapped } from './expr.ts';
import { type HelperName, ZERO_WORD } from './library.ts';
import { bitsText, elementBits, isPart, placeText, type Storage } from './parts.ts';

/** Names in scope; blocks see those of the blocks around them. */
export interface Names {
  readonly syms: Map<string, string>;
  readonly locals: Map<string, string>;
  /** Functions of dims that are computed, by key. */
  readonly atoms: Map<string, string>;
}

export const innerNames = (n: Names): Names => ({
  syms: new Map(n.syms),
  locals: new Map(n.locals),
  atoms: new Map(n.atoms),
});

/** A word of the uniform block. */
export const paramText = (word: number): string => `params[${word >> 2}].${'xyzw'[word & 3]}`;

/** The function that gives the zero behind the params of the uniform block. */
export const zeroText = (word: number): string => `fn ${ZERO_WORD} -> u32 {
  return u32(${paramText(word)});
}`;

/** Writes the body of the entry point, line by line. */
export class Emitter {
  readonly kernel: Kernel;
  readonly lines: string[] = [];
  readonly helpers = new Set<HelperName>();
  /** Declarations outside of functions: workgroup memory. */
  readonly declarations: string[] = [];
  /** What the shader says first: extensions of WGSL. */
  readonly enables = new Set<string>();
  fails = false;
  /** The words that parts are put together in, by buffer, and the text of a part's number. */
  readonly words = new Map<string, { readonly word: string; readonly lane: string }>();
  /** A condition under which alone stores are done; empty: always. */
  storeGuard = '';
  private level = 1;
  private readonly counts = new Map<string, number>();
  private readonly buffers = new Map<string, string>();
  private readonly storages = new Map<string, Storage>();
  private readonly out: Output = {
    line: (text) => this.line(text),
    indent: (by) => {
      this.level += by;
    },
    temp: () => this.fresh('t'),
  };

  /** `wholeWords`: an invocation makes all elements of the words that it stores to. */
  constructor(kernel: Kernel, wholeWords = false) {
    this.kernel = kernel;
    kernel.buffers.forEach(({ name, type, access }, i) => {
      this.buffers.set(name, `b${i}`);
      if (type === 'f16') this.enables.add('enable f16;');
      const atomic = access !== 'read' && isPart(type) && !wholeWords;
      this.storages.set(name, { type, atomic });
    });
  }

  /** The name of a buffer in the shader. */
  bufferName(name: string): string {
    return this.lookup(this.buffers, name, 'buffer');
  }

  /** How the elements of a buffer stand in it. */
  storage(name: string): Storage {
    const found = this.storages.get(name);
    invariant(found, `kernel "${this.kernel.name}": buffer "${name}" is not bound`);
    return found;
  }

  /** Adds a line at the current indentation. */
  line(text: string): void {
    this.lines.push('  '.repeat(this.level) + text);
  }

  /** Adds lines inside of a brace, which `open` ends with. */
  nested(open: string, body: () => void): void {
    this.line(open);
    this.level++;
    body();
    this.level--;
    this.line('}');
  }

  /** A name that is new to the shader. */
  fresh(prefix: string): string {
    const n = this.counts.get(prefix) ?? 0;
    this.counts.set(prefix, n + 1);
    return `${prefix}${n}`;
  }

  lookup(map: ReadonlyMap<string, string>, name: string, what: string): string {
    const found = map.get(name);
    invariant(found !== undefined, `kernel "${this.kernel.name}": ${what} "${name}" is not bound`);
    return found;
  }

  private scope(names: Names): ExprScope {
    return {
      sym: (id) => this.lookup(names.syms, id, 'symbol'),
      local: (name) => this.lookup(names.locals, name, 'local'),
      buffer: (name) => this.bufferName(name),
      storage: (name) => this.storage(name),
      atom: (a) => names.atoms.get(a.key),
      helper: (name) => {
        this.helpers.add(name);
        return name;
      },
    };
  }

  /** The text of a dim. */
  dim(d: Dim, names: Names): string {
    return unwrapped(dimText(d, this.scope(names)));
  }

  /** Computes the functions of dims in the statements that need no symbols but the known ones. */
  atoms(stmts: readonly Stmt[], names: Names): void {
    for (const a of atomsOf(stmts)) {
      if (names.atoms.has(a.key)) continue;
      if (a.args.some((d) => [...symsOf(d).keys()].some((id) => !names.syms.has(id)))) continue;
      const text = unwrapped(fnText(a, this.scope(names)));
      const name = this.fresh('d');
      this.line(`let ${name} = ${text};`);
      names.atoms.set(a.key, name);
    }
  }

  /** Writes what an expression needs; gives its text. */
  value(e: Expr, names: Names): string {
    return unwrapped(exprText(e, this.scope(names), this.out));
  }

  /** Binds the params, as words of the uniform block; gives the outermost names. */
  params(): Names {
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
    return names;
  }

  /** The text of a dim as u32, in a name where it is not a number. */
  count(d: Dim, names: Names, prefix: string): string {
    if (typeof d === 'number') return `${Math.max(0, d)}u`;
    const name = this.fresh(prefix);
    this.line(`let ${name} = u32(${this.dim(d, names)});`);
    return name;
  }

  /**
   * Binds the axes of a nest from the number of a turn in it, a u32; the last varies fastest. The
   * counts are the texts of how many turns each loop has.
   */
  axes(loops: readonly ForStmt[], counts: readonly string[], turn: string, names: Names): void {
    let rest = turn;
    const indices: string[] = [];
    for (let i = loops.length - 1; i >= 0; i--) {
      indices[i] = i === 0 ? rest : `${rest} % ${counts[i]}`;
      if (i === 0) break;
      const next = this.fresh('q');
      this.line(`let ${next} = ${rest} / ${counts[i]};`);
      rest = next;
    }
    loops.forEach(({ axis, start, step }, i) => {
      const index = `i32(${indices[i]})`;
      const scaled = step === 1 ? index : `${index} * ${step}`;
      const name = this.fresh('i');
      this.line(`let ${name} = ${start === 0 ? '' : `${this.dim(start, names)} + `}${scaled};`);
      names.syms.set(axis.id, name);
    });
  }

  /** Writes statements in a scope of their own. */
  block(stmts: readonly Stmt[], outer: Names): void {
    const names = innerNames(outer);
    for (const s of stmts) this.stmt(s, names);
  }

  indented(stmts: readonly Stmt[], names: Names): void {
    this.level++;
    this.block(stmts, names);
    this.level--;
  }

  /** Writes one statement, which may add to the names. */
  stmt(s: Stmt, names: Names): void {
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
    const storage = this.storage(s.buffer);
    let stored = s.value.type === 'bool' ? `select(0u, 1u, ${value})` : value;
    if (storage.type === 'f16') {
      this.helpers.add('half_from');
      stored = `half_from(${value})`;
    }
    const buffer = this.bufferName(s.buffer);
    const index = this.dim(s.index, names);
    const write = (): void => {
      if (isPart(storage.type)) this.storePart(buffer, storage, index, stored);
      else this.line(`${buffer}[${index}] = ${stored};`);
    };
    if (this.storeGuard === '') write();
    else this.nested(`if (${this.storeGuard}) {`, write);
  }

  private storePart(buffer: string, { type }: Storage, index: string, value: string): void {
    const bits = bitsText(type, value);
    const whole = this.words.get(buffer);
    if (whole) {
      const size = elementBits(type);
      const each = Math.log2(32 / size);
      const word = `${whole.word}[${whole.lane} >> ${each}u]`;
      const shift = `(${whole.lane} & ${32 / size - 1}u) * ${size}u`;
      this.line(`${word} |= ${bits} << (${shift});`);
      return;
    }
    const { word, shift } = placeText(type, index);
    const [at, up] = [this.fresh('w'), this.fresh('w')];
    this.line(`let ${at} = ${word};`);
    this.line(`let ${up} = ${shift};`);
    const mask = `${2 ** elementBits(type) - 1}u`;
    this.line(`atomicAnd(&${buffer}[${at}], ~(${mask} << ${up}));`);
    this.line(`atomicOr(&${buffer}[${at}], ${bits} << ${up});`);
  }
}
