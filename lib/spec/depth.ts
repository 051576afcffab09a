/** Whether whole sublayers may go. */
import { StruPruneError } from '../errors';
import type { Settings } from '../options';
import { Own } from '../own';
import type { SurveySpec } from './survey';

/** @throws StruPruneError ERR_ARGUMENT where nothing would weigh their prices against those of widths */
export function depthSpec(
  { curves, layerWeights }: SurveySpec,
  { allocation, apart, depth = false }: Settings,
): boolean {
  if (!depth) return false;
  const refuse = (what: string, mend: string) => {
    throw new StruPruneError('ERR_ARGUMENT', what, `${mend}, or leave --depth out`);
  };
  if (!(allocation instanceof Own) && allocation !== 'threshold') {
    const what = `the allocation ${allocation} does not weigh whole sublayers against widths`;
    refuse(what, 'choose --allocation threshold');
  }
  if (curves !== 'sweep' || layerWeights !== 'probe') {
    const what = 'whole sublayers are priced by trial, and widths are not here';
    refuse(what, 'choose --method struprune with --layer-weights probe');
  }
  if (apart) refuse('whole sublayers of both kinds share one budget', 'leave --apart out');
  return true;
}
