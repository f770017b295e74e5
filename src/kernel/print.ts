// The text of kernels, for people and as the key by which equal kernels are recognised.
// Invariant: the text is a function of the structure alone (never of expression ids), and kernels
// with the same text do the same; its length is linear in the size of the expression DAGs.

import { type Dim, dimKey, type Sym } from '../core/dim.ts';
import { argsOf, type BinaryOp, type CompareOp, type Expr, type Lanes } from './expr.ts';
import type { Kernel, Stmt, TiledKernel } from './ir.ts';

const INFIX: { readonly [op in BinaryOp | CompareOp]?: string } = {
  add: '+',
  sub: '-',
  mul: '*',
  div: '/',
  rem: '%',
  and: '&',
  or: '|',
  xor: '^',
  shl: '<<',
  shr: '>>',
  shru: '>>>',
  eq: '==',
  ne: '!=',
  lt: '<',
  le: '<=',
  gt: '>',
  ge: '>=',
};

/** Longer operands get a line of their own, which bounds the text of deep chains. */
const LONG = 160;

const laneText = (lanes: Lanes): string => (lanes === 1 ? '' : `x${lanes}`);

/** What follows the digits of a constant. */
const SUFFIX = { f32: 'f', f64: 'd', i32: 'i', u32: 'u', i64: 'l' } as const;

function numberText(e: Expr & { op: 'const' }): string {
  if (e.type === 'bool') return (e.value ? 'true' : 'false') + laneText(e.lanes);
  const text = Object.is(e.value, -0) ? '-0' : String(e.bits ?? e.value);
  return text + SUFFIX[e.type] + laneText(e.lanes);
}

/** The text of one node, given the texts of its operands. */
function nodeText(e: Expr, args: readonly string[]): string {
  switch (e.op) {
    case 'const':
      return numberText(e);
    case 'dim':
      return `dim(${dimKey(e.dim)})`;
    case 'let':
    case 'var':
      return e.name;
    case 'load':
      return `${e.buffer}${laneText(e.lanes)}[${dimKey(e.index)}]`;
    case 'unary':
      return `${e.fn}(${args[0]})`;
    case 'binary':
    case 'compare': {
      const sign = INFIX[e.fn];
      return sign ? `(${args[0]} ${sign} ${args[1]})` : `${e.fn}(${args.join(', ')})`;
    }
    case 'select':
      return `${e.lazy ? 'lazy_select' : 'select'}(${args.join(', ')})`;
    case 'madd':
      return `madd(${args.join(', ')})`;
    case 'cast':
      return `${e.type}(${args[0]})`;
    case 'bitcast':
      return `bits_${e.type}(${args[0]})`;
    case 'splat':
      return `splat(${args[0]})`;
    case 'pack':
      return `pack(${args.join(', ')})`;
    case 'extract':
      return `${args[0]}.${e.lane}`;
    default:
      return e satisfies never;
  }
}

/** Operands before users, in the order of first use; iterative, as DAGs may be very deep. */
function postOrder(root: Expr): { order: Expr[]; uses: Map<Expr, number> } {
  const order: Expr[] = [];
  const uses = new Map<Expr, number>([[root, 1]]);
  const stack: { e: Expr; next: number }[] = [{ e: root, next: 0 }];
  while (stack.length > 0) {
    const top = stack[stack.length - 1];
    const args = argsOf(top.e);
    if (top.next === args.length) {
      order.push(top.e);
      stack.pop();
      continue;
    }
    const arg = args[top.next++];
    const seen = uses.get(arg) ?? 0;
    uses.set(arg, seen + 1);
    if (seen === 0) stack.push({ e: arg, next: 0 });
  }
  return { order, uses };
}

/** The text of `root`; subexpressions used more than once become `%n = …` in `lines`. */
function exprText(root: Expr, indent: string, lines: string[]): string {
  const { order, uses } = postOrder(root);
  const texts = new Map<Expr, string>();
  let temps = 0;
  for (const e of order) {
    const args = argsOf(e);
    const text = nodeText(
      e,
      args.map((a) => texts.get(a)!),
    );
    const shared = args.length > 0 && uses.get(e)! > 1;
    if (e !== root && (shared || text.length > LONG)) {
      const name = `%${++temps}`;
      lines.push(`${indent}${name} = ${text}`);
      texts.set(e, name);
    } else texts.set(e, text);
  }
  return texts.get(root)!;
}

/** The text of an expression: one line, after a line `%n = …` for each shared operand. */
export function printExpr(e: Expr): string {
  const lines: string[] = [];
  const text = exprText(e, '', lines);
  return [...lines, text].join('\n');
}

function writeStmts(stmts: readonly Stmt[], indent: string, lines: string[]): void {
  for (const s of stmts) writeStmt(s, indent, lines);
}

function writeStmt(s: Stmt, indent: string, lines: string[]): void {
  const inner = `${indent}  `;
  const value = (e: Expr): string => exprText(e, indent, lines);
  switch (s.kind) {
    case 'for': {
      const step = s.step === 1 ? '' : ` step ${s.step}`;
      const combine = s.combine
        ? ` combine(${s.combine.map((c) => `${c.op} ${c.variable}`).join(', ')})`
        : '';
      const range = `${dimKey(s.start)}..${dimKey(s.end)}`;
      // The range known of the axis is that of the loop, unless someone says otherwise.
      const known =
        s.axis.extent !== undefined && dimKey(s.axis.extent) === dimKey(s.end)
          ? boundText(s.axis)
          : symRange(s.axis);
      lines.push(`${indent}for ${s.axis.id}${known} in ${range}${step} ${s.role}${combine} {`);
      writeStmts(s.body, inner, lines);
      lines.push(`${indent}}`);
      return;
    }
    case 'let': {
      const text = value(s.value);
      lines.push(`${indent}let ${s.name}: ${s.value.type}${laneText(s.value.lanes)} = ${text}`);
      return;
    }
    case 'var': {
      const text = value(s.init);
      lines.push(`${indent}var ${s.name}: ${s.type}${laneText(s.lanes)} = ${text}`);
      return;
    }
    case 'set': {
      const text = value(s.value);
      lines.push(`${indent}${s.name} = ${text}`);
      return;
    }
    case 'store': {
      const text = value(s.value);
      const lanes = laneText(s.value.lanes);
      lines.push(`${indent}${s.buffer}${lanes}[${dimKey(s.index)}] = ${text}`);
      return;
    }
    case 'if': {
      const text = value(s.cond);
      lines.push(`${indent}if ${text} {`);
      writeStmts(s.then, inner, lines);
      if (s.else.length > 0) {
        lines.push(`${indent}} else {`);
        writeStmts(s.else, inner, lines);
      }
      lines.push(`${indent}}`);
      return;
    }
    case 'while': {
      // The temporaries belong to the condition, so they are printed where it is evaluated.
      const temps: string[] = [];
      const text = exprText(s.cond, inner, temps);
      if (temps.length === 0) lines.push(`${indent}while ${text} {`);
      else lines.push(`${indent}while {`, ...temps, `${indent}} ${text} do {`);
      writeStmts(s.body, inner, lines);
      lines.push(`${indent}}`);
      return;
    }
    case 'array':
      lines.push(`${indent}array ${s.name}: ${s.type}[${dimKey(s.length)}] {`);
      writeStmts(s.body, inner, lines);
      lines.push(`${indent}}`);
      return;
    case 'fail': {
      const text = value(s.when);
      lines.push(`${indent}fail ${dimKey(s.code)} when ${text}`);
      return;
    }
    case 'outline':
      lines.push(`${indent}outline ${s.name} {`);
      writeStmts(s.body, inner, lines);
      lines.push(`${indent}}`);
      return;
    default:
      s satisfies never;
  }
}

const below = (sign: string, d: Dim | undefined): string =>
  d === undefined ? '' : `${sign}${dimKey(d)}`;
const boundText = (s: Sym): string => below('<=', s.bound);
// A scheduler may size scratch memory by the ranges of symbols, so they are part of the meaning.
const symRange = (s: Sym): string => below('<', s.extent) + boundText(s);

/** The text of statements, one line each, nested ones indented by two more spaces. */
export function printStmts(stmts: readonly Stmt[], indent = ''): string {
  const lines: string[] = [];
  writeStmts(stmts, indent, lines);
  return lines.join('\n');
}

/** The complete text of a kernel; kernels with equal text are interchangeable. */
export function printKernel(k: Kernel | TiledKernel): string {
  const buffers = k.buffers.map((b) => `${b.name}: ${b.access} ${b.type}`).join(', ');
  const params = k.params.map((p) => `${p.id}${symRange(p)}`).join(', ');
  const lines = [`kernel ${k.name}(${buffers}) params(${params})`];
  lines.push(`  flops ${dimKey(k.flops)} bytes ${dimKey(k.bytes)}`);
  if ('tile' in k) lines.push(`  tile ${k.tile.id} of ${dimKey(k.tiles)}`);
  lines.push('{');
  writeStmts(k.body, '  ', lines);
  lines.push('}');
  return lines.join('\n');
}
