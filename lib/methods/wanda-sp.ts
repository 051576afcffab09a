import { SCORES } from '../masks/scores';
import { byScores } from './by-scores';
import type { Method } from './types';

/**
 * Wanda-sp, the structured Wanda of FLAP's comparison (arXiv 2312.11983). Sequential: the inputs come from the model pruned
 * so far, and inside a block attention goes before the FFN.
 */
export const wandaSp = {
  name: 'wanda-sp',
  source: SCORES['wanda-l1'].source,
  insideExperts: true,
  reads: [],
  allocations: ['uniform', 'threshold', 'energy'],
  recipe: () => byScores('wanda-l1', 'sequential'),
} as const satisfies Method;
