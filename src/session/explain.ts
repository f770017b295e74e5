// How some fetches are compiled, as text for people: the function, what each pass changed, steps and
// kernels with their loops and device code, and the memory plan.

import type { Device } from '../backends/backend.ts';
import type { Dim } from '../core/dim.ts';
import { dimToString } from '../core/dim-text.ts';
import { typeToString } from '../core/type.ts';
import type { Graph } from '../graph/graph.ts';
import { printFunc } from '../graph/print.ts';
import { visit } from '../graph/walk.ts';
import { printKernel } from '../kernel/print.ts';
import { cutFunc } from '../passes/cut.ts';
import { mergeLoops } from '../passes/merge-loops.ts';
import { unifySizes } from '../passes/sizes.ts';
import type { BufferView, PlacedInput, PlacedStep, Plan, Step } from '../plan/types.ts';
import { diffLines } from '../util/diff.ts';
import { type Feedable, feedTarget } from './feeds.ts';
import { Program, type ProgramOptions } from './program.ts';
import type { FlatFetches } from './structure.ts';

/** The text of {@link Session.explain}. */
export function explainProgram(
  graph: Graph,
  flat: FlatFetches,
  feeds: readonly Feedable[],
  device: Device,
  options: ProgramOptions,
): string {
  const targets = feeds.map((f) => feedTarget(graph, f));
  const named = new Set(targets.flatMap((t) => t.refs.map((r) => r.node)));
  const needed = visit(graph.nodes, [...flat.refs.map((r) => r.node), ...flat.effects]);
  for (const id of needed.sort((a, b) => a - b)) {
    if (graph.nodes[id].op !== 'placeholder' || named.has(id)) continue;
    targets.push(feedTarget(graph, graph.tensor({ node: id, port: 0 })));
  }
  const cut = cutFunc(
    graph,
    flat.refs,
    flat.effects,
    targets.map((t) => ({ refs: t.refs, name: t.name, type: t.tensor.type })),
  );
  const program = new Program(unifySizes(mergeLoops(cut)), device, options);
  const out: string[] = ['# function', printFunc(program.func), ''];
  const plan = program.plan(
    program.pairs.map(() => 'eq'),
    (stage, before, after) => {
      const diff = before === after ? [] : diffLines(printFunc(before), printFunc(after));
      out.push(
        `# pass ${stage}: ${diff.length === 0 ? 'nothing' : `${diff.length} lines`}`,
        ...diff,
        '',
      );
    },
  );
  out.push(...planText(plan));
  const executable = device.compile(plan);
  plan.kernels.forEach((k, i) => {
    out.push(
      `# kernel ${i}: flops ${dimToString(k.flops)}, bytes ${dimToString(k.bytes)}`,
      printKernel(k),
    );
    const source = executable.source?.(i);
    if (source) out.push(source);
    out.push('');
  });
  const { arenaBytes, arenaLowerBound, slotBytes } = executable.stats();
  out.push(
    `# memory so far: arena ${arenaBytes} of at least ${arenaLowerBound} bytes, slots ${slotBytes}`,
  );
  executable.dispose();
  return out.join('\n');
}

/** Segments, steps and buffers of a plan as text. */
export function planText(plan: Plan): string[] {
  const out: string[] = [];
  const launches = plan.segments.reduce(
    (n, s) => n + (s.kind === 'device' ? countKernels(s.steps) : 0),
    0,
  );
  out.push(
    `# plan: ${launches} kernels in ${plan.segments.length} segment${plan.segments.length === 1 ? '' : 's'}, ` +
      `${plan.kernels.length} distinct`,
  );
  for (const c of plan.constraints) {
    out.push(`demand ${dimToString(c.a)} ${c.kind} ${dimToString(c.b)}  // ${c.node}`);
  }
  for (const [i, s] of plan.segments.entries()) {
    if (s.kind === 'placed') {
      out.push(`segment ${i} (placed on the ${s.step.device})`, ...placedText(s.step));
      continue;
    }
    out.push(`segment ${i} (${s.kind})`);
    if (s.kind === 'device') out.push(...stepsText(s.steps, '  '));
    else out.push(`  call ${s.step.node}`);
  }
  out.push('', '# buffers');
  for (const b of plan.buffers) {
    const live = b.kind === 'arena' ? `  live ${b.live[0]}..${b.live[1]}` : '';
    out.push(`@${b.id} ${b.kind} ${b.dtype}[${dimToString(b.elements)}]${live}  // ${b.label}`);
  }
  out.push(
    ...plan.results.map((r, i) => `result ${i}: ${viewText(r.view)} : ${typeToString(r.type)}`),
    '',
  );
  return out;
}

/** What is placed elsewhere: the nodes and why, what goes in and out, and the plan it is run by. */
function placedText({ plan, nodes, inputs, outputs, sizes, shared }: PlacedStep): string[] {
  const list = (of: readonly (PlacedInput | { view: BufferView; values?: undefined })[]): string =>
    of.map((v) => (v.values ? `[${dims(v.values)}]` : viewText(v.view))).join(', ') || 'nothing';
  const found = sizes.map((s) => `, size ${s.id}`).join('');
  return [
    ...nodes.map(({ name, why }) => `  ${name}: ${why}`),
    ...shared.map(({ name, view }) => `  variable ${name} ${viewText(view)} of the device`),
    `  from ${list(inputs)} to ${list(outputs)}${found}`,
    ...planText(plan).map((line) => (line === '' ? '' : `  | ${line}`)),
  ];
}

function countKernels(steps: readonly Step[]): number {
  let n = 0;
  for (const s of steps) {
    if (s.kind === 'kernel') n++;
    else if (s.kind === 'loop') n += countKernels(s.body) + countKernels(s.cond?.steps ?? []);
    else if (s.kind === 'branch') for (const b of s.branches) n += countKernels(b);
  }
  return n;
}

function viewText(v: BufferView): string {
  return v.offset === 0 ? `@${v.buffer}` : `@${v.buffer}+${dimToString(v.offset)}`;
}

function dims(list: readonly Dim[]): string {
  return list.map(dimToString).join(', ');
}

function stepsText(steps: readonly Step[], indent: string): string[] {
  return steps.flatMap((s): string[] => {
    switch (s.kind) {
      case 'kernel': {
        const args = [...s.views.map(viewText), ...(s.args.length > 0 ? [dims(s.args)] : [])].join(
          ', ',
        );
        return [`${indent}kernel ${s.kernel} (${args})  // ${s.nodes.join(' ')}`];
      }
      case 'bind':
        return [`${indent}bind ${s.sym.id} = ${viewText(s.view)}`];
      case 'let':
        return [`${indent}let ${s.sym.id} = ${dimToString(s.value)}`];
      case 'check': {
        const { a, b, kind } = s.constraint;
        return [`${indent}check ${dimToString(a)} ${kind} ${dimToString(b)}`];
      }
      case 'reserve':
        return [`${indent}reserve @${s.buffer} ${dimToString(s.elements)}`];
      case 'loop': {
        const limit = s.limit === null ? '' : ` to ${dimToString(s.limit)}`;
        return [
          `${indent}loop ${s.counter.id}${limit}`,
          ...(s.cond
            ? [
                `${indent}  while ${viewText(s.cond.predicate)}`,
                ...stepsText(s.cond.steps, `${indent}    `),
              ]
            : []),
          ...stepsText(s.body, `${indent}  `),
        ];
      }
      case 'branch':
        return [
          `${indent}branch on ${viewText(s.selector)}`,
          ...s.branches.flatMap((b, i) => [
            `${indent}  case ${i}`,
            ...stepsText(b, `${indent}    `),
          ]),
        ];
      default:
        return s satisfies never;
    }
  });
}
