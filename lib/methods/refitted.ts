import type { SweepMethod } from './types';

/** What the peers that refit share: layer-wise least squares on inputs of what is pruned so far, one uniform share. */
export const REFITTED = {
  selection: 'sweep',
  statistics: 'gram',
  inputs: 'sequential',
  refit: true,
  meanBias: false,
  reads: ['lambda', 'bias'],
  allocations: ['uniform'],
} as const satisfies Omit<SweepMethod, 'name' | 'source' | 'swap'>;
