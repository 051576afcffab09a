/** Widths of a site as choices: groups of the same cost go, one after the other. */
import { StruPruneError } from '../errors';
import type { Site } from '../model/sublayers';
import type { Choices } from './types';

/** What the widths of a layer free of a budget's unit that is not a number a weight: time. */
export interface Priced {
  /** One an allowed count, the first one 0; grows strictly. */
  freed: Float64Array;
  /** Of all groups. */
  whole: number;
}

export interface AllocationLayer {
  scope: Site;
  /** Groups that the layer has now, n_l. */
  groups: number;
  /** Linear weights in one group, c. Biases and norms do not count. */
  cost: number;
  /** Removal counts that rounding and bounds permit, ascending, the first one 0 (`allowedRemovals`). */
  allowed: Int32Array;
  /** Error curve: curve[k] after k removals, k = 0 … at least the last allowed count. null: uniform only. */
  curve: Float64Array | null;
  /** w_l: what one unit of this layer's error costs the model. */
  weight: number;
  /** Predicted loss with the whole layer gone; left out where that is no choice. */
  gone?: number;
  /** Left out where the budget counts weights, or what is a number a weight. */
  priced?: Priced;
}

/** `index`: of the layer, for messages. @throws StruPruneError ERR_INTERNAL where the curve is too short */
export function widths(layer: AllocationLayer, index: number): Choices {
  const { scope, groups, cost, allowed, curve, weight } = layer;
  const weights = Float64Array.from(allowed, (count) => cost * count);
  const { freed, whole } = layer.priced ?? { freed: weights, whole: cost * groups };
  const most = allowed.at(-1)!;
  if (curve && curve.length <= most) {
    throw new StruPruneError(
      'ERR_INTERNAL',
      `layer ${index} needs an error curve up to ${most} removals, has ${curve.length - 1}`,
    );
  }
  const lossAt = (count: number) => weight * curve![count]!;
  return {
    ...{ scope, groups, whole, cost, removed: allowed, freed, weights },
    loss: curve && Float64Array.from(allowed, lossAt),
    // Of a product such as 0.9 · 160, which is 144, a rounding error is no group more.
    lossOf: (share) => lossAt(Math.min(Math.ceil(share * groups - 1e-9), most)),
  };
}
