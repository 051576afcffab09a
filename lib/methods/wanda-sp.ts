import { momentsOf, sumOverGroups } from './statistics';
import type { ScoreMethod, SiteStatistics } from './types';

/**
 * Wanda-sp: Wanda's |W_ij| · ‖X_:j‖₂ (arXiv 2306.11695), its mean over the outputs i, summed over the columns
 * of a group (the structured form of arXiv 2312.11983). Sequential: the inputs come from the model pruned
 * so far, and inside a block attention goes before the FFN.
 */
export const wandaSp = {
  name: 'wanda-sp',
  source: 'arXiv 2306.11695, structured as in arXiv 2312.11983',
  selection: 'scores',
  statistics: 'diagonal',
  inputs: 'sequential',
  refit: false,
  meanBias: false,
  reads: [],
  allocations: ['uniform', 'threshold', 'energy'],
  scores,
  losses: scores,
} as const satisfies ScoreMethod;

function scores(site: SiteStatistics): Float64Array {
  const { second, tokens } = momentsOf(site);
  const columns = site.weightAbsMean.map((weight, j) => weight * Math.sqrt(second[j]! * tokens));
  return sumOverGroups(columns, site.groupSize);
}
