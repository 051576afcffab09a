import { sumOverGroups } from './statistics';
import type { ScoreMethod, SiteStatistics } from './types';

/**
 * Structured magnitude as in FLAP's comparison (arXiv 2312.11983): ‖W_:j‖₂ of the output map's columns,
 * summed over the columns of a group. Rows of gate, up, q, k and v do not count: their scale is free against that
 * of the output columns (ReLU, up and v are linear in it), so a norm over both would compare unlike things.
 */
export const magnitude = {
  name: 'magnitude',
  source: 'column norms of the output map, as in arXiv 2312.11983',
  selection: 'scores',
  statistics: 'none',
  inputs: 'dense',
  refit: false,
  meanBias: false,
  reads: [],
  allocations: ['uniform', 'threshold', 'energy'],
  scores,
  losses: scores,
} as const satisfies ScoreMethod;

function scores({ weightNormSq, groupSize }: SiteStatistics): Float64Array {
  return sumOverGroups(weightNormSq.map(Math.sqrt), groupSize);
}
