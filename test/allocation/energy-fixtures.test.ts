import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { EnergyForm } from '../../lib/allocation';
import { budgetOf, now } from './helpers';

/** What scipy computes (scripts/oracles/make-allocation-fixtures.py). */
interface Problem {
  layers: { groups: number; cost: number; most: number; weight: number; curve: number[] }[];
  remove: number;
  temperature: number;
  energies: number[];
  shares: Record<EnergyForm, number[]>;
}

/** Both sides have a few roundings of numbers near 1, and the oracle's root is that exact too. */
const ENERGY_TOLERANCE = 1e-13;
/** A rounding of μ counts 1/T times, and the coldest temperature is 0.1. */
const SHARE_TOLERANCE = 1e-12;

const path = join(__dirname, '..', 'fixtures', 'allocation', 'energy.json');
const problems: Record<string, Problem> = JSON.parse(readFileSync(path, 'utf8'));

function layersOf(problem: Problem) {
  return problem.layers.map(({ most, curve, ...layer }) => ({
    ...layer,
    scope: 'ffn' as const,
    curve: Float64Array.from(curve),
    allowed: Int32Array.from({ length: most + 1 }, (_, k) => k),
  }));
}

for (const [name, problem] of Object.entries(problems)) {
  for (const form of ['dilute', 'full'] as const) {
    test(`${name}, ${form}: energies and shares before rounding are scipy's`, (t) => {
      const layers = layersOf(problem);
      const { remove, temperature } = problem;
      const result = now.allocateEnergy(layers, budgetOf(layers, remove), { form, temperature });
      problem.energies.forEach((energy, l) => {
        const gap = Math.abs(result.energies[l]! - energy);
        t.true(gap <= ENERGY_TOLERANCE * Math.max(1, energy), `energy of ${l}: ${gap}`);
      });
      problem.shares[form].forEach((share, l) => {
        const gap = Math.abs(result.shares[l]! - share);
        t.true(gap <= SHARE_TOLERANCE, `share of ${l}: ${gap}`);
      });
    });
  }
}
