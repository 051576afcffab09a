/** The name that was probably meant; undefined where none is near: about one slip in three letters. */
export function closest(word: string, names: readonly string[]): string | undefined {
  const slips = names.map((name) => distance(word.toLowerCase(), name.toLowerCase()));
  const least = Math.min(...slips);
  return least <= Math.max(1, word.length / 3) ? names[slips.indexOf(least)] : undefined;
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
