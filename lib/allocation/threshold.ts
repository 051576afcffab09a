import { lowerHull } from './hull';
import { checkBudget, curveOf, describe } from './layers';
import { atLeast, dropLastBits } from './rounding';
import type { AllocationLayer, Budget, ThresholdAllocation } from './types';

/**
 * The closed-form rule (docs/method.md, allocation): minimise Σ w_l E_l(k_l) with Σ c_l k_l ≥ R. On the lower
 * convex hulls the Lagrangian separates, and a segment goes if and only if its slope w ΔE ÷ (c Δk) ≤ τ; τ is
 * the quantile of the pooled slopes at which the budget is met. Optimal when R falls on a breakpoint.
 * Otherwise the last segment goes only as far as the budget needs, to the next allowed width, so that the
 * budget is overshot by less than one rounding step of that layer.
 *
 * Equal slopes (to 12 digits) go in the order of the layers. Counts grow with R in every layer.
 */
export function allocateThreshold(
  layers: readonly AllocationLayer[],
  budget: Budget,
): ThresholdAllocation {
  checkBudget(layers, budget);
  const removed = new Int32Array(layers.length);
  let missing = budget.remove;
  let tau = Number.NEGATIVE_INFINITY;
  for (const segment of pooledSegments(layers)) {
    if (missing <= 0) break;
    const { cost, allowed } = layers[segment.layer]!;
    const needed = segment.from + missing / cost;
    const to = Math.min(segment.to, atLeast(allowed, needed));
    removed[segment.layer] = to;
    missing -= cost * (to - segment.from);
    tau = segment.slope;
  }
  return { rule: 'threshold', tau, ...describe(layers, removed) };
}

interface PooledSegment {
  layer: number;
  from: number;
  to: number;
  /** w ΔE ÷ (c Δk). */
  slope: number;
  key: number;
}

function pooledSegments(layers: readonly AllocationLayer[]): PooledSegment[] {
  return layers
    .flatMap((layer, l) =>
      lowerHull(curveOf(layer, l), layer.allowed).map(({ from, to, slope }) => {
        const perWeight = (layer.weight * slope) / layer.cost;
        return { layer: l, from, to, slope: perWeight, key: dropLastBits(perWeight) };
      }),
    )
    .sort((a, b) => a.key - b.key || a.layer - b.layer || a.from - b.from);
}
