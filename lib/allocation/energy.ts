import { native } from '../engine/native';
import { StruPruneError } from '../errors';
import type { Steps } from '../turns';
import { FirstOf } from './first-of';
import { checkBudget, curveOf, describe, scopeWeights } from './layers';
import { dropLastBits } from './rounding';
import { energyShares } from './shares';
import { bestTemperature } from './temperature';
import type { AllocationLayer, Budget, EnergyAllocation, EnergyForm } from './types';

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
 * Rounding: a layer's step from count a to the next allowed count b is taken once its share passes the middle
 * (a + b)/2n, and by the rule's own formula that happens at μ = ε + T·φ, φ = ln h (dilute) or ln h/(1−h)
 * (full) at h = (a + b)/2n. So all steps of all layers have a price, and the cheapest go until the budget is
 * met: the rounded counts follow the rule's path, overshoot by less than the last step, and for fixed
 * energies and temperature never fall in any layer when R grows. Equal prices go in the order of the layers.
 */
export function* allocateEnergy(
  layers: readonly AllocationLayer[],
  budget: Budget,
  options: EnergyOptions,
): Steps<EnergyAllocation> {
  checkBudget(layers, budget);
  const { form = 'dilute' } = options;
  if (options.temperature !== undefined && !(options.temperature > 0)) {
    throw new StruPruneError(
      'ERR_ARGUMENT',
      `--temperature ${options.temperature} is not above 0`,
      'give a larger one, or none',
    );
  }
  const energies = layerEnergies(layers, budget.remove / scopeWeights(layers));
  const potentials = yield* stepPotentials(layers, form);
  const take = (temperature: number) =>
    takeCheapest(layers, { potentials, energies, remove: budget.remove, temperature });
  const temperature =
    options.temperature ??
    (yield* bestTemperature(function* (t) {
      const { removed } = yield* take(t);
      return describe(layers, removed).predictedError!;
    }));
  const { removed, price } = yield* take(temperature);
  const shares = energyShares(
    {
      energies,
      weights: Float64Array.from(layers, ({ cost, groups }) => cost * groups),
      caps: Float64Array.from(layers, ({ allowed, groups }) => allowed.at(-1)! / groups),
      remove: budget.remove,
      temperature,
    },
    form,
  );
  const mu = temperature * price;
  return { rule: 'energy', form, temperature, mu, energies, shares, ...describe(layers, removed) };
}

/** ε_l = w_l E_l(⌈S n_l⌉)/(S N_l) ÷ its N-weighted mean; all 0 (no preference) where nothing costs anything. */
export function layerEnergies(layers: readonly AllocationLayer[], share: number): Float64Array {
  if (share <= 0) return new Float64Array(layers.length);
  const energies = Float64Array.from(layers, (layer, l) => {
    const count = Math.min(Math.ceil(share * layer.groups - 1e-9), layer.allowed.at(-1)!);
    return (layer.weight * curveOf(layer, l)[count]!) / (share * layer.cost * layer.groups);
  });
  const weighted = layers.reduce((sum, l, i) => sum + l.cost * l.groups * energies[i]!, 0);
  const mean = weighted / scopeWeights(layers);
  return mean > 0 ? energies.map((energy) => energy / mean) : energies.fill(0);
}

/** φ(h) at the middle of every step between allowed counts, one ascending array a layer. */
function* stepPotentials(
  layers: readonly AllocationLayer[],
  form: EnergyForm,
): Steps<Float64Array[]> {
  const potentials: Float64Array[] = [];
  for (const { allowed, groups } of layers) {
    const odds = Float64Array.from(allowed.subarray(1), (to, i) => {
      const twice = allowed[i]! + to;
      return form === 'full' ? twice / (2 * groups - twice) : twice / (2 * groups);
    });
    potentials.push(native.log(odds).map(dropLastBits));
    yield;
  }
  return potentials;
}

/** Takes the cheapest next step of any layer until the budget is met. `price` is that of the last one, μ/T. */
function* takeCheapest(
  layers: readonly AllocationLayer[],
  path: { potentials: Float64Array[]; energies: Float64Array; remove: number; temperature: number },
): Steps<{ removed: Int32Array; price: number }> {
  const scaled = path.energies.map((energy) => energy / path.temperature);
  const taken = new Int32Array(layers.length);
  const nextPrices = Float64Array.from(
    path.potentials,
    (phi, l) => scaled[l]! + (phi[0] ?? Infinity),
  );
  const first = new FirstOf(nextPrices);
  let missing = path.remove;
  let price = Number.NEGATIVE_INFINITY;
  while (missing > 0) {
    const cheapest = first.index;
    const { allowed, cost } = layers[cheapest]!;
    price = nextPrices[cheapest]!;
    const steps = ++taken[cheapest]!;
    missing -= cost * (allowed[steps]! - allowed[steps - 1]!);
    nextPrices[cheapest] = scaled[cheapest]! + (path.potentials[cheapest]![steps] ?? Infinity);
    first.changed();
    if (steps % STEPS_A_PAUSE === 0) yield;
  }
  const removed = Int32Array.from(layers, ({ allowed }, l) => allowed[taken[l]!]!);
  return { removed, price };
}
