import type { PruneResult } from '../../pruning/result';

/** That what was written is what the run measured. */
export function checkedText({ actual, expected }: PruneResult['verification']): string {
  const difference = Math.abs(actual - expected);
  return difference === 0
    ? 'checked: reopened from disk, it gives the same loss as during the run'
    : `checked: reopened from disk, its loss differs by ${difference.toExponential(1)} from that during the run`;
}
