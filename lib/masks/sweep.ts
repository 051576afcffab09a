/** Masks out of a sweep: one order of removal holds a mask for every width. */

import type { SweepResult } from '../engine/native-solver';
import { StruPruneError } from '../errors';
import type { Structure } from '../solver/structures/types';
import type { MaskProblem, MaskReport } from './types';

/** The mask after the first `removed` removals. */
export function maskAfter(order: Int32Array, groups: number, removed: number): Uint8Array {
  if (removed < 0 || removed > order.length) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `the sweep removed ${order.length} groups, a mask without ${removed} was asked for`,
    );
  }
  const keep = new Uint8Array(groups).fill(1);
  for (const group of order.subarray(0, removed)) keep[group] = 0;
  return keep;
}

/**
 * How many of the sweep's removals bring the structure's cost to at most `budget`, rounded to a width
 * that the structure allows (more removals, never fewer, save that the structure's least stays).
 */
export function removalsForBudget(order: Int32Array, structure: Structure, budget: number): number {
  let cost = structure.costs.reduce((sum, each) => sum + each, 0);
  let removed = 0;
  while (cost > budget * (1 + 1e-12) && removed < order.length) {
    cost -= structure.costs[order[removed]!]!;
    removed += 1;
  }
  const rounded = structure.groups - structure.roundKept(structure.groups - removed);
  if (rounded < removed || rounded > order.length) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `a budget of ${budget} parameters cannot be met by removing up to ${order.length} of ` +
        `${structure.groups} ${structure.name}`,
      'ask for less sparsity',
    );
  }
  return rounded;
}

/**
 * Removals that are enough for a budget whichever groups go: as many as when the least costly go first.
 * A sweep for one budget need not go on beyond them.
 */
export function mostRemovals(structure: Structure, budget: number): number {
  const cheapFirst = Array.from(structure.costs.keys()).sort(
    (a, b) => structure.costs[a]! - structure.costs[b]!,
  );
  return removalsForBudget(Int32Array.from(cheapFirst), structure, budget);
}

/** The sweep's mask for a budget. */
export function maskForBudget(
  sweep: Pick<SweepResult, 'order'>,
  structure: Structure,
  budget: number,
): Uint8Array {
  const removed = removalsForBudget(sweep.order, structure, budget);
  return maskAfter(sweep.order, structure.groups, removed);
}

/** Removals one after the other, the cheapest first, the others refitted after each. */
export async function maskBySweep({
  solver,
  structure,
  budget,
  bias,
  metric,
}: MaskProblem): Promise<MaskReport> {
  const maxRemoved = mostRemovals(structure, budget);
  const sweep = await solver.sweep({ bias, selection: metric, curve: metric, maxRemoved });
  const keep = maskForBudget(sweep, structure, budget);
  return { keep, lambda: sweep.lambda, ridgeRaised: sweep.ridgeRaised };
}
