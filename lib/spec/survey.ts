/** What is measured of the dense model before anything goes. */
import { readsCurves } from '../allocation';
import { StruPruneError } from '../errors';
import type { Recipe } from '../methods';
import type { Settings } from '../options';

export interface SurveySpec
  extends Pick<Recipe, 'curves' | 'statistics'>,
    Pick<
      Settings,
      'layerWeights' | 'fisherLabels' | 'seed' | 'selection' | 'surveyTokens' | 'lambda'
    > {
  /** For the allocation, or since the method scores on what it finds. */
  needed: boolean;
  /** Of whole experts, and of channels inside them where both may go. */
  experts: boolean;
  /** A file that has it already. */
  from: string | undefined;
}

/** @throws StruPruneError ERR_ARGUMENT */
export function surveySpec(recipe: Recipe, settings: Settings): SurveySpec {
  const { fisherLabels, seed, selection, surveyTokens, lambda } = settings;
  const { curves, statistics, inputs } = recipe;
  const byCurves = readsCurves(settings.allocation);
  if (
    selection === 'fisher' &&
    !(curves === 'sweep' && byCurves && settings.layerWeights === 'fisher')
  ) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      'selection fisher needs the Fisher metrics of a survey',
      'choose --allocation threshold or energy with --layer-weights fisher',
    );
  }
  const { scope } = settings;
  const experts = scope === 'moe' || (scope === 'experts' && byCurves);
  const needed = byCurves || inputs === 'survey' || experts;
  // One pair for all layers: trials would weigh nothing.
  const layerWeights = experts && !byCurves ? 'output' : settings.layerWeights;
  if (experts && layerWeights !== 'probe' && layerWeights !== 'output') {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `errors of experts have no layer weights by ${layerWeights}`,
      'choose --layer-weights probe or output',
    );
  }
  requireUse(needed, settings);
  return {
    ...{ curves, statistics, needed, experts, from: settings.fromCalibration },
    ...{ layerWeights, fisherLabels, seed, selection, surveyTokens, lambda },
  };
}

/** Refuses calibration files that a run has no use for. */
function requireUse(needed: boolean, { saveCalibration, fromCalibration }: Settings): void {
  if (saveCalibration === undefined && fromCalibration === undefined) return;
  if (!needed) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      'this run makes no survey: a uniform share on inputs of the model pruned so far needs none',
      'leave --save-calibration and --from-calibration out, or choose --allocation threshold',
    );
  }
  if (saveCalibration !== undefined && fromCalibration !== undefined) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      '--save-calibration and --from-calibration exclude each other',
      'leave one of them out',
    );
  }
}
