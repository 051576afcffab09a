import { SCORES } from '../masks/scores';
import { byScores } from './by-scores';
import type { Method } from './types';

/**
 * The local score of UniPruning (arXiv 2510.03291), of whole groups: relative importance and activations of the dense model,
 * averaged over the calibration text. Without its mirror descent, which spreads one budget of single weights.
 */
export const unipruning = {
  name: 'unipruning',
  source: SCORES.ria.source,
  reads: [],
  allocations: ['uniform', 'threshold', 'energy'],
  recipe: () => byScores('ria', 'survey'),
} as const satisfies Method;
