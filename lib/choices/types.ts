import type { Site } from '../model/sublayers';

/** What may become of a site. Allocation picks one choice a site; numbers are `[choices]`. */
export interface Choices {
  /** Sites of one scope get the same share where shares are uniform. */
  scope: Site;
  /** Units of the site, and what all of them take of the budget's unit: linear weights, or time. */
  groups: number;
  whole: number;
  /** Linear weights of a unit. */
  cost: number;
  /** Units that each choice removes, ascending; the first one none. */
  removed: Int32Array;
  /** What goes with them, in the budget's unit; grows strictly. */
  freed: Float64Array;
  /** Linear weights that go with them. */
  weights: Float64Array;
  /** Predicted loss of each; null where nothing was measured. */
  loss: Float64Array | null;
  /** Predicted loss of a share of the units, which no choice need have. */
  lossOf(share: number): number;
}
