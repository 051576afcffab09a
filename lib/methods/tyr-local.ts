import { REFITTED, refitted } from './refitted';
import type { Method } from './types';

/**
 * Local stage of Týr-the-Pruner (arXiv 2503.09657) at one sparsity: groups go in a few rounds, each by what its removal
 * adds to the reconstruction error and by what the group explains, with the rest refitted after every round, block by
 * block on inputs of what is pruned so far. Its global stage, a search over many such models, is not here: every
 * layer loses the same share. With our ridge instead of its 0.01 mean(diag H).
 */
export const tyrLocal = {
  ...REFITTED,
  name: 'tyr-local',
  source: 'the local stage of arXiv 2503.09657',
  recipe: (options) => refitted(options, { search: 'rounds', rounds: { ffn: 16 } }),
} as const satisfies Method;
