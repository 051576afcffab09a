/**
 * What ADMM's sparse copy Z may look like: a set of groups of which some are kept. ADMM and the
 * sweep's rounding read a structure only through this interface.
 */
export interface Structure {
  readonly name: string;
  readonly groups: number;
  /** `[groups]` linear weights that go with each group (biases do not count towards sparsity). */
  readonly costs: Float64Array;
  /**
   * How many groups may be kept when `wanted` fit the budget: rounded down to what a checkpoint or
   * kernel can hold, never below the structure's least.
   */
  roundKept(wanted: number): number;
  /**
   * The closed-form Z step: keeps the groups with the most energy per cost so that Σ cost of the kept
   * ones is at most `budget` (exact for equal costs, greedy by ratio otherwise). Returns the mask
   * `[groups]`, 1 = keep. Throws ERR_ARGUMENT where not even the structure's least fits.
   */
  project(energies: Float64Array, costs: Float64Array, budget: number): Uint8Array;
}
