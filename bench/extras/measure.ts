export async function measureExtra(
  name: string,
  _o: unknown,
): Promise<{ workload: string; ok: boolean; lines: string[] }> {
  throw new Error(name);
}
