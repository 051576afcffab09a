import test from 'ava';
import { allocate } from '../../lib/allocation';
import { atOnce, inTurns } from '../../lib/turns';
import { budgetOf, generator, layerOf, now, randomCurve, total } from './helpers';

/** As many layers and channels as a model of 70 billion parameters has. */
function large() {
  const random = generator(3);
  const shape = { groups: 28672, cost: 3 * 8192, multiple: 8 };
  return Array.from({ length: 80 }, () => {
    return layerOf(shape, randomCurve(random, shape.groups, false), random() + 0.1);
  });
}

for (const rule of ['threshold', 'energy'] as const) {
  test(`${rule} pauses in a large model at least once a layer and a thousand steps`, (t) => {
    const layers = large();
    const budget = budgetOf(layers, Math.ceil(0.2 * total(layers)));
    const work = allocate(layers, budget, { rule });
    let pauses = 0;
    let result = work.next();
    for (; !result.done; result = work.next()) pauses++;
    const steps = result.value.removed.reduce((sum, count) => sum + count, 0) / 8;
    t.true(pauses >= layers.length + steps / 1000, `${pauses} pauses`);
    t.deepEqual(result.value, now.allocate(layers, budget, { rule }));
  });
}

test('work in turns lets timers run, and gives what it gives at once', async (t) => {
  function* work() {
    for (let step = 0; step < 6; step++) {
      for (const start = performance.now(); performance.now() - start < 6; );
      yield;
    }
    return 'done';
  }
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  t.is(await inTurns(work()), 'done');
  clearInterval(timer);
  // Six steps of 6 ms, a turn after each, of which the timer may miss the first one.
  t.true(ticks >= 5, `${ticks}`);
  t.is(atOnce(work()), 'done');
});

test('a uniform share of a large model is a matter of its layers, not of its channels', (t) => {
  const layers = large();
  const budget = budgetOf(layers, Math.ceil(0.2 * total(layers)));
  const { removed } = now.allocateUniform(layers, budget);
  // 0.2 · 28672 = 5734.4, up to the next 8.
  t.true(removed.every((count) => count === 5736));
});
