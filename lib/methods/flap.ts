import { momentsOf, sumOverGroups } from './statistics';
import type { ScoreMethod, SiteStatistics } from './types';

/**
 * FLAP (arXiv 2312.11983): the fluctuation of a column, sample variance of x_j times ‖W_:j‖² (WIFV), says what
 * is lost when x_j is replaced by its mean, and the mean itself goes into the output map's bias.
 *
 * Between layers (its adaptive search over layers and modules, AL-AM): scores are standardised over the columns
 * of each site, averaged over the columns of a group, and the lowest go everywhere until the budget is met. A
 * group's cost counts in the budget but not in the order: hence losses = standardised score × cost, which
 * makes the threshold rule's slope (loss per weight) the standardised score itself.
 *
 * The deviation is the unbiased one (n − 1). The authors' program squares attention's scores before
 * standardising; the paper does not, nor does this.
 */
export const flap = {
  name: 'flap',
  source: 'arXiv 2312.11983',
  selection: 'scores',
  statistics: 'diagonal',
  inputs: 'dense',
  refit: false,
  meanBias: true,
  reads: [],
  // Standardised scores may be negative: no energies can be made of them.
  allocations: ['uniform', 'threshold'],
  scores: (site) => meanOverGroups(fluctuations(site), site.groupSize),
  losses: (site, cost) =>
    meanOverGroups(standardise(fluctuations(site)), site.groupSize).map((score) => score * cost),
} as const satisfies ScoreMethod;

function fluctuations(site: SiteStatistics): Float64Array {
  const { second, mean, tokens } = momentsOf(site);
  const unbiased = tokens / Math.max(1, tokens - 1);
  return site.weightNormSq.map((normSq, j) => {
    // The difference of two rounded moments of a constant column may fall below 0.
    const variance = Math.max(0, second[j]! - mean[j]! ** 2) * unbiased;
    return variance * normSq;
  });
}

function standardise(values: Float64Array): Float64Array {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) * (value - mean), 0);
  const deviation = Math.sqrt(squares / Math.max(1, values.length - 1));
  // Where all columns are alike, none stands out.
  return values.map((value) => (deviation > 0 ? (value - mean) / deviation : 0));
}

function meanOverGroups(columns: Float64Array, groupSize: number): Float64Array {
  return sumOverGroups(columns, groupSize).map((sum) => sum / groupSize);
}
