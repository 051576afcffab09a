import {
  type AllocateOptions,
  type AllocationLayer,
  allocate,
  allocatePairs,
  allowedRemovals,
  type Budget,
  checkBudget,
  type JointAllocation,
  storedIn,
  unitsOfMultiple,
  weightsToRemove,
} from '../allocation';
import { bytesEach } from '../checkpoint/container';
import { roundingFor } from '../checkpoint/export';

import { choicesFor } from '../choices';
import type { Priced } from '../choices/widths';
import { StruPruneError } from '../errors';
import type { Architecture, Dtype } from '../model/architecture';
import { sublayersOf } from '../model/blocks';
import { unitParameters, widthsOf } from '../model/groups';
import {
  columnsPerUnit,
  expertAt,
  insideOf,
  outerSite,
  type Site,
  unitsOf,
} from '../model/sublayers';
import { grouped } from '../numbers';
import type { Settings } from '../options';
import { type Percent, shareOf } from '../options/kinds';
import { reaches } from '../options/method';
import type { Target } from '../options/target';
import { atOnce } from '../turns';

/** One prunable site of one block. */
export interface Layer {
  block: number;
  site: Site;
  groups: number;
  /** Linear weights in a group. */
  cost: number;
  /** Neighbouring columns of the output map in a group. */
  groupSize: number;
  /** Removal counts that rounding and bounds allow, ascending. */
  allowed: Int32Array;
  /** Where the budget is one of time. */
  priced?: Priced;
}

/** The sites in the scope, in the order in which they are solved. */
export function layersOf(
  architecture: Architecture,
  settings: Pick<Settings, 'scope' | 'multiple' | 'maxLayerSparsity'>,
  matrices: Dtype,
): Layer[] {
  const { scope } = settings;
  const rounding = roundingFor(matrices);
  return architecture.blocks.flatMap((_, block) =>
    sublayersOf(architecture, block)
      .flatMap((sublayer) => [sublayer, ...insideOf(sublayer)])
      .filter(({ name }) => reaches(scope, name))
      .map((sublayer) => {
        const site = sublayer.name;
        const groups = unitsOf(sublayer);
        const groupSize = columnsPerUnit(sublayer);
        const { mixer } = sublayer;
        // No row gets longer or shorter where experts go.
        const multiple = {
          ffn: ffnMultiple(settings, matrices),
          attention: unitsOfMultiple(rounding.attention, groupSize),
          experts: 1,
          convolution: 1,
          delta: 1,
        }[mixer.kind];
        const least = mixer.kind === 'experts' ? mixer.topK : multiple;
        return {
          block,
          site,
          groups,
          groupSize,
          cost: unitParameters(sublayer, architecture.hidden).weights,
          allowed: allowedRemovals(groups, {
            multiple,
            minKeep: Math.min(least, groups),
            maxShare: settings.maxLayerSparsity,
          }),
        };
      }),
  );
}

/** What FFN widths are multiples of. */
export function ffnMultiple({ multiple }: Pick<Settings, 'multiple'>, matrices: Dtype): number {
  return multiple ?? roundingFor(matrices).ffn;
}

/** Place of a site among the layers; -1 = out of scope. */
export function layerAt(layers: readonly Layer[], block: number, site: Site): number {
  return layers.findIndex((layer) => layer.block === block && layer.site === site);
}

/** Whether it is none inside another: of experts all of them. */
export function isWhole({ site }: Pick<Layer, 'site'>): boolean {
  return outerSite(site) === site;
}

/** Those of a block. */
export function layersIn(layers: readonly Layer[], block: number): Layer[] {
  return layers.filter((layer) => layer.block === block);
}

/** Columns of a layer's output map. */
export function widthOf({ groups, groupSize }: Layer): number {
  return groups * groupSize;
}

/** Sites as the allocation rules see them. */
export function allocationLayers<Curve extends Float64Array | null>(
  layers: readonly Layer[],
  curves: readonly Curve[],
  weights: readonly number[],
): (AllocationLayer & { block: number; curve: Curve })[] {
  return layers.map(({ block, site, groups, cost, allowed, priced }, i) => ({
    block,
    scope: expertAt(site) === null ? site : 'expert-channels',
    groups,
    cost,
    allowed,
    curve: curves[i]!,
    weight: weights[i]!,
    ...(priced && { priced }),
  }));
}

/** Whether whole experts may go, and channels inside those that stay. */
export function joinsExperts(layers: readonly Layer[]): boolean {
  const inside = layers.some(({ site }) => expertAt(site) !== null);
  return inside && layers.some(({ site }) => site === 'experts');
}

/** The same share of every layer, which reads no curves but where whole experts are weighed against channels of them. */
export function uniformly(
  layers: readonly Layer[],
  budget: Budget,
  { apart }: Pick<AllocateOptions, 'apart'>,
  survey: { curves: readonly Float64Array[]; weights: readonly number[] } | null = null,
): JointAllocation {
  if (joinsExperts(layers)) {
    const placed = survey && allocationLayers(layers, survey.curves, survey.weights);
    const part = allocatePairs(placed ?? withoutCurves(layers), budget);
    return { ...part, parts: [{ scope: 'all', part }] };
  }
  return atOnce(allocate(withoutCurves(layers), budget, { rule: 'uniform', apart }));
}

function withoutCurves(layers: readonly Layer[]) {
  const none = layers.map(() => null);
  const weights = layers.map(() => 1);
  return allocationLayers(layers, none, weights);
}

/**
 * What widths alone can give of a budget to which whole layers may add: for guesses.
 * @throws StruPruneError ERR_ARGUMENT where whole layers would not suffice either
 */
export function withinWidths(layers: readonly Layer[], budget: Budget): Budget {
  // Where weights differ in bytes, the budget has more of them than are needed.
  if (!budget.counted?.freed) {
    const placed = withoutCurves(layers).map((layer) => ({ ...layer, gone: 0 }));
    checkBudget(placed.map(choicesFor), budget);
  }
  const most = layers.reduce((sum, { cost, allowed }) => sum + cost * allowed.at(-1)!, 0);
  return { remove: Math.min(budget.remove, most), total: budget.total };
}

/** What a target is counted in. */
export interface TargetFacts {
  /** Linear weights of all blocks. */
  total: number;
  /** All parameters of the checkpoint. */
  parameters: number;
  /** Of all maps, for a token. */
  multiplyAdds: number;
  /** By a weight that may go, on average, where not all tokens are: they pass a few of all experts. */
  multiplied?: number;
  /** Weight files of the output with nothing removed; without a GGUF file's vocabulary where that is not known. */
  bytes: number;
  /** Of what is refitted in the output. */
  dtype: Dtype;
  /** Where weights differ in bytes: those of a group, one a layer, and the fewest of a weight. */
  mixed?: { perGroup: Float64Array; each: number };
  /** The source is quantised, and the output a folder, which cannot be. */
  fewerBits?: boolean;
}

/** Weights to remove for a target. @throws StruPruneError ERR_ARGUMENT where the model is no larger than that already */
export function budgetFor(target: Target, facts: TargetFacts): Budget {
  const { sparsity } = target;
  const { total } = facts;
  if (sparsity !== undefined) return budgetOfShare(sparsity, total);
  const counted = countedIn(target, facts);
  const { unit, now, keep } = counted;
  if (keep >= now) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `the target is ${grouped(keep)} ${unit}, and with nothing removed the output would have ${grouped(now)} ${unit}${storedIn(counted.dtype)}`,
      'give a smaller target; `npx struprune-native export` writes the model as it is',
    );
  }
  return { remove: Math.ceil((now - keep) / counted.each), total, counted };
}

function countedIn(
  { targetParams, targetMacs, targetSize }: Target,
  { parameters, multiplyAdds, multiplied = 1, bytes, dtype, mixed, fewerBits }: TargetFacts,
): NonNullable<Budget['counted']> {
  if (targetParams !== undefined) {
    const keep = keptOf(targetParams, parameters);
    return { unit: 'parameters', now: parameters, each: 1, keep };
  }
  if (targetMacs !== undefined) {
    const keep = keptOf(targetMacs, multiplyAdds);
    return { unit: 'multiply-adds', now: multiplyAdds, each: multiplied, keep };
  }
  return {
    unit: 'bytes',
    now: bytes,
    each: mixed?.each ?? bytesEach(dtype),
    keep: keptOf(targetSize!, bytes),
    dtype,
    fewerBits,
    freed: mixed && freedBy(mixed.perGroup),
  };
}

/** `perGroup`: one a layer. */
function freedBy(perGroup: Float64Array): (removed: Int32Array) => number {
  return (removed) => removed.reduce((sum, count, l) => sum + count * perGroup[l]!, 0);
}

function keptOf(target: number | Percent, now: number): number {
  return typeof target === 'number' ? target : Math.floor(shareOf(target) * now);
}

export function budgetOfShare(sparsity: number, total: number): Budget {
  return { remove: weightsToRemove(sparsity, total), total };
}

/** A mask as ascending indices of the groups that stay. */
export function keptIndices(mask: Uint8Array): Int32Array {
  return Int32Array.from([...mask.keys()].filter((g) => mask[g] !== 0));
}

export function maskOf(kept: Int32Array, groups: number): Uint8Array {
  const mask = new Uint8Array(groups);
  for (const g of kept) mask[g] = 1;
  return mask;
}

/** The architecture with so many groups less in every layer, before any mask is known. */
export function plannedArchitecture(
  architecture: Architecture,
  layers: readonly Layer[],
  removed: Int32Array,
): Architecture {
  const counts: Record<Site, number>[] = architecture.blocks.map(() => ({}));
  layers.forEach(({ block, site, groups }, i) => {
    const left = counts[block]!.experts ?? Number.POSITIVE_INFINITY;
    // Of those inside the first ones stay.
    if ((expertAt(site) ?? 0) < left) counts[block]![site] = groups - removed[i]!;
  });
  const blocks = counts.map((units, block) => widthsOf(architecture, block, units));
  return { ...architecture, blocks };
}
