import { MASK_DEFAULTS } from '../masks';
import { SCORES, type ScoreName } from '../masks/scores';
import type { Recipe, RefitRecipe } from './types';

/** Kept weights stay as they are. */
export const NO_REFIT: RefitRecipe = {
  output: 'kept',
  bias: 'keep',
  inputs: { by: 'none' },
  alpha: 0,
  beta: 0,
};

/** Groups of the best one-shot scores stay, as they are; their scores are their losses too. */
export function byScores(score: ScoreName, inputs: Recipe['inputs']): Recipe {
  const { statistics, of: losses } = SCORES[score];
  const mask = { ...MASK_DEFAULTS, search: score };
  return { statistics, inputs, curves: losses, mask, refit: NO_REFIT };
}
