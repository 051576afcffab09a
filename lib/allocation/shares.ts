import { native } from '../engine/native';
import type { EnergyForm } from './types';

/**
 * The continuous problem behind the energy rule:
 *   minimise F(s) = Σ N_l [ε_l s_l − T·Η(s_l)]   with Σ N_l s_l = R and 0 ≤ s_l ≤ cap_l.
 * full:   Η(s) = −s ln s − (1−s) ln(1−s)   →  s_l = 1/(1 + exp((ε_l − μ)/T))
 * dilute: Η(s) = s − s ln s (s ≪ 1)        →  N_l s_l = R · softmax(ln N_l − ε_l/T)
 * clipped at the caps. T may be Infinity: both forms are uniform then.
 */
export interface ShareProblem {
  /** ε_l. */
  energies: Float64Array;
  /** N_l: weights of each layer. */
  weights: Float64Array;
  /** Largest share of each layer that may go. */
  caps: Float64Array;
  /** R: weights to remove, at most Σ N_l cap_l. */
  remove: number;
  temperature: number;
}

export function energyShares(problem: ShareProblem, form: EnergyForm): Float64Array {
  if (problem.remove >= dot(problem.weights, problem.caps)) return problem.caps.slice();
  return form === 'full' ? fullShares(problem) : diluteShares(problem);
}

/** Bisection on x = μ/T: Σ N s(x) grows from 0 to Σ N cap. */
function fullShares({ energies, weights, caps, remove, temperature }: ShareProblem): Float64Array {
  const sharesAt = (x: number) => {
    const powers = native.exp(energies.map((energy) => energy / temperature - x));
    return caps.map((cap, l) => Math.min(cap, 1 / (1 + powers[l]!)));
  };
  const scaled = energies.map((energy) => energy / temperature);
  // exp(±745) is the range of a double: outside it every share is 0 or at its cap.
  let low = Math.min(...scaled) - 745;
  let high = Math.max(...scaled) + 745;
  for (let middle = (low + high) / 2; middle > low && middle < high; middle = (low + high) / 2) {
    if (dot(weights, sharesAt(middle)) < remove) low = middle;
    else high = middle;
  }
  return sharesAt(high);
}

/** Softmax over the layers that are not full; a layer that would pass its cap is filled to it (water-filling). */
function diluteShares({
  energies,
  weights,
  caps,
  remove,
  temperature,
}: ShareProblem): Float64Array {
  const shares = new Float64Array(energies.length);
  let open = [...energies.keys()];
  let missing = remove;
  while (open.length > 0 && missing > 0) {
    const lowest = Math.min(...open.map((l) => energies[l]!));
    const boltzmann = native.exp(energies.map((energy) => (lowest - energy) / temperature));
    const level = missing / open.reduce((sum, l) => sum + weights[l]! * boltzmann[l]!, 0);
    const full = open.filter((l) => level * boltzmann[l]! >= caps[l]!);
    for (const l of full) {
      shares[l] = caps[l]!;
      missing -= weights[l]! * caps[l]!;
    }
    if (full.length === 0) {
      for (const l of open) shares[l] = level * boltzmann[l]!;
      return shares;
    }
    open = open.filter((l) => !full.includes(l));
  }
  return shares;
}

function dot(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, value, l) => sum + value * b[l]!, 0);
}
