// The checks that make kernel IR trustworthy between passes: a table of named rules, each looking
// at one statement or one expression in its scope. Invariant: a kernel that passes has a meaning
// for the interpreter and every code generator; a broken one is reported by rule and place.

import { type Dim, dimKey } from '../core/dim.ts';
import { symsOf } from '../core/dim-syms.ts';
import { InternalError } from '../core/error.ts';
import { argsOf, type Expr, type Lanes, type ScalarType } from './expr.ts';
import type { AxisRole, BufferParam, Combine, Kernel, Stmt, TiledKernel } from './ir.ts';
import { blocksOf, dimsOf, exprsOf, walkExprs } from './rewrite.ts';
import { loadedType } from './scalar.ts';

interface Local {
  readonly kind: 'let' | 'var';
  readonly type: ScalarType;
  readonly lanes: Lanes;
}

interface Memory {
  readonly type: ScalarType;
  readonly access: BufferParam['access'];
}

/** What a statement sees. The maps hold outer bindings too. */
interface Scope {
  readonly locals: ReadonlyMap<string, Local>;
  readonly syms: ReadonlySet<string>;
  readonly memory: ReadonlyMap<string, Memory>;
}

/** A rule gives what is wrong, or undefined. */
interface StmtRule {
  readonly name: string;
  readonly check: (s: Stmt, scope: Scope) => string | undefined;
}
interface ExprRule {
  readonly name: string;
  readonly check: (e: Expr, scope: Scope) => string | undefined;
}
interface KernelRule {
  readonly name: string;
  readonly check: (k: Kernel | TiledKernel) => string | undefined;
}

const ROLES: readonly AxisRole[] = ['grid', 'lane', 'reduce', 'serial'];
const FLOAT: readonly ScalarType[] = ['f32', 'f64'];
const INT: readonly ScalarType[] = ['i32', 'u32', 'i64'];
const WORD: readonly ScalarType[] = ['i32'];
const NUMERIC: readonly ScalarType[] = [...FLOAT, ...INT];
const BITS: readonly ScalarType[] = [...INT, 'bool'];

const shape = (type: ScalarType, lanes: Lanes): string => (lanes === 1 ? type : `${type}x${lanes}`);
const shapeOf = (x: { type: ScalarType; lanes: Lanes }): string => shape(x.type, x.lanes);

function expectShape(what: string, e: Expr, type: ScalarType, lanes: Lanes): string | undefined {
  if (e.type === type && e.lanes === lanes) return undefined;
  return `${what} is ${shapeOf(e)}, not ${shape(type, lanes)}`;
}

function unboundSym(dims: readonly Dim[], scope: Scope): string | undefined {
  for (const d of dims) {
    for (const id of symsOf(d).keys()) {
      if (!scope.syms.has(id)) return `symbol "${id}" of ${dimKey(d)} is not bound here`;
    }
  }
  return undefined;
}

/** The operand types that the operation of an expression has. */
function operandTypes(e: Expr): readonly ScalarType[] | undefined {
  if (e.op === 'unary') {
    switch (e.fn) {
      case 'not':
        return ['bool'];
      case 'neg':
      case 'abs':
        return NUMERIC;
      default:
        return FLOAT;
    }
  }
  if (e.op === 'binary') {
    switch (e.fn) {
      case 'and':
      case 'or':
      case 'xor':
        return BITS;
      case 'shl':
      case 'shr':
      case 'shru':
        return INT;
      case 'mulhiu':
        return WORD;
      default:
        return NUMERIC;
    }
  }
  if (e.op === 'madd') return FLOAT;
  return e.op === 'bitcast' ? NUMERIC : undefined;
}

function resultProblem(e: Expr): string | undefined {
  const args = argsOf(e);
  const wrong = (type: ScalarType, lanes: Lanes): string | undefined =>
    expectShape(`the result of ${e.op}`, e, type, lanes);
  switch (e.op) {
    case 'unary': {
      const type = e.fn === 'not' || e.fn === 'isnan' ? 'bool' : args[0].type;
      return wrong(type, args[0].lanes);
    }
    case 'binary':
    case 'madd':
      return wrong(args[0].type, args[0].lanes);
    case 'compare':
      return wrong('bool', args[0].lanes);
    case 'select':
      return wrong(args[1].type, args[1].lanes);
    case 'cast':
    case 'bitcast':
      return wrong(e.type, args[0].lanes);
    case 'dim':
      return wrong('i32', 1);
    case 'splat':
      return e.lanes === 1 ? 'splat to one lane' : wrong(args[0].type, e.lanes);
    case 'pack':
      return wrong(args[0].type, args.length as Lanes);
    case 'extract':
      return wrong(args[0].type, 1);
    case 'const':
    case 'let':
    case 'var':
    case 'load':
      return undefined;
    default:
      return e satisfies never;
  }
}

const EXPR_RULES: readonly ExprRule[] = [
  {
    name: 'local-defined',
    check: (e, scope) => {
      if (e.op !== 'let' && e.op !== 'var') return undefined;
      const local = scope.locals.get(e.name);
      if (!local) return `${e.op} "${e.name}" is used before it is defined`;
      if (local.kind !== e.op) return `"${e.name}" is a ${local.kind}, used as a ${e.op}`;
      return expectShape(`the use of "${e.name}"`, e, local.type, local.lanes);
    },
  },
  {
    name: 'buffer-exists',
    check: (e, scope) => {
      if (e.op !== 'load') return undefined;
      const memory = scope.memory.get(e.buffer);
      if (!memory) return `load of unknown buffer "${e.buffer}"`;
      if (memory.type === e.type) return undefined;
      return `load of ${e.type} from ${e.buffer} of ${memory.type}`;
    },
  },
  {
    name: 'symbol-bound',
    check: (e, scope) => {
      if (e.op === 'dim') return unboundSym([e.dim], scope);
      return e.op === 'load' ? unboundSym([e.index], scope) : undefined;
    },
  },
  {
    name: 'operand-agreement',
    check: (e) => {
      const args = argsOf(e);
      const same = e.op === 'select' ? args.slice(1) : args;
      const [first, ...rest] = same;
      for (const a of rest) {
        if (shapeOf(a) !== shapeOf(first)) {
          return `${e.op} of ${args.map(shapeOf).join(', ')}`;
        }
      }
      if (e.op === 'select') return expectShape('the condition', args[0], 'bool', args[1].lanes);
      if (e.op === 'splat' || e.op === 'pack') {
        return expectShape(`an operand of ${e.op}`, first, first.type, 1);
      }
      if (e.op !== 'extract') return undefined;
      return e.lane < first.lanes ? undefined : `extract of lane ${e.lane} of ${shapeOf(first)}`;
    },
  },
  {
    name: 'operand-type',
    check: (e) => {
      const types = operandTypes(e);
      const [first] = argsOf(e);
      if (!types || types.includes(first.type)) return undefined;
      return `${'fn' in e ? e.fn : e.op} of ${first.type}`;
    },
  },
  { name: 'result-type', check: resultProblem },
];

/** The accumulators of a split loop must be variables that live outside it. */
function combineProblem(c: Combine, scope: Scope): string | undefined {
  const local = scope.locals.get(c.variable);
  if (local?.kind !== 'var') return `combine of "${c.variable}", which is no variable here`;
  const logical = c.op === 'and' || c.op === 'or';
  const fits = logical ? !FLOAT.includes(local.type) : local.type !== 'bool';
  return fits ? undefined : `combine ${c.op} of "${c.variable}" of ${local.type}`;
}

const STMT_RULES: readonly StmtRule[] = [
  {
    name: 'no-redefinition',
    check: (s, scope) => {
      const name =
        s.kind === 'let' || s.kind === 'var' || s.kind === 'array'
          ? s.name
          : s.kind === 'for'
            ? s.axis.id
            : undefined;
      if (name === undefined) return undefined;
      const taken = scope.locals.has(name) || scope.syms.has(name) || scope.memory.has(name);
      return taken ? `${s.kind} "${name}" hides a name in scope` : undefined;
    },
  },
  {
    name: 'local-type',
    check: (s, scope) => {
      if (s.kind === 'var') return expectShape(`init of "${s.name}"`, s.init, s.type, s.lanes);
      if (s.kind !== 'set') return undefined;
      const local = scope.locals.get(s.name);
      return local && expectShape(`value of "${s.name}"`, s.value, local.type, local.lanes);
    },
  },
  {
    name: 'set-of-var',
    check: (s, scope) => {
      if (s.kind !== 'set') return undefined;
      const local = scope.locals.get(s.name);
      if (!local) return `set of "${s.name}" before it is defined`;
      return local.kind === 'var' ? undefined : `set of the immutable "${s.name}"`;
    },
  },
  {
    name: 'buffer-exists',
    check: (s, scope) => {
      if (s.kind !== 'store') return undefined;
      const memory = scope.memory.get(s.buffer);
      if (!memory) return `store to unknown buffer "${s.buffer}"`;
      if (memory.type === s.value.type) return undefined;
      return `store of ${s.value.type} to ${s.buffer} of ${memory.type}`;
    },
  },
  {
    name: 'buffer-access',
    check: (s, scope) =>
      s.kind === 'store' && scope.memory.get(s.buffer)?.access === 'read'
        ? `store to the read-only buffer "${s.buffer}"`
        : undefined,
  },
  { name: 'symbol-bound', check: (s, scope) => unboundSym(dimsOf(s), scope) },
  {
    name: 'condition-type',
    check: (s) => {
      if (s.kind === 'if' || s.kind === 'while') {
        return expectShape(`the condition of ${s.kind}`, s.cond, 'bool', 1);
      }
      if (s.kind !== 'fail') return undefined;
      return expectShape('the condition of fail', s.when, 'bool', s.when.lanes);
    },
  },
  {
    name: 'loop-role',
    check: (s) =>
      s.kind === 'for' && !ROLES.includes(s.role)
        ? `loop "${s.axis.id}" of role "${s.role}"`
        : undefined,
  },
  {
    name: 'loop-step',
    check: (s) =>
      s.kind === 'for' && !(Number.isInteger(s.step) && s.step > 0)
        ? `loop "${s.axis.id}" of step ${s.step}`
        : undefined,
  },
  {
    name: 'loop-combine',
    check: (s, scope) => {
      if (s.kind !== 'for' || !s.combine) return undefined;
      if (s.role !== 'reduce') return `combine on the ${s.role} loop "${s.axis.id}"`;
      for (const c of s.combine) {
        const problem = combineProblem(c, scope);
        if (problem) return problem;
      }
      return undefined;
    },
  },
];

function repeated(names: readonly string[]): string | undefined {
  return names.find((n, i) => names.indexOf(n) !== i);
}

const KERNEL_RULES: readonly KernelRule[] = [
  {
    name: 'unique-names',
    check: (k) => {
      const tile = 'tile' in k ? [k.tile.id] : [];
      const names = [...k.buffers.map((b) => b.name), ...k.params.map((p) => p.id), ...tile];
      const name = repeated(names);
      return name === undefined ? undefined : `two buffers or params are called "${name}"`;
    },
  },
  {
    name: 'cost-of-params',
    check: (k) => {
      const dims = [k.flops, k.bytes, ...('tile' in k ? [k.tiles] : [])];
      const syms = new Set(k.params.map((p) => p.id));
      return unboundSym(dims, { locals: new Map(), syms, memory: new Map() });
    },
  },
];

/** The names of all rules, as errors give them. */
export const VERIFY_RULES: readonly string[] = [
  ...new Set([...KERNEL_RULES, ...STMT_RULES, ...EXPR_RULES].map((r) => r.name)),
];

class Verifier {
  private readonly kernel: Kernel | TiledKernel;

  constructor(kernel: Kernel | TiledKernel) {
    this.kernel = kernel;
  }

  run(): void {
    const k = this.kernel;
    for (const r of KERNEL_RULES) this.report(r.name, r.check(k));
    const syms = new Set(k.params.map((p) => p.id));
    if ('tile' in k) syms.add(k.tile.id);
    const memory = new Map<string, Memory>(
      k.buffers.map((b) => [b.name, { type: loadedType(b.type), access: b.access }]),
    );
    this.block(k.body, { locals: new Map(), syms, memory });
  }

  private report(rule: string, problem: string | undefined): void {
    if (problem === undefined) return;
    throw new InternalError(`kernel "${this.kernel.name}" breaks rule ${rule}: ${problem}`);
  }

  private block(stmts: readonly Stmt[], outer: Scope): void {
    const locals = new Map(outer.locals);
    const syms = new Set(outer.syms);
    const scope: Scope = { locals, syms, memory: outer.memory };
    // What was checked under fewer names of the same block still holds under more.
    const seen = new Set<Expr>();
    for (const s of stmts) {
      walkExprs(
        exprsOf(s),
        (e) => {
          for (const r of EXPR_RULES) this.report(r.name, r.check(e, scope));
        },
        seen,
      );
      for (const r of STMT_RULES) this.report(r.name, r.check(s, scope));
      for (const b of blocksOf(s)) this.block(b, innerScope(s, scope));
      if (s.kind === 'let') {
        const { type, lanes } = s.value;
        locals.set(s.name, { kind: 'let', type, lanes });
        if (type === 'i32' && lanes === 1) syms.add(s.name);
      } else if (s.kind === 'var') {
        locals.set(s.name, { kind: 'var', type: s.type, lanes: s.lanes });
      }
    }
  }
}

function innerScope(s: Stmt, scope: Scope): Scope {
  if (s.kind === 'for') return { ...scope, syms: new Set(scope.syms).add(s.axis.id) };
  if (s.kind !== 'array') return scope;
  const memory: Memory = { type: s.type, access: 'readwrite' };
  return { ...scope, memory: new Map(scope.memory).set(s.name, memory) };
}

/**
 * Checks that a kernel is well formed; throws an `InternalError` that names the kernel and the rule
 * it breaks (one of {@link VERIFY_RULES}).
 */
export function verifyKernel(kernel: Kernel | TiledKernel): void {
  new Verifier(kernel).run();
}
