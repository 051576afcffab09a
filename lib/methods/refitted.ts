import { MASK_DEFAULTS, type MaskRecipe } from '../masks';
import { NO_REFIT } from './by-scores';
import type { Method, MethodOptions, Recipe } from './types';

/** What the peers that refit share: layer-wise least squares on inputs of what is pruned so far, one uniform share. */
export const REFITTED = {
  reads: ['lambda', 'bias'],
  allocations: ['uniform'],
} as const satisfies Partial<Method>;

export function refitted({ bias }: MethodOptions, mask: Partial<MaskRecipe>): Recipe {
  return {
    statistics: 'gram',
    inputs: 'sequential',
    curves: 'sweep',
    mask: { ...MASK_DEFAULTS, ...mask },
    // They add none.
    refit: { ...NO_REFIT, output: 'exact', bias: bias === 'keep' ? 'keep' : 'refit' },
  };
}
