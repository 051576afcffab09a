import type { BenchSurvey } from '../../documents/bench';
import type { SurveyUse } from '../../pruning/surveys';

/** The curves of a survey as a document holds them; null where the method made its own of column statistics. */
export function surveyOf({ key, seconds, input, survey }: SurveyUse): BenchSurvey | null {
  if (!survey) return null;
  const { network } = input;
  const { layerWeights, surveyTokens } = input.survey;
  // A trial's weights turn squared errors into nats.
  const scaled = layerWeights === 'probe';
  return {
    key,
    unit: scaled || layerWeights === 'fisher' ? 'nats per token' : 'squared error',
    tokens: network.sample(surveyTokens).rows,
    seconds,
    layers: network.layers.map(({ block, site, groups, cost }, i) => ({
      block,
      site,
      groups,
      cost,
      weight: scaled ? 1 : survey.weights[i]!,
      error: [...survey.curves[i]!.map((error) => (scaled ? survey.weights[i]! * error : error))],
    })),
  };
}
