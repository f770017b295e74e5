// The one way passes change a function: all changes of a pass gathered, then applied in a single
// `produceWithPatches` of a private Immer. The patches are the pass's diff. Ids never change:
// nodes are appended, replaced in place, or have their uses redirected.

import { enablePatches, Immer, type Patch } from 'immer';
import type { Func, Node, Ref } from './func.ts';
import { refKey } from './walk.ts';

enablePatches();
const immer = new Immer({ autoFreeze: false });

/** Changes of one pass to one function. */
export class FuncEdit {
  readonly base: Func;
  private readonly replaced = new Map<number, Node>();
  private readonly appended: Node[] = [];
  private readonly redirects = new Map<string, Ref>();
  private readonly successors = new Map<number, number>();

  constructor(base: Func) {
    this.base = base;
  }

  /** The id that the next appended node must have. */
  get nextId(): number {
    return this.base.nodes.length + this.appended.length;
  }

  /** The node of an id as the edit has it so far (uses not yet redirected). */
  node(id: number): Node {
    return (
      this.replaced.get(id) ?? this.base.nodes[id] ?? this.appended[id - this.base.nodes.length]
    );
  }

  append(node: Node): void {
    this.appended.push(node);
  }

  replace(node: Node): void {
    if (node.id >= this.base.nodes.length) this.appended[node.id - this.base.nodes.length] = node;
    else this.replaced.set(node.id, node);
  }

  /** All uses of `from` become uses of `to`. */
  redirect(from: Ref, to: Ref): void {
    this.redirects.set(refKey(from), to);
  }

  /** All that waits for node `from` waits for `to`, which has its effects. */
  succeed(from: number, to: number): void {
    this.successors.set(from, to);
  }

  /** Where a ref leads after the redirects so far. */
  resolve(ref: Ref): Ref {
    let at = ref;
    for (let next = this.redirects.get(refKey(at)); next; next = this.redirects.get(refKey(at))) {
      at = next;
    }
    return at;
  }

  get isEmpty(): boolean {
    const { replaced, appended, redirects, successors } = this;
    return replaced.size + appended.length + redirects.size + successors.size === 0;
  }

  /** Applies everything; the base itself where nothing changed. */
  apply(): { func: Func; patches: Patch[] } {
    if (this.isEmpty) return { func: this.base, patches: [] };
    const { base } = this;
    const changes: Node[] = [];
    for (const old of base.nodes) {
      const next = this.redirected(this.replaced.get(old.id) ?? old);
      if (next !== old) changes.push(next);
    }
    const added = this.appended.map((n) => this.redirected(n));
    const results = base.results.map((r) => this.resolve(r));
    const sameResults = results.every((r, i) => r === base.results[i]);
    const effects = this.waited(base.effects);
    const [func, patches] = immer.produceWithPatches(base, (draft) => {
      // The draft is only written, with finished nodes: reading a draft would copy it node by node.
      const nodes = draft.nodes as Node[];
      for (const n of changes) nodes[n.id] = n;
      for (const n of added) nodes.push(n);
      if (!sameResults) draft.results = results;
      if (effects !== base.effects) draft.effects = [...effects];
    });
    return { func, patches };
  }

  private redirected(node: Node): Node {
    let changed = false;
    const inputs = node.inputs.map((r) => {
      const to = this.resolve(r);
      if (to !== r) changed = true;
      return to;
    });
    const controls = this.waited(node.controls);
    if (controls !== node.controls) changed = true;
    return changed ? Object.freeze({ ...node, inputs, controls }) : node;
  }

  /** What is waited for in place of the nodes; the same list where none has a successor. */
  private waited(ids: readonly number[]): readonly number[] {
    if (!ids.some((id) => this.successors.has(id))) return ids;
    return [...new Set(ids.map((id) => this.successors.get(id) ?? id))];
  }
}
