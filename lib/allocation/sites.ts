import type { Choices } from '../choices/types';
import { StruPruneError } from '../errors';
import type { Dtype } from '../model/architecture';
import { grouped } from '../numbers';
import type { Allocation, Budget } from './types';

/** What can go within the bounds, in the budget's unit. */
export function removableWeights(sites: readonly Choices[]): number {
  return sites.reduce((sum, { freed }) => sum + freed.at(-1)!, 0);
}

/** Σ N_l: what the sites take of the budget's unit, whether it may go or not. */
export function scopeWeights(sites: readonly Choices[]): number {
  return sites.reduce((sum, { whole }) => sum + whole, 0);
}

/** Refuses a budget that no choices reach, and says what would be possible. */
export function checkBudget(sites: readonly Choices[], budget: Budget): void {
  const most = removableWeights(sites);
  if (budget.remove <= most) return;
  if (budget.counted) {
    const { now, each } = budget.counted;
    throw beyondTarget(sites, budget, { least: Math.ceil(now - each * most), most });
  }
  const wider = widerFor(sites, budget, most);
  const asked = (budget.remove / budget.total).toFixed(4);
  // Rounded down, so that asking for the number printed works.
  const possible = (Math.floor((most / budget.total) * 1e4) / 1e4).toFixed(4);
  throw new StruPruneError(
    'ERR_ARGUMENT',
    `sparsity ${asked} asks for ${budget.remove} weights, but the scope, the bounds and the rounding of widths let ${most} go`,
    most > 0 ? `ask for at most ${possible}, or ${wider}` : wider,
  );
}

function widerFor(sites: readonly Choices[], { total }: Budget, most: number): string {
  if (sites.length > 0 && sites.every(({ scope }) => scope === 'experts')) {
    return 'let more go: a larger --max-layer-sparsity, where more experts stay than a token passes';
  }
  // Shares of a total, as of scopes apart, are not exact.
  const all = scopeWeights(sites) > total * (1 - 1e-9);
  const scope = most === 0 ? ', or another --scope' : all ? '' : ', or --scope all';
  const bounds = `a larger --max-layer-sparsity${scope === '' ? ' or' : ','} a smaller --multiple`;
  return `let ${most === 0 ? 'some' : 'more'} go: ${bounds}${scope}`;
}

/** `least`: what stays of the target's unit when all that may go does, `most` weights. */
export function beyondTarget(
  sites: readonly Choices[],
  budget: Budget,
  { least, most }: { least: number; most: number },
): StruPruneError {
  const { unit, now, keep, dtype, fewerBits } = budget.counted!;
  if (unit === 'nanoseconds') {
    // Rounded down, so that asking for the number printed works.
    const possible = (Math.floor((1e3 * now) / least) / 1e3).toFixed(3);
    return new StruPruneError(
      'ERR_ARGUMENT',
      `the target is ${(now / keep).toFixed(3)} times as fast, but by the times of widths the scope, the bounds and the rounding of widths let it be ${possible} times`,
      `ask for at most --target-speed ${possible}, or ${widerFor(sites, budget, most)}`,
    );
  }
  const file = fewerBits ? ', or write a .gguf file, whose --dtype can have fewer bits' : '';
  return new StruPruneError(
    'ERR_ARGUMENT',
    `the target is ${grouped(keep)} ${unit}, but the scope, the bounds and the rounding of widths keep ${grouped(least)} ${unit}${storedIn(dtype)}`,
    `${most > 0 ? `ask for ${least} or more, or ` : ''}${widerFor(sites, budget, most)}${file}`,
  );
}

/** Bytes alone are of a dtype. */
export function storedIn(dtype: Dtype | undefined): string {
  return dtype ? ` in ${dtype.toLowerCase()}` : '';
}

/** @throws StruPruneError ERR_INTERNAL where the site's losses were not measured, ERR_NAN where they are not finite */
export function requireLoss({ loss, lossOf }: Choices, index: number, share = 0): void {
  if (loss === null) {
    throw new StruPruneError('ERR_INTERNAL', `layer ${index} needs an error curve, has none`);
  }
  if (loss.every(Number.isFinite) && Number.isFinite(lossOf(share))) return;
  throw new StruPruneError('ERR_NAN', `the error curve of layer ${index} is not finite`);
}

/** Of every site the place of the choice that removes so many units. */
export function choicesOf(sites: readonly Choices[], removed: Int32Array): Int32Array {
  return Int32Array.from(sites, (site, l) => site.removed.indexOf(removed[l]!));
}

/** `chosen`: of every site the place of its choice. */
export function describe(sites: readonly Choices[], chosen: Int32Array): Allocation {
  let predictedError: number | null = 0;
  let removedWeights = 0;
  sites.forEach(({ weights, loss }, l) => {
    const choice = chosen[l]!;
    removedWeights += weights[choice]!;
    predictedError =
      predictedError === null || loss === null ? null : predictedError + loss[choice]!;
  });
  const removed = Int32Array.from(sites, (site, l) => site.removed[chosen[l]!]!);
  const sparsities = Float64Array.from(sites, ({ groups }, l) => removed[l]! / groups);
  return { removed, sparsities, removedWeights, predictedError };
}
