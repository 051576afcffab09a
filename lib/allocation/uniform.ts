import { checkBudget, describe, removableWeights, scopeWeights } from './layers';
import { atLeast, atMost, nearest } from './rounding';
import type { AllocationLayer, AllocationScope, Budget, UniformAllocation } from './types';

/**
 * The same share everywhere. Layers alike get the same width, so that a stock class can load the result;
 * one rounding step is therefore one step of every layer of the scope at once.
 *
 * KV heads are few: a share of 20 % of 3 heads is 0.6. So the scope with the coarsest steps is rounded
 * to the nearest allowed count first (down, where that alone would pass the budget; up, where the finer
 * one could not take the rest), and the finest scope takes exactly what the budget still needs.
 */
export function allocateUniform(
  layers: readonly AllocationLayer[],
  budget: Budget,
): UniformAllocation {
  checkBudget(layers, budget);
  const removed = new Int32Array(layers.length);
  let missing = budget.remove;
  let waiting = layers.map((layer, index) => ({ layer, index }));
  for (const scope of coarsestFirst(layers)) {
    const mine = waiting.filter(({ layer }) => layer.scope === scope);
    const share = Math.max(0, missing) / scopeWeights(waiting.map(({ layer }) => layer));
    waiting = waiting.filter(({ layer }) => layer.scope !== scope);
    const restCanTake = removableWeights(waiting.map(({ layer }) => layer));
    const counts = scopeCounts(
      mine.map(({ layer }) => layer),
      { share, atLeast: missing - restCanTake, atMost: missing },
    );
    mine.forEach(({ layer, index }, i) => {
      removed[index] = counts[i]!;
      missing -= layer.cost * counts[i]!;
    });
  }
  return { rule: 'uniform', ...describe(layers, removed) };
}

/** Counts of one scope: nearest to the share, and within the two amounts of weights where possible. */
function scopeCounts(
  layers: AllocationLayer[],
  wanted: { share: number; atLeast: number; atMost: number },
): number[] {
  const counts = layers.map(({ allowed, groups }) => nearest(allowed, wanted.share * groups));
  const weights = weightsOf(layers, counts);
  if (weights < wanted.atLeast) return smallestShare(layers, wanted.atLeast);
  if (weights <= wanted.atMost) return counts;
  const fewer = layers.map(({ allowed, groups }) => atMost(allowed, wanted.share * groups));
  return weightsOf(layers, fewer) < wanted.atLeast ? smallestShare(layers, wanted.atLeast) : fewer;
}

/** Counts of the smallest share, rounded up in every layer, that removes at least `weights`. */
function smallestShare(layers: AllocationLayer[], weights: number): number[] {
  const countsAt = (share: number) =>
    layers.map(({ allowed, groups }) => atLeast(allowed, share * groups));
  let low = 0;
  let high = 1;
  for (let middle = 0.5; middle > low && middle < high; middle = (low + high) / 2) {
    if (weightsOf(layers, countsAt(middle)) >= weights) high = middle;
    else low = middle;
  }
  return countsAt(high);
}

function weightsOf(layers: AllocationLayer[], counts: number[]): number {
  return layers.reduce((sum, { cost }, l) => sum + cost * counts[l]!, 0);
}

function coarsestFirst(layers: readonly AllocationLayer[]): AllocationScope[] {
  const step = new Map<AllocationScope, number>();
  for (const { scope, allowed, groups } of layers) {
    const layerStep = allowed.length > 1 ? allowed[1]! / groups : 0;
    step.set(scope, Math.max(step.get(scope) ?? 0, layerStep));
  }
  return [...step].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).map(([scope]) => scope);
}
