import { REFITTED, refitted } from './refitted';
import type { Method } from './types';

/**
 * In the manner of OSSCAR (arXiv 2403.12983): layer-wise reconstruction as a combinatorial problem, groups
 * removed greedily with low-rank updates of the inverse, local exchanges at the end, kept weights refitted,
 * layers one after the other at one uniform share. Ours runs on the native sweep, one removal at a time.
 */
export const osscar = {
  ...REFITTED,
  name: 'osscar',
  source: 'in the manner of arXiv 2403.12983',
  recipe: (options) => refitted(options, { search: 'sweep', swaps: Number.POSITIVE_INFINITY }),
} as const satisfies Method;
