import { finished, type Steps } from '../turns';
import { allocateEnergy } from './energy';
import { beyondTarget, describe, removableWeights, scopeWeights } from './layers';
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

interface Rule {
  /** Whether it reads error curves, which a survey has to measure. */
  readsCurves: boolean;
  allocate(
    layers: readonly AllocationLayer[],
    budget: Budget,
    options: AllocateOptions,
  ): Steps<RuleAllocation>;
}

/** Every rule by name. To add one: a file, and its line here. */
const RULES = {
  uniform: {
    readsCurves: false,
    allocate: (layers, budget) => finished(allocateUniform(layers, budget)),
  },
  threshold: { readsCurves: true, allocate: allocateThreshold },
  energy: { readsCurves: true, allocate: allocateEnergy },
} as const satisfies Record<string, Rule>;

export type AllocationRule = keyof typeof RULES;
export const ALLOCATION_RULES = Object.keys(RULES) as AllocationRule[];

/** A function of the caller's gets the same curves as our rules. */
export function readsCurves(rule: AllocationRule | object): boolean {
  return typeof rule !== 'string' || RULES[rule].readsCurves;
}

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
  const perGroup = budget.counted?.perGroup;
  return yield* perGroup
    ? allocateBytes(layers, budget, perGroup, options)
    : allocateWeights(layers, budget, options);
}

/** The fewest weights whose bytes suffice: the rules count weights, of which some have more bytes than others. */
function* allocateBytes(
  layers: readonly AllocationLayer[],
  budget: Budget,
  perGroup: Float64Array,
  options: AllocateOptions,
): Steps<JointAllocation> {
  const { total, counted } = budget;
  const { now, keep } = counted!;
  const of = (remove: number) => allocateWeights(layers, { remove, total }, options);
  const freed = ({ removed }: Allocation) =>
    removed.reduce((sum, count, l) => sum + count * perGroup[l]!, 0);
  let high = mostWeights(layers, options);
  let best = yield* of(high);
  const least = now - freed(best);
  if (least > keep) throw beyondTarget(layers, budget, { least: Math.ceil(least), most: high });
  for (let low = 0; low < high; ) {
    yield;
    const middle = Math.floor((low + high) / 2);
    const found = yield* of(middle);
    if (now - freed(found) <= keep) {
      best = found;
      high = middle;
    } else low = middle + 1;
  }
  return best;
}

/** Weights of the largest budget that can be met. */
function mostWeights(layers: readonly AllocationLayer[], { apart }: AllocateOptions): number {
  if (!apart) return removableWeights(layers);
  const limits = byScope(layers).map(({ mine, share }) =>
    Math.floor(removableWeights(mine) / share),
  );
  return Math.min(...limits);
}

function* allocateWeights(
  layers: readonly AllocationLayer[],
  budget: Budget,
  options: AllocateOptions,
): Steps<JointAllocation> {
  if (!options.apart) {
    const part = yield* allocateTogether(layers, budget, options);
    return { ...describe(layers, part.removed), parts: [{ scope: 'all', part }] };
  }
  const removed = new Int32Array(layers.length);
  const parts: JointAllocation['parts'] = [];
  for (const { scope, indices, mine, share } of byScope(layers)) {
    const part = yield* allocateTogether(mine, splitBudget(budget, share), options);
    indices.forEach((l, i) => {
      removed[l] = part.removed[i]!;
    });
    parts.push({ scope, part });
  }
  return { ...describe(layers, removed), parts };
}

/** The layers of each scope, and their part of all weights. */
function byScope(layers: readonly AllocationLayer[]) {
  const scopes = [...new Set(layers.map(({ scope }) => scope))];
  return scopes.map((scope) => {
    const indices = [...layers.keys()].filter((l) => layers[l]!.scope === scope);
    const mine = indices.map((l) => layers[l]!);
    return { scope, indices, mine, share: scopeWeights(mine) / scopeWeights(layers) };
  });
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
  return yield* RULES[options.rule].allocate(layers, budget, options);
}
