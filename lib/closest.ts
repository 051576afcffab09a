/** Letters of a beginning that say enough. */
const LEAST_BEGINNING = 4;

/** The name that was probably meant: one with about one slip in three letters, or the shortest that begins so; else undefined. */
export function closest(word: string, names: readonly string[]): string | undefined {
  const slips = names.map((name) => distance(word.toLowerCase(), name.toLowerCase()));
  const least = Math.min(...slips);
  if (least <= Math.max(1, word.length / 3)) return names[slips.indexOf(least)];
  if (word.length < LEAST_BEGINNING) return undefined;
  const begun = names.filter((name) => name.toLowerCase().startsWith(word.toLowerCase()));
  return begun.sort((a, b) => a.length - b.length)[0];
}

/** Letters to add, drop or change, or neighbours to swap (optimal string alignment). */
function distance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = rows[i - 1]![j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      row[j] = Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, change);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) row[j] = Math.min(row[j]!, rows[i - 2]![j - 2]! + 1);
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
}
