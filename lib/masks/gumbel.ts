/** A mask drawn at random, the best of some (docs/method.md, section 4; docs/decisions/0056). */
import type { RidgeReport } from '../engine/native-solver';
import { uniform } from '../random';
import type { MaskProblem, MaskRecipe, MaskReport } from './types';

/** How many masks are drawn where nothing is said of it. */
export const MASK_SAMPLES = 16;
/** T: of 0.2, 0.1, 0.05 and 0.02 the one with the least errors on `assets/tiny` (docs/decisions/0056). */
export const TEMPERATURE = 0.05;

/**
 * Draws k of n groups without replacement, each next one with a probability proportional to c^(1 ÷ T), where c is what its removal
 * alone costs (Plackett and Luce's distribution, by Gumbel's trick: the k largest of ln c + T · G; arXiv 1903.06059, and as masks of
 * k of n arXiv 2105.12686). The first mask has no noise. The one with the least error after its exact refit is taken.
 */
export async function maskByGumbel(
  { solver, structure, budget, bias, place }: MaskProblem,
  { gumbel: { samples, seed } }: MaskRecipe,
): Promise<MaskReport> {
  const whole = new Uint8Array(structure.groups).fill(1);
  const { removal } = await solver.costs(whole, { bias });
  // Layers of a run have draws of their own.
  const draw = uniform(seed + 7919 * place.block + (place.site === 'ffn' ? 1 : 0));
  let best: ({ keep: Uint8Array; error: number } & RidgeReport) | null = null;
  for (let sample = 0; sample < samples; sample++) {
    const energies = removal.map((cost) => cost * (sample === 0 ? 1 : noise(draw)));
    const keep = structure.project(energies, structure.costs, budget);
    using refit = await solver.refit(keep, { bias });
    const { error, lambda, ridgeRaised } = refit;
    if (best === null || error < best.error) best = { keep, error, lambda, ridgeRaised };
  }
  const { keep, lambda, ridgeRaised } = best!;
  return { keep, lambda, ridgeRaised };
}

/** exp(T · G), G of the standard Gumbel distribution; `draw` is of [0, 1). */
export function noise(draw: () => number): number {
  // Above 0: where u is 0, its power would have no bound.
  const exponential = Math.max(-Math.log(1 - draw()), Number.MIN_VALUE);
  return exponential ** -TEMPERATURE;
}
