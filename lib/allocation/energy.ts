import type { Choices } from '../choices/types';
import { native } from '../engine/native';
import { StruPruneError } from '../errors';
import type { Steps } from '../turns';
import { FirstOf } from './first-of';
import { dropLastBits } from './rounding';
import { energyShares } from './shares';
import { checkBudget, describe, requireLoss, scopeWeights } from './sites';
import { bestTemperature } from './temperature';
import type { Budget, EnergyAllocation, EnergyForm } from './types';

export interface EnergyOptions {
  /** 'dilute' unless said. */
  form?: EnergyForm;
  /** In units of the mean energy; default: the one with the smallest predicted error. */
  temperature?: number;
}

/** Steps of one layer between two pauses: less than a millisecond of all of them. */
const STEPS_A_PAUSE = 64;

/**
 * The energy rule (docs/method.md, allocation; `energyShares` has the continuous problem).
 *
 * Rounding: a site's step from a choice that removes a to the next, which removes b, is taken once its share passes the middle
 * (a + b)/2n, and by the rule's own formula that happens at μ = ε + T·φ, φ = ln h (dilute) or ln h/(1−h)
 * (full) at h = (a + b)/2n. So all steps of all sites have a price, and the cheapest go until the budget is
 * met: the rounded counts follow the rule's path, overshoot by less than the last step, and for fixed
 * energies and temperature never fall in any site when R grows. Equal prices go in the order of the sites.
 */
export function* allocateEnergy(
  sites: readonly Choices[],
  budget: Budget,
  options: EnergyOptions,
): Steps<EnergyAllocation> {
  checkBudget(sites, budget);
  const { form = 'dilute' } = options;
  if (options.temperature !== undefined && !(options.temperature > 0)) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `--temperature ${options.temperature} is not above 0`,
      'give a larger one, or none',
    );
  }
  const energies = siteEnergies(sites, budget.remove / scopeWeights(sites));
  const potentials = yield* stepPotentials(sites, form);
  const take = (temperature: number) =>
    takeCheapest(sites, { potentials, energies, remove: budget.remove, temperature });
  const temperature =
    options.temperature ??
    (yield* bestTemperature(function* (t) {
      const { chosen } = yield* take(t);
      return describe(sites, chosen).predictedError!;
    }));
  const { chosen, price } = yield* take(temperature);
  const shares = energyShares(
    {
      energies,
      weights: Float64Array.from(sites, ({ whole }) => whole),
      caps: Float64Array.from(sites, ({ freed, whole }) => freed.at(-1)! / whole),
      remove: budget.remove,
      temperature,
    },
    form,
  );
  const mu = temperature * price;
  return { rule: 'energy', form, temperature, mu, energies, shares, ...describe(sites, chosen) };
}

/** ε_l = w_l E_l(⌈S n_l⌉)/(S N_l) ÷ its N-weighted mean; all 0 (no preference) where nothing costs anything. */
export function siteEnergies(sites: readonly Choices[], share: number): Float64Array {
  if (share <= 0) return new Float64Array(sites.length);
  const energies = Float64Array.from(sites, (site, l) => {
    requireLoss(site, l, share);
    return site.lossOf(share) / (share * site.whole);
  });
  const weighted = sites.reduce((sum, { whole }, l) => sum + whole * energies[l]!, 0);
  const mean = weighted / scopeWeights(sites);
  return mean > 0 ? energies.map((energy) => energy / mean) : energies.fill(0);
}

/** φ(h) at the middle of every step between choices, one ascending array a site. */
function* stepPotentials(sites: readonly Choices[], form: EnergyForm): Steps<Float64Array[]> {
  const potentials: Float64Array[] = [];
  for (const { freed, whole } of sites) {
    const odds = Float64Array.from(freed.subarray(1), (to, i) => {
      const twice = freed[i]! + to;
      return form === 'full' ? twice / (2 * whole - twice) : twice / (2 * whole);
    });
    potentials.push(native.log(odds).map(dropLastBits));
    yield;
  }
  return potentials;
}

/** Takes the cheapest next step of any site until the budget is met. `price` is that of the last one, μ/T. */
function* takeCheapest(
  sites: readonly Choices[],
  path: { potentials: Float64Array[]; energies: Float64Array; remove: number; temperature: number },
): Steps<{ chosen: Int32Array; price: number }> {
  const scaled = path.energies.map((energy) => energy / path.temperature);
  const chosen = new Int32Array(sites.length);
  const nextPrices = Float64Array.from(
    path.potentials,
    (phi, l) => scaled[l]! + (phi[0] ?? Infinity),
  );
  const first = new FirstOf(nextPrices);
  let missing = path.remove;
  let price = Number.NEGATIVE_INFINITY;
  while (missing > 0) {
    const cheapest = first.index;
    const { freed } = sites[cheapest]!;
    price = nextPrices[cheapest]!;
    const steps = ++chosen[cheapest]!;
    missing -= freed[steps]! - freed[steps - 1]!;
    nextPrices[cheapest] = scaled[cheapest]! + (path.potentials[cheapest]![steps] ?? Infinity);
    first.changed();
    if (steps % STEPS_A_PAUSE === 0) yield;
  }
  return { chosen, price };
}
