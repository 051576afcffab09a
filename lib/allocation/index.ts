import { choicesFor } from '../choices';
import type { Choices } from '../choices/types';
import { finished, type Steps } from '../turns';
import { allocateEnergy, siteEnergies } from './energy';
import { type PairedLayer, pairedSites } from './pairs';
import { beyondTarget, choicesOf, describe, removableWeights, scopeWeights } from './sites';
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

export { allocateEnergy } from './energy';
export { allocatePairs } from './pairs';
export { allowedRemovals, unitsOfMultiple, weightsToRemove } from './rounding';
export { checkBudget, storedIn } from './sites';
export { allocateThreshold } from './threshold';
export * from './types';
export { allocateUniform } from './uniform';

interface Rule {
  /** Whether it reads error curves, which a survey has to measure. */
  readsCurves: boolean;
  allocate(
    sites: readonly Choices[],
    budget: Budget,
    options: AllocateOptions,
  ): Steps<RuleAllocation>;
}

/** Every rule by name. To add one: a file, and its line here. */
const RULES = {
  uniform: {
    readsCurves: false,
    allocate: (sites, budget) => finished(allocateUniform(sites, budget)),
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
  return yield* allocateSites(layers.map(choicesFor), budget, options);
}

/** The same where whole experts go, and channels inside the others: a pair of numbers a block. Energies know no pairs. */
export function* allocateExperts(
  layers: readonly PairedLayer[],
  budget: Budget,
): Steps<JointAllocation> {
  const { sites, removedBy } = pairedSites(layers);
  const { counted } = budget;
  const freed = counted?.freed && ((places: Int32Array) => counted.freed!(removedBy(places)));
  const byPlaces = { ...budget, ...(counted && { counted: { ...counted, freed } }) };
  const pairs = yield* allocateSites(sites, byPlaces, { rule: 'threshold' });
  const removed = removedBy(pairs.removed);
  const sparsities = Float64Array.from(layers, ({ groups }, l) => removed[l]! / groups);
  const parts = pairs.parts.map(({ scope, part }) => ({
    scope,
    part: { ...part, removed, sparsities },
  }));
  return { ...pairs, removed, sparsities, parts };
}

function* allocateSites(
  sites: readonly Choices[],
  budget: Budget,
  options: AllocateOptions,
): Steps<JointAllocation> {
  const freed = budget.counted?.freed;
  return yield* freed
    ? allocateUnits(sites, budget, freed, options)
    : allocateWeights(sites, budget, options);
}

/** The fewest weights that suffice: the rules count weights, and units of the target are not as many a weight everywhere. */
function* allocateUnits(
  sites: readonly Choices[],
  budget: Budget,
  freed: (removed: Int32Array) => number,
  options: AllocateOptions,
): Steps<JointAllocation> {
  const { total, counted } = budget;
  const { now, keep } = counted!;
  const of = (remove: number) => allocateWeights(sites, { remove, total }, options);
  let high = mostWeights(sites, options);
  let best = yield* of(high);
  const least = now - freed(best.removed);
  if (least > keep) throw beyondTarget(sites, budget, { least: Math.ceil(least), most: high });
  for (let low = 0; low < high; ) {
    yield;
    const middle = Math.floor((low + high) / 2);
    const found = yield* of(middle);
    if (now - freed(found.removed) <= keep) {
      best = found;
      high = middle;
    } else low = middle + 1;
  }
  return best;
}

/** Weights of the largest budget that can be met. */
function mostWeights(sites: readonly Choices[], { apart }: AllocateOptions): number {
  if (!apart) return removableWeights(sites);
  const limits = byScope(sites).map(({ mine, share }) =>
    Math.floor(removableWeights(mine) / share),
  );
  return Math.min(...limits);
}

function* allocateWeights(
  sites: readonly Choices[],
  budget: Budget,
  options: AllocateOptions,
): Steps<JointAllocation> {
  if (!options.apart) {
    const part = yield* RULES[options.rule].allocate(sites, budget, options);
    const { removed, sparsities, removedWeights, predictedError } = part;
    return { removed, sparsities, removedWeights, predictedError, parts: [{ scope: 'all', part }] };
  }
  const removed = new Int32Array(sites.length);
  const parts: JointAllocation['parts'] = [];
  for (const { scope, indices, mine, share } of byScope(sites)) {
    const part = yield* RULES[options.rule].allocate(mine, splitBudget(budget, share), options);
    indices.forEach((l, i) => {
      removed[l] = part.removed[i]!;
    });
    parts.push({ scope, part });
  }
  return { ...describe(sites, choicesOf(sites, removed)), parts };
}

/** The sites of each scope, and their part of all weights. */
function byScope(sites: readonly Choices[]) {
  const scopes = [...new Set(sites.map(({ scope }) => scope))];
  return scopes.map((scope) => {
    const indices = [...sites.keys()].filter((l) => sites[l]!.scope === scope);
    const mine = indices.map((l) => sites[l]!);
    return { scope, indices, mine, share: scopeWeights(mine) / scopeWeights(sites) };
  });
}

function splitBudget({ remove, total }: Budget, share: number): Budget {
  // The small term keeps a rounded product of whole numbers from asking for one weight more.
  return { remove: Math.ceil(remove * share - 1e-6), total: total * share };
}

/** Energies ε_l where so many weights have to go: of each layer what it would lose at the common share (`siteEnergies`). */
export function layerEnergies(layers: readonly AllocationLayer[], remove: number): Float64Array {
  const sites = layers.map(choicesFor);
  return siteEnergies(sites, remove / scopeWeights(sites));
}
