/** Sums of rows from JavaScript, and a solver of sums, on an engine. */
import test from 'ava';
import { Engine } from '../../lib/engine/engine';
import { Solver } from '../../lib/engine/solver';

const COLUMNS = 5;
const ROWS = 700;
const X = Float32Array.from({ length: ROWS * COLUMNS }, (_, i) => Math.fround(Math.sin(i * i)));
const at = (row: number, column: number) => X[row * COLUMNS + column]!;
const overRows = (of: (row: number) => number) =>
  Array.from({ length: ROWS }, (_, row) => of(row)).reduce((a, b) => a + b, 0);

test('rows that come in pieces are summed as they are', async (t) => {
  await using engine = new Engine({ threads: 1, device: 'cpu', fullPrecision: true });
  await engine.run(undefined, async () => {
    await using statistics = engine.store('').statistics(COLUMNS, { gram: true });
    const cut = 512 * COLUMNS;
    await statistics.add(X.subarray(0, cut), 'calibrating');
    await statistics.add(X.subarray(cut), 'calibrating');
    const { tokens, sums } = statistics.read();
    t.is(tokens, ROWS);
    const gram = statistics.gramRows(0, COLUMNS);
    for (let i = 0; i < COLUMNS; i++) {
      t.true(Math.abs(sums[i]! - overRows((row) => at(row, i))) < 1e-9);
      for (let j = 0; j < COLUMNS; j++) {
        const wanted = overRows((row) => at(row, i) * at(row, j));
        t.true(Math.abs(gram[i * COLUMNS + j]! - wanted) < 1e-5 * ROWS, `${i}, ${j}`);
      }
    }
    for (const rows of [X.subarray(1), [1, 2] as never]) {
      const error = t.throws(() => statistics.add(rows, 'calibrating'));
      t.is((error as unknown as { code: string }).code, 'ERR_ARGUMENT');
    }
  });
});

test('a solver of sums answers as one with threads of its own', async (t) => {
  const gram = new Float64Array(COLUMNS * COLUMNS).map((_, k) =>
    overRows((row) => at(row, Math.floor(k / COLUMNS)) * at(row, k % COLUMNS)),
  );
  const weight = Float32Array.from({ length: 2 * COLUMNS }, (_, i) => Math.fround(Math.cos(i)));
  const sums = { in: COLUMNS, out: 2, tokens: ROWS, gram, sums: new Float64Array(COLUMNS), weight };
  using alone = await Solver.fromSums(1, 0, sums);
  await using engine = new Engine({ threads: 1, device: 'cpu' });
  await engine.run(undefined, async () => {
    using solver = await engine.store('').solver(sums);
    t.is(solver.targetNormSq, alone.targetNormSq);
    t.deepEqual(await solver.sweep(), await alone.sweep());
  });
});

for (const about of ['the means', 'zero'] as const)
  test(`a solver of statistics is that of their sums about ${about}`, async (t) => {
    const problem = { out: 2, lambda: 0.05, groupSize: 1 };
    const weight = Float32Array.from({ length: 2 * COLUMNS }, (_, i) => Math.fround(Math.cos(i)));
    await using engine = new Engine({ threads: 1, device: 'cpu' });
    await engine.run(undefined, async () => {
      const store = engine.store('');
      await using statistics = store.statistics(COLUMNS, { gram: true });
      await statistics.add(X, 'calibrating');
      const { tokens, sums } = statistics.read();
      const means = about === 'zero' ? null : sums.map((sum) => sum / tokens);
      const gram = statistics.gramRows(0, COLUMNS).map((value, k) => {
        const [i, j] = [Math.floor(k / COLUMNS), k % COLUMNS];
        return means ? value - tokens * means[i]! * means[j]! : value;
      });
      const zeros = new Float64Array(COLUMNS);
      const plain = { ...problem, in: COLUMNS, tokens, gram, sums: zeros, weight };
      using wanted = await store.solver(plain);
      using solver = await Solver.ofStatistics(statistics, { ...problem, weight, means });
      t.is(solver.targetNormSq, wanted.targetNormSq);
      t.deepEqual(await solver.sweep(), await wanted.sweep());
      const short = { ...problem, weight, means: new Float64Array(2) };
      await t.throwsAsync(Solver.ofStatistics(statistics, short), { code: 'ERR_ARGUMENT' });
      await using squares = store.statistics(COLUMNS, { gram: false });
      await t.throwsAsync(Solver.ofStatistics(squares, { ...problem, weight, means: null }), {
        message: /no Gram matrix/,
      });
    });
  });
