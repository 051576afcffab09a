import test from 'ava';
import { channelStructure } from '../../lib/solver/structures/channels';
import { kvHeadStructure } from '../../lib/solver/structures/kv-heads';
import { projectByRatio, roundKept } from '../../lib/solver/structures/projection';

const FREE = { multiple: 1, least: 0 };

/** Every mask within the budget; the one that keeps the most energy. */
function bestEnergy(energies: Float64Array, costs: Float64Array, budget: number): number {
  let best = 0;
  for (let mask = 0; mask < 1 << energies.length; mask++) {
    let [energy, cost] = [0, 0];
    energies.forEach((value, group) => {
      if (!(mask & (1 << group))) return;
      energy += value;
      cost += costs[group]!;
    });
    if (cost <= budget) best = Math.max(best, energy);
  }
  return best;
}

function energyOf(keep: Uint8Array, energies: Float64Array): number {
  return keep.reduce((sum, value, group) => sum + value * energies[group]!, 0);
}

test('with equal costs the projection is the exact one', (t) => {
  let seed = 1;
  const random = () => {
    seed = (seed * 16807) % 2147483647;
    return seed / 2147483647;
  };
  for (let round = 0; round < 20; round++) {
    const energies = Float64Array.from({ length: 9 }, random);
    const costs = new Float64Array(9).fill(3);
    const budget = Math.floor(random() * 30);
    const keep = projectByRatio(energies, costs, budget, FREE);
    t.true(Math.abs(energyOf(keep, energies) - bestEnergy(energies, costs, budget)) < 1e-12);
  }
});

test('with unequal costs it is greedy by ratio and within the budget', (t) => {
  const energies = Float64Array.of(10, 9, 3, 1);
  const costs = Float64Array.of(10, 3, 2, 1);
  // Ratios 1, 3, 1.5, 1: groups 1 and 2 first, then 0 does not fit and 3 does.
  t.deepEqual([...projectByRatio(energies, costs, 7, FREE)], [0, 1, 1, 1]);
  t.deepEqual([...projectByRatio(energies, costs, 16, FREE)], [1, 1, 1, 1]);
});

test('ties go to the lower group, and budgets summed from costs are met', (t) => {
  const keep = projectByRatio(
    new Float64Array(4).fill(1),
    new Float64Array(4).fill(0.1),
    0.3,
    FREE,
  );
  t.deepEqual([...keep], [1, 1, 1, 0]);
});

test('widths are rounded down to a multiple and never below the least', (t) => {
  const rule = { multiple: 8, least: 8 };
  t.is(roundKept(100, 100, rule), 100);
  t.is(roundKept(99, 100, rule), 96);
  t.is(roundKept(3, 100, rule), 8);
  const structure = channelStructure({ channels: 40, hidden: 16, gated: true, multiple: 8 });
  t.is(structure.costs[0], 48);
  const energies = Float64Array.from({ length: 40 }, (_, group) => group);
  const keep = structure.project(energies, structure.costs, 21 * 48);
  t.is(energyOf(keep, new Float64Array(40).fill(1)), 16);
  t.is(keep[39], 1);
  t.throws(() => structure.project(energies, structure.costs, 7 * 48), { code: 'ERR_ARGUMENT' });
});

test('a KV head takes its query heads with it', (t) => {
  const structure = kvHeadStructure({ heads: 9, kvHeads: 3, headDim: 64, hidden: 576 });
  t.is(structure.groups, 3);
  // q 192 rows, k and v 64 rows each, o 192 columns, of 576 each.
  t.is(structure.costs[0], 576 * (192 + 64 + 64 + 192));
  t.throws(() => kvHeadStructure({ heads: 9, kvHeads: 2, headDim: 64, hidden: 576 }), {
    code: 'ERR_ARGUMENT',
  });
});

test('energies and costs that cannot be meant are errors', (t) => {
  const ones = new Float64Array(2).fill(1);
  t.throws(() => projectByRatio(Float64Array.of(1, Number.NaN), ones, 1, FREE), {
    code: 'ERR_NUMERIC',
  });
  t.throws(() => projectByRatio(ones, Float64Array.of(1, 0), 1, FREE), { code: 'ERR_ARGUMENT' });
  t.throws(() => projectByRatio(ones, ones, Number.NaN, FREE), { code: 'ERR_ARGUMENT' });
});
