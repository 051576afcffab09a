import test from 'ava';
import type { EnergyForm } from '../../lib/allocation';
import { siteEnergies } from '../../lib/allocation/energy';
import { energyShares, type ShareProblem } from '../../lib/allocation/shares';
import { widths } from '../../lib/choices/widths';
import {
  budgetOf,
  generator,
  largestStep,
  layerOf,
  now,
  randomCurve,
  randomInt,
  randomLayers,
  removable,
  shuffled,
  total,
} from './helpers';

const FORMS: EnergyForm[] = ['dilute', 'full'];

function randomProblem(random: () => number, temperature: number): ShareProblem {
  const n = randomInt(random, 2, 7);
  const list = (make: () => number) => Float64Array.from({ length: n }, make);
  const weights = list(() => 10 + 1000 * random());
  const caps = list(() => 0.3 + 0.65 * random());
  const most = weights.reduce((sum, w, l) => sum + w * caps[l]!, 0);
  const energies = list(() => 3 * random());
  return { energies, weights, caps, remove: (0.05 + 0.85 * random()) * most, temperature };
}

/** Layer l's part of F at share s. */
function freeEnergyOf(problem: ShareProblem, form: EnergyForm, l: number, s: number): number {
  const xlnx = (x: number) => (x > 0 ? x * Math.log(x) : 0);
  const entropy = form === 'full' ? -xlnx(s) - xlnx(1 - s) : s - xlnx(s);
  return problem.weights[l]! * (problem.energies[l]! * s - problem.temperature * entropy);
}

function freeEnergy(problem: ShareProblem, form: EnergyForm, shares: Float64Array): number {
  return shares.reduce((sum, share, l) => sum + freeEnergyOf(problem, form, l, share), 0);
}

/**
 * Direct minimiser of F, which knows nothing of its closed form: exchange weights between two layers,
 * the best amount by ternary search (F is convex along every exchange), round after round.
 */
function minimise(problem: ShareProblem, form: EnergyForm): Float64Array {
  const { weights, caps, remove } = problem;
  const most = weights.reduce((sum, w, l) => sum + w * caps[l]!, 0);
  const shares = caps.map((cap) => (cap * remove) / most);
  for (let round = 0; round < 200; round++) {
    let moved = 0;
    for (let a = 0; a < shares.length; a++) {
      for (let b = a + 1; b < shares.length; b++) {
        const pair = weights[a]! * shares[a]! + weights[b]! * shares[b]!;
        const other = (s: number) => (pair - weights[a]! * s) / weights[b]!;
        const at = (s: number) =>
          freeEnergyOf(problem, form, a, s) + freeEnergyOf(problem, form, b, other(s));
        let low = Math.max(0, (pair - weights[b]! * caps[b]!) / weights[a]!);
        let high = Math.min(caps[a]!, pair / weights[a]!);
        for (let step = 0; step < 50; step++) {
          const left = low + (high - low) / 3;
          const right = high - (high - low) / 3;
          if (at(left) < at(right)) high = right;
          else low = left;
        }
        const best = (low + high) / 2;
        moved = Math.max(moved, Math.abs(best - shares[a]!));
        shares[a] = best;
        shares[b] = other(best);
      }
    }
    if (moved < 1e-9) break;
  }
  return shares;
}

for (const form of FORMS) {
  test(`${form}: the shares minimise F, against a direct minimiser`, (t) => {
    const random = generator(11);
    let capped = 0;
    for (let trial = 0; trial < 30; trial++) {
      const problem = randomProblem(random, 10 ** (2 * random() - 1));
      const shares = energyShares(problem, form);
      const direct = minimise(problem, form);
      shares.forEach((share, l) => {
        t.true(Math.abs(share - direct[l]!) < 1e-5, `${form} ${trial}: ${shares} ${direct}`);
        t.true(share >= 0 && share <= problem.caps[l]!);
        if (share === problem.caps[l]!) capped++;
      });
      const best = freeEnergy(problem, form, direct);
      t.true(freeEnergy(problem, form, shares) <= best + 1e-9 * Math.abs(best));
      const sum = shares.reduce((have, s, l) => have + problem.weights[l]! * s, 0);
      t.true(Math.abs(sum / problem.remove - 1) < 1e-9);
    }
    t.true(capped > 5);
  });

  test(`${form}: shares grow with the budget, and are uniform at infinite temperature`, (t) => {
    const random = generator(12);
    for (let trial = 0; trial < 200; trial++) {
      const problem = randomProblem(random, 10 ** (3 * random() - 2));
      const less = energyShares({ ...problem, remove: random() * problem.remove }, form);
      const more = energyShares(problem, form);
      t.true(less.every((share, l) => share <= more[l]! + 1e-12));

      const caps = problem.caps.fill(0.95);
      const all = problem.weights.reduce((a, b) => a + b);
      for (const temperature of [1e9, Number.POSITIVE_INFINITY]) {
        const hot = energyShares({ ...problem, caps, remove: 0.37 * all, temperature }, form);
        t.true(hot.every((share) => Math.abs(share - 0.37) < 1e-6));
      }
    }
  });

  test(`${form}: budget within one step, units and order do not matter`, (t) => {
    const random = generator(13);
    for (let trial = 0; trial < 300; trial++) {
      const layers = randomLayers(random);
      const remove = randomInt(random, 1, removable(layers));
      const options = { form, temperature: 10 ** (2 * random() - 1) };
      const result = now.allocateEnergy(layers, budgetOf(layers, remove), options);
      const over = result.removedWeights - remove;
      t.true(over >= 0 && over < largestStep(layers));

      const scaled = layers.map((layer) => ({ ...layer, weight: 3.7e-5 * layer.weight }));
      const again = now.allocateEnergy(scaled, budgetOf(layers, remove), options);
      t.deepEqual(again.removed, result.removed);

      const order = shuffled(random, layers.length);
      const shuffledLayers = order.map((l) => layers[l]!);
      const permuted = now.allocateEnergy(shuffledLayers, budgetOf(layers, remove), options);
      t.deepEqual(
        [...permuted.removed],
        order.map((l) => result.removed[l]!),
      );
    }
  });

  test(`${form}: every layer has the allowed count nearest to its share at mu`, (t) => {
    const random = generator(18);
    for (let trial = 0; trial < 200; trial++) {
      const layers = randomLayers(random);
      const temperature = 10 ** (2 * random() - 1);
      const budget = budgetOf(layers, randomInt(random, 1, removable(layers)));
      const { removed, energies, mu } = now.allocateEnergy(layers, budget, { form, temperature });
      layers.forEach(({ allowed, groups }, l) => {
        // A little past mu, where the last step is taken for certain.
        const x = (mu - energies[l]!) / temperature + 1e-9;
        const share = form === 'full' ? 1 / (1 + Math.exp(-x)) : Math.min(1, Math.exp(x));
        const distances = Array.from(allowed, (count) => Math.abs(count - share * groups));
        t.is(removed[l], allowed[distances.indexOf(Math.min(...distances))]);
      });
    }
  });

  test(`${form}: rounded counts grow with S at fixed energies and temperature`, (t) => {
    const random = generator(14);
    for (let trial = 0; trial < 300; trial++) {
      // Straight curves over equal widths: normalising takes S out of the energies altogether.
      const groups = 8 * randomInt(random, 4, 20);
      const layers = Array.from({ length: randomInt(random, 2, 6) }, () =>
        layerOf(
          { groups, cost: randomInt(random, 1, 9), multiple: 4 },
          Float64Array.from({ length: groups + 1 }, (_, k) => k),
          random() + 0.1,
        ),
      );
      const most = removable(layers);
      const amounts = [randomInt(random, 1, most), randomInt(random, 1, most)].sort(
        (a, b) => a - b,
      );
      const temperature = 10 ** (2 * random() - 1);
      const [less, more] = amounts.map((remove) =>
        now.allocateEnergy(layers, budgetOf(layers, remove), { form, temperature }),
      );
      t.true(less!.removed.every((count, l) => count <= more!.removed[l]!));
    }
  });

  test(`${form}: rounded counts grow with S where curves have one shape, convex or not`, (t) => {
    const random = generator(19);
    for (let trial = 0; trial < 300; trial++) {
      // Over equal widths the shape is the same factor in every energy, so normalising takes S out again.
      const groups = 8 * randomInt(random, 4, 20);
      const shape = randomCurve(random, groups, trial % 2 === 0);
      const layers = Array.from({ length: randomInt(random, 2, 6) }, () => {
        const cost = randomInt(random, 1, 9);
        return layerOf({ groups, cost, multiple: 4 }, shape, random() + 0.1);
      });
      const most = removable(layers);
      const temperature = 10 ** (2 * random() - 1);
      const amounts = Array.from({ length: 6 }, () => randomInt(random, 1, most));
      amounts.sort((a, b) => a - b);
      const counts = amounts.map(
        (remove) =>
          now.allocateEnergy(layers, budgetOf(layers, remove), { form, temperature }).removed,
      );
      for (const [i, more] of counts.slice(1).entries()) {
        t.true(counts[i]!.every((count, l) => count <= more[l]!));
      }
    }
  });

  // So "grows with S" holds for fixed energies only, and the rule promises no more than that.
  test(`${form}: energies are measured anew at every S, and a layer may get groups back`, (t) => {
    const line = Float64Array.from({ length: 101 }, (_, k) => k);
    const parabola = Float64Array.from({ length: 101 }, (_, k) => (k * k) / 20);
    const layers = [line, parabola].map((curve) => layerOf({ groups: 100, cost: 1 }, curve));
    // Per weight at S = 0.1: 1 and 0.5; at S = 0.4: 1 and 2.
    const [less, more] = [20, 80].map((remove) =>
      now.allocateEnergy(layers, budgetOf(layers, remove), { form, temperature: 0.1 }),
    );
    const near = (energies: Float64Array, line: number, parabola: number) =>
      Math.abs(energies[0]! - line) < 1e-12 && Math.abs(energies[1]! - parabola) < 1e-12;
    t.true(near(less!.energies, 1 / 0.75, 0.5 / 0.75));
    t.true(near(more!.energies, 1 / 1.5, 2 / 1.5));
    t.deepEqual([...less!.removed], [0, 20]);
    t.deepEqual([...more!.removed], [80, 0]);
  });

  test(`${form}: rounded counts at infinite temperature are uniform to within one step`, (t) => {
    const random = generator(15);
    for (let trial = 0; trial < 200; trial++) {
      const layers = Array.from({ length: randomInt(random, 2, 8) }, () => {
        const groups = 4 * randomInt(random, 50, 100);
        return layerOf(
          { groups, cost: randomInt(random, 1, 9), multiple: 4 },
          randomCurve(random, groups, false),
        );
      });
      const remove = randomInt(random, 1, Math.floor(0.95 * removable(layers)));
      const options = { form, temperature: 1e9 };
      const { sparsities } = now.allocateEnergy(layers, budgetOf(layers, remove), options);
      t.true(sparsities.every((share) => Math.abs(share - remove / total(layers)) <= 4 / 200));
    }
  });
}

test('energies: errors per removed weight at the uniform share, mean 1', (t) => {
  const curve = (scale: number) => Float64Array.from({ length: 11 }, (_, k) => scale * k * k);
  const layers = [
    layerOf({ groups: 10, cost: 4 }, curve(1)),
    layerOf({ groups: 10, cost: 2 }, curve(3), 2),
  ];
  // ⌈0.25 · 10⌉ = 3: 9/(0.25 · 40) = 0.9 and 2 · 27/(0.25 · 20) = 10.8; mean (40 · 0.9 + 20 · 10.8)/60 = 4.2.
  const energies = siteEnergies(layers.map(widths), 0.25);
  t.true(Math.abs(energies[0]! - 0.9 / 4.2) < 1e-12);
  t.true(Math.abs(energies[1]! - 10.8 / 4.2) < 1e-12);
  const free = layers.map((layer) => ({ ...layer, weight: 0 }));
  t.deepEqual([...siteEnergies(free.map(widths), 0.25)], [0, 0]);
});

test('a worked example of the dilute rule', (t) => {
  // Energies 0.5 and 1.5 at T = 1: shares in the ratio e^0.5 : e^-0.5, of 200 weights 0.1462 and 0.0538.
  const curves = [0.5, 1.5].map((e) => Float64Array.from({ length: 1001 }, (_, k) => e * k));
  const layers = curves.map((curve) => layerOf({ groups: 1000, cost: 1 }, curve));
  const { shares, removed, energies } = now.allocateEnergy(layers, budgetOf(layers, 200), {
    form: 'dilute',
    temperature: 1,
  });
  t.deepEqual([...energies], [0.5, 1.5]);
  t.true(Math.abs(shares[0]! / shares[1]! - Math.E) < 1e-12);
  t.deepEqual([...removed], [146, 54]);
});

test('the temperature chosen is no worse than any other, and better than uniform', (t) => {
  const random = generator(16);
  let better = 0;
  for (let trial = 0; trial < 40; trial++) {
    const layers = randomLayers(random);
    const budget = budgetOf(layers, randomInt(random, 1, Math.floor(0.7 * removable(layers))));
    const form = FORMS[trial % 2]!;
    const chosen = now.allocateEnergy(layers, budget, { form });
    for (let exponent = -8; exponent <= 8; exponent++) {
      const fixed = now.allocateEnergy(layers, budget, { form, temperature: 2 ** exponent });
      t.true(chosen.predictedError! <= fixed.predictedError! * (1 + 1e-9));
    }
    const uniform = now.allocate(layers, budget, { rule: 'uniform' });
    if (chosen.predictedError! < uniform.predictedError!) better++;
  }
  t.true(better >= 30);
});

test('search for the temperature finds a minimum inside the grid and keeps hot ties', (t) => {
  const at = now.bestTemperature((temperature) => Math.abs(Math.log(temperature / 0.37)));
  t.true(Math.abs(at / 0.37 - 1) < 1e-3);
  t.is(
    now.bestTemperature(() => 1),
    1024,
  );
});

test('equal layers: ties go in the order of the layers', (t) => {
  const curve = Float64Array.from({ length: 11 }, (_, k) => k * k);
  const layers = [0, 1, 2].map(() => layerOf({ groups: 10, cost: 7 }, curve));
  for (const form of FORMS) {
    const { removed } = now.allocateEnergy(layers, budgetOf(layers, 70), { form });
    t.deepEqual([...removed], [4, 3, 3]);
  }
});

test('bounds hold, and what passes a bound flows to the others', (t) => {
  const cheap = Float64Array.from({ length: 101 }, (_, k) => 0.001 * k);
  const dear = Float64Array.from({ length: 101 }, (_, k) => k);
  const layers = [cheap, dear, dear].map((curve) =>
    layerOf({ groups: 100, cost: 1, maxShare: 0.5 }, curve),
  );
  for (const form of FORMS) {
    const options = { form, temperature: 0.1 };
    const { removed, shares } = now.allocateEnergy(layers, budgetOf(layers, 80), options);
    t.deepEqual([...removed], [50, 15, 15]);
    t.true(shares[0] === 0.5 && Math.abs(shares[1]! - 0.15) < 1e-9);
  }
});

test('infeasible budgets and temperatures that mean nothing are refused', (t) => {
  const layers = randomLayers(generator(17));
  const budget = budgetOf(layers, removable(layers) + 1);
  t.throws(() => now.allocateEnergy(layers, budget, { form: 'full' }), { code: 'ERR_ARGUMENT' });
  for (const temperature of [0, -1, NaN]) {
    const call = () =>
      now.allocateEnergy(layers, budgetOf(layers, 1), { form: 'full', temperature });
    t.throws(call, { code: 'ERR_ARGUMENT' });
  }
});
