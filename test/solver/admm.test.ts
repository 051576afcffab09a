import test from 'ava';
import type { Admm } from '../../lib/engine/admm';
import type { AdmmResiduals } from '../../lib/engine/native-solver';
import type { Solver } from '../../lib/engine/solver';
import { admm } from '../../lib/solver/admm';
import { channelStructure } from '../../lib/solver/structures/channels';
import type { Structure } from '../../lib/solver/structures/types';
import { FIXTURES, loadFixture, makeSolver } from './fixtures';

/** Groups of cost 1: the budget is the number of groups that stay. */
function unitStructure(groups: number): Structure {
  const structure = channelStructure({ channels: groups, hidden: 1, gated: false });
  return { ...structure, costs: new Float64Array(groups).fill(1) };
}

for (const name of FIXTURES) {
  test(`${name}: every step's mask and residuals are numpy's`, async (t) => {
    const fixture = loadFixture(name);
    const solver = await makeSolver(fixture.sums);
    const masks: number[][] = [];
    const structure = unitStructure(solver.groupCount);
    const watched: Structure = {
      ...structure,
      project: (...given) => {
        const keep = structure.project(...given);
        masks.push([...keep]);
        return keep;
      },
    };
    const { options, kept, history, converged, keep } = fixture.admm;
    const run = await admm(solver, watched, kept, { ...options, bias: fixture.bias });
    t.deepEqual(
      masks,
      history.map((step) => step.mask),
    );
    t.is(run.converged, converged);
    t.deepEqual([...run.keep], keep);
    t.is(run.history.length, history.length);
    run.history.forEach((step, index) => {
      const expected = history[index]!;
      t.is(step.changed, expected.changed);
      for (const field of ['rho', 'primal', 'dual'] as const) {
        t.true(Math.abs(step[field] / expected[field] - 1) < 1e-8, `${field} of step ${index}`);
      }
    });
  });
}

test('a start mask is where Z begins', async (t) => {
  const fixture = loadFixture('columns');
  const solver = await makeSolver(fixture.sums);
  const structure = unitStructure(solver.groupCount);
  const start = Uint8Array.from(fixture.swap.keep);
  const budget = start.reduce((sum, value) => sum + value, 0);
  // A strong coupling from the first step on leaves the mask where it began.
  const held = await admm(solver, structure, budget, { start, rho: 1000, rhoMax: 1000 });
  t.deepEqual(held.keep, start);
  t.is(held.history[0]!.changed, 0);
  const free = await admm(solver, structure, budget, { rho: 1000, rhoMax: 1000 });
  t.notDeepEqual(free.keep, start);
});

test('reports a limit that came before rest, and releases the state on failure', async (t) => {
  const { solver, released } = fakeSolver();
  const run = await admm(solver, unitStructure(4), 2, { maxIterations: 7 });
  t.false(run.converged);
  t.is(run.history.length, 7);
  t.is(released(), 1);
  await t.throwsAsync(admm(solver, unitStructure(4), 0, {}), { code: 'ERR_ARGUMENT' });
  t.is(released(), 2);
});

test('rho grows only while the mask moves', async (t) => {
  const { solver } = fakeSolver();
  const run = await admm(solver, unitStructure(4), 2, { maxIterations: 6, rho: 1, rhoGrowth: 2 });
  // The fake's energies settle after the third step.
  t.deepEqual(
    run.history.map((step) => step.rho),
    [1, 2, 4, 8, 8, 8],
  );
});

test('options that cannot be meant are errors', async (t) => {
  const { solver } = fakeSolver();
  for (const options of [
    { rho: 0 },
    { rhoGrowth: 0.5 },
    { rho: 2, rhoMax: 1 },
    { maxIterations: 0 },
  ]) {
    await t.throwsAsync(admm(solver, unitStructure(4), 2, options), { code: 'ERR_ARGUMENT' });
  }
});

/** Energies that move for three steps and then stay; residuals that never get small. */
function fakeSolver(): { solver: Solver; released: () => number } {
  const energies = [
    [4, 3, 2, 1],
    [1, 4, 3, 2],
    [2, 1, 4, 3],
  ];
  let step = 0;
  let releases = 0;
  const residuals: AdmmResiduals = {
    primal: 1,
    dual: 1,
    weightNorm: 1,
    targetNorm: 1,
    dualNorm: 1,
  };
  const state: Partial<Admm> = {
    lambda: 0.05,
    ridgeRaised: 0,
    setRho: async () => {},
    solve: async () => {},
    project: async () => {},
    groupEnergies: async () => Float64Array.from(energies[Math.min(step++, 2)]!),
    updateDual: async () => residuals,
    [Symbol.dispose]: () => {
      releases += 1;
    },
  };
  const admmFactory: Pick<Solver, 'admm'> = { admm: async () => state as Admm };
  return { solver: admmFactory as Solver, released: () => releases };
}
