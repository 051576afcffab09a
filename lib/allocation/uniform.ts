import type { Choices } from '../choices/types';
import type { Site } from '../model/sublayers';
import { placeAtLeast, placeAtMost, placeNearest } from './rounding';
import { checkBudget, describe, removableWeights, scopeWeights } from './sites';
import type { Budget, UniformAllocation } from './types';

/**
 * The same share everywhere. Sites alike get the same width, so that a stock class can load the result;
 * one rounding step is therefore one step of every site of the scope at once.
 *
 * KV heads are few: a share of 20 % of 3 heads is 0.6. So the scope with the coarsest steps is rounded
 * to the nearest allowed count first (down, where that alone would pass the budget; up, where the finer
 * one could not take the rest), and the finest scope takes exactly what the budget still needs.
 */
export function allocateUniform(sites: readonly Choices[], budget: Budget): UniformAllocation {
  checkBudget(sites, budget);
  const chosen = new Int32Array(sites.length);
  let missing = budget.remove;
  let waiting = sites.map((site, index) => ({ site, index }));
  for (const scope of coarsestFirst(sites)) {
    const mine = waiting.filter(({ site }) => site.scope === scope);
    const share = Math.max(0, missing) / scopeWeights(waiting.map(({ site }) => site));
    waiting = waiting.filter(({ site }) => site.scope !== scope);
    const restCanTake = removableWeights(waiting.map(({ site }) => site));
    const places = scopeChoices(
      mine.map(({ site }) => site),
      { share, atLeast: missing - restCanTake, atMost: missing },
    );
    mine.forEach(({ site, index }, i) => {
      chosen[index] = places[i]!;
      missing -= site.freed[places[i]!]!;
    });
  }
  return { rule: 'uniform', ...describe(sites, chosen) };
}

/** Choices of one scope: nearest to the share, and within the two amounts of weights where possible. */
function scopeChoices(
  sites: Choices[],
  wanted: { share: number; atLeast: number; atMost: number },
): number[] {
  const choices = sites.map(({ removed, groups }) => placeNearest(removed, wanted.share * groups));
  const weights = weightsOf(sites, choices);
  if (weights < wanted.atLeast) return smallestShare(sites, wanted.atLeast);
  if (weights <= wanted.atMost) return choices;
  const fewer = sites.map(({ removed, groups }) => placeAtMost(removed, wanted.share * groups));
  return weightsOf(sites, fewer) < wanted.atLeast ? smallestShare(sites, wanted.atLeast) : fewer;
}

/** Choices of the smallest share, rounded up in every site, that removes at least `weights`. */
function smallestShare(sites: Choices[], weights: number): number[] {
  const choicesAt = (share: number) =>
    sites.map(({ removed, groups }) => placeAtLeast(removed, share * groups));
  let low = 0;
  let high = 1;
  for (let middle = 0.5; middle > low && middle < high; middle = (low + high) / 2) {
    if (weightsOf(sites, choicesAt(middle)) >= weights) high = middle;
    else low = middle;
  }
  return choicesAt(high);
}

function weightsOf(sites: Choices[], choices: number[]): number {
  return sites.reduce((sum, { freed }, l) => sum + freed[choices[l]!]!, 0);
}

function coarsestFirst(sites: readonly Choices[]): Site[] {
  const step = new Map<Site, number>();
  for (const { scope, removed, groups } of sites) {
    const siteStep = removed.length > 1 ? removed[1]! / groups : 0;
    step.set(scope, Math.max(step.get(scope) ?? 0, siteStep));
  }
  return [...step].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).map(([scope]) => scope);
}
