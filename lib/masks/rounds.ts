/** A mask in a few rounds of removals, the kept groups refitted after each (docs/method.md, section 8). */
import type { RidgeReport } from '../engine/native-solver';
import { mostRemovals } from './sweep';
import type { MaskProblem, MaskRecipe, MaskReport } from './types';

/**
 * Removes what the budget asks for in so many rounds, as equal as can be and larger ones first. In each go the groups of
 * the least ½ tr(Q_gg P_gg⁻¹) + tr((C_λ)_g Ŵ_gᵀ): what the removal adds to ½ of the penalised error, and the
 * group's own part of the term that the refit takes off it (score of arXiv 2503.09657's program).
 */
export async function maskByRounds(
  { solver, structure, budget, bias, place }: MaskProblem,
  recipe: MaskRecipe,
): Promise<MaskReport> {
  const keep = new Uint8Array(structure.groups).fill(1);
  let ridge: RidgeReport | null = null;
  for (const count of parts(mostRemovals(structure, budget), recipe.rounds[place.site] ?? 1)) {
    const { removal, explained, lambda, ridgeRaised } = await solver.costs(keep, { bias });
    const scores = removal.map((cost, group) => cost / 2 + explained[group]!);
    const kept = [...keep.keys()].filter((group) => keep[group] === 1);
    kept.sort((a, b) => scores[a]! - scores[b]! || a - b);
    for (const group of kept.slice(0, count)) keep[group] = 0;
    if (ridgeRaised >= (ridge?.ridgeRaised ?? 0)) ridge = { lambda, ridgeRaised };
  }
  return { keep, lambda: ridge?.lambda ?? null, ridgeRaised: ridge?.ridgeRaised ?? 0 };
}

/** `total` in at most so many rounds that differ by 1 at most, larger ones first. */
function parts(total: number, rounds: number): number[] {
  const count = Math.min(rounds, total);
  return Array.from({ length: count }, (_, i) => Math.floor((total + count - 1 - i) / count));
}
