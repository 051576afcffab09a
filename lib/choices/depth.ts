/** Depth: a whole sublayer gone, the residual passing by, as the last choice of a site beside its widths. */
import type { Choices } from './types';

/** `loss`: of all units gone, by trial; with one unit left it may be larger. */
export function orGone(site: Choices, loss: number): Choices {
  const { groups, whole, removed, freed, weights, cost } = site;
  return {
    ...site,
    removed: Int32Array.of(...removed, groups),
    freed: Float64Array.of(...freed, whole),
    weights: Float64Array.of(...weights, cost * groups),
    loss: site.loss && Float64Array.of(...site.loss, loss),
  };
}
