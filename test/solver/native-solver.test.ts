import test from 'ava';
import { FIXTURES, loadFixture, makeSolver, worstGap } from './fixtures';

for (const name of FIXTURES) {
  const fixture = loadFixture(name);
  const { bias, curve, sums } = fixture;

  test(`${name}: the sweep's order, costs and curve are numpy's`, async (t) => {
    const solver = await makeSolver(sums);
    const sweep = await solver.sweep({ bias, curve });
    t.deepEqual([...sweep.order], fixture.sweep.order);
    t.true(worstGap(sweep.cost, fixture.sweep.cost) < 1e-9);
    t.true(worstGap(sweep.error, fixture.sweep.error) < 1e-9);
    t.true(sweep.drift < 1e-10);
    t.is(sweep.refactorings, 0);
    t.is(sweep.lambda, 0.05);
    t.true(Math.abs(solver.targetNormSq / fixture.targetNormSq - 1) < 1e-12);
  });

  test(`${name}: the refit is numpy's least squares`, async (t) => {
    const solver = await makeSolver(sums);
    const refit = await solver.refit(Uint8Array.from(fixture.refit.keep), { bias });
    t.true(worstGap(refit.weight(), fixture.refit.weight) < 2e-7);
    const expected = fixture.refit.bias;
    t.is(refit.hasBias, expected !== null);
    if (expected) t.true(worstGap(refit.bias()!, expected) < 2e-6);
    // The reported error is that of the float weight; the optimum is flat.
    t.true(Math.abs(refit.error / fixture.refit.error - 1) < 1e-6);
    t.true(Math.abs(refit.relativeError * fixture.targetNormSq - refit.error) < 1e-9 * refit.error);
    t.is(refit.fisherLoss === null, curve === 'plain');
  });

  test(`${name}: the swap pass makes numpy's exchanges`, async (t) => {
    const solver = await makeSolver(sums);
    const swap = await solver.swap(Uint8Array.from(fixture.swap.start), { bias });
    t.deepEqual([...swap.keep], fixture.swap.keep);
    t.deepEqual([...swap.swaps], fixture.swap.swaps.flat());
    t.true(Math.abs(swap.before / fixture.swap.before - 1) < 1e-9);
    t.true(Math.abs(swap.after / fixture.swap.after - 1) < 1e-9);
    t.true(swap.settled);
  });
}

test('errors carry a code, disposed objects among them', async (t) => {
  const { sums } = loadFixture('columns');
  const solver = await makeSolver(sums);
  const keep = new Uint8Array(sums.in).fill(1);
  await t.throwsAsync(async () => solver.refit(new Uint8Array(3)), { code: 'ERR_ARGUMENT' });
  await t.throwsAsync(async () => solver.sweep({ curve: 'fisher' }), { code: 'ERR_ARGUMENT' });
  await t.throwsAsync(async () => solver.sweep({ curve: 'x' as 'plain' }), {
    code: 'ERR_ARGUMENT',
  });
  const refit = await solver.refit(keep);
  refit[Symbol.dispose]();
  for (const read of [() => refit.weight(), () => refit.bias()]) {
    t.throws(read, { code: 'ERR_ARGUMENT' });
  }
  await solver[Symbol.asyncDispose]();
  await t.throwsAsync(async () => solver.refit(keep), { code: 'ERR_ARGUMENT' });
  const gram = sums.gram.slice();
  gram[0] = Number.NaN;
  await t.throwsAsync(makeSolver({ ...sums, gram }), { code: 'ERR_NAN' });
});

test('columns are measured as Wanda and FLAP define them', async (t) => {
  const { sums } = loadFixture('columns');
  const columns = await (await makeSolver(sums)).columns();
  const mean = sums.sums.map((sum) => sum / sums.tokens);
  t.true(worstGap(columns.mean, mean) < 1e-12);
  const second = mean.map((_, j) => sums.gram[j * (sums.in + 1)]! / sums.tokens);
  t.true(worstGap(columns.second, second) < 1e-12);
  const column = (j: number) =>
    Array.from({ length: sums.out }, (_, o) => sums.weight[o * sums.in + j]!);
  const normSq = mean.map((_, j) => column(j).reduce((sum, w) => sum + w * w, 0));
  t.true(worstGap(columns.weightNormSq, normSq) < 1e-12);
  const abs = mean.map((_, j) => column(j).reduce((sum, w) => sum + Math.abs(w), 0) / sums.out);
  t.true(worstGap(columns.weightAbsMean, abs) < 1e-12);
  const sizes = Array.from({ length: sums.out }, (_, o) =>
    mean.reduce((sum, __, j) => sum + Math.abs(column(j)[o]!), 0),
  );
  const share = mean.map((_, j) =>
    column(j).reduce((sum, w, o) => sum + Math.abs(w) / sizes[o]!, 0),
  );
  t.true(worstGap(columns.weightShare, share) < 1e-12);
});
