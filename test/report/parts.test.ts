/** Escaping, ticks, colours and the numbers of single figures. */
import test from 'ava';
import { seriesStyle } from '../../lib/report/charts/style';
import { linearScale, logScale } from '../../lib/report/charts/ticks';
import { html } from '../../lib/report/html';
import { change, changeMark, mark, perplexity, time } from '../../lib/report/numbers';
import { stepSummaries } from '../../lib/report/sections/admm';
import { errorAt } from '../../lib/report/sections/curves';
import { fileSizes } from '../../lib/report/summary/sizes';
import { HOSTILE, sampleDocument } from './sample';

test('values in a template are escaped, Html in it is not', (t) => {
  const inner = html`<b title="${HOSTILE}">${HOSTILE}</b>`;
  const safe = '&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&amp;&#39;';
  t.is(inner.text, `<b title="${safe}">${safe}</b>`);
  t.is(html`<i>${[inner, null, 3]}</i>`.text, `<i>${inner.text}3</i>`);
  t.is(html`${'a\u0000b\ud800c'}`.text, 'a\ufffdb\ufffdc');
  t.is(html`${'a\u202eb\u009bc'}`.text, 'a\ufffdb\ufffdc');
});

test('linear marks: round steps that hold the data', (t) => {
  t.deepEqual(linearScale(0, 0.5).ticks, [0, 0.1, 0.2, 0.3, 0.4, 0.5]);
  t.deepEqual(linearScale(0, 42).ticks, [0, 10, 20, 30, 40, 50]);
  t.deepEqual(linearScale(-3, 4).ticks, [-4, -2, 0, 2, 4]);
  for (const [low, high] of [
    [0, 1e-9],
    [5, 5],
    [0, 0],
    [0.97, 1.31],
    [-1e6, 1e7],
  ] as const) {
    const { min, max, ticks } = linearScale(low, high);
    t.true(min <= low && max >= high && max > min, `${low} to ${high}`);
    t.true(ticks.length >= 2 && ticks.length <= 8, `${low} to ${high}: ${ticks}`);
  }
});

test('logarithmic marks: at least two, inside, never a crowd', (t) => {
  t.deepEqual(logScale(20, 400).ticks, [20, 30, 50, 100, 200, 300]);
  for (const [low, high] of [
    [25.5, 31],
    [1e-8, 1],
    [20, 22],
    [3, 3],
    [1, 1e12],
    [0.11, 0.29],
  ] as const) {
    const { min, max, ticks } = logScale(low, high);
    t.true(min < low && max > high, `${low} to ${high}`);
    t.true(ticks.every((tick) => tick >= min && tick <= max));
    t.true(ticks.length >= 2 && ticks.length <= 8, `${low} to ${high}: ${ticks}`);
  }
});

test('series after the last colour are told from those before by more than dots', (t) => {
  const looks = Array.from({ length: 24 }, (_, i) => seriesStyle(i));
  t.is(new Set(looks.map(({ color, symbol }) => `${color} ${symbol}`)).size, 24);
});

test('numbers in words', (t) => {
  t.is(perplexity(20.574), '20.57');
  t.is(perplexity(118.26), '118.3');
  t.is(perplexity(12480.4), '12,480');
  t.is(perplexity(Number.POSITIVE_INFINITY), 'not finite');
  t.is(change(1.124), '+12.4 %');
  t.is(change(0.98), '−2.0 %');
  t.is(change(31.46), '×31.5');
  t.is(changeMark(1), '0 %');
  t.is(changeMark(1.05), '+5 %');
  t.is(mark(0.05), '0.05');
  t.is(mark(2000), '2,000');
  t.is(mark(200_000), '2×10⁵');
  t.is(mark(1e-8), '10⁻⁸');
  t.is(mark(0), '0');
  t.is(time(0.5), '0.50 s');
  t.is(time(185), '3:05');
});

test('an error curve is read at the nearest whole group and weighted', (t) => {
  const layer = sampleDocument().quality!.surveys[0]!.layers[1]!;
  t.is(errorAt(layer, 0.05), 2 * ((26 / 512) ** 3 / 8));
  t.is(errorAt(layer, 0.95), null);
});

test('ADMM steps: median and largest of the sites still at work', (t) => {
  const row = sampleDocument().quality!.rows.find((one) => one.method === 'struprune-uniform')!;
  const steps = stepSummaries(row.layers);
  t.is(steps.length, 8);
  t.deepEqual(
    steps.map(({ sites }) => sites),
    [4, 4, 4, 4, 4, 3, 2, 1],
  );
  t.like(steps[0], { primal: 0.01, worstPrimal: 1, changed: 40 });
  t.like(steps[7], { step: 8, sites: 1, primal: 10 ** -6.5, worstDual: 1e-10 });
});

test('weight files that grow are no gain', (t) => {
  const words = (before: number, after: number) =>
    fileSizes(before, after).text.replace(/<[^>]*>/g, '');
  t.regex(words(269e6, 226e6), /^weight files of 226\.0 MB instead of 269\.0 MB\.$/);
  t.regex(
    words(98e6, 226e6),
    /^weight files of 226\.0 MB\. \(The source's 98\.0 MB hold fewer bits a weight\.\)$/,
  );
});
