// A line diff of two texts, for dumps of passes: lines removed and added, with unchanged ones around.

/** The lines of `after` against `before`: `- ` removed, `+ ` added, and `context` lines around. */
export function diffLines(before: string, after: string, context = 0): string[] {
  const a = before.split('\n');
  const b = after.split('\n');
  const out: string[] = [];
  // Lines are matched greedily in order; dumps have unique lines, so this is the longest match.
  let j = 0;
  for (let i = 0; i < a.length; i++) {
    const at = b.indexOf(a[i], j);
    if (at < 0) {
      out.push(`- ${a[i]}`);
      continue;
    }
    for (; j < at; j++) out.push(`+ ${b[j]}`);
    if (context > 0) out.push(`  ${a[i]}`);
    j = at + 1;
  }
  for (; j < b.length; j++) out.push(`+ ${b[j]}`);
  return out;
}
