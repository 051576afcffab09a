import { fluctuations, meanOverGroups, SCORES } from '../masks/scores';
import { byScores } from './by-scores';
import type { Losses, Method } from './types';

/**
 * FLAP (arXiv 2312.11983): the fluctuation of a column says what is lost when x_j is replaced by its mean, and the mean
 * itself goes into the output map's bias.
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
  source: SCORES.fluctuation.source,
  reads: [],
  // Standardised scores may be negative: no energies can be made of them.
  allocations: ['uniform', 'threshold'],
  recipe: () => {
    const recipe = byScores('fluctuation', 'survey');
    return { ...recipe, curves: losses, refit: { ...recipe.refit, output: 'mean-bias' } };
  },
} as const satisfies Method;

const losses: Losses = (site, cost) =>
  meanOverGroups(standardise(fluctuations(site)), site.groupSize).map((score) => score * cost);

function standardise(values: Float64Array): Float64Array {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) * (value - mean), 0);
  const deviation = Math.sqrt(squares / Math.max(1, values.length - 1));
  // Where all columns are alike, none stands out.
  return values.map((value) => (deviation > 0 ? (value - mean) / deviation : 0));
}
