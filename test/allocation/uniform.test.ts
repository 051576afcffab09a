import test from 'ava';
import { budgetOf, generator, layerOf, now, randomInt, removable, total } from './helpers';

const ffn = { groups: 1536, cost: 3 * 576, multiple: 8 };
const kv = { groups: 3, cost: 8 * 64 * 576, scope: 'attention' as const };
const smol = Array.from({ length: 30 }, () => [layerOf(kv, null), layerOf(ffn, null)]).flat();
const smolFfn = smol.filter(({ scope }) => scope === 'ffn');

test('FFN only: 20 % of all block weights of SmolLM2 is one width everywhere', (t) => {
  const budget = { remove: Math.ceil(0.2 * total(smol)), total: total(smol) };
  const { removed, removedWeights, predictedError } = now.allocateUniform(smolFfn, budget);
  // 0.2 · 106,168,320 / 30 / 1728 = 409.6 channels a block, the next multiple of 8 is 416.
  t.deepEqual([...new Set(removed)], [416]);
  t.is(removedWeights, 30 * 416 * 1728);
  t.is(predictedError, null);
});

test('with KV heads: those are rounded to the nearest, the FFN takes the rest', (t) => {
  const budget = budgetOf(smol, Math.ceil(0.2 * total(smol)));
  const { removed, removedWeights } = now.allocateUniform(smol, budget);
  // 0.6 of 3 KV heads rounds to 1; (21,233,664 − 30 · 294,912) / 30 / 1728 = 238.9 → 240 channels.
  smol.forEach(({ scope }, l) => {
    t.is(removed[l], scope === 'ffn' ? 240 : 1);
  });
  t.true(removedWeights >= budget.remove);
});

test('apart: each scope gives the share of its own weights', (t) => {
  const budget = budgetOf(smol, Math.ceil(0.2 * total(smol)));
  const { removed, parts } = now.allocate(smol, budget, { rule: 'uniform', apart: true });
  smol.forEach(({ scope }, l) => {
    t.is(removed[l], scope === 'ffn' ? 312 : 1); // 307.2 → 312; 0.6 → 1
  });
  t.deepEqual(parts.map(({ scope }) => scope).sort(), ['attention', 'ffn']);
});

test('where the FFN alone cannot take the rest, KV heads are rounded up', (t) => {
  const tight = smol.map((layer) =>
    layer.scope === 'ffn' ? layerOf({ ...ffn, maxShare: 0.1 }, null) : layer,
  );
  const { removed, removedWeights } = now.allocateUniform(
    tight,
    budgetOf(tight, 0.17 * total(tight)),
  );
  t.is(removed[0], 2);
  t.true(removedWeights >= 0.17 * total(tight));
});

test('random models: the budget is met within one joint step, layers alike stay alike', (t) => {
  const random = generator(1);
  for (let trial = 0; trial < 500; trial++) {
    const blocks = randomInt(random, 1, 8);
    const shapes = [
      {
        groups: 8 * randomInt(random, 4, 20),
        cost: 48,
        multiple: [1, 8][randomInt(random, 0, 1)]!,
      },
      { groups: randomInt(random, 2, 8), cost: 512, scope: 'attention' as const },
    ];
    const layers = Array.from({ length: blocks }, () => shapes.map((s) => layerOf(s, null))).flat();
    const remove = randomInt(random, 0, removable(layers));
    const { removed, removedWeights } = now.allocateUniform(layers, budgetOf(layers, remove));
    t.true(removedWeights >= remove);
    // Where the bounds bind, the KV heads are rounded up at last.
    t.true(removedWeights - remove < blocks * Math.max(512, 48 * shapes[0]!.multiple!));
    for (const scope of ['ffn', 'attention']) {
      const counts = removed.filter((_, l) => layers[l]!.scope === scope);
      t.is(new Set(counts).size, 1);
    }
  }
});

test('an infeasible budget names the largest sparsity, and that one works', (t) => {
  const error = t.throws(
    () => now.allocateUniform(smolFfn, { remove: 0.8 * total(smol), total: total(smol) }),
    { code: 'ERR_ARGUMENT' },
  );
  const possible = Number(/at most (0\.\d+)/.exec(error!.message)![1]);
  t.true(possible > 0.66 && possible < 0.68); // 0.9 of the FFN's 75 %, in steps of 8
  const remove = Math.ceil(possible * total(smol));
  t.notThrows(() => now.allocateUniform(smolFfn, { remove, total: total(smol) }));
});

test('what would let more go: a wider scope only where there is one', (t) => {
  const wider = (layers: typeof smol, apart: boolean) => {
    const budget = { remove: 0.95 * total(smol), total: total(smol) };
    const { message } = t.throws(() => now.allocate(layers, budget, { rule: 'uniform', apart }));
    return /let more go: .*$/.exec(message)![0];
  };
  t.is(
    wider(smolFfn, false),
    'let more go: a larger maxLayerSparsity, a smaller multiple, or scope all',
  );
  t.is(
    wider(smolFfn, true),
    'let more go: a larger maxLayerSparsity, a smaller multiple, or scope all',
  );
  t.is(wider(smol, false), 'let more go: a larger maxLayerSparsity or a smaller multiple');
  t.is(wider(smol, true), 'let more go: a larger maxLayerSparsity or a smaller multiple');
});

test('layers of unlike width give up the same share each', (t) => {
  const layers = [64, 128, 96].map((groups) => layerOf({ groups, cost: 10, multiple: 4 }, null));
  const { removed } = now.allocateUniform(layers, budgetOf(layers, 0.25 * total(layers)));
  t.deepEqual([...removed], [16, 32, 24]);
});
