/** Rounds in which the allocation is searched for on from what the survey's prices came to. */
import { readsCurves } from '../allocation';
import type { Settings } from '../options';
import { Own } from '../own';
import type { SurveySpec } from './survey';

/** 0 where prices are no trials, or decide of more than widths. */
export function searchRounds(
  { curves, layerWeights, experts }: SurveySpec,
  { allocation, depth = false, searchRounds }: Settings,
): number {
  const byRule = !(allocation instanceof Own) && readsCurves(allocation) && !depth;
  const byTrials = curves === 'sweep' && layerWeights === 'probe' && !experts;
  return byRule && byTrials ? searchRounds : 0;
}
