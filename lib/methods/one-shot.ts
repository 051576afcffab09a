import { StruPruneError } from '../errors';
import type { ScoreMethod, SiteStatistics } from './types';

/**
 * One-shot OBS: every group by what its loss alone would cost with the others refitted (optimal brain surgeon,
 * Hassibi & Stork 1993, for groups), all at once; then one exact refit. The sweep without its updates.
 */
export const oneShot: ScoreMethod = {
  name: 'one-shot',
  source: 'optimal brain surgeon (Hassibi & Stork 1993), for groups',
  selection: 'scores',
  statistics: 'gram',
  inputs: 'sequential',
  refit: true,
  meanBias: false,
  allocations: ['uniform', 'threshold', 'energy'],
  scores,
  losses: scores,
};

function scores({ removalCost }: SiteStatistics): Float64Array {
  if (!removalCost) {
    throw new StruPruneError('ERR_INTERNAL', 'one-shot scores need the removal costs of the Gram');
  }
  return removalCost;
}
