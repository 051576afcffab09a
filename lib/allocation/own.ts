/** Allocation by a function of the caller's, whose result is checked here. */

import { choicesFor } from '../choices';
import type { Choices } from '../choices/types';
import { StruPruneError } from '../errors';
import type { Own } from '../own';
import { checkBudget, choicesOf, describe } from './sites';
import type { Allocation, AllocationLayer, Budget } from './types';

/** A layer with its place in the model. */
export interface PlacedLayer extends AllocationLayer {
  /** Counts from 0. */
  block: number;
  curve: Float64Array;
}

/**
 * Groups to remove, one number a layer, each among the layer's `allowed` or, where it has a price `gone`, all of them;
 * Σ cost · removed is at least `budget.remove`.
 * The layers are a copy, of which the function may do what it likes.
 */
export type AllocationFunction = (
  layers: PlacedLayer[],
  budget: Budget,
) => ArrayLike<number> | Promise<ArrayLike<number>>;

/** @throws StruPruneError ERR_ARGUMENT naming the layer of an impossible number; whatever the function throws */
export async function allocateByCaller(
  rule: Own<AllocationFunction>,
  layers: readonly PlacedLayer[],
  budget: Budget,
): Promise<Allocation> {
  const sites = layers.map(choicesFor);
  checkBudget(sites, budget);
  const returned = await rule.call(structuredClone([...layers]), { ...budget });
  const chosen = choicesOf(sites, checkedRemovals(rule, layers, sites, returned));
  const freed = sites.reduce((sum, site, l) => sum + site.freed[chosen[l]!]!, 0);
  if (freed >= budget.remove) return describe(sites, chosen);
  const unit = layers.some(({ priced }) => priced) ? budget.counted!.unit : 'weights';
  throw refusal(rule, `removes ${freed} ${unit} where ${budget.remove} have to go`);
}

function checkedRemovals(
  rule: Own<AllocationFunction>,
  layers: readonly PlacedLayer[],
  sites: readonly Choices[],
  returned: ArrayLike<number>,
): Int32Array {
  if (returned?.length !== layers.length) {
    const count = returned?.length ?? 'no';
    throw refusal(rule, `returned ${count} numbers for ${layers.length} layers`);
  }
  for (const [l, { block, scope }] of layers.entries()) {
    const allowed = sites[l]!.removed;
    // Int32Array has no fractions and nothing but numbers.
    if (allowed.includes(returned[l]!)) continue;
    throw refusal(
      rule,
      `removes ${String(returned[l])} groups from layer ${l} (block ${block}, ${scope}), which allows ${listed(allowed)}`,
    );
  }
  return Int32Array.from(returned);
}

function listed(allowed: Int32Array): string {
  if (allowed.length <= 6) return allowed.join(', ');
  return `${allowed.subarray(0, 4).join(', ')} … ${allowed.at(-1)}`;
}

function refusal(rule: Own<AllocationFunction>, what: string): StruPruneError {
  return new StruPruneError(
    'ERR_ARGUMENT',
    `the allocation ${rule} ${what}`,
    "return one of each layer's `allowed` counts, with Σ cost · count ≥ budget.remove",
  );
}
