import test from 'ava';
import { type AllocationLayer, allowedRemovals, weightsToRemove } from '../../lib/allocation';
import { scoreOf } from '../../lib/masks/scores';
import { keepBest, removalCurve } from '../../lib/masks/select';
import type { SiteStatistics } from '../../lib/masks/statistics';
import { METHODS, type MethodOptions, methodOf } from '../../lib/methods';
import { now } from '../allocation/helpers';
import { type BaselineCase, baselineFixture, type SiteFixture } from './fixtures';

const fixture = baselineFixture('llama3');
const sites = fixture.sites!;

/** What a method that reads no options is made of. */
function recipeOf(name: string) {
  return methodOf(name).recipe({} as MethodOptions);
}

function scoreMethod(name: string) {
  const { mask, curves } = recipeOf(name);
  if (curves === 'sweep') throw new Error(`${name} has no losses`);
  return { scores: scoreOf(mask.search).of, losses: curves };
}

function statisticsOf(site: SiteFixture): SiteStatistics {
  const { groupSize, tokens } = site;
  const list = (values: number[]) => Float64Array.from(values);
  return {
    groupSize,
    tokens,
    weightNormSq: list(site.weightNormSq),
    weightAbsMean: list(site.weightAbsMean),
    weightShare: list(site.weightShare),
    second: list(site.second),
    mean: list(site.mean),
  };
}

function close(actual: Float64Array, expected: number[], tolerance: number): boolean {
  const scale = Math.max(...expected.map(Math.abs));
  return (
    actual.length === expected.length &&
    actual.every((value, g) => Math.abs(value - expected[g]!) <= tolerance * scale)
  );
}

for (const name of ['magnitude-l2', 'wanda-sp', 'unipruning']) {
  test(`${name}: scores as the torch reference`, (t) => {
    t.is(sites.length, 4);
    for (const site of sites) {
      const scores = scoreMethod(name).scores(statisticsOf(site));
      t.true(close(scores, site.scores[name]!, 1e-12), `${name} block ${site.block} ${site.scope}`);
    }
  });
}

test('flap: losses per weight are the standardised scores of the torch reference', (t) => {
  for (const site of sites) {
    const losses = scoreMethod('flap').losses(statisticsOf(site), site.cost);
    const standardised = losses.map((loss) => loss / site.cost);
    t.true(close(standardised, site.scores.flap!, 1e-9));
  }
});

test('flap: scores by hand, two groups of two columns', (t) => {
  const site = {
    groupSize: 2,
    weightNormSq: Float64Array.from([1, 2, 3, 4]),
    weightAbsMean: Float64Array.from([1, 1, 1, 1]),
    weightShare: new Float64Array(4),
    second: Float64Array.from([2, 5, 1, 1]),
    mean: Float64Array.from([1, 1, 1, 0]),
    tokens: 5,
  };
  // Variances 5/4 · (1, 4, 0, 1), times the norms: 1.25, 10, 0, 5; means of the pairs 5.625 and 2.5.
  t.deepEqual([...scoreMethod('flap').scores(site)], [5.625, 2.5]);
});

test('flap: dead and constant columns are worth nothing and stay finite', (t) => {
  const zeros = new Float64Array(4);
  const site = {
    groupSize: 1,
    weightNormSq: new Float64Array(4).fill(1),
    weightAbsMean: zeros,
    weightShare: zeros,
    second: Float64Array.from([0, 0.1 ** 2, 0, 0]),
    mean: Float64Array.from([0, 0.1, 0, 0]),
    tokens: 1,
  };
  t.deepEqual([...scoreMethod('flap').scores(site)], [0, 0, 0, 0]);
  t.deepEqual([...scoreMethod('flap').losses(site, 7)], [0, 0, 0, 0]);
});

/** The whole dense path in TypeScript: statistics → losses → allocation → kept sets. */
function keptSets({ method: name, allocation, scope, sparsity, linearWeights }: BaselineCase) {
  const method = scoreMethod(name);
  const mine = sites.filter((site) => scope === 'all' || site.scope === scope);
  const layers = mine.map((site): AllocationLayer => {
    const groups = site.weightNormSq.length / site.groupSize;
    const multiple = site.scope === 'ffn' ? fixture.multiple : 1;
    const bounds = { multiple, minKeep: multiple, maxShare: fixture.maxShare };
    const curve = removalCurve(method.losses(statisticsOf(site), site.cost));
    const allowed = allowedRemovals(groups, bounds);
    return { scope: site.scope, groups, cost: site.cost, allowed, curve, weight: 1 };
  });
  const budget = { remove: weightsToRemove(sparsity, linearWeights), total: linearWeights };
  const { removed, removedWeights } = now.allocate(layers, budget, { rule: allocation });
  const kept = mine.map((site, l) => keepBest(method.scores(statisticsOf(site)), removed[l]!));
  return { kept: mine.map((site, l) => ({ site, kept: [...kept[l]!] })), removedWeights };
}

/** Whether what the fixture has of each site decides; an order of all sites' groups it has not. */
function bySites({ method }: BaselineCase): boolean {
  const { inputs, statistics } = recipeOf(method);
  return inputs === 'survey' && statistics !== 'order';
}

for (const expected of fixture.cases.filter(bySites)) {
  const { method, allocation, scope, sparsity } = expected;
  test(`${method}, ${allocation}, ${scope}, S = ${sparsity}: kept as the torch reference`, (t) => {
    const { kept, removedWeights } = keptSets(expected);
    t.is(removedWeights, expected.removedWeights);
    for (const { site, kept: groups } of kept) {
      const block = expected.blocks[site.block]!;
      t.deepEqual(groups, site.scope === 'ffn' ? block.ffn : block.kvHeads);
    }
  });
}

test('keeping the best: ascending indices, of equal scores the lower index stays', (t) => {
  t.deepEqual([...keepBest(Float64Array.from([3, 1, 2, 1, 5]), 2)], [0, 2, 4]);
  t.deepEqual([...keepBest(Float64Array.from([1, 1, 1, 1]), 1)], [0, 1, 2]);
  t.deepEqual([...keepBest(new Float64Array(12), 2)], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  t.deepEqual([...keepBest(Float64Array.from([2, 1]), 0)], [0, 1]);
});

test('a curve of losses sums them from the smallest', (t) => {
  t.deepEqual([...removalCurve(Float64Array.from([3, -1, 2]))], [0, -1, 1, 4]);
});

test('methods that need more than they are given say so', (t) => {
  const bare = {
    groupSize: 1,
    weightNormSq: Float64Array.from([4, 9]),
    weightAbsMean: Float64Array.from([1, 2]),
    weightShare: Float64Array.from([1, 1]),
  };
  t.deepEqual([...scoreMethod('magnitude-l2').scores(bare)], [2, 3]);
  for (const name of ['wanda-sp', 'flap', 'unipruning', 'gisp']) {
    t.throws(() => scoreMethod(name).scores(bare), { code: 'ERR_INTERNAL' });
  }
  const broken = { second: Float64Array.from([1, NaN]), mean: new Float64Array(2), tokens: 3 };
  for (const name of ['wanda-sp', 'flap', 'unipruning']) {
    t.throws(() => scoreMethod(name).scores({ ...bare, ...broken }), { code: 'ERR_NAN' });
  }
});

test('an unknown method is refused with the names there are', (t) => {
  const message = /struprune, magnitude-l2, wanda-sp, flap/;
  for (const name of ['wanda', 'magnitude']) {
    t.throws(() => methodOf(name), { code: 'ERR_ARGUMENT', message });
  }
  for (const [name, method] of METHODS) t.is(method.name, name);
});
