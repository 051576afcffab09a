/** Allocation by itself, on the curves of a survey. */
import type { z } from 'zod';
import type { Allocation } from './allocation';
import { settingsFrom } from './options';
import { allocateBy } from './pruning/decide';
import { allocationSchema, requireOneTarget } from './pruning/options';
import { budgetFor } from './pruning/widths';
import type { LayerCurves } from './survey';

/** Those of prune() that decide how much goes where. */
export type AllocateOptions = z.input<typeof allocationSchema>;

/**
 * How many groups each layer of a survey would give up; `removed[i]` belongs to `curves.layers[i]`. prune() with the same
 * options removes the same: milliseconds here for what takes minutes there.
 * @throws StruPruneError ERR_ARGUMENT with the largest possible sparsity where the target cannot be met; ERR_NAN
 */
export async function allocate(curves: LayerCurves, options: AllocateOptions): Promise<Allocation> {
  const settings = settingsFrom(allocationSchema, options);
  requireOneTarget(settings);
  return allocateBy(settings, curves.layers, budgetFor(settings, curves));
}
