import type { Steps } from '../turns';
import { allocateEnergy } from './energy';
import { describe, scopeWeights } from './layers';
import { allocateThreshold } from './threshold';
import type {
  Allocation,
  AllocationLayer,
  AllocationScope,
  Budget,
  EnergyAllocation,
  EnergyForm,
  ThresholdAllocation,
  UniformAllocation,
} from './types';
import { allocateUniform } from './uniform';

export { allocateEnergy, layerEnergies } from './energy';
export { scopeWeights, storedIn } from './layers';
export { allowedRemovals, weightsToRemove } from './rounding';
export { allocateThreshold } from './threshold';
export * from './types';
export { allocateUniform } from './uniform';

export type AllocationRule = 'uniform' | 'threshold' | 'energy';

export interface AllocateOptions {
  rule: AllocationRule;
  /** Energy rule only; 'dilute' unless said. */
  form?: EnergyForm;
  /** Energy rule only; chosen by predicted error unless given. */
  temperature?: number;
  /** FFN and attention each give up the same share of their own weights, instead of sharing one budget. */
  apart?: boolean;
}

export interface JointAllocation extends Allocation {
  /** What each budget came to: one part with scope 'all', or one a scope. */
  parts: { scope: AllocationScope | 'all'; part: RuleAllocation }[];
}

export type RuleAllocation = UniformAllocation | ThresholdAllocation | EnergyAllocation;

/**
 * Groups to remove from every layer under one budget. Throws ERR_ARGUMENT with the largest possible sparsity
 * where the budget cannot be met, ERR_NAN where a curve is not finite.
 */
export function* allocate(
  layers: readonly AllocationLayer[],
  budget: Budget,
  options: AllocateOptions,
): Steps<JointAllocation> {
  if (!options.apart) {
    const part = yield* allocateTogether(layers, budget, options);
    return { ...describe(layers, part.removed), parts: [{ scope: 'all', part }] };
  }
  const removed = new Int32Array(layers.length);
  const scopes = [...new Set(layers.map(({ scope }) => scope))];
  const parts: JointAllocation['parts'] = [];
  for (const scope of scopes) {
    const indices = [...layers.keys()].filter((l) => layers[l]!.scope === scope);
    const mine = indices.map((l) => layers[l]!);
    const share = scopeWeights(mine) / scopeWeights(layers);
    const part = yield* allocateTogether(mine, splitBudget(budget, share), options);
    indices.forEach((l, i) => {
      removed[l] = part.removed[i]!;
    });
    parts.push({ scope, part });
  }
  return { ...describe(layers, removed), parts };
}

function splitBudget({ remove, total }: Budget, share: number): Budget {
  // The small term keeps a rounded product of whole numbers from asking for one weight more.
  return { remove: Math.ceil(remove * share - 1e-6), total: total * share };
}

function* allocateTogether(
  layers: readonly AllocationLayer[],
  budget: Budget,
  options: AllocateOptions,
): Steps<RuleAllocation> {
  switch (options.rule) {
    case 'uniform':
      return allocateUniform(layers, budget);
    case 'threshold':
      return yield* allocateThreshold(layers, budget);
    case 'energy':
      return yield* allocateEnergy(layers, budget, {
        form: options.form ?? 'dilute',
        temperature: options.temperature,
      });
  }
}
