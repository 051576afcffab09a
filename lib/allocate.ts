/** Allocation by itself, on the curves of a survey. */
import { isFloat64Array, isInt32Array } from 'node:util/types';
import type { z } from 'zod';
import type { Allocation } from './allocation';
import { settingsFrom } from './engine/call';
import { StruPruneError } from './errors';
import { allocationSchema } from './options';
import { requireOneTarget } from './options/target';
import { budgetFor } from './spec/widths';
import { allocateBy, expertScopeOf } from './stages/allocate';
import type { LayerCurves } from './survey';

/** Those of prune() that decide how much goes where. */
export type AllocateOptions = z.input<typeof allocationSchema>;

/**
 * How many groups each layer of a survey would give up; `removed[i]` belongs to `curves.layers[i]`. prune() with the same
 * options removes the same: milliseconds here for what takes minutes there.
 * @throws StruPruneError ERR_ARGUMENT with the largest possible sparsity where the target cannot be met; ERR_NAN
 */
export async function allocate(curves: LayerCurves, options: AllocateOptions): Promise<Allocation> {
  requireCurves(curves);
  const settings = settingsFrom(allocationSchema, options);
  requireOneTarget(settings);
  const { layers } = curves;
  const usual = expertScopeOf(layers) === null ? 'threshold' : 'uniform';
  const { allocation: rule = usual, energyForm: form, temperature, apart } = settings;
  const spec = { rule, form, temperature, apart };
  return allocateBy(spec, layers, budgetFor(settings, curves));
}

function requireCurves(curves: LayerCurves): void {
  const { layers, total, parameters, dtype } = Object(curves) as Partial<LayerCurves>;
  const counts = [total, parameters].every(Number.isInteger) && typeof dtype === 'string';
  const whole = (layer: LayerCurves['layers'][number] | null) =>
    isInt32Array(layer?.allowed) && isFloat64Array(layer?.curve);
  if (counts && Array.isArray(layers) && layers.every(whole)) return;
  throw new StruPruneError(
    'ERR_ARGUMENT',
    'the first argument is not what survey() returned',
    'give that; JSON does not keep its typed arrays, `structuredClone` and `v8.serialize` do',
  );
}
