/** The rules that choose a setting, on numbers that can be checked in the head (sample.ts). */
import test from 'ava';
import type { BenchQuality } from '../../lib/documents/bench';
import {
  beaten,
  betterAblations,
  choose,
  furtherAblation,
  ranked,
  standings,
  unevenShares,
  worstRatio,
} from '../../lib/report/summary/choose';
import { DENSE, sampleDocument, type TextName } from './sample';

const quality = (): BenchQuality => sampleDocument().quality!;
const close = (a: number, b: number) => Math.abs(a - b) < 1e-12;

test('best at each sparsity: the lowest perplexity on the first text, ablations left out', (t) => {
  t.deepEqual(
    standings(quality()).map(({ sparsity, best }) => [sparsity, best.method]),
    [
      [0.1, 'struprune-threshold'],
      [0.2, 'struprune-threshold'],
      [0.3, 'struprune-threshold'],
      [0.4, 'flap'],
    ],
  );
  const at20 = standings(quality())[1]!;
  t.true(close(at20.ratio, 1.08) && close(at20.worstRatio, 1.12));
  t.is(at20.next!.row.method, 'struprune-uniform');
  t.true(close(at20.next!.above, 1.09 / 1.08 - 1));
});

test('the choice keeps the limit on every text, not on the first alone', (t) => {
  const choice = choose(quality())!;
  t.true(choice.withinLimit);
  t.is(choice.row.method, 'struprune-uniform');
  t.is(choice.row.sparsity, 0.2);
});

test('of several within the limit, the best on the first text', (t) => {
  const all = quality();
  const row = all.rows.find((one) => one.method === 'struprune-threshold' && one.sparsity === 0.2)!;
  row.texts[1]!.perplexity = 40 * 1.09;
  t.is(choose(all)!.row, row);
});

test('nothing within the limit: the mildest is named, and said not to be within it', (t) => {
  const all = quality();
  for (const one of all.dense.perplexities) one.perplexity /= 2;
  const choice = choose(all)!;
  t.false(choice.withinLimit);
  t.is(choice.row.method, 'struprune-threshold');
  t.is(choice.row.sparsity, 0.1);
});

test('no rows, no choice', (t) => {
  t.is(choose({ ...quality(), rows: [] }), null);
  t.deepEqual(standings({ ...quality(), rows: [] }), []);
});

test('StruPrune beaten: by sparsity and text, with the margin', (t) => {
  const found = beaten(quality());
  t.deepEqual(
    found.map(({ sparsity, text, winner, ours }) => [sparsity, text, winner.method, ours!.method]),
    [
      [0.4, 'a.txt', 'flap', 'struprune-threshold'],
      [0.4, 'b.txt', 'flap', 'struprune-threshold'],
    ],
  );
  t.true(close(found[0]!.ratio!, 1.65 / 1.6));
});

test('a draw is no defeat', (t) => {
  const all = quality();
  const of = (method: string) => {
    return all.rows.find((one) => one.method === method && one.sparsity === 0.4)!;
  };
  of('struprune-threshold').texts = of('flap').texts;
  t.deepEqual(beaten(all), []);
});

test('an ablation that beats its base at the same sparsity is found; level ones are not', (t) => {
  const found = betterAblations(quality());
  t.deepEqual(
    found.map(({ row, base, everywhere }) => [row.method, row.sparsity, base.method, everywhere]),
    [['without-refit', 0.2, 'struprune-threshold', true]],
  );
  t.true(close(found[0]!.ratio, 1.07 / 1.12));
  const all = quality();
  const row = all.rows.find((one) => one.method === 'without-refit' && one.sparsity === 0.2)!;
  row.texts[0]!.perplexity = 20 * 1.08 * 1.001;
  t.false(betterAblations(all)[0]!.everywhere);
  row.texts[1]!.perplexity = 40 * 1.12 * 0.992;
  t.deepEqual(betterAblations(all), []);
});

test('an ablation within the limit with more removed than by the choice is found', (t) => {
  const all = quality();
  t.is(furtherAblation(all, choose(all)!), null);
  const row = all.rows.find((one) => one.method === 'without-refit' && one.sparsity === 0.3)!;
  for (const one of row.texts) one.perplexity = 1.05 * DENSE[one.text as TextName];
  t.is(furtherAblation(all, choose(all)!), row);
});

test('no row beats one that removed more: shares are compared as they are, not as they were asked for', (t) => {
  const all = quality();
  const of = (method: string, sparsity: number) =>
    all.rows.find((one) => one.method === method && one.sparsity === sparsity)!;
  t.deepEqual(unevenShares(all), []);
  of('flap', 0.4).achieved = 0.35;
  t.deepEqual(beaten(all), []);
  t.deepEqual(
    unevenShares(all).map(({ sparsity, least }) => [sparsity, least]),
    [[0.4, 0.35]],
  );
  of('without-refit', 0.2).achieved = 0.18;
  t.deepEqual(betterAblations(all), []);
  // Asked for 10 % it removed as much as others asked for 30, and keeps the limit.
  of('flap', 0.1).achieved = 0.3;
  t.is(choose(all)!.row, of('flap', 0.1));
});

test('rows without a finite perplexity never win', (t) => {
  const all = quality();
  const row = all.rows.find((one) => one.method === 'struprune-threshold' && one.sparsity === 0.3)!;
  row.texts[0]!.perplexity = Number.NaN;
  t.is(ranked(all, 0.3, 'a.txt')[0]!.method, 'struprune-uniform');
  row.texts = [];
  t.is(worstRatio(all, row), Number.POSITIVE_INFINITY);
});
