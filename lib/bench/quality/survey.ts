import type { BenchSurvey } from '../../documents/bench';
import { expertAt } from '../../model/sublayers';
import { expertsTogether } from '../../pruning/expert-stats';
import type { SurveyUse } from '../../pruning/surveys';

type Layer = BenchSurvey['layers'][number];

/** The curves of a survey as a document holds them; null where the method made its own of column statistics. */
export function surveyOf({ key, seconds, input, survey }: SurveyUse): BenchSurvey | null {
  if (!survey) return null;
  const { network } = input;
  const { layerWeights, surveyTokens } = input.survey;
  // A trial's weights turn squared errors into nats.
  const scaled = layerWeights === 'probe';
  const layers = network.layers.map(({ block, site, groups, cost }, i) => ({
    block,
    site,
    groups,
    cost,
    weight: scaled ? 1 : survey.weights[i]!,
    error: [...survey.curves[i]!.map((error) => (scaled ? survey.weights[i]! * error : error))],
  }));
  return {
    key,
    unit: scaled || layerWeights === 'fisher' ? 'nats per token' : 'squared error',
    tokens: network.sample(surveyTokens).rows,
    seconds,
    layers: withExpertsJoined(layers),
  };
}

/** The channels inside the experts of a block as one layer, of which every expert loses as many. */
function withExpertsJoined(layers: readonly Layer[]): Layer[] {
  return expertsTogether(layers, ({ block }) => block).map((own) => {
    const [first] = own as [Layer];
    if (expertAt(first.site) === null) return first;
    const sum = (of: (layer: Layer) => number) => own.reduce((total, one) => total + of(one), 0);
    return {
      ...first,
      site: 'expert-channels',
      cost: sum(({ cost }) => cost),
      error: first.error.map((_, k) => sum(({ error }) => error[k]!)),
    };
  });
}
