import type { Steps } from '../turns';
import { FirstOf } from './first-of';
import { type HullSegment, lowerHull } from './hull';
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
export function* allocateThreshold(
  layers: readonly AllocationLayer[],
  budget: Budget,
): Steps<ThresholdAllocation> {
  checkBudget(layers, budget);
  const hulls: HullSegment[][] = [];
  for (const [l, layer] of layers.entries()) {
    hulls.push(lowerHull(curveOf(layer, l), layer.allowed));
    yield;
  }
  const perWeight = (l: number, { slope }: HullSegment) =>
    (layers[l]!.weight * slope) / layers[l]!.cost;
  const removed = new Int32Array(layers.length);
  const gone = new Int32Array(layers.length);
  // A layer's own slopes ascend, so the next one of all is the least of the layers' next ones.
  const nextOf = (l: number) => {
    const segment = hulls[l]![gone[l]!];
    return segment ? dropLastBits(perWeight(l, segment)) : Infinity;
  };
  const keys = Float64Array.from(hulls.keys(), nextOf);
  const first = new FirstOf(keys);
  let missing = budget.remove;
  let tau = Number.NEGATIVE_INFINITY;
  while (missing > 0) {
    const l = first.index;
    const segment = hulls[l]![gone[l]!++];
    if (!segment) break;
    const { cost, allowed } = layers[l]!;
    const needed = segment.from + missing / cost;
    const to = Math.min(segment.to, atLeast(allowed, needed));
    removed[l] = to;
    missing -= cost * (to - segment.from);
    tau = perWeight(l, segment);
    keys[l] = nextOf(l);
    first.changed();
    yield;
  }
  return { rule: 'threshold', tau, ...describe(layers, removed) };
}
