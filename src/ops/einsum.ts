// Einstein summation: reads an equation and composes it of sums, products, views and contractions.
// Operands are transposed rather than results wherever that suffices: a transposed operand is an index
// expression of the contraction, a transposed result would be a copy.

import type { Dim } from '../core/dim.ts';
import { dimToString } from '../core/dim-text.ts';
import { ShapeError, ValueError } from '../core/error.ts';
import { checkNoOptions, isRecord } from '../core/options.ts';
import { typeToString } from '../core/type.ts';
import { getDefaultGraph } from '../graph/graph.ts';
import type { Tensor } from '../graph/tensor.ts';
import { equal, select } from './compare.ts';
import { inGraphOf, isSymbolic, type TensorLike, toTensor } from './convert.ts';
import { dotGeneral } from './linear.ts';
import { mul } from './math.ts';
import { reduceSum } from './reduce.ts';
import { expandDims, reshape, size as sizeAlong, transpose } from './shape.ts';
import { range } from './slicing.ts';
import { sizesAt, vectorOf } from './window-sizes.ts';

/** A tensor and the labels of its axes. */
interface Term {
  readonly tensor: Tensor;
  readonly labels: readonly string[];
}

/** Labels of one operand or of the result; null stands for an ellipsis. */
type Spec = readonly (string | null)[];

function fail(equation: string, what: string, operands: readonly Tensor[], fix: string): never {
  const got = operands.map((t) => typeToString(t.type)).join(' and ') || 'no operands';
  throw new ValueError('value/einsum', `einsum "${equation}": ${what}, got ${got}. ${fix}`);
}

/** The labels of each operand and, where written, of the result. */
function parse(
  equation: string,
  operands: readonly Tensor[],
): { inputs: readonly Spec[]; output: Spec | null } {
  const text = equation.replace(/\s+/g, '');
  const [left, right, ...more] = text.split('->');
  const fix =
    'Write letters for axes, commas between operands, and "->" before the result: "ij,jk->ik".';
  if (more.length > 0) fail(equation, 'there is more than one "->"', operands, fix);
  const read = (part: string): Spec => {
    const out: (string | null)[] = [];
    for (let i = 0; i < part.length; i++) {
      if (part.startsWith('...', i)) {
        out.push(null);
        i += 2;
      } else if (/[A-Za-z]/.test(part[i])) out.push(part[i]);
      else fail(equation, `"${part[i]}" is no label`, operands, fix);
    }
    if (out.filter((l) => l === null).length > 1) {
      fail(equation, `"${part}" has more than one ellipsis`, operands, fix);
    }
    return out;
  };
  const inputs = left.split(',').map(read);
  if (inputs.length !== operands.length) {
    fail(
      equation,
      `the equation has ${inputs.length} operands, not ${operands.length}`,
      operands,
      'Give a tensor for each.',
    );
  }
  if (right === undefined) return { inputs, output: null };
  if (right.includes(',')) fail(equation, 'there is more than one result', operands, fix);
  return { inputs, output: read(right) };
}

/** The axis of an ellipsis that is `n`-th from its end. */
function hidden(n: number): string {
  return `.${n}`;
}

/** Names the axes of an ellipsis, from the right, so that they line up among operands. */
function settle(spec: Spec, many: number): string[] {
  return spec.flatMap((l) =>
    l === null ? Array.from({ length: many }, (_, i) => hidden(many - 1 - i)) : [l],
  );
}

function count(list: readonly string[], label: string): number {
  return list.filter((l) => l === label).length;
}

/** The operands with a label for each axis, and the labels of the result. */
function label(
  equation: string,
  operands: readonly Tensor[],
): { terms: Term[]; output: readonly string[] } {
  const { inputs, output } = parse(equation, operands);
  let most = 0;
  const labels = inputs.map((spec, i) => {
    const { rank } = operands[i];
    const open = spec.includes(null);
    const written = spec.length - (open ? 1 : 0);
    if (open && rank === null) {
      fail(
        equation,
        `the rank of operand ${i} is unknown, so that its ellipsis is`,
        operands,
        'Write a letter for each axis.',
      );
    }
    if (rank !== null && (open ? rank < written : rank !== written)) {
      fail(
        equation,
        `operand ${i} has ${rank} axes, the equation names ${written}`,
        operands,
        'Name each axis once, or use "..." for those in between.',
      );
    }
    const many = open ? (rank as number) - written : 0;
    most = Math.max(most, many);
    return settle(spec, many);
  });
  const all = labels.flat();
  const seen = [...new Set(all)];
  const shared = Array.from({ length: most }, (_, i) => hidden(most - 1 - i));
  const out = output
    ? settle(output, most)
    : [...shared, ...seen.filter((l) => !l.startsWith('.') && count(all, l) === 1).sort()];
  for (const l of out) {
    if (!seen.includes(l)) {
      fail(equation, `the label "${l}" of the result is in no operand`, operands, 'Remove it.');
    }
    if (count(out, l) > 1) {
      fail(equation, `the result has the label "${l}" twice`, operands, 'Name each axis once.');
    }
  }
  checkSizes(equation, operands, labels);
  return { terms: operands.map((tensor, i) => ({ tensor, labels: labels[i] })), output: out };
}

/** Demands that known sizes of one label agree; those of an ellipsis may be 1. */
function checkSizes(
  equation: string,
  operands: readonly Tensor[],
  labels: readonly (readonly string[])[],
): void {
  const known = new Map<string, Dim>();
  labels.forEach((list, i) => {
    list.forEach((l, axis) => {
      const d = operands[i].shape?.[axis];
      if (typeof d !== 'number' || (l.startsWith('.') && d === 1)) return;
      const old = known.get(l);
      if (old === undefined) known.set(l, d);
      else if (old !== d) {
        const got = operands.map((t) => typeToString(t.type)).join(' and ');
        const what = l.startsWith('.') ? 'an axis of "..."' : `the label "${l}"`;
        throw new ShapeError(
          'shape/einsum',
          `einsum "${equation}": ${what} has the sizes ${dimToString(old)} and ${d}, got ${got}. Make them equal.`,
        );
      }
    });
  });
}

/** Sums a term over labels. */
function sumOver({ tensor, labels }: Term, drop: (label: string) => boolean): Term {
  const axes = labels.flatMap((l, i) => (drop(l) ? [i] : []));
  if (axes.length === 0) return { tensor, labels };
  return { tensor: reduceSum(tensor, { axis: axes }), labels: labels.filter((l) => !drop(l)) };
}

/** A term in which no label occurs twice: what is off the diagonal is left out. */
function diagonal(term: Term): Term {
  let { tensor, labels } = term;
  for (let i = labels.length - 1; i > 0; i--) {
    const first = labels.indexOf(labels[i]);
    if (first === i) continue;
    const along = (axis: number): Tensor =>
      labels
        .slice(axis + 1)
        .reduce<Tensor>((t) => expandDims(t, -1), range(sizeAlong(tensor, { axis })));
    const on = equal(along(first), along(i));
    tensor = reduceSum(select(on, tensor, 0), { axis: i });
    labels = labels.filter((_, j) => j !== i);
  }
  return { tensor, labels };
}

/** Leaves out axes of an ellipsis that are repeated: of size 1 where another operand's are not. */
function unrepeated(terms: readonly Term[]): Term[] {
  const wide = (l: string): boolean =>
    terms.some((t) => t.labels.some((m, i) => m === l && t.tensor.shape?.[i] !== 1));
  return terms.map(({ tensor, labels }) => {
    const drop = labels.map((l, i) => l.startsWith('.') && tensor.shape?.[i] === 1 && wide(l));
    if (!drop.includes(true)) return { tensor, labels };
    const kept = labels.flatMap((_, i) => (drop[i] ? [] : [i]));
    return {
      tensor: reshape(tensor, vectorOf(sizesAt(tensor, kept))),
      labels: kept.map((i) => labels[i]),
    };
  });
}

/** A term with its axes in an order. */
function ordered({ tensor, labels }: Term, order: readonly string[]): Term {
  if (order.every((l, i) => l === labels[i])) return { tensor, labels };
  return {
    tensor: transpose(
      tensor,
      order.map((l) => labels.indexOf(l)),
    ),
    labels: order,
  };
}

/** A term with axes for all of `order`, of size 1 where it has none of its own. */
function spread(term: Term, order: readonly string[]): Tensor {
  const own = order.filter((l) => term.labels.includes(l));
  let { tensor } = ordered(term, own);
  order.forEach((l, axis) => {
    if (!own.includes(l)) tensor = expandDims(tensor, axis);
  });
  return tensor;
}

/** The product of two terms, summed over labels that `keep` does not name; axes as in `keep` if it can. */
function product(a: Term, b: Term, keep: readonly string[]): Term {
  const needed = (l: string): boolean => keep.includes(l);
  const x = sumOver(a, (l) => !needed(l) && !b.labels.includes(l));
  const y = sumOver(b, (l) => !needed(l) && !a.labels.includes(l));
  const contracted = x.labels.filter((l) => y.labels.includes(l) && !needed(l));
  const order = keep.filter((l) => x.labels.includes(l) || y.labels.includes(l));
  if (contracted.length === 0) {
    return { tensor: mul(spread(x, order), spread(y, order)), labels: order };
  }
  const batch = order.filter((l) => x.labels.includes(l) && y.labels.includes(l));
  const rest = order.filter((l) => !batch.includes(l));
  // The operand whose own axes come first in the result is the first operand.
  const swap = rest.length > 0 && y.labels.includes(rest[0]);
  const [first, second] = (swap ? [y, x] : [x, y]).map((t) =>
    ordered(
      t,
      inPlace(
        t.labels,
        rest.filter((l) => t.labels.includes(l)),
      ),
    ),
  );
  const at = (t: Term, labels: readonly string[]): number[] =>
    labels.map((l) => t.labels.indexOf(l));
  const tensor = dotGeneral(first.tensor, second.tensor, {
    lhsBatch: at(first, batch),
    rhsBatch: at(second, batch),
    lhsContract: at(first, contracted),
    rhsContract: at(second, contracted),
  });
  const own = (t: Term): string[] => t.labels.filter((l) => rest.includes(l));
  return { tensor, labels: [...batch, ...own(first), ...own(second)] };
}

/** `labels` with those that are in `order` put in that order, all others where they were. */
function inPlace(labels: readonly string[], order: readonly string[]): string[] {
  let next = 0;
  return labels.map((l) => (order.includes(l) ? order[next++] : l));
}

/**
 * Einstein summation: the sum of products of the operands over all labels that the result lacks. The
 * equation names each axis by a letter: "ij,jk->ik" is a matrix product. Without "->" the result has
 * the labels that occur once, in alphabetical order. A label twice in one operand takes its diagonal.
 * "..." stands for the axes between, which broadcast. More than two operands are multiplied from left
 * to right. Throws ValueError `value/einsum` for a malformed equation, ShapeError `shape/einsum` where
 * sizes of one label differ.
 *
 * ```ts
 * const scores = tl.einsum('bqd,bkd->bqk', queries, keys);
 * ```
 */
export function einsum(equation: string, ...operands: readonly TensorLike[]): Tensor {
  checkNoOptions(
    'einsum',
    operands.filter((x) => isRecord(x) && !isSymbolic(x)),
  );
  return inGraphOf(operands, () => {
    const like = operands.find((x) => isSymbolic(x));
    const dtype = like === undefined ? undefined : toTensor(like).dtype;
    return getDefaultGraph().nameScope('einsum', () => {
      const tensors = operands.map((x) => toTensor(x, dtype));
      const { terms, output } = label(equation, tensors);
      const [first, ...others] = unrepeated(terms.map(diagonal));
      let result = first;
      others.forEach((term, i) => {
        const later = others.slice(i + 1).flatMap((t) => t.labels);
        const extra = [...result.labels, ...term.labels].filter((l) => later.includes(l));
        result = product(result, term, [...new Set([...output, ...extra])]);
      });
      return ordered(
        sumOver(result, (l) => !output.includes(l)),
        output,
      ).tensor;
    });
  });
}
