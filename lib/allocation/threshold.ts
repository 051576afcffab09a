import { type HullSegment, lowerHull } from '../choices/hull';
import type { Choices } from '../choices/types';
import type { Steps } from '../turns';
import { FirstOf } from './first-of';
import { dropLastBits, placeAtLeast } from './rounding';
import { checkBudget, describe, requireLoss } from './sites';
import type { Budget, ThresholdAllocation } from './types';

/**
 * The closed-form rule (docs/method.md, allocation): minimise Σ loss of the choices with Σ weights freed ≥ R. On the lower
 * convex hulls the Lagrangian separates, and a segment goes if and only if its slope Δloss ÷ Δfreed ≤ τ; τ is
 * the quantile of the pooled slopes at which the budget is met. Optimal when R falls on a breakpoint.
 * Otherwise the last segment goes only as far as the budget needs, to the next choice, so that the
 * budget is overshot by less than one step of that site.
 *
 * Equal slopes (to 12 digits) go in the order of the sites. Choices grow with R in every site.
 */
export function* allocateThreshold(
  sites: readonly Choices[],
  budget: Budget,
): Steps<ThresholdAllocation> {
  checkBudget(sites, budget);
  const hulls: HullSegment[][] = [];
  for (const [l, site] of sites.entries()) {
    requireLoss(site, l);
    hulls.push(lowerHull(site));
    yield;
  }
  const chosen = new Int32Array(sites.length);
  const gone = new Int32Array(sites.length);
  // A site's own slopes ascend, so the next one of all is the least of the sites' next ones.
  const nextOf = (l: number) => {
    const segment = hulls[l]![gone[l]!];
    return segment ? dropLastBits(segment.slope) : Infinity;
  };
  const keys = Float64Array.from(hulls.keys(), nextOf);
  const first = new FirstOf(keys);
  let missing = budget.remove;
  let tau = Number.NEGATIVE_INFINITY;
  while (missing > 0) {
    const l = first.index;
    const segment = hulls[l]![gone[l]!++];
    if (!segment) break;
    const { freed } = sites[l]!;
    const before = freed[segment.from]!;
    const to = Math.min(segment.to, placeAtLeast(freed, before + missing));
    chosen[l] = to;
    missing -= freed[to]! - before;
    tau = segment.slope;
    keys[l] = nextOf(l);
    first.changed();
    yield;
  }
  return { rule: 'threshold', tau, ...describe(sites, chosen) };
}
