import type { SurveyUse } from '../../pruning/surveys';
import type { BenchSurvey } from '../schema';

/** The curves of a survey as a document holds them; null where the method made its own of column statistics. */
export function surveyOf({ key, seconds, input, survey }: SurveyUse): BenchSurvey | null {
  if (!survey) return null;
  return {
    key,
    unit: input.settings.layerWeights === 'fisher' ? 'nats per token' : 'squared error',
    tokens: input.ids.length,
    seconds,
    layers: input.layers.map(({ block, site, groups, cost }, i) => ({
      block,
      site,
      groups,
      cost,
      weight: survey.weights[i]!,
      error: [...survey.curves[i]!],
    })),
  };
}
