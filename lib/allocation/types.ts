/**
 * Allocation decides how many groups every layer gives up. It is pure: numbers in, numbers out.
 *
 * A *layer* here is one site of one block: its FFN, or its KV heads with their query heads. All groups
 * of a layer cost the same number of weights. Rules see its widths as choices (lib/choices).
 */
import type { AllocationLayer } from '../choices/widths';
import type { Dtype } from '../model/architecture';

export type { AllocationLayer } from '../choices/widths';
export type AllocationScope = AllocationLayer['scope'];

export interface Budget {
  /** R: linear weights that have to go; of layers that are `priced`, what they are priced in. */
  remove: number;
  /** Linear weights of all blocks, whatever the scope; sparsity = removed ÷ total. */
  total: number;
  /** What the target was given in, where that is not sparsity: how much there is now, and what one weight is of it. */
  counted?: {
    unit: 'weights' | 'parameters' | 'multiply-adds' | 'bytes' | 'nanoseconds';
    now: number;
    each: number;
    keep: number;
    /** Of bytes: what the output is stored in, and whether a GGUF file may have fewer of them. */
    dtype?: Dtype;
    fewerBits?: boolean;
    /**
     * Units that go with so many groups of every layer, where that is not a number a weight: `each` is the fewest, and `remove` more
     * than is needed.
     */
    freed?: (removed: Int32Array) => number;
  };
}

export interface Allocation {
  /** Groups to remove, one entry a layer. */
  removed: Int32Array;
  /** removed ÷ groups, one entry a layer. */
  sparsities: Float64Array;
  /** Σ cost · removed. */
  removedWeights: number;
  /** Σ w_l E_l(removed_l); null where a layer has no curve. */
  predictedError: number | null;
}

export interface ThresholdAllocation extends Allocation {
  rule: 'threshold';
  /** Largest slope (error per weight) that was taken. -Infinity when nothing had to go. */
  tau: number;
}

export type EnergyForm = 'dilute' | 'full';

export interface EnergyAllocation extends Allocation {
  rule: 'energy';
  form: EnergyForm;
  temperature: number;
  /** Multiplier of the budget at which the last step was taken, in the units of the energies. */
  mu: number;
  /** ε_l: energies, their N-weighted mean 1. */
  energies: Float64Array;
  /** s_l before rounding. */
  shares: Float64Array;
}

export interface UniformAllocation extends Allocation {
  rule: 'uniform';
}
