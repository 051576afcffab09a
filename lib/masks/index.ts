/**
 * A mask for one site under a budget, by name: sweep, rounds, ADMM, the best of drawn ones, a one-shot score or the caller's function, and a swap
 * pass at the end if wanted. To add a search: a file, and its line here.
 */
import { Own } from '../own';
import { ADMM_DEFAULTS, admm } from '../solver/admm';
import { MASK_SAMPLES, maskByGumbel } from './gumbel';
import { type MaskTask, maskByCaller } from './own';
import { maskByRounds } from './rounds';
import { SCORE_NAMES, type ScoreName, scoreOf } from './scores';
import { maskBySweep } from './sweep';
import type { MaskProblem, MaskRecipe, MaskReport, SearchName } from './types';

export type { MaskProblem, MaskRecipe, MaskReport } from './types';

interface Search {
  /** Steps of the native solver that it takes, whose memory a plan counts. */
  steps: readonly ('sweep' | 'admm')[];
  find(problem: MaskProblem, recipe: MaskRecipe): Promise<MaskReport>;
}

/** Those that `--mask` offers. */
export const MASKS = ['sweep', 'admm', 'gumbel', ...SCORE_NAMES] as const;

const SEARCHES: Readonly<Record<SearchName, Search>> = {
  sweep: { steps: ['sweep'], find: maskBySweep },
  rounds: { steps: ['sweep'], find: maskByRounds },
  admm: { steps: ['admm'], find: maskByAdmm },
  gumbel: { steps: ['sweep'], find: maskByGumbel },
  // Of methods that measure all layers together: by itself a site has none.
  order: { steps: [], find: maskByScore('order') },
  ...scoreSearches(),
};

/** Where a recipe says nothing else. */
export const MASK_DEFAULTS: MaskRecipe = {
  search: 'sweep',
  admm: ADMM_DEFAULTS,
  gumbel: { samples: MASK_SAMPLES, seed: 0 },
  rounds: {},
  metric: 'plain',
  swaps: 0,
};

export async function findMask(problem: MaskProblem, recipe: MaskRecipe): Promise<MaskReport> {
  const { search, swaps } = recipe;
  const report =
    search instanceof Own
      ? { keep: await maskByCaller(search, ownTask(problem)), lambda: null, ridgeRaised: 0 }
      : await SEARCHES[search].find(problem, recipe);
  if (swaps === 0) return report;
  const { solver, structure, bias, metric } = problem;
  const maxSwaps = Number.isFinite(swaps) ? swaps : structure.groups;
  const swap = await solver.swap(report.keep, { bias, metric, maxSwaps });
  return {
    ...report,
    keep: swap.keep,
    swaps: swap.swaps.length / 2,
    lambda: swap.lambda,
    ridgeRaised: swap.ridgeRaised,
  };
}

/** Steps of the native solver that a mask may take: a function of the caller's all of them. */
export function stepsOf({ search, start }: MaskRecipe): readonly ('sweep' | 'admm')[] {
  if (search instanceof Own) return ['sweep', 'admm'];
  const { steps } = SEARCHES[search];
  return search === 'admm' && start ? [...steps, ...SEARCHES[start].steps] : steps;
}

function ownTask({ place, ...problem }: MaskProblem): MaskTask {
  return { ...problem, ...place };
}

function scoreSearches() {
  const entries = SCORE_NAMES.map((name) => [name, { steps: [], find: maskByScore(name) }]);
  return Object.fromEntries(entries) as Record<ScoreName, Search>;
}

function maskByScore(name: ScoreName | 'order'): Search['find'] {
  return async ({ solver, structure, budget }) => {
    const groupSize = solver.columnCount / solver.groupCount;
    const scores = scoreOf(name).of({ groupSize, tokens: 1, ...(await solver.columns()) });
    const keep = structure.project(scores, structure.costs, budget);
    return { keep, lambda: null, ridgeRaised: 0 };
  };
}

async function maskByAdmm(problem: MaskProblem, recipe: MaskRecipe): Promise<MaskReport> {
  const { solver, structure, budget, bias } = problem;
  const { start: by } = recipe;
  const start = by && (await SEARCHES[by].find(problem, recipe)).keep;
  const found = await admm(solver, structure, budget, { ...recipe.admm, bias, start });
  const { keep, converged, history, lambda, ridgeRaised } = found;
  return { keep, lambda, ridgeRaised, admm: { converged, history } };
}
