import { REFITTED, refitted } from './refitted';
import type { Method } from './types';

/**
 * In the manner of FASP (arXiv 2501.09412): groups of the least Σ_i |W_ij| · ‖X_j‖₂ go, and the columns that stay are restored by
 * least squares, one layer after the other at one uniform share. With our ridge; its attention loses whole heads here.
 */
export const fasp = {
  ...REFITTED,
  name: 'fasp',
  source: 'in the manner of arXiv 2501.09412',
  recipe: (options) => refitted(options, { search: 'wanda-l1' }),
} as const satisfies Method;
