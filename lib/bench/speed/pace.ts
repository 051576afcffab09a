import type { BenchPace, BenchSpread } from '../../documents/bench';
import { median } from '../../median';

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
  return { median: median(values), least: Math.min(...values), most: Math.max(...values) };
}
