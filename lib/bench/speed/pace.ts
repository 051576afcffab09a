import type { BenchPace, BenchSpread } from '../schema';

/** Seconds of every round of the dense and of the pruned model, of so many tokens each. */
export function paceOf(
  [dense, pruned]: readonly [readonly number[], readonly number[]],
  tokens: number,
  allowed: number,
): BenchPace {
  const ratio = spreadOf(dense.map((seconds, round) => seconds / pruned[round]!));
  return {
    dense: spreadOf(dense.map((seconds) => tokens / seconds)),
    pruned: spreadOf(pruned.map((seconds) => tokens / seconds)),
    ratio,
    allowed,
    noise: ratio.median > allowed,
  };
}

function spreadOf(values: readonly number[]): BenchSpread {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle]!;
  const median = sorted.length % 2 ? upper : (sorted[middle - 1]! + upper) / 2;
  return { median, least: sorted[0]!, most: sorted.at(-1)! };
}
