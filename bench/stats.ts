// Order statistics of timings.

/** The value below which `share` of the values lie, between neighbours by proportion. */
export function quantile(values: readonly number[], share: number): number {
  if (values.length === 0) return Number.NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const at = share * (sorted.length - 1);
  const low = Math.floor(at);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (at - low) * (sorted[high] - sorted[low]);
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** From the tenth to the ninetieth percentile. */
export function spreadOf(values: readonly number[]): readonly [number, number] {
  return [quantile(values, 0.1), quantile(values, 0.9)];
}
