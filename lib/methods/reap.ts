import { MASK_DEFAULTS } from '../masks';
import { NO_REFIT } from './by-scores';
import type { Method } from './types';

/** REAP (arXiv 2510.13999): whole experts go, the same number of every layer, by scores on the dense model. */
export const reap = {
  name: 'reap',
  source: 'arXiv 2510.13999',
  scope: 'experts',
  reads: [],
  allocations: ['uniform'],
  recipe: () => ({
    statistics: 'diagonal',
    inputs: 'dense',
    curves: 'sweep',
    mask: { ...MASK_DEFAULTS, experts: 'reap' },
    refit: NO_REFIT,
  }),
} as const satisfies Method;
