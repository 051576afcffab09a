import { SCORES } from '../masks/scores';
import { byScores } from './by-scores';
import type { Method } from './types';

/** Structured magnitude as in FLAP's comparison (arXiv 2312.11983). */
export const magnitudeL2 = {
  name: 'magnitude-l2',
  source: SCORES['magnitude-l2'].source,
  insideExperts: true,
  reads: [],
  allocations: ['uniform', 'threshold', 'energy'],
  recipe: () => byScores('magnitude-l2', 'survey'),
} as const satisfies Method;
