import { StruPruneError } from '../../errors';

/** How many groups may be kept: a multiple, and a least number. */
export interface KeptRule {
  multiple: number;
  least: number;
}

/** Largest allowed number of kept groups that is at most `wanted`, or the least allowed one. */
export function roundKept(wanted: number, groups: number, rule: KeptRule): number {
  if (wanted >= groups) return groups;
  const rounded = Math.floor(wanted / rule.multiple) * rule.multiple;
  return Math.min(groups, Math.max(rounded, rule.least));
}

/** Group numbers from the most to the least energy per cost; ties by the lower number. */
function rankByRatio(energies: Float64Array, costs: Float64Array): number[] {
  const ratios = energies.map((energy, group) => energy / costs[group]!);
  return Array.from(ratios.keys()).sort((a, b) => ratios[b]! - ratios[a]! || a - b);
}

/**
 * Keeps groups in the order of energy per cost while they fit the budget, then rounds their number
 * down by `rule`. With equal costs this is the exact projection of `energies` onto the budget.
 */
export function projectByRatio(
  energies: Float64Array,
  costs: Float64Array,
  budget: number,
  rule: KeptRule,
): Uint8Array {
  checkEnergies(energies, costs, budget);
  const fitting: number[] = [];
  let spent = 0;
  for (const group of rankByRatio(energies, costs)) {
    // A budget that was summed from these very costs must admit them in spite of rounding.
    if (spent + costs[group]! > budget * (1 + 1e-12)) continue;
    spent += costs[group]!;
    fitting.push(group);
  }
  const count = roundKept(fitting.length, energies.length, rule);
  if (count > fitting.length) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `a budget of ${budget} parameters holds ${fitting.length} groups where at least ${count} must stay`,
      'ask for less sparsity',
    );
  }
  const keep = new Uint8Array(energies.length);
  for (const group of fitting.slice(0, count)) keep[group] = 1;
  return keep;
}

function checkEnergies(energies: Float64Array, costs: Float64Array, budget: number): void {
  if (energies.length !== costs.length) {
    throw new StruPruneError('ERR_ARGUMENT', 'a projection needs one cost a group');
  }
  if (!costs.every((cost) => cost > 0)) {
    throw new StruPruneError('ERR_ARGUMENT', 'the cost of a group must be above 0');
  }
  if (!(budget >= 0)) throw new StruPruneError('ERR_ARGUMENT', 'a budget must be 0 or more');
  if (!energies.every(Number.isFinite)) {
    throw new StruPruneError('ERR_NUMERIC', 'a group energy is not finite', 'raise --lambda');
  }
}
