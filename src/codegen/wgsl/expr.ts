// Expressions as WGSL: the text of one expression, after the statements that compute its shared
// parts. Invariant: what only one side of a lazy select needs is computed on that side only, and
// no operation has literal operands alone, which WGSL would evaluate, and reject, at compile time.

import { InternalError, invariant } from '../../core/error.ts';
import { argsOf, type Expr, type ScalarType } from '../../kernel/expr.ts';
import { type DimScope, dimText, intText } from './dims.ts';
import { ZERO_WORD } from './library.ts';
import { isPart, partText, type Storage } from './parts.ts';

/** What an expression needs from its surroundings. */
export interface ExprScope extends DimScope {
  /** The WGSL name of a let or var of the kernel. */
  readonly local: (name: string) => string;
  /** The WGSL name of a buffer. */
  readonly buffer: (name: string) => string;
  /** How the elements of a buffer stand in it. */
  readonly storage: (name: string) => Storage;
}

/** Where statements go. */
export interface Output {
  /** Adds a line at the current indentation. */
  readonly line: (text: string) => void;
  /** Indents (1) or outdents (-1) what follows. */
  readonly indent: (by: 1 | -1) => void;
  /** A new name for a temporary. */
  readonly temp: () => string;
}

/** Texts longer or deeper than this get a name; WGSL compilers limit the depth of nesting. */
const LONG = 120;
const DEEP = 16;

/** More sides than this that all want the same part: it is computed once, before all of them. */
const MAX_COPIES = 8;

/** Statements under the same conditions: the expression as a whole, or one side of a lazy select. */
interface Region {
  readonly parent: Region | undefined;
  readonly depth: number;
  readonly select: Expr | undefined;
  readonly side: number;
  readonly sides: Map<Expr, Region[]>;
  /** What is computed here, operands first. */
  readonly nodes: Expr[];
  readonly texts: Map<Expr, Text>;
}

interface Text {
  readonly text: string;
  readonly depth: number;
}

function makeRegion(parent?: Region, select?: Expr, side = 0): Region {
  const depth = parent ? parent.depth + 1 : 0;
  return { parent, depth, select, side, sides: new Map(), nodes: [], texts: new Map() };
}

/** One side of a select: 1 where the condition holds, 2 where it does not. */
function sideOf(region: Region, select: Expr, side: number): Region {
  let both = region.sides.get(select);
  if (!both) {
    both = [makeRegion(region, select, 1), makeRegion(region, select, 2)];
    region.sides.set(select, both);
  }
  return both[side - 1];
}

function commonRegion(a: Region, b: Region): Region {
  let [x, y] = [a, b];
  while (x !== y) {
    if (x.depth >= y.depth) x = x.parent!;
    else y = y.parent!;
  }
  return x;
}

function isWithin(inner: Region, outer: Region): boolean {
  let r: Region | undefined = inner;
  while (r && r.depth > outer.depth) r = r.parent;
  return r === outer;
}

/** The outermost regions that together cover all uses, none computing what is not needed. */
function placesFor(uses: ReadonlySet<Region>, loads: boolean): readonly Region[] {
  let places = [...uses];
  // Without loads nothing can go wrong, so one early copy is better than several. Beyond the limit
  // the text would explode; WGSL defines loads out of range, and what they give is not looked at.
  if (!loads || places.length > MAX_COPIES) return [places.reduce(commonRegion)];
  for (;;) {
    const { length } = places;
    if (length === 1) return places;
    const both = places.find((p) => places.some((q) => q.select === p.select && isTwin(p, q)));
    if (both) places = [...new Set([...places, both.parent!])];
    places = places.filter((p) => !places.some((q) => q !== p && isWithin(p, q)));
    if (!both && places.length === length) return places;
  }
}

const isTwin = (p: Region, q: Region): boolean => p.parent === q.parent && p.side !== q.side;

/** Operands before users, how often each is used, and which have loads in them. */
function analyse(root: Expr): { order: Expr[]; uses: Map<Expr, number>; loads: Set<Expr> } {
  const order: Expr[] = [];
  const loads = new Set<Expr>();
  const uses = new Map<Expr, number>([[root, 1]]);
  const stack: { e: Expr; next: number }[] = [{ e: root, next: 0 }];
  while (stack.length > 0) {
    const top = stack[stack.length - 1];
    const args = argsOf(top.e);
    if (top.next === args.length) {
      order.push(top.e);
      if (top.e.op === 'load' || args.some((a) => loads.has(a))) loads.add(top.e);
      stack.pop();
      continue;
    }
    const arg = args[top.next++];
    const seen = uses.get(arg) ?? 0;
    uses.set(arg, seen + 1);
    if (seen === 0) stack.push({ e: arg, next: 0 });
  }
  return { order, uses, loads };
}

const isLazy = (e: Expr): boolean => e.op === 'select' && e.lazy;
const isLiteral = (e: Expr): boolean => e.op === 'const';

/** Writes what `root` needs to `out` and gives the text of its value, an operand. */
export function exprText(root: Expr, scope: ExprScope, out: Output): string {
  const { order, uses, loads } = analyse(root);
  const top = makeRegion();
  const wanted = new Map<Expr, Set<Region>>([[root, new Set([top])]]);
  const want = (e: Expr, r: Region): void => {
    const set = wanted.get(e);
    if (set) set.add(r);
    else wanted.set(e, new Set([r]));
  };
  // Users before operands: when a node is placed, all its uses are known.
  for (let i = order.length - 1; i >= 0; i--) {
    const e = order[i];
    for (const r of placesFor(wanted.get(e)!, loads.has(e))) {
      r.nodes.push(e);
      argsOf(e).forEach((a, j) => want(a, isLazy(e) && j > 0 ? sideOf(r, e, j) : r));
    }
  }
  writeRegion(top, uses, scope, out);
  return find(root, top).text;
}

function find(e: Expr, region: Region): Text {
  for (let r: Region | undefined = region; r; r = r.parent) {
    const t = r.texts.get(e);
    if (t) return t;
  }
  throw new InternalError(`no text for ${e.op} ${e.id}`);
}

function writeRegion(
  region: Region,
  uses: ReadonlyMap<Expr, number>,
  scope: ExprScope,
  out: Output,
): void {
  const named = (text: string): Text => {
    const name = out.temp();
    out.line(`let ${name} = ${text};`);
    return { text: name, depth: 0 };
  };
  for (const e of region.nodes.reverse()) {
    invariant(e.lanes === 1, `WGSL has no kernels with ${e.lanes} lanes`);
    const args = argsOf(e);
    if (isLazy(e)) {
      const name = out.temp();
      out.line(`var ${name}: ${e.type};`);
      out.line(`if (${find(args[0], region).text}) {`);
      for (const side of [1, 2]) {
        if (side === 2) out.line('} else {');
        out.indent(1);
        const inner = sideOf(region, e, side);
        writeRegion(inner, uses, scope, out);
        out.line(`${name} = ${find(args[side], inner).text};`);
        out.indent(-1);
      }
      out.line('}');
      region.texts.set(e, { text: name, depth: 0 });
      continue;
    }
    const texts = args.map((a) => find(a, region));
    // A `let` is no constant expression, whatever its initializer is.
    if (args.length > 0 && args.every(isLiteral)) texts[0] = named(texts[0].text);
    const text = nodeText(
      e,
      texts.map((t) => t.text),
      scope,
    );
    const depth = 1 + Math.max(0, ...texts.map((t) => t.depth));
    const shared = uses.get(e)! > 1 && (args.length > 0 || e.op === 'load');
    const name = shared || depth > DEEP || text.length > LONG;
    region.texts.set(e, name && !isLiteral(e) ? named(text) : { text, depth });
  }
}

const MAX_F32 = (2 - 2 ** -23) * 2 ** 127;

/** An f32 as the shortest literal of it, or made from its bits where there is none. */
function floatText(value: number, scope: ExprScope): string {
  if (!Number.isFinite(value) || Object.is(value, -0)) {
    const bits = new Uint32Array(new Float32Array([value]).buffer)[0];
    const hex = (Number.isNaN(value) ? 0x7fc00000 : bits).toString(16).padStart(8, '0');
    return `${scope.helper('bits_f32')}(0x${hex}u)`;
  }
  let short = value;
  for (let digits = 9; digits > 0; digits--) {
    const next = Number(value.toPrecision(digits));
    // Rounded up, the largest f32 would be out of range.
    if (Math.fround(next) !== value || Math.abs(next) > MAX_F32) break;
    short = next;
  }
  const text = String(short);
  const literal = `${text}${/[.e]/.test(text) ? '' : '.0'}f`;
  return value < 0 ? `(${literal})` : literal;
}

function constText(type: ScalarType, value: number, scope: ExprScope): string {
  if (type === 'f32') return floatText(value, scope);
  if (type === 'bool') return value ? 'true' : 'false';
  if (type === 'u32') return `${value}u`;
  if (value === -0x80000000) return intText(value);
  return value < 0 ? `(${value}i)` : `${value}i`;
}

const OPERATORS: { readonly [op: string]: string } = {
  add: '+',
  sub: '-',
  mul: '*',
  and: '&',
  or: '|',
  xor: '^',
  eq: '==',
  ne: '!=',
  lt: '<',
  le: '<=',
  gt: '>',
  ge: '>=',
};

/** The text of one node other than a lazy select, given those of its operands. */
function nodeText(e: Expr, args: readonly string[], scope: ExprScope): string {
  switch (e.op) {
    case 'const':
      return constText(e.type, e.value, scope);
    case 'dim':
      return dimText(e.dim, scope);
    case 'let':
    case 'var':
      return scope.local(e.name);
    case 'load': {
      // A literal below zero would not compile, though it may stand where nothing is ever loaded.
      const bad = typeof e.index === 'number' && e.index < 0;
      const index = bad ? `i32(${ZERO_WORD}) - ${-(e.index as number)}` : dimText(e.index, scope);
      const storage = scope.storage(e.buffer);
      if (isPart(storage.type)) return partText(scope.buffer(e.buffer), storage, unwrapped(index));
      const text = `${scope.buffer(e.buffer)}[${unwrapped(index)}]`;
      if (storage.type === 'f16') return `${scope.helper('half_bits')}(${text})`;
      return e.type === 'bool' ? `(${text} != 0u)` : text;
    }
    case 'unary':
      return unaryText(e, args[0], scope);
    case 'binary':
      return e.type === 'f32' ? floatBinary(e, args, scope) : intBinary(e, args, scope);
    case 'compare': {
      const [a, b] = e.args;
      // The usual tests for NaN, which a compiler that knows no NaN would drop.
      if (a === b && a.type === 'f32' && (e.fn === 'ne' || e.fn === 'eq')) {
        return `${e.fn === 'eq' ? '!' : ''}${scope.helper('is_nan')}(${args[0]})`;
      }
      const ordered = a.type === 'bool' && e.fn !== 'eq' && e.fn !== 'ne';
      const [x, y] = ordered ? args.map((t) => `u32(${t})`) : args;
      if (a.type === 'f32') return floatCompare(e, x, y, scope);
      return `(${x} ${OPERATORS[e.fn]} ${y})`;
    }
    case 'select':
      return `select(${args[2]}, ${args[1]}, ${args[0]})`;
    case 'madd':
      return `(${args[0]} * ${args[1]} + ${args[2]})`;
    case 'cast':
      return castText(e.type, e.args[0].type, args[0], scope);
    case 'bitcast':
      return `bitcast<${e.type}>(${args[0]})`;
    case 'splat':
    case 'pack':
    case 'extract':
      throw new InternalError(`WGSL has no ${e.op}`);
    default:
      return e satisfies never;
  }
}

/** Without the parentheses around the whole, if the text has such. */
export function unwrapped(text: string): string {
  if (!text.startsWith('(')) return text;
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '(') depth++;
    else if (text[i] === ')' && --depth === 0)
      return i === text.length - 1 ? text.slice(1, i) : text;
  }
  return text;
}

/** The value of a constant that no comparison with a number is true of, or that may be one. */
const isKnown = (e: Expr): boolean =>
  (e.op === 'const' && !Number.isNaN(e.value)) || (e.op === 'cast' && e.args[0].type !== 'f32');

/** WGSL lets an implementation turn `a < b` into `!(a >= b)`, so NaN is looked for by its bits. */
function floatCompare(e: Expr & { op: 'compare' }, x: string, y: string, scope: ExprScope): string {
  const [a, b] = e.args;
  const not = e.fn === 'ne' ? '!' : '';
  const plain = `(${x} ${e.fn === 'ne' ? '==' : OPERATORS[e.fn]} ${y})`;
  if (isKnown(a) && isKnown(b)) return `${not}${plain}`;
  const [p, q] = [isKnown(a) ? y : x, isKnown(b) ? x : y];
  return `${not}(${plain} & ${scope.helper('ordered')}(${p}, ${q}))`;
}

/** Whether `a - b` undoes a sum, to find what was lost in it. */
function undoes(a: Expr, b: Expr): boolean {
  return a === b || (a.op === 'binary' && (a.fn === 'add' || a.fn === 'sub') && a.args.includes(b));
}

function castText(to: ScalarType, from: ScalarType, x: string, scope: ExprScope): string {
  if (to === 'bool') return from === 'f32' ? `!(${x} == 0.0f)` : `(${x} != 0)`;
  if (from !== 'f32' || to === 'f32') return `${to}(${x})`;
  return `${scope.helper(to === 'u32' ? 'to_uint' : 'to_int')}(${x})`;
}

function unaryText(e: Expr & { op: 'unary' }, x: string, scope: ExprScope): string {
  const { type } = e.args[0];
  const call = (name: Parameters<ExprScope['helper']>[0]): string => `${scope.helper(name)}(${x})`;
  if (e.fn === 'not') return `!${x}`;
  if (e.fn === 'isnan') return call('is_nan');
  invariant(type !== 'bool', `WGSL has no ${e.fn} of bool`);
  switch (e.fn) {
    case 'neg':
      return type === 'u32' ? `(0u - ${x})` : `(-${x})`;
    case 'abs':
      return `abs(${x})`;
    case 'floor':
    case 'ceil':
    case 'trunc':
      return type === 'f32' ? `${e.fn}(${x})` : x;
    case 'nearest':
      return type === 'f32' ? `round(${x})` : x;
    case 'sqrt':
      invariant(type === 'f32', `WGSL has no ${e.fn} of ${type}`);
      return call('fsqrt');
    case 'exp':
    case 'log':
    case 'tanh':
    case 'sin':
    case 'cos':
    case 'expm1':
    case 'log1p':
    case 'erf':
      throw new InternalError(`WGSL has no ${e.fn} to rely on`);
    default:
      return e.fn satisfies never;
  }
}

function floatBinary(
  e: Expr & { op: 'binary' },
  args: readonly string[],
  scope: ExprScope,
): string {
  const [a, b] = e.args;
  let [x, y] = args;
  // Compilers take the product of anything and zero for zero.
  if (e.fn === 'mul' || e.fn === 'div') {
    if (a.op === 'const' && a.value === 0) x = `${scope.helper('opaque')}(${x})`;
    if (b.op === 'const' && b.value === 0) y = `${scope.helper('opaque')}(${y})`;
  }
  switch (e.fn) {
    case 'min':
    case 'max':
    case 'rem':
      return `${scope.helper(`f${e.fn}`)}(${x}, ${y})`;
    case 'div': {
      const size = b.op === 'const' ? Math.abs(b.value) : 0;
      if (size >= 2 ** -126 && size <= 2 ** 126) return `(${x} / ${y})`;
      return `${scope.helper('fdiv')}(${x}, ${y})`;
    }
    case 'sub':
      return undoes(a, b) ? `(${scope.helper('opaque')}(${x}) - ${y})` : `(${x} - ${y})`;
    case 'add':
    case 'mul':
      return `(${x} ${OPERATORS[e.fn]} ${y})`;
    default:
      throw new InternalError(`WGSL has no ${e.fn} of f32`);
  }
}

function intBinary(
  e: Expr & { op: 'binary' },
  [x, y]: readonly string[],
  scope: ExprScope,
): string {
  if (e.type === 'bool') {
    invariant(e.fn === 'and' || e.fn === 'or' || e.fn === 'xor', `WGSL has no ${e.fn} of bool`);
    return `(${x} ${e.fn === 'xor' ? '!=' : OPERATORS[e.fn]} ${y})`;
  }
  const right = e.args[1];
  const unsigned = e.type === 'u32';
  const known = right.op === 'const' ? right.value : undefined;
  const count = known === undefined ? `(u32(${y}) & 31u)` : `${known & 31}u`;
  switch (e.fn) {
    case 'div':
    case 'rem':
      if (known !== undefined && known > 0) return `(${x} ${e.fn === 'div' ? '/' : '%'} ${y})`;
      return `${scope.helper(`${unsigned ? 'uint' : 'int'}_${e.fn}`)}(${x}, ${y})`;
    case 'min':
    case 'max':
      return `${e.fn}(${x}, ${y})`;
    case 'shl':
      return `(${x} << ${count})`;
    case 'shr':
      return `(${x} >> ${count})`;
    case 'shru':
      if (unsigned) return `(${x} >> ${count})`;
      return `bitcast<i32>(bitcast<u32>(${x}) >> ${count})`;
    case 'pow':
      throw new InternalError(`WGSL has no pow of ${e.type}`);
    case 'mulhiu':
      invariant(!unsigned, 'mulhiu is of i32');
      return `${scope.helper('mul_high')}(${x}, ${y})`;
    case 'add':
    case 'sub':
    case 'mul':
    case 'and':
    case 'or':
    case 'xor':
      return `(${x} ${OPERATORS[e.fn]} ${y})`;
    default:
      return e.fn satisfies never;
  }
}
