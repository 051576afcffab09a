/** Whole experts and channels inside others under one budget: the pair that a search of all of them finds. */
import test from 'ava';
import { allocateExperts, allocatePairs, type Budget } from '../../lib/allocation';
import type { PairedLayer } from '../../lib/allocation/pairs';
import { atOnce } from '../../lib/turns';
import { generator } from './helpers';

const EXPERTS = 6;
const WIDTH = 40;
const [OF_EXPERT, OF_CHANNEL] = [1000, 20];

/** Two blocks; curves that rise, or none. */
function layersOf(random: (() => number) | null): PairedLayer[] {
  const rising = (length: number, scale: number) => {
    if (!random) return null;
    let sum = 0;
    return Float64Array.from({ length }, (_, k) => {
      sum += k === 0 ? 0 : scale * random() * k;
      return sum;
    });
  };
  return [0, 3].flatMap((block) => [
    {
      ...{ block, scope: 'experts', groups: EXPERTS, cost: OF_EXPERT, weight: 0.5 },
      allowed: Int32Array.of(0, 1, 2, 3),
      curve: rising(4, 8),
    },
    ...Array.from({ length: EXPERTS }, () => ({
      ...{ block, scope: 'expert-channels', groups: WIDTH, cost: OF_CHANNEL, weight: 0.5 },
      allowed: Int32Array.of(0, 8, 16, 24),
      curve: rising(25, 0.02),
    })),
  ]);
}

const TOTAL = 2 * EXPERTS * OF_EXPERT;
const freedBy = (gone: number, narrowed: number) =>
  2 * (gone * OF_EXPERT + (EXPERTS - gone) * narrowed * OF_CHANNEL);

test('the pair of the least predicted loss among those that suffice', (t) => {
  const chosen = new Set<string>();
  for (let seed = 1; seed <= 40; seed++) {
    const random = generator(seed);
    const layers = layersOf(random);
    const remove = Math.ceil(random() * 0.75 * TOTAL);
    const pairs = [0, 1, 2, 3].flatMap((gone) =>
      [0, 8, 16, 24].map((narrowed) => {
        const loss = layers.reduce(
          (sum, { scope, curve }) => sum + 0.5 * curve![scope === 'experts' ? gone : narrowed]!,
          0,
        );
        return { gone, narrowed, loss, freed: freedBy(gone, narrowed) };
      }),
    );
    const least = pairs
      .filter(({ freed }) => freed >= remove)
      .reduce((best, pair) => (pair.loss < best.loss ? pair : best));
    const found = allocatePairs(layers, { remove, total: TOTAL });
    t.is(found.removedWeights, least.freed);
    t.true(Math.abs(found.predictedError! - least.loss) < 1e-12);
    const due = layers.map(({ scope }, at) => {
      if (scope === 'experts') return least.gone;
      return (at % (EXPERTS + 1)) - 1 < EXPERTS - least.gone ? least.narrowed : 0;
    });
    t.deepEqual([...found.removed], due);
    chosen.add(`${Math.sign(least.gone)}${Math.sign(least.narrowed)}`);
  }
  t.deepEqual([...chosen].sort(), ['01', '10', '11'], 'of each kind alone, and of both');
});

const GONE = [0, 1, 2, 3];
const NARROWED = [0, 8, 16, 24];
const ofBlock = (at: number) => Math.floor(at / (EXPERTS + 1));

/** What a pair in one of the blocks frees and loses. */
function pairsIn(layers: readonly PairedLayer[], block: number) {
  const own = layers.filter((_, at) => ofBlock(at) === block);
  return GONE.flatMap((gone) =>
    NARROWED.map((narrowed) => ({
      ...{ gone, narrowed, freed: freedBy(gone, narrowed) / 2 },
      loss: own.reduce(
        (sum, { scope, curve, weight }) =>
          sum + weight * curve![scope === 'experts' ? gone : narrowed]!,
        0,
      ),
    })),
  );
}

const removedBy =
  (pairs: readonly { gone: number; narrowed: number }[]) =>
  ({ scope }: PairedLayer, at: number) => {
    const { gone, narrowed } = pairs[ofBlock(at)]!;
    if (scope === 'experts') return gone;
    return (at % (EXPERTS + 1)) - 1 < EXPERTS - gone ? narrowed : 0;
  };

test('a pair a block: the one of the least loss less a price times what is freed', (t) => {
  let unlike = 0;
  for (let seed = 1; seed <= 40; seed++) {
    const random = generator(seed);
    const layers = layersOf(random).map((layer, at) => ({
      ...layer,
      weight: ofBlock(at) === 0 ? 0.3 : 0.9,
    }));
    const price = 0.1 * random() ** 2;
    const least = [0, 1].map((block) =>
      pairsIn(layers, block).reduce((best, pair) =>
        pair.loss - price * pair.freed < best.loss - price * best.freed ? pair : best,
      ),
    );
    const remove = least.reduce((sum, { freed }) => sum + freed, 0);
    const found = atOnce(allocateExperts(layers, { remove, total: TOTAL }));
    t.deepEqual([...found.removed], layers.map(removedBy(least)));
    t.is(found.removedWeights, remove);
    const loss = least.reduce((sum, pair) => sum + pair.loss, 0);
    t.true(Math.abs(found.predictedError! - loss) <= 1e-12 * loss);
    if (least[0]!.gone !== least[1]!.gone || least[0]!.narrowed !== least[1]!.narrowed) unlike++;
  }
  t.true(unlike > 10);
});

test('a pair a block, between such optima: enough, and no choice that another beats', (t) => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = generator(seed);
    const layers = layersOf(random);
    const remove = Math.ceil(random() * 0.7 * TOTAL);
    const { removed, removedWeights } = atOnce(allocateExperts(layers, { remove, total: TOTAL }));
    t.true(removedWeights >= remove);
    for (const block of [0, 1]) {
      const [gone, narrowed] = removed.slice(block * (EXPERTS + 1));
      const pairs = pairsIn(layers, block);
      const own = pairs.find((pair) => pair.gone === gone && pair.narrowed === narrowed)!;
      t.false(pairs.some(({ freed, loss }) => freed > own.freed && loss < own.loss));
    }
  }
});

test('a pair a block, for a budget in bytes', (t) => {
  const layers = layersOf(generator(7));
  const freed = (removed: Int32Array) =>
    removed.reduce(
      (sum, count, l) => sum + count * (layers[l]!.scope === 'experts' ? 3000 : 20),
      0,
    );
  const counted = { unit: 'bytes', now: 40_000, each: 1, keep: 22_000, freed } as const;
  const budget = { remove: 18_000, total: TOTAL, counted };
  const found = atOnce(allocateExperts(layers, budget));
  t.true(freed(found.removed) >= 18_000 && found.removedWeights < 18_000);
});

test('without curves a guess that suffices, with the shares near each other', (t) => {
  const { removed, removedWeights, predictedError } = allocatePairs(layersOf(null), {
    remove: 0.5 * TOTAL,
    total: TOTAL,
  });
  t.deepEqual([removed[0], removed[1]], [2, 16]);
  t.is(removedWeights, freedBy(2, 16));
  t.is(predictedError, null);
});

test('a budget in bytes of which weights have not all as many', (t) => {
  const layers = layersOf(generator(7));
  const freed = (removed: Int32Array) =>
    removed.reduce(
      (sum, count, l) => sum + count * (layers[l]!.scope === 'experts' ? 3000 : 20),
      0,
    );
  const counted = { unit: 'bytes', now: 40_000, each: 1, keep: 22_000, freed } as const;
  const found = allocatePairs(layers, { remove: 18_000, total: TOTAL, counted });
  t.true(freed(found.removed) >= 18_000 && found.removedWeights < 18_000);
});

test('what no pair reaches is refused with the most that one does', (t) => {
  const layers = layersOf(generator(1));
  const most = freedBy(3, 24);
  const refused = (budget: Budget, message: RegExp) =>
    t.throws(() => allocatePairs(layers, budget), { code: 'ERR_ARGUMENT', message });
  t.is(allocatePairs(layers, { remove: most, total: TOTAL }).removedWeights, most);
  refused(
    { remove: most + 1, total: TOTAL },
    /let 8880 go; ask for at most 0.7400, or let more go/,
  );
  const counted = { unit: 'bytes', now: TOTAL, each: 1, keep: 1, freed: () => 100 } as const;
  refused({ remove: TOTAL, total: TOTAL, counted }, /keep 11,900 bytes; ask for 11900 or more/);
});
