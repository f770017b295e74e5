// Makes a function of a region: its members with the views, constants and reads that they look through,
// what comes from elsewhere as parameters, known sizes too. Invariant: members keep their names, by which the sizes that
// they find are called, and their order, which is that of unordered writes.

import type { DType } from '../core/dtype.ts';
import type { Attrs, Func, Node, Ref } from '../graph/func.ts';
import { opRecord } from '../graph/op.ts';
import { refKey } from '../graph/walk.ts';
import { type Analysis, isKnownSizes } from './analysis.ts';
import type { Region } from './place.ts';

export interface RegionFunc {
  readonly func: Func;
  /** What each parameter stands for. */
  readonly inputs: readonly Ref[];
}

/** The function of a region. Its results are the region's outputs. */
export function regionFunc(
  analysis: Analysis,
  region: Region,
  lacks: ReadonlySet<DType>,
): RegionFunc {
  return new RegionCopy(analysis, region, lacks).run();
}

class RegionCopy {
  private readonly analysis: Analysis;
  private readonly region: Region;
  private readonly lacks: ReadonlySet<DType>;
  private readonly members: ReadonlySet<number>;
  private readonly nodes: Node[] = [];
  private readonly params: number[] = [];
  private readonly inputs: Ref[] = [];
  /** Where what the region holds went, by node; and its inputs, by output. */
  private readonly copies = new Map<number, number>();
  private readonly brought = new Map<string, number>();

  constructor(analysis: Analysis, region: Region, lacks: ReadonlySet<DType>) {
    this.analysis = analysis;
    this.region = region;
    this.members = new Set(region.members);
    this.lacks = lacks;
  }

  run(): RegionFunc {
    const { members, outputs } = this.region;
    for (const id of members) this.copy(this.analysis.func.nodes[id]);
    const func: Func = {
      name: 'placed',
      params: this.params,
      captured: 0,
      nodes: this.nodes,
      results: outputs.map((r) => this.output(r)),
      effects: members.flatMap((id) => this.copies.get(id) ?? []),
    };
    return { func, inputs: this.inputs };
  }

  private at(ref: Ref): Ref {
    const copy = this.copies.get(ref.node);
    if (copy !== undefined) return { node: copy, port: ref.port };
    return { node: this.brought.get(refKey(ref)) as number, port: 0 };
  }

  /** Sizes among the members are parameters, and as such may be asked for elsewhere. */
  private output(ref: Ref): Ref {
    if (!this.copies.has(ref.node) && !this.brought.has(refKey(ref))) this.bring(ref);
    return this.at(ref);
  }

  /** Copies a node once all that it reads is there; chains of views may be long. */
  private copy(node: Node): void {
    const { nodes } = this.analysis.func;
    const stack = this.isTold(node) ? [] : [node.id];
    while (stack.length > 0) {
      const id = stack[stack.length - 1];
      if (this.copies.has(id)) {
        stack.pop();
        continue;
      }
      const waits: number[] = [];
      for (const ref of nodes[id].inputs) {
        if (this.copies.has(ref.node) || this.brought.has(refKey(ref))) continue;
        const source = nodes[ref.node];
        if (!this.isLookedThrough(source) || this.isTold(source)) this.bring(ref);
        else waits.push(ref.node);
      }
      if (waits.length > 0) {
        stack.push(...waits);
        continue;
      }
      stack.pop();
      const inputs = nodes[id].inputs.map((r) => this.at(r));
      const controls = this.controls(nodes[id]);
      this.copies.set(id, this.nodes.length);
      this.nodes.push(Object.freeze({ ...nodes[id], id: this.nodes.length, inputs, controls }));
    }
  }

  /** Whether a node holds sizes that are known before the region runs, so that they can be told. */
  private isTold(node: Node): boolean {
    if (!isKnownSizes(node) || node.attrs.data !== undefined) return false;
    const { solid, deps, sources } = this.analysis;
    const before = solid.has(node.id) ? deps(node.id) : sources(node.id);
    return ![...before].some((id) => this.members.has(id));
  }

  /** Whether a node is no work, and its value is not that of another device. */
  private isLookedThrough(node: Node): boolean {
    if (this.analysis.solid.has(node.id)) return false;
    const { form } = opRecord(node.op);
    if (form.kind === 'leaf') return node.attrs.data !== undefined;
    if (form.kind === 'readVariable') return this.lacks.has(node.types[0].dtype);
    return true;
  }

  private bring(ref: Ref): void {
    const source = this.analysis.func.nodes[ref.node];
    const type = source.types[ref.port];
    const value = source.values[ref.port] ?? null;
    const attrs = { index: this.params.length, type, value } as unknown as Attrs;
    const name = ref.port === 0 ? source.name : `${source.name}:${ref.port}`;
    const id = this.nodes.length;
    const { site } = source;
    const none = { inputs: [], controls: [], constraints: [] };
    const made = { id, op: 'param', name, attrs, types: [type], values: [value], ...none };
    this.nodes.push(Object.freeze(site ? { ...made, site } : made));
    this.params.push(id);
    this.inputs.push(ref);
    this.brought.set(refKey(ref), id);
  }

  /** The members of the region that a node must come after. */
  private controls(node: Node): number[] {
    const before = node.controls.flatMap((c) => [...this.analysis.sources(c)]);
    return [...new Set(before)].flatMap((id) => this.copies.get(id) ?? []);
  }
}
