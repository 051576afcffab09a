import { StruPruneError } from '../errors';
import type { SiteStatistics } from './types';

/** Σ over the columns of each group. */
export function sumOverGroups(columns: Float64Array, groupSize: number): Float64Array {
  const sums = new Float64Array(columns.length / groupSize);
  columns.forEach((value, j) => {
    sums[Math.floor(j / groupSize)]! += value;
  });
  return sums;
}

/** Column moments of X, checked to be there and finite. */
export function momentsOf(site: SiteStatistics) {
  const { second, mean, tokens } = site;
  if (!second || !mean || !tokens) {
    throw new StruPruneError('ERR_INTERNAL', 'this method needs column statistics of the inputs');
  }
  if (!second.every(Number.isFinite) || !mean.every(Number.isFinite)) {
    throw new StruPruneError('ERR_NAN', 'the inputs of a map are not finite');
  }
  return { second, mean, tokens };
}
