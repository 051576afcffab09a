import { MASK_DEFAULTS } from '../masks';
import { ORDER } from '../masks/scores';
import { NO_REFIT } from './by-scores';
import type { Method } from './types';

/**
 * In the manner of GISP (arXiv 2510.18030): groups of all layers go by one order, those of the least importance a weight
 * first; importances are measured anew on the model as it is pruned so far, and nothing is refitted. The importance is the
 * first-order Taylor term of the calibration text's NLL without the group, |Σ W_ij ∂L/∂W_ij| over its columns of the output
 * map, whose gate it is. Its authors' program sums |W_ij ∂L/∂W_ij| over the single weights of all its maps, divides a
 * head's sum by its weights and a channel's by 3 × the FFN's width, and leaves the first tenth of the blocks and the last
 * one whole; here a channel's is divided by its weights too, as the budget counts them, and every block takes part.
 */
export const gisp = {
  name: 'gisp',
  source: 'in the manner of arXiv 2510.18030',
  reads: ['surveyTokens'],
  allocations: ['threshold'],
  recipe: () => ({
    statistics: 'order',
    inputs: 'survey',
    // The threshold's slope is the place in the order.
    curves: (site, cost) => ORDER.of(site).map((place) => place * cost),
    mask: { ...MASK_DEFAULTS, search: 'order' },
    refit: NO_REFIT,
  }),
} as const satisfies Method;
