import { StruPruneError } from '../errors';
import type { Dtype } from '../model/architecture';
import { grouped } from '../numbers';
import type { Allocation, AllocationLayer, Budget } from './types';

/** Weights that can go within the bounds. */
export function removableWeights(layers: readonly AllocationLayer[]): number {
  return layers.reduce((sum, layer) => sum + layer.cost * layer.allowed.at(-1)!, 0);
}

/** Σ N_l: weights of the layers, whether they may go or not. */
export function scopeWeights(layers: readonly AllocationLayer[]): number {
  return layers.reduce((sum, layer) => sum + layer.cost * layer.groups, 0);
}

/** Refuses a budget that no choice of allowed widths reaches, and says what would be possible. */
export function checkBudget(layers: readonly AllocationLayer[], budget: Budget): void {
  const most = removableWeights(layers);
  if (budget.remove <= most) return;
  if (budget.counted) {
    const { now, each } = budget.counted;
    throw beyondTarget(layers, budget, { least: Math.ceil(now - each * most), most });
  }
  const wider = widerFor(layers, budget, most);
  const asked = (budget.remove / budget.total).toFixed(4);
  // Rounded down, so that asking for the number printed works.
  const possible = (Math.floor((most / budget.total) * 1e4) / 1e4).toFixed(4);
  throw new StruPruneError(
    'ERR_ARGUMENT',
    `sparsity ${asked} asks for ${budget.remove} weights, but the scope, the bounds and the rounding of widths let ${most} go`,
    most > 0 ? `ask for at most ${possible}, or ${wider}` : wider,
  );
}

function widerFor(layers: readonly AllocationLayer[], { total }: Budget, most: number): string {
  // Shares of a total, as of scopes apart, are not exact.
  const all = scopeWeights(layers) > total * (1 - 1e-9);
  const scope = most === 0 ? ', or another --scope' : all ? '' : ', or --scope all';
  const bounds = `a larger --max-layer-sparsity${scope === '' ? ' or' : ','} a smaller --multiple`;
  return `let ${most === 0 ? 'some' : 'more'} go: ${bounds}${scope}`;
}

/** `least`: what stays of the target's unit when all that may go does, `most` weights. */
export function beyondTarget(
  layers: readonly AllocationLayer[],
  budget: Budget,
  { least, most }: { least: number; most: number },
): StruPruneError {
  const { unit, keep, dtype, fewerBits } = budget.counted!;
  const file = fewerBits ? ', or write a .gguf file, whose --dtype can have fewer bits' : '';
  return new StruPruneError(
    'ERR_ARGUMENT',
    `the target is ${grouped(keep)} ${unit}, but the scope, the bounds and the rounding of widths keep ${grouped(least)} ${unit}${storedIn(dtype)}`,
    `${most > 0 ? `ask for ${least} or more, or ` : ''}${widerFor(layers, budget, most)}${file}`,
  );
}

/** Bytes alone are of a dtype. */
export function storedIn(dtype: Dtype | undefined): string {
  return dtype ? ` in ${dtype.toLowerCase()}` : '';
}

/** The layer's curve, checked: long enough and finite. */
export function curveOf(layer: AllocationLayer, index: number): Float64Array {
  const { curve, weight, allowed } = layer;
  const last = allowed.at(-1)!;
  if (curve === null || curve.length <= last) {
    throw new StruPruneError(
      'ERR_INTERNAL',
      `layer ${index} needs an error curve up to ${last} removals, has ${(curve?.length ?? 0) - 1}`,
    );
  }
  let finite = Number.isFinite(weight);
  for (let k = 0; k <= last; k++) finite &&= Number.isFinite(curve[k]);
  if (!finite) {
    throw new StruPruneError('ERR_NAN', `the error curve of layer ${index} is not finite`);
  }
  return curve;
}

export function describe(layers: readonly AllocationLayer[], removed: Int32Array): Allocation {
  let predictedError: number | null = 0;
  let removedWeights = 0;
  layers.forEach((layer, l) => {
    const count = removed[l]!;
    removedWeights += layer.cost * count;
    predictedError =
      predictedError === null || layer.curve === null
        ? null
        : predictedError + layer.weight * layer.curve[count]!;
  });
  const sparsities = Float64Array.from(layers, (layer, l) => removed[l]! / layer.groups);
  return { removed, sparsities, removedWeights, predictedError };
}
