/** What a run over a graph is, of its options. */
import type { Budget } from '../../../allocation';
import { StruPruneError } from '../../../errors';
import { methodOf } from '../../../methods';
import type { Dtype } from '../../../model/architecture';
import type { RunSettings, Settings } from '../../../options';
import { cutsExperts } from '../../../options/method';
import type { StageSpec } from '../../../spec';
import { allocationSpec } from '../../../spec/allocation';
import { refitSpec } from '../../../spec/refit';
import { searchRounds } from '../../../spec/search';
import { surveySpec } from '../../../spec/survey';
import { budgetFor } from '../../../spec/widths';
import { flagOf } from '../../../wording';
import type { Counts } from './counts';

/** Options by which maps may shrink inside. */
const INNER = { lowRank: 'ranks', structuredConvolutions: 'kernels' } as const;

/** @throws StruPruneError ERR_ARGUMENT, ERR_UNSUPPORTED */
export function specOf(given: Settings): StageSpec {
  const method = methodOf(given.method);
  const { layerWeights } = given;
  if (layerWeights === 'fisher' || layerWeights === 'residual') {
    throw new StruPruneError(
      'ERR_UNSUPPORTED',
      `a graph has no ${layerWeights} layer weights`,
      'choose --layer-weights probe, output or none',
    );
  }
  if (cutsExperts(given.scope)) {
    throw new StruPruneError(
      'ERR_UNSUPPORTED',
      'a graph has no experts that this program knows',
      'choose --scope ffn, attention or all',
    );
  }
  const inner = Object.entries(INNER).find(([option]) => given[option as keyof typeof INNER]);
  if (inner && given.allocation !== 'threshold') {
    const [option, sizes] = inner;
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `the allocation ${given.allocation} does not weigh ${sizes} against widths`,
      `choose --allocation threshold, or leave ${flagOf(option)} out`,
    );
  }
  const settings: RunSettings = {
    ...given,
    ffnSolver: 'output',
    alpha: 0,
    beta: given.beta ?? 0,
    tuneTokens: 0,
    tuneMix: 0,
  };
  const recipe = method.recipe(settings);
  const { statistics, inputs, mask } = recipe;
  const refit = refitSpec(method, recipe.refit, settings);
  const survey = surveySpec(recipe, settings);
  return {
    survey,
    allocation: allocationSpec(method, settings),
    depth: false,
    search: inner ? 0 : searchRounds(survey, settings),
    confidence: false,
    gather: { statistics, inputs },
    mask,
    // Means are taken out of the sums: to the solver there are no biases.
    refit: { ...refit, bias: 'keep' },
  };
}

/** What a target's unit is a number of. */
const AMOUNT = {
  weights: 'weights',
  parameters: 'parameters',
  'multiply-adds': 'multiplyAdds',
  bytes: 'parameters',
} as const;

/** What an allocation weighs losses against: the multiply-adds of a unit where they are the target, else its weights. */
export function pricedIn({ targetMacs }: Settings): 'weights' | 'multiplyAdds' {
  return targetMacs === undefined ? 'weights' : 'multiplyAdds';
}

/** What has to go. A map loses units on both of its sides, so that what goes with a unit depends on all the others. */
export function budgetOf(
  settings: Settings,
  counts: Counts,
  { bytes, stored }: { bytes: number; stored: Dtype },
): Budget {
  const dense = counts.after();
  const total = dense[pricedIn(settings)];
  const budget = budgetFor(settings, { ...dense, total, bytes, dtype: stored });
  const share = { unit: 'weights', now: total, each: 1, keep: total - budget.remove } as const;
  const counted = budget.counted ?? share;
  const left = AMOUNT[counted.unit as keyof typeof AMOUNT]; // of time only decoders have tables
  const freed = (removed: Int32Array) => counted.each * (dense[left] - counts.after(removed)[left]);
  return { ...budget, counted: { ...counted, freed } };
}
