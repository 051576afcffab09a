import test from 'ava';
import { Solver } from '../../lib/engine/solver';
import { MASK_DEFAULTS } from '../../lib/masks';
import { maskByGumbel, noise, TEMPERATURE } from '../../lib/masks/gumbel';
import { uniform } from '../../lib/random';
import { channelStructure } from '../../lib/solver/structures/channels';

test('the largest c · noise are drawn as by Plackett and Luce, of weights c^(1 ÷ T)', (t) => {
  const costs = [1, 0.97, 1.03, 0.9];
  const DRAWS = 200_000;
  const draw = uniform(3);
  const counts = new Map<string, number>();
  for (let i = 0; i < DRAWS; i++) {
    const keys = costs.map((cost) => cost * noise(draw));
    const [first, second] = [0, 1, 2, 3].sort((a, b) => keys[b]! - keys[a]!);
    const pair = `${first} ${second}`;
    counts.set(pair, (counts.get(pair) ?? 0) + 1);
  }
  const weights = costs.map((cost) => cost ** (1 / TEMPERATURE));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  for (const [a, weight] of weights.entries()) {
    for (const [b, next] of weights.entries()) {
      if (a === b) continue;
      const share = ((weight / total) * next) / (total - weight);
      const found = (counts.get(`${a} ${b}`) ?? 0) / DRAWS;
      const sigma = Math.sqrt((share * (1 - share)) / DRAWS);
      t.true(Math.abs(found - share) < 5 * sigma, `${a}, ${b}: ${found}, ${share}`);
    }
  }
});

const UNITS = 8;
const OUTPUTS = 3;

/** Correlated inputs, so that costs of single removals mislead. */
function solverOf(seed: number): Promise<Solver> {
  const draw = uniform(seed);
  const rows = Array.from({ length: 100 }, () => {
    const common = draw() - 0.5;
    return Array.from({ length: UNITS }, () => Math.fround(common + 0.3 * (draw() - 0.5)));
  });
  const column = (of: (row: number[]) => number) => rows.reduce((sum, row) => sum + of(row), 0);
  const indices = [...Array(UNITS).keys()];
  return Solver.fromSums(1, 0, {
    ...{ in: UNITS, out: OUTPUTS, tokens: rows.length, lambda: 0.01, bias: undefined },
    gram: Float64Array.from(
      indices.flatMap((i) => indices.map((j) => column((r) => r[i]! * r[j]!))),
    ),
    sums: Float64Array.from(indices, (i) => column((r) => r[i]!)),
    weight: Float32Array.from({ length: UNITS * OUTPUTS }, () => draw() - 0.5),
  });
}

const structure = channelStructure({ channels: UNITS, hidden: OUTPUTS, gated: false });
const KEPT = 4;

async function drawn(solver: Solver, samples: number, seed: number) {
  const place = { block: 2, site: 'ffn', keep: KEPT } as const;
  const budget = KEPT * structure.costs[0]!;
  const problem = { solver, structure, budget, bias: false, metric: 'plain', place } as const;
  const { keep } = await maskByGumbel(problem, { ...MASK_DEFAULTS, gumbel: { samples, seed } });
  using refit = await solver.refit(keep);
  return { keep: [...keep], error: refit.error };
}

test('the first is by the costs of single removals, and others are taken where they are better', async (t) => {
  let better = 0;
  for (let seed = 0; seed < 20; seed++) {
    using solver = await solverOf(seed);
    const { removal } = await solver.costs(new Uint8Array(UNITS).fill(1));
    const order = [...removal.keys()].sort((a, b) => removal[b]! - removal[a]!);
    const one = await drawn(solver, 1, 5);
    t.deepEqual(
      one.keep.flatMap((kept, unit) => (kept ? [unit] : [])),
      order.slice(0, KEPT).sort((a, b) => a - b),
    );
    const some = await drawn(solver, 16, 5);
    t.true(some.error <= one.error);
    if (some.error < one.error) better += 1;
    t.deepEqual(await drawn(solver, 16, 5), some, 'same seed, same mask');
  }
  t.true(better > 0, 'for this there are others');
});
